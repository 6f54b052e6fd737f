"""Rows whose units are in another order: the orders of sessions, kept in a Parquet file, and rows read in these orders.

A line of `orders.parquet` is a session: `order` has the unit that is at each place, `inverse` the place of each unit.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neuralpile import catalog
from neuralpile.cli import MEASURES
from neuralpile.corpus import arrow, tables
from neuralpile.corpus.arrow import METADATA
from neuralpile.corpus.chosen import ChosenRows
from neuralpile.corpus.rows import AllNames, DerivedRows, Names, Row, RowSource, values_of
from neuralpile.errors import BadInput
from neuralpile.files import whole_file

FILE = "orders.parquet"
ORDERS = pa.schema(
    [
        *((name, pa.string()) for name in tables.KEYS),
        ("n_units", pa.int64()),  # rows of one name with other numbers of units have a line of their own
        ("split", pa.string()),  # of the rows that the order was computed from: train, or where there are none, others
        ("n_bins", pa.int64()),  # that were read of them
        ("order", pa.list_(pa.int32())),  # the unit at each place of the new row
        ("inverse", pa.list_(pa.int32())),  # the place of each unit
    ]
)
Order = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Orders:
    """Orders of the units of sessions.

    Attributes:
        table: of the schema `ORDERS`.
        stated: how they were made: version, rows, measure and options.
    """

    table: pa.Table
    stated: Mapping[str, Any]

    @cached_property
    def _of(self) -> dict[tuple[str, str, str, int], Order]:
        keys = zip(*(self.table[name].to_pylist() for name in (*tables.KEYS, "n_units")), strict=True)
        lists = self.table["order"].combine_chunks()
        flat, ends = lists.values.to_numpy().astype(np.int64), lists.offsets.to_numpy()
        return {key: flat[a:b] for key, a, b in zip(keys, ends[:-1], ends[1:], strict=True)}

    @cached_property
    def sessions(self) -> set[tuple[str, str, str]]:
        """Source data set, subject and session of all that have an order."""
        return {key[:3] for key in self._of}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the orders and of what they are of."""
        sha = hashlib.sha256()
        for key, order in self._of.items():
            sha.update(repr(key).encode() + order.tobytes())
        return sha.hexdigest()

    def of(self, source_dataset: str, subject_id: str, session_id: str, n_units: int) -> Order:
        """The unit at each place, (units,), of a session. Raises BadInput: it has no order of so many units."""
        found = self._of.get((source_dataset, subject_id, session_id, n_units))
        if found is None:
            where = f"{source_dataset}, {subject_id}, {session_id}"
            do = "order the units of these rows: run reorder_units.py"
            raise BadInput(where, f"an order of {n_units} units", "none", do)
        return found


def write(path: Path, orders: Orders) -> None:
    """Write orders to a file, whole or not at all. The same orders give the same bytes."""
    from pyarrow import parquet

    table = orders.table.replace_schema_metadata({METADATA: json.dumps(orders.stated)}).combine_chunks()
    with whole_file(path) as partial, partial.open("wb") as file:
        names = [*tables.KEYS, "split"]
        parquet.write_table(
            table,
            file,
            compression="zstd",
            compression_level=tables.LEVEL,
            use_dictionary=names,
            write_statistics=names,
        )


def read(path: Path) -> Orders:
    """The orders in a file.

    Raises:
        BadInput: it is damaged, or something else; or an order is not one of all units of its session.
    """
    from pyarrow import parquet

    expected, do = "orders of units, as reorder_units.py writes them", "run reorder_units.py again"
    try:
        content = parquet.ParquetFile(pa.BufferReader(path.read_bytes())).read()
        stated = json.loads((content.schema.metadata or {})[METADATA])
        table = content.select(ORDERS.names).cast(ORDERS).combine_chunks()
    except OSError as error:
        arrow.raise_if_short(error)
        missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
        correct = f"run reorder_units.py, and give {', '.join(MEASURES)}, or the folder of its result"
        found = "no such file" if missing else error.strerror or str(error)
        raise BadInput(path, expected, found, correct if missing else do) from None
    except (pa.ArrowException, KeyError, ValueError, RecursionError) as error:
        found = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise BadInput(path, expected, found, do) from None
    lists = [table[name].combine_chunks() for name in ("order", "inverse")]
    if not isinstance(stated, dict) or any(its.null_count for its in (*table.columns, *(its.values for its in lists))):
        raise BadInput(path, expected, "missing values", do)
    orders = Orders(table, stated)
    if len(orders._of) != len(table):
        raise BadInput(path, expected, "several lines of one session", do)
    flat, ends = lists[1].values.to_numpy(), lists[1].offsets.to_numpy()
    for (key, order), a, b in zip(orders._of.items(), ends[:-1], ends[1:], strict=True):
        inverse = flat[a:b]
        if len(order) != key[3] or not np.array_equal(np.sort(order), range(key[3])):
            raise BadInput(path, f"each of {key[3]} units once", f"other numbers in session {key[2]}", do)
        if not np.array_equal(inverse, np.argsort(order)):
            raise BadInput(path, "the inverse of each order", f"another in session {key[2]}", do)
    return orders


def default_folder(name: str, by: str) -> Path:
    """Where reorder_units.py puts its result for a data set, unless it is told otherwise."""
    return catalog.BUILD / f"{name.replace('/', '--')}-by-{by}"


def whole(source: RowSource) -> RowSource:
    """The data set with all its rows, as they are stored, of which a source has some."""
    if isinstance(source, (ChosenRows, OrderedRows)):
        return whole(source.source)
    found: RowSource = getattr(source, "whole", None) or source
    return found


def unordered(source: RowSource) -> RowSource:
    """The same rows with their units as they are stored: what does not depend on the order is read there."""
    return source.source if isinstance(source, OrderedRows) else source


def measure(source: RowSource) -> str | None:
    """By what the units of a data set are ordered, while read or in its files; None where they are as recorded."""
    stated = (source.manifest() or {}).get("reordered")
    return str(stated.get("by", "another order")) if isinstance(stated, dict) else None


def made(source: RowSource, by: str) -> Orders | None:
    """The orders that reorder_units.py made of a data set in its default folder; None if there are none.

    They are of the rows that the data set has now. With `--where`, some of its sessions have none.
    """
    path = default_folder(source.name, by) / FILE
    orders = read(path) if path.is_file() else None
    return orders if orders and orders.stated.get("whole") == whole(source).fingerprint else None


def rows(source: RowSource, order: str | Path) -> "OrderedRows":
    """The rows of a data set with their units in another order.

    Parameters:
        source: an opened data set.
        order: `similarity`, `rate` or `area`: the orders that reorder_units.py made of it in its default folder; or a
            result of reorder_units.py, the folder or its `orders.parquet`.

    Raises:
        BadInput: there are no such orders, or a session of the data set has none.
    """
    if order in MEASURES:
        orders = made(source, str(order))
        if orders is None:
            folder = default_folder(source.name, str(order))
            # a result with rows is replaced by a result with rows only
            only = "" if arrow.is_finished(folder) else " --orders_only"
            do = f"run: python reorder_units.py --by {order}{only} --repo_name {source.folder or source.name}"
            found_there = "orders of other rows" if (folder / FILE).is_file() else "none"
            raise BadInput(folder, "orders of these rows", found_there, do)
    else:
        path = Path(order) / FILE if Path(order).is_dir() else Path(order)
        orders = read(path)
    found = OrderedRows(source, orders)
    missing = set(map(found.key, source.names())) - orders.sessions
    if missing:
        where = ", ".join(min(missing))
        raise BadInput(where, "an order of its units", "none", "run reorder_units.py for these rows, or choose others")
    return found


def resolved(order: str | None) -> str | None:
    """An order as `rows` takes it, for another process: the name of a measure, or an absolute path."""
    return order if order is None or order in MEASURES else str(Path(order).resolve())


@dataclass(frozen=True)
class OrderedRows(DerivedRows):
    """Rows of a data set with their units in another order: a `RowSource`.

    Attributes:
        source: the data set.
        orders: of its sessions.
    """

    orders: Orders

    @property
    def fingerprint(self) -> str:
        """A string that changes with the rows."""
        return f"{self.source.fingerprint} {self.orders.digest}"

    @property
    def splits(self) -> dict[str, range]:
        """The numbers of the rows of each split, in order."""
        return self.source.splits

    def __len__(self) -> int:
        """Number of rows, over all splits."""
        return len(self.source)

    def names(self) -> AllNames:
        """What the rows are called, in order. Their counts are not read."""
        return self.source.names()

    def tokens(self) -> list[int]:
        """Tokens in each row."""
        return self.source.tokens()

    @cached_property
    def label(self) -> str:
        """The measure, for names of files; with the start of the digest if the default folder has other orders."""
        by = measure(self) or ""
        try:
            usual = made(self.source, by)
        except BadInput:
            usual = None
        return by if usual and usual.digest == self.orders.digest else f"{by}-{self.orders.digest[:8]}"

    @cached_property
    def _own_name(self) -> str:
        return tables.own_name(self.source)

    def key(self, names: Names | Row) -> tuple[str, str, str]:
        """Source data set, subject and session of a row, as the orders name them."""
        return names.source_dataset or self._own_name, names.subject_id, names.session_id

    def has_order(self, names: Names | Row) -> bool:
        """Whether the session of a row has an order: with `--where`, reorder_units.py orders some sessions only."""
        return self.key(names) in self.orders.sessions

    def order(self, names: Names | Row, n_units: int) -> Order:
        """The unit at each place, (units,), of a row of the source. Raises BadInput as `Orders.of`."""
        return self.orders.of(*self.key(names), n_units)

    def _ordered(self, row: Row) -> Row:
        counts = row.counts[self.order(row, len(row.counts))]
        counts.flags.writeable = False  # as those of a file: numba would compile for others anew
        return row._replace(counts=counts)

    def row(self, i: int) -> Row:
        """Row `i`, counted over all splits in order: a copy. Raises BadInput if it holds no spike counts."""
        return self._ordered(self.source.row(i))

    def only(self, split: str) -> "OrderedRows":
        """The rows of one split alone, counted from 0. Raises BadInput: there is no such split."""
        return OrderedRows(self.source.only(split), self.orders)

    def session(self, *key: str | None) -> list[Row]:
        """The rows of a session, in order of time. Raises BadInput: there is none."""
        return [self._ordered(row) for row in self.source.session(*key)]

    def __iter__(self) -> Iterator[Row]:
        return self.read(range(len(self)))

    def read(self, numbers: Sequence[int]) -> Iterator[Row]:
        """These rows, in this order."""
        return map(self._ordered, self.source.read(numbers))

    def manifest(self) -> dict[str, Any] | None:
        """What the data set was made of, and under `reordered` how the orders were made."""
        reordered = {**self.orders.stated, "orders": FILE, "orders_sha256": self.orders.digest}
        return (self.source.manifest() or {}) | {"reordered": reordered}

    def sessions(self) -> pa.Table:
        """The table of sessions of the data set, of the schema `tables.SESSIONS`."""
        return self.source.sessions()

    def units(self) -> pa.Table | None:
        """The table of units, of the schema `tables.UNITS`, with the units at their places in these rows.

        Raises:
            BadInput: a session has no order, or there is not just one line for each of its units.
        """
        units = self.source.units()
        return None if units is None else reordered(units, self.orders)


def reordered(units: pa.Table, orders: Orders) -> pa.Table:
    """A table of units (`tables.UNITS`) in other orders: `unit` is the place in the new rows, `order` what it was.

    Units that were in another order already keep the number that they had first.

    Raises:
        BadInput: a session has no order, or its lines are not those of unit 0, 1, and so on.
    """
    import pyarrow.compute as pc  # takes 30 ms, for which opening a data set need not wait

    if not len(units):
        return units
    number = units["unit"].to_numpy()
    session = values_of(tables.joined(units, tables.KEYS).dictionary_encode().indices)
    starts = np.flatnonzero((number == 0) | np.append(True, session[1:] != session[:-1]))
    taken = np.arange(len(units))
    for start, stop in zip(starts, [*starts[1:], len(units)], strict=True):
        source, subject_id, session_id = (str(units[name][int(start)]) for name in tables.KEYS)
        if not np.array_equal(number[start:stop], range(stop - start)):
            raise BadInput(
                f"{source}, {subject_id}, {session_id}",
                "a line for each unit in the table of units",
                "others",
                "build it again",
            )
        taken[start:stop] = start + orders.of(source, subject_id, session_id, int(stop - start))
    found = units.take(pa.array(taken))
    first = pc.coalesce(found["order"], found["unit"])
    found = found.set_column(found.schema.get_field_index("order"), tables.UNITS.field("order"), first)
    return found.set_column(found.schema.get_field_index("unit"), tables.UNITS.field("unit"), units["unit"])
