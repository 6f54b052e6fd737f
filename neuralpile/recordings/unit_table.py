"""What an NWB file says of its units (area, electrode, position, quality), and when its session began.

None of this is needed for counts: what a file does not say is null, and what cannot be read becomes a note.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import hdf5
from neuralpile.recordings.hdf5 import Recording

GROUPS = "general/extracellular_ephys"  # NWB 2: the groups of electrodes, and the one table of electrodes
# Names of columns, the first that is there is taken. Those of the NWB schema stand first.
AREA = ("location", "area", "brain_area", "region", "brain_region")
NAME = ("unit_name",)  # xiao
QUALITY = ("quality", "KSLabel", "is_sua")  # phy; neupane-ppc; kim
CHANNEL = ("electrode_label", "ch", "best_ch")  # moore; neupane-entorhinal; kim
PROBE = ("probe_num", "sh")  # kim; neupane-entorhinal, shanks
POSITIONS = (("rel_x", "rel_y", "rel_z"), ("x", "y", "z"))  # on the array; in the brain
NOTHING = {"", "unknown", "none", "n/a", "na", "nan", "null"}  # words for "not known"
# Years of start times that are invented: 1900 and 1925 in files of persons (DANDI 000207; H1, DANDI 000954), and that
# of a clock that was never set.
INVENTED = {1900, 1925, 1970}

LONGEST_NOTE = 200  # characters

Columns = dict[str, Sequence[object]]


class About(NamedTuple):
    """What a file says of its units and its session.

    Attributes:
        columns: a value for each unit, None where the file does not say; only columns that say something.
        start_time: when the session began, in UTC; None where the file does not say, or an invented time.
        notes: what cannot be read.
    """

    columns: Columns
    start_time: datetime | None
    notes: list[str]


def about(path: Recording, file: h5py.File, table: h5py.Group | None, series: h5py.Group, n_units: int) -> About:
    """Read what a file says of its units and its session.

    Parameters:
        path: the file, on disk or in an archive.
        file: the same, opened.
        table: has a line for each unit; None if nothing has.
        series: has the units' `electrodes`; for a units table, the same table.
        n_units: number of units.

    Raises:
        BadInput: a part of the file cannot be fetched.
    """
    notes: list[str] = []
    columns: Columns = {}
    start: datetime | None = None

    def look(what: str, found_by: Callable[[], Columns]) -> None:
        """Add columns of this source that say something, where none before has them."""
        with _noted(path, what, notes):
            found = {name: values for name, values in found_by().items() if any(v is not None for v in values)}
            if columns.keys() & set("xyz"):  # coordinates of two sources are never mixed
                found = {name: values for name, values in found.items() if name not in "xyz"}
            columns.update({name: values for name, values in found.items() if name not in columns})

    if table is not None:
        own = _Table(path, table, n_units)
        look("columns of the units", lambda: {"area": own.words(AREA), **own.position(POSITIONS[1])})
        look("quality labels", lambda: {"quality": own.words(QUALITY)})
    look("the electrodes of the units", lambda: _of_electrodes(path, file, series, n_units))
    if table is not None:
        look("the electrode groups of the units", lambda: _of_groups(path, file, own))
        look(
            "names of units",
            lambda: {"id": own.words(NAME), "electrode": own.words(CHANNEL), "group": own.words(PROBE)},
        )
    with _noted(path, "when the session began", notes):
        start = _start(path, file)
    return About(columns, start, notes)


@contextmanager
def _noted(path: Recording, what: str, notes: list[str]) -> Iterator[None]:
    """Make a note of what cannot be read in this block. Raises BadInput if a part of the file cannot be fetched."""
    try:
        yield
    except BadInput:  # it cannot be fetched
        raise
    except Exception as error:  # h5py raises errors of many kinds where the bytes make no sense
        if not isinstance(path, Path) and path.open().failure:
            raise
        if isinstance(error, Mismatch):
            found = f"expected {error.expected}, found {error.found}"
        else:  # what Python says of a value of another kind helps nobody
            found = (
                str(error) if isinstance(error, OSError | RuntimeError | KeyError) else "a value of an unexpected kind"
            )
        notes.append(f"{what} cannot be read: {' '.join(found.split())[:LONGEST_NOTE]}")


class _Table:
    """A table of an NWB file: datasets of one length."""

    def __init__(self, path: Recording, group: h5py.Group, length: int) -> None:
        self.path, self.group, self.length = path, group, length

    def column(self, names: Sequence[str], kinds: str) -> np.ndarray | None:
        """The first column of these names with values of these kinds (of numpy; "T" is text), one in each line."""
        for name in names:
            column = self.group.get(name)
            if not isinstance(column, h5py.Dataset) or column.shape != (self.length,):
                continue
            if column.dtype.kind in kinds or ("T" in kinds and h5py.check_string_dtype(column.dtype) is not None):
                return hdf5.read(self.path, column)
        return None

    def words(self, names: Sequence[str]) -> list[str | None]:
        """A column of words or whole numbers as text; None where it says nothing."""
        values = self.column(names, "Tbiuf" if names != AREA else "T")
        return [None] * self.length if values is None else [_known(text) for text in texts(values)]

    def position(self, names: Sequence[str]) -> Columns:
        """Columns x, y and z of the columns of these names. Zeros, or -1, in every line of all of them are no position.

        NaN is None.
        """
        found = {axis: self.column([name], "fiu") for axis, name in zip("xyz", names, strict=True)}
        numbers = {axis: values.astype(np.float64) for axis, values in found.items() if values is not None}
        if not any(np.isfinite(values).any() and not np.isin(values, (0, -1)).all() for values in numbers.values()):
            return {}
        return {axis: [v if np.isfinite(v) else None for v in values.tolist()] for axis, values in numbers.items()}


def _of_electrodes(path: Recording, file: h5py.File, series: h5py.Group, n_units: int) -> Columns:
    """What the table of electrodes says of the electrodes that `electrodes` names for each unit.

    NWB 2, `DynamicTableRegion`: `electrodes` are lines of the table that its attribute `table` refers to, and
    `electrodes_index` says where each unit's end; without it, each unit has one.
    """
    region, index = series.get("electrodes"), series.get("electrodes_index")
    if not isinstance(region, h5py.Dataset):
        return {}
    electrodes = file[region.attrs["table"]] if "table" in region.attrs else file.get(f"{GROUPS}/electrodes")
    if electrodes is None:
        return {}
    lines = hdf5.read(path, region)
    ends = hdf5.read(path, index) if isinstance(index, h5py.Dataset) else np.arange(1, n_units + 1)
    length = len(electrodes["id"])
    if lines.dtype.kind not in "iu" or ends.dtype.kind not in "iu" or ends.shape != (n_units,):
        raise Mismatch(f"lines of electrodes for {n_units:,} units", f"{lines.dtype} and ends of shape {ends.shape}")
    starts, ends = np.append(0, ends[:-1]).astype(np.int64), ends.astype(np.int64)
    if (starts > ends).any() or (n_units and ends[-1] != len(lines)) or ((lines < 0) | (lines >= length)).any():
        raise Mismatch(f"lines of a table of {length:,} electrodes", "others")
    table = _Table(path, electrodes, length)
    names, groups, areas = table.words(("id",)), table.words(("group_name",)), table.words(AREA)
    if None in areas:
        places = {name: _location(file, name) for name in set(groups) if name is not None}
        areas = [area or places.get(group or "") for area, group in zip(areas, groups, strict=True)]
    positions = next((found for these in POSITIONS if (found := table.position(these))), {})
    of_unit = [lines[start:end].tolist() for start, end in zip(starts, ends, strict=True)]

    def common(values: Sequence[object]) -> list[object]:
        """The value that all electrodes of a unit have."""
        each = [{values[line] for line in its} for its in of_unit]
        return [next(iter(found)) if len(found) == 1 else None for found in each]

    return {
        "electrode": ["+".join(str(names[line]) for line in its) or None for its in of_unit],
        "group": common(groups),
        "area": common(areas),
        **{axis: common(values) for axis, values in positions.items()},
    }


def _of_groups(path: Recording, file: h5py.File, table: _Table) -> Columns:
    """The groups that a units table's `electrode_group` refers to, and their locations."""
    column = table.group.get("electrode_group")
    if not isinstance(column, h5py.Dataset) or h5py.check_ref_dtype(column.dtype) is not h5py.Reference:
        return {}
    groups = [_known(file[each].name.rpartition("/")[2]) if each else None for each in hdf5.read(path, column)]
    places = {name: _location(file, name) for name in set(groups) if name is not None}
    return {"group": groups, "area": [places.get(group or "") for group in groups]}


def _location(file: h5py.File, group: str) -> str | None:
    """The location of an electrode group."""
    found = file.get(f"{GROUPS}/{group}")
    location = found.attrs.get("location") if isinstance(found, h5py.Group) else None
    return None if location is None else _known(texts(np.atleast_1d(location))[0])


def _start(path: Recording, file: h5py.File) -> datetime | None:
    """The session's start as the file states it."""
    stated = file.get("session_start_time")
    if not isinstance(stated, h5py.Dataset):
        return None
    text = _known(texts(np.atleast_1d(hdf5.read(path, stated)))[0])
    if text is None:
        return None
    try:
        start = datetime.fromisoformat(text)
        utc = start.astimezone(UTC) if start.tzinfo else start.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Mismatch("session_start_time in ISO 8601", repr(text)) from None
    return None if {start.year, utc.year} & INVENTED else utc


def texts(values: np.ndarray) -> list[str]:
    """Values as text: 1, 1.0 and True are "1"."""
    if values.dtype.kind in "biuf":
        numbers = values.ravel()
        whole = np.isfinite(numbers) & (numbers == np.rint(numbers))
        return [str(int(value) if is_whole else value) for value, is_whole in zip(numbers.tolist(), whole, strict=True)]
    return [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values.ravel()]


def _known(text: str) -> str | None:
    """A text; None if it says that nothing is known."""
    return None if text.strip().casefold() in NOTHING else text.strip()
