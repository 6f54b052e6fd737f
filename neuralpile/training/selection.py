"""Which rows of a data set windows are taken from, what of them was observed, and how large they are."""

import sys
from collections.abc import Collection, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from neuralpile import evaluation
from neuralpile.cli import plural
from neuralpile.corpus import chosen, ordered, tables
from neuralpile.corpus.manifest import info_named, info_of
from neuralpile.corpus.ordered import OrderedRows
from neuralpile.corpus.rows import LocalSource, Names, RowSource, check_split, segment_number
from neuralpile.corpus.split import Part
from neuralpile.errors import BadInput
from neuralpile.spikes import binning
from neuralpile.training.arguments import number
from neuralpile.training.index import Rows
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
    for option, value in (("split", split), ("where", where)):
        if not isinstance(value, str | None):
            raise BadInput(option, "a string", repr(value)[:80], "give one, or None for all rows")
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
    if not isinstance(exclude_evaluation, Collection | None):
        raise BadInput("exclude_evaluation", "names of benchmarks", repr(exclude_evaluation)[:80], "give a list")
    if exclude_evaluation:
        known = evaluation.benchmarks()
        for benchmark in exclude_evaluation:
            if benchmark not in known:
                raise BadInput("exclude_evaluation", f"some of {', '.join(known)}", str(benchmark), "name one of these")
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


class Gaps:
    """What of its sessions was not observed, as the table of sessions of a data set says (`unobserved`)."""

    def __init__(self, data_set: RowSource) -> None:
        sessions = data_set.sessions()
        columns = ("n_bins", "segments", "unobserved")
        self._lines: dict[Key, list[dict[str, Any]]] = {}
        for key, *values in zip(
            tables.keys_of(sessions), *(sessions[name].to_pylist() for name in columns), strict=True
        ):
            self._lines.setdefault(key, []).append(dict(zip(columns, values, strict=True)))

    def warn(self, names: Sequence[Names]) -> None:
        """Print how many sessions of rows of these names do not say what was not observed, if there are any."""
        keys = {*_keys(names, self._lines)}
        # without bins and segments, nothing says which of a session's bins a row has
        stated = (all(None not in line.values() for line in self._lines.get(key, [{"": None}])) for key in keys)
        if unknown := sum(not each for each in stated):
            some = f"{unknown:,} of {plural(len(keys), 'session')}"
            line = f"observed: {some} do not say what was not observed; all of their bins count as observed"
            print(line, file=sys.stderr)

    def between(self, name: Names, n_bins: int) -> Integers:
        """Where the pieces of a row between its gaps start and stop, (pieces, 2): the whole row, if nothing is said."""
        seen = np.ones(n_bins, bool)
        (key,) = _keys([name], self._lines)
        for stated in self._lines.get(key, ()):  # several files that share one name are not told apart: the gaps of all
            if None in stated.values():
                continue
            start = _first_bin(name, n_bins, stated)
            for gap in stated["unobserved"]:
                seen[max(gap["start"] - start, 0) : max(gap["stop"] - start, 0)] = False
        return binning.gaps(~seen)


def shaped(numbers: Integers, names: Sequence[Names], shapes: Integers, summed: Integers, gaps: Gaps | None) -> Rows:
    """The rows that have units and bins, or what of them was observed: what is between two gaps is a row of its own.

    Parameters:
        numbers: of the rows in their data set, (rows,).
        names: of these rows.
        shapes: their units and bins, (rows, 2).
        summed: own bins of each that are one bin of a window, (rows,).
        gaps: what was not observed; None to take all bins.
    """
    n_units, n_bins = shapes.T
    row, first = np.arange(len(numbers)), np.zeros_like(numbers)
    if gaps is not None:
        between = [gaps.between(name, n) for name, n in zip(names, n_bins.tolist(), strict=True)]
        row = np.repeat(row, [len(its) for its in between])
        first, stop = np.concatenate([np.empty((0, 2), np.int64), *between]).T
        n_bins = stop - first
    n_units, of_one = n_units[row], summed[row]
    some = (n_units > 0) & (n_bins >= of_one)
    return Rows(numbers[row][some], first[some], n_units[some], (n_bins // of_one)[some], of_one[some])


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
    number("bin_size", bin_size, 0)
    sizes = np.array([own or BIN_SIZE for own in of_sessions(data_set, names, "bin_size")])
    summed = np.rint(bin_size / sizes).astype(np.int64)
    odd = np.flatnonzero((summed < 1) | ~np.isclose(summed * sizes, bin_size, rtol=1e-6))
    if odd.size:
        found = f"{bin_size:g} s, and rows of {sizes[odd[0]]:g} s in {names[odd[0]].source_dataset or data_set.name}"
        raise BadInput("bin_size", "a multiple of the rows' own bin size", found, "give another, or where=")
    return summed


def check_rows(rows: Rows, data_set: RowSource, n_bins: int) -> None:
    """Raise BadInput if no row has units and bins; print a warning if none is as long as a window."""
    if not len(rows.number):
        raise BadInput(data_set.name, "rows with units and bins", "none", "choose other rows")
    if (longest := int(rows.n_bins.max())) < n_bins:
        line = f"warning: every window is padded to {n_bins:,} bins: the longest row has {longest:,}; give n_bins="
        print(f"{line}{longest}, or fewer", file=sys.stderr)


def in_order(source: RowSource, order: str | PathLike[str]) -> OrderedRows:
    """The rows of a data set with their units in an order, as `ordered.rows`, whatever order they are in now.

    Raises:
        BadInput: it is no order, or a session has none.
    """
    if not isinstance(order, str | PathLike):
        raise BadInput("order", "the name of a measure or a folder", repr(order)[:80], "give order='similarity'")
    return ordered.rows(ordered.unordered(source), Path(order) if isinstance(order, PathLike) else order)


def shapes(data_set: RowSource) -> Integers:
    """Units and bins of each row, (rows, 2), before a row is read.

    On the Hub, they follow from the tokens of each row group and the units of each session.

    Raises:
        BadInput: nothing says them.
    """
    whole = ordered.unordered(data_set)
    if whole.folder is not None:
        return cast(LocalSource, whole).shapes()
    expected, do = "sizes of rows that are known before they are read", "use Windows, which downloads the rows once"
    unknown = "no number of its units in the table of sessions"
    if len({*together(whole).tolist()}) < len(whole):
        raise BadInput(data_set.name, expected, "row groups of several rows", do)
    sessions = whole.sessions()
    units: dict[Key, set[int | None]] = {}
    for key, n_units in zip(tables.keys_of(sessions), sessions["n_units"].to_pylist(), strict=True):
        units.setdefault(key, set()).add(n_units)
    found = []
    for key, tokens in zip(_keys(whole.names(), units), whole.tokens(), strict=True):
        (n_units, *others) = units.get(key, {None})
        if n_units is None or others or tokens % max(n_units, 1):
            raise BadInput(f"{data_set.name}, {key[2]}", expected, unknown, do)
        found.append((n_units, tokens // max(n_units, 1)))
    return np.array(found, np.int64).reshape(-1, 2)


def together(data_set: RowSource) -> Integers:
    """A number for each row; rows of one number, and no others, are read together."""
    if isinstance(data_set, chosen.ChosenRows):
        return together(data_set.source)[data_set.numbers]
    groups = getattr(ordered.unordered(data_set), "groups", None)  # row groups, of a repository on the Hub
    if groups is None:
        return np.arange(len(data_set))
    return np.repeat(np.arange(len(groups)), [group.rows for group in groups])


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
