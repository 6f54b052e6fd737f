"""Which rows of a data set windows are taken from, and how many of a row's bins make one bin of a window."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neuralpile import evaluation
from neuralpile.cli import plural
from neuralpile.corpus import chosen, tables
from neuralpile.corpus.manifest import info_named, info_of
from neuralpile.corpus.rows import Names, RowSource, check_split, segment_number
from neuralpile.corpus.split import Part
from neuralpile.errors import BadInput
from neuralpile.spikes import binning
from neuralpile.training.permutation import Integers

Key = tuple[str, str, str]  # source data set, subject, session
BIN_SIZE = 0.02  # seconds, of rows whose data set does not state it: that of the published corpus


def select(
    data_set: RowSource, names: Sequence[Names], split: str | None, where: str | None, exclude_evaluation: Sequence[str]
) -> Integers:
    """The numbers of the rows that windows are taken from, ascending.

    Parameters:
        data_set: the data set.
        names: of all its rows.
        split: only rows of this one; None for those of all.
        where: only rows of sessions for which this expression over the table of sessions is true.
        exclude_evaluation: benchmarks whose evaluation data are left out.

    Raises:
        BadInput: there is no such split or benchmark, the expression is none, or no row is left.
    """
    if split is None:
        numbers = np.arange(len(data_set))
    else:
        check_split(data_set, split)
        numbers = np.array(data_set.splits[split], np.int64)
    keep = np.ones(len(numbers), bool)
    if where is not None:
        keep &= np.isin(numbers, chosen.where(data_set, where).numbers)
    if isinstance(exclude_evaluation, str):
        exclude_evaluation = [exclude_evaluation]
    if exclude_evaluation:
        known = evaluation.benchmarks()
        for benchmark in exclude_evaluation:
            if benchmark not in known:
                raise BadInput("exclude_evaluation", f"some of {', '.join(known)}", benchmark, "name one of these")
        keep &= ~_evaluated(data_set, names, exclude_evaluation)[numbers]
    if not keep.any():
        found = "none" if split is None else f"none in the split {split}"
        raise BadInput(data_set.name, "rows to take windows from", found, "choose other rows")
    return numbers[keep]


def of_sessions(data_set: RowSource, names: Sequence[Names], column: str) -> list[Any]:
    """The values of a column of the table of sessions, for rows of these names; None where it has no such session."""
    sessions = data_set.sessions()
    keys = tables.keys_of(sessions)
    values = dict(zip(keys, sessions.column(column).to_pylist(), strict=True))
    return [values.get(key) for key in _keys(names, keys)]


def _keys(names: Sequence[Names], of_table: Iterable[Key]) -> list[Key]:
    """Source data set, subject and session of rows, as a table with the keys `of_table` names them.

    Rows of a data set that is not merged do not name it; its table has no other.
    """
    own = next(iter(of_table), ("",))[0]
    return [(name.source_dataset or own, name.subject_id, name.session_id) for name in names]


class Pieces(NamedTuple):
    """Parts of rows, one after another in the order of the rows: arrays (pieces,)."""

    row: Integers  # place among the rows
    first: Integers  # bin of the row
    n_bins: Integers


def observed(data_set: RowSource, names: Sequence[Names], n_bins: Integers) -> Pieces:
    """What of rows was observed: the bins between two gaps are a piece. Sessions that do not say count as observed.

    Parameters:
        data_set: its table of sessions has the gaps, as `unobserved`.
        names: of the rows.
        n_bins: of each row, (rows,).
    """
    sessions = data_set.sessions()
    lines: dict[Key, list[dict[str, Any]]] = {}
    columns = ("n_bins", "segments", "unobserved")
    for key, *values in zip(tables.keys_of(sessions), *(sessions[name].to_pylist() for name in columns), strict=True):
        lines.setdefault(key, []).append(dict(zip(columns, values, strict=True)))
    keys = _keys(names, lines)
    found: list[tuple[int, int, int]] = []
    unknown = set()
    for row, (key, name, n) in enumerate(zip(keys, names, n_bins.tolist(), strict=True)):
        seen = np.ones(n, bool)
        for stated in lines.get(key, ()):  # several files that share one name are not told apart: the gaps of all
            if None in stated.values():  # without bins and segments, nothing says which of its bins the row has
                unknown.add(key)
                continue
            start = _first_bin(name, n, stated)
            for gap in stated["unobserved"]:
                seen[max(gap["start"] - start, 0) : max(gap["stop"] - start, 0)] = False
        found += [(row, begin, end - begin) for begin, end in binning.gaps(~seen).tolist()]
        unknown |= {key} - {*lines}
    if unknown:
        some = f"{len(unknown):,} of {plural(len(set(keys)), 'session')}"
        line = f"observed: {some} do not say what was not observed; all of their bins count as observed"
        print(line, file=sys.stderr)
    return Pieces(*np.array(found, np.int64).reshape(-1, 3).T)


def _first_bin(name: Names, n_bins: int, line: dict[str, Any]) -> int:
    """The bin of its session at which a row begins: all segments are of one length, but the last can be shorter."""
    number = segment_number(name.segment_id)
    return int(line["n_bins"] - n_bins if number == line["segments"] - 1 else number * n_bins)


def of_units(data_set: RowSource, names: Sequence[Names], column: str) -> list[dict[int, Any]]:
    """The values of a column of the table of units, by unit, for rows of these names; nothing where it has none.

    Example:
        >>> areas = of_units(windows.data_set, windows.data_set.names(), "area")  # doctest: +SKIP
        >>> [areas[window.row].get(unit) for unit in window.units.tolist()]  # doctest: +SKIP
        ['M1', 'M1', 'PMd']
    """
    units = data_set.units()
    if units is None or not len(units):
        return [{} for _ in names]
    found: dict[Key, dict[int, Any]] = {}
    keys = tables.keys_of(units)
    for key, unit, value in zip(keys, units["unit"].to_pylist(), units[column].to_pylist(), strict=True):
        found.setdefault(key, {})[unit] = value
    return [found.get(key, {}) for key in _keys(names, keys)]


def bins_summed(data_set: RowSource, names: Sequence[Names], bin_size: float | None) -> Integers:
    """How many of its own bins make a bin of this size, for each row of these names; 1 where no size is given.

    Raises:
        BadInput: the size is no multiple of a row's own.
    """
    if bin_size is None:
        return np.ones(len(names), np.int64)
    sizes = np.array([own or BIN_SIZE for own in of_sessions(data_set, names, "bin_size")])
    summed = np.rint(bin_size / sizes).astype(np.int64)
    odd = np.flatnonzero((summed < 1) | ~np.isclose(summed * sizes, bin_size, rtol=1e-6))
    if odd.size:
        found = f"{bin_size:g} s, and rows of {sizes[odd[0]]:g} s in {names[odd[0]].source_dataset or data_set.name}"
        raise BadInput("bin_size", "a multiple of the rows' own bin size", found, "give another, or where=")
    return summed


def _evaluated(data_set: RowSource, names: Sequence[Names], benchmarks: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which rows of the data set, of all splits, are evaluation data of benchmarks, as a merge decides it."""
    of_source: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        of_source.setdefault(name.source_dataset or data_set.name, []).append(i)
    found = np.zeros(len(names), bool)
    for source, rows in of_source.items():
        info = info_named(source) if data_set.is_merged else info_of(data_set)
        part = Part.of(source.rpartition("/")[2], [names[i] for i in rows], [0] * len(rows), info)
        found[rows] = part.evaluated_by(benchmarks)
    return found
