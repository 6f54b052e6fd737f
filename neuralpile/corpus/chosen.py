"""Rows of chosen sessions of a data set: what `--where` leaves."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neuralpile.corpus import tables
from neuralpile.corpus.rows import (
    AllNames,
    DerivedRows,
    LocalSource,
    Row,
    RowSource,
    array_of,
    check_split,
    find_session,
    sessions_of,
    values_of,
)
from neuralpile.errors import BadInput


@dataclass(frozen=True)
class ChosenRows(DerivedRows):
    """Some rows of a data set, counted from 0: a `RowSource`.

    Attributes:
        source: the data set.
        numbers: of the rows in it, ascending.
        sessions_chosen: the lines of its table of sessions that were chosen.
        expression: that chose them.
    """

    numbers: npt.NDArray[np.int64]
    sessions_chosen: pa.Table
    expression: str

    @property
    def fingerprint(self) -> str:
        """A string that changes with the rows."""
        return f"{self.source.fingerprint} {hashlib.sha256(self.numbers.tobytes()).hexdigest()}"

    @cached_property
    def splits(self) -> dict[str, range]:
        """The numbers of the rows of each split, in order."""
        edges = {name: np.searchsorted(self.numbers, (its.start, its.stop)) for name, its in self.source.splits.items()}
        return {name: range(int(start), int(stop)) for name, (start, stop) in edges.items()}

    def __len__(self) -> int:
        """Number of rows, over all splits."""
        return len(self.numbers)

    def names(self) -> AllNames:
        """What the rows are called, in order. Their counts are not read."""
        return AllNames(self.source.names().table.take(array_of(self.numbers)))

    def tokens(self) -> list[int]:
        """Tokens in each row."""
        tokens = self.source.tokens()
        return [tokens[i] for i in self.numbers.tolist()]

    def shapes(self) -> npt.NDArray[np.int64]:
        """Units and bins of each row of a data set on this machine: (rows, 2)."""
        return self._local.shapes()[self.numbers]

    @property
    def n_files(self) -> int:
        """Number of files of a data set on this machine."""
        return self._local.n_files

    def in_any_order(self) -> "ChosenRows":
        """The same rows of a data set on this machine, for readers of parts of rows in any order."""
        return replace(self, source=self._local.in_any_order())

    def prefetch(self, i: int, units: npt.NDArray[np.int64], start: int, stop: int) -> None:
        """Ask the system to read these units of row `i`, from one bin to before another; do not wait."""
        self._local.prefetch(int(self.numbers[i]), units, start, stop)

    @property
    def _local(self) -> LocalSource:
        return cast(LocalSource, self.source)

    def row(self, i: int) -> Row:
        """Row `i`, counted over all splits in order. Raises BadInput if it holds no spike counts."""
        if not 0 <= i < len(self):
            raise IndexError(i)
        return self.source.row(int(self.numbers[i]))

    def only(self, split: str) -> "ChosenRows":
        """The rows of one split alone, counted from 0; `session` then finds those of this split.

        Raises:
            BadInput: there is no such split.
        """
        check_split(self, split)
        its, whole = self.splits[split], self.source.splits[split]
        numbers = self.numbers[its.start : its.stop] - whole.start
        return ChosenRows(self.source.only(split), numbers, self.sessions_chosen, self.expression)

    def session(self, *key: str | None) -> list[Row]:
        """The rows of a session, in order of time. Raises BadInput: there is none, or it was not chosen."""
        return [self.row(i) for i in find_session(self._sessions, key, self.name)]

    @cached_property
    def _sessions(self) -> dict[tuple[str, ...], list[int]]:
        return sessions_of(self.names())

    def __iter__(self) -> Iterator[Row]:
        return self.read(range(len(self)))

    def read(self, numbers: Sequence[int]) -> Iterator[Row]:
        """These rows, in this order."""
        return self.source.read(self.numbers[np.asarray(numbers, np.int64)].tolist())

    def manifest(self) -> dict[str, Any] | None:
        """What the data set was made of; None if it has no readable `manifest.json`."""
        return self.source.manifest()

    def sessions(self) -> pa.Table:
        """The lines of the chosen sessions, of the schema `tables.SESSIONS`."""
        return self.sessions_chosen

    def units(self) -> pa.Table | None:
        """The lines of their units, of the schema `tables.UNITS`; None if the data set has no such table."""
        units = self.source.units()
        return None if units is None else units.take(tables.lines_of(units, self.sessions_chosen))


def where(source: RowSource, expression: str) -> ChosenRows:
    """The rows of the sessions that an expression selects.

    Parameters:
        source: an opened data set or corpus.
        expression: as `tables.where` takes it.

    Raises:
        BadInput: it is no such expression, or selects nothing.
    """
    sessions = source.sessions()
    chosen = sessions.filter(pa.array(tables.where(sessions, expression)))
    if not len(chosen):
        do = f"see its sessions: python inspect_dataset.py {source.name}"
        raise BadInput("--where", f"an expression that selects sessions of {source.name}", expression, do)
    keys = tables.KEYS if source.is_merged else tables.KEYS[1:]  # rows of a data set do not name it
    held = tables.lines_of(source.names().table, chosen, keys)
    return ChosenRows(source, values_of(held).astype(np.int64), chosen, expression)
