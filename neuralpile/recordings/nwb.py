"""Read spike times of units tables, and rasters, from NWB files on disk or in an archive, with h5py.

pynwb reads a units table as a DataFrame of all its columns, waveforms included. The spike times are two arrays (NWB
schema 2, `Units`: `spike_times`, all units one after another in seconds, and `spike_times_index`, where each unit's
train ends); only these are read here.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from neuralpile.cli import plural
from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import damage, hdf5, names, time_series, unit_table
from neuralpile.recordings.hdf5 import Read, Recording, open_hdf5, prefetch
from neuralpile.spikes import binning, clock, trains
from neuralpile.spikes.session import Options, Session
from neuralpile.spikes.trains import SpikeTrains

# How densely gzip packs a raster: zeros 1,000-fold, bins of 1 ms of a population with a mean rate of 0.03 Hz up to
# 950-fold, of 1 Hz 400-fold (measured on Poisson rasters).
DENSEST = 960
SLAB = 64 * 2**20  # bytes of a raster that are read at a time
LOWEST_RATE, HIGHEST_RATE = 0.1, 100_000.0  # Hz: rates of bins of 10 s, and above those of any recording system
FAR_BEYOND = 100  # times the last spike's time: intervals that end after this are not those of the spikes
UNITS_TABLES = ("units", "processing/ecephys/units")  # where the published data sets have them
UNSTATED = ("", "unknown", "none", "n/a", "na", "null", "nan", "subject", "subject_id")  # what stands for no name
DAMAGED = "it is damaged or not NWB: {}"
OTHER_BINS = "check own_bin in dataset.toml, or correct what the file states; --as_published ignores it"
CONTRADICTS = "correct the values or what the file states of them; report it to its authors"
NOT_A_RECORDING = "check that this is a recording's file"
NO_OPTION = "build without this option"


class Quality(NamedTuple):
    """A column of the units table that says how well a unit is isolated, and its labels, the lowest first."""

    column: str
    levels: tuple[str, ...]


class NotStated(BadInput):
    """A file does not have an entry that recordings need not have."""


def open_nwb(path: Recording) -> AbstractContextManager[h5py.File]:
    """Open an NWB file. Raises BadInput as `open_hdf5` does."""
    return open_hdf5(path, "NWB file (HDF5)")


def read_spike_trains(path: Recording, quality: str | None = None, required: bool = True) -> SpikeTrains:
    """Read the spike trains of a file's units table, with what the file says of the units.

    Parameters:
        path: the file, on disk or in an archive.
        quality: the column of the units table that has quality labels, if they are wanted.
        required: whether it is an error if that column is missing or cannot be read.

    Raises:
        BadInput: the file is not HDF5, has no units table or no spike times, or an index that does not fit them.
    """
    with open_nwb(path) as file:
        table = _units_table(path, file)
        where = table.name.strip("/")
        try:
            stated = time_series.check_times(table["spike_times"])
        except Mismatch as error:
            raise error.at(path, CONTRADICTS) from None
        stated += time_series.resolution(table["spike_times"], Options.bin_size)
        try:
            times = _vector(hdf5.read(path, table["spike_times"]), f"{where}/spike_times to be a list of seconds")
            ends = _whole(hdf5.read(path, table["spike_times_index"]), f"{where}/spike_times_index")
            ids = _ids(path, table, len(ends))
            labels = None if quality is None else _labels(path, table, quality, len(ends), required)
        except Mismatch as error:
            raise error.at(path, DAMAGED.format(hdf5.again(path))) from None
        about = unit_table.about(path, file, table, table, len(ends))
        others = [place for place in UNITS_TABLES if place != where and f"{place}/spike_times" in file]
        about.notes.extend(f"{other} has spike times, too; they are not read" for other in others)
    try:
        # In the file's own type: an unsigned index of 2**63 and more would turn negative.
        assigned = int(ends.max(initial=0))
        if assigned > times.size or int(ends.min(initial=0)) < 0 or (ends[1:] < ends[:-1]).any():
            expected = f"{where}/spike_times_index to rise from 0 to at most {times.size}"
            raise Mismatch(expected, "offsets that fall or go beyond")
        names = ids if ids is not None else [str(unit) for unit in range(len(ends))]
        seconds = times[:assigned].astype(np.float64, copy=False)
        ends = ends.astype(np.int64)
        unassigned, step = times.size - assigned, clock.step(times[:assigned])
        columns, start, notes = about
        return SpikeTrains(seconds, ends, names, labels, unassigned, columns, start, [*stated, *notes], step)
    except Mismatch as error:
        raise error.at(path, DAMAGED.format(hdf5.again(path))) from None


def _units_table(path: Recording, file: h5py.File) -> h5py.Group:
    """The first units table with spike times."""
    tables = [found for place in UNITS_TABLES if isinstance(found := hdf5.find(file, place), h5py.Group)]
    for table in tables:
        if all(isinstance(hdf5.find(table, name), h5py.Dataset) for name in ("spike_times", "spike_times_index")):
            return table
    if not tables:
        found = f"only {', '.join(map(os.fsdecode, file))}" if len(file) else "an empty file"
        if isinstance(path, Path) and damage.head(path).startswith(b"MATLAB 7.3"):
            found = "a MATLAB 7.3 file"
        expected = f"a units table at {' or '.join(UNITS_TABLES)}"
        raise BadInput(path, expected, found, "use a file with sorted spikes")
    names = ("spike_times", "spike_times_index")
    lacking = next(name for name in names if not isinstance(hdf5.find(tables[0], name), h5py.Dataset))
    found = f"a table of {', '.join(map(os.fsdecode, tables[0]))}" if len(tables[0]) else "an empty table"
    raise BadInput(path, f"{tables[0].name}/{lacking}", found, "use a file with spike times")


def _vector(values: np.ndarray, expected: str) -> np.ndarray:
    """Numbers as one list; a matrix of one row or column is one."""
    if values.dtype.kind not in "fiu" or values.ndim == 0 or max(values.shape) != values.size:
        raise Mismatch(expected, f"{values.dtype} of shape {values.shape}")
    return values.ravel()


def _whole(values: np.ndarray, name: str) -> np.ndarray:
    """An index: whole numbers, sometimes stored as floating-point numbers."""
    expected = f"{name} to be a list of offsets"
    values = _vector(values, expected)
    if values.dtype.kind != "f":
        return values
    try:
        return binning.whole_numbers(values)
    except Mismatch as error:
        raise Mismatch(expected, error.found) from None


def _ids(path: Recording, table: h5py.Group, n_units: int) -> list[str] | None:
    """The units' ids as text; None if the file does not say. Raises Mismatch: there is not one for each unit."""
    try:
        column = table.get("id")
    except (OSError, RuntimeError, KeyError):  # ids are not needed for counts
        return None
    if not isinstance(column, h5py.Dataset) or column.ndim != 1:
        return None
    if len(column) != n_units:
        expected = f"{table.name.strip('/')}/spike_times_index to have an end for each of {plural(len(column), 'unit')}"
        raise Mismatch(expected, f"{n_units:,}")
    try:
        return unit_table.texts(hdf5.read(path, column))
    except (Mismatch, OSError, ValueError):
        return None


def _column(path: Recording, table: h5py.Group, name: str) -> h5py.Dataset:
    """A column of the units table. Raises BadInput if there is none."""
    column = table.get(name)
    if not isinstance(column, h5py.Dataset):
        raise NotStated(path, f"{table.name}/{name}", f"a table of {', '.join(table)}", NO_OPTION)
    return column


def _labels(path: Recording, table: h5py.Group, name: str, n_units: int, required: bool) -> list[str] | None:
    """A column of labels, one for each unit; None if it is not required and not there, or not whole."""
    try:
        labels = unit_table.texts(hdf5.read(path, _column(path, table, name)))
    except (BadInput, Mismatch, OSError, ValueError):
        if required:
            raise
        return None
    return labels if required or len(labels) == n_units else None


def has_spike_times(path: Recording) -> bool:
    """Whether a file has a units table with spike times. True for a file that cannot be read: its build reports why."""
    try:
        with open_nwb(path) as file:
            return any(f"{place}/spike_times" in file for place in UNITS_TABLES)
    except (BadInput, OSError):
        return True


def read_warning(path: Recording) -> list[str]:
    """The file's session description as a note, if it begins with "Warning"; otherwise an empty list.

    The description is not needed for counts: one that cannot be read is not an error.
    """
    try:
        with open_nwb(path) as file:
            description = file.get("session_description")
            value = hdf5.read(path, description) if isinstance(description, h5py.Dataset) else ""
            words = np.ravel(np.asarray(value, dtype=object))
            texts = [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in words]
    except (BadInput, TypeError, AttributeError):
        return []
    text = " ".join(" ".join(texts).split())
    return [f"the file says: {text}"] if text.lower().startswith("warning") else []


def subject_of(path: Recording) -> str:
    """The subject as BIDS marks it in the path (see `recordings.names`), else as the file states it; else "".

    The published rows have the folder's name, which DANDI makes from what the file states: `sub-<subject_id>`.
    """
    return names.subject(path) or _stated_subject(path)


def _stated_subject(path: Recording) -> str:
    """`subject_id` of the file; "" if it states none. It is not needed for counts: one that is no text is none."""
    try:
        with open_nwb(path) as file:
            stated = hdf5.find(file, "general/subject/subject_id")
            texts = unit_table.texts(hdf5.read(path, stated)) if isinstance(stated, h5py.Dataset) else []
    except (BadInput, TypeError, AttributeError):
        return ""
    name = " ".join(texts[0].split()) if len(texts) == 1 else ""
    return "" if name.casefold() in UNSTATED else name


def read_column(path: Recording, name: str) -> np.ndarray:
    """A column of the units table, one value for each unit: numbers, or str.

    Raises:
        BadInput: the table has no such column.
    """
    with open_nwb(path) as file:
        table = _units_table(path, file)
        column = _column(path, table, name)
        if name == "obs_intervals":
            _check_seconds(path, column)
        values = hdf5.read(path, column)
        is_text = h5py.check_string_dtype(column.dtype) is not None
        return np.asarray(column.asstr(errors="replace")[()]) if is_text else values


def _check_seconds(path: Recording, *columns: h5py.Dataset) -> None:
    """Check that a file does not state intervals in another unit than seconds. Raises BadInput."""
    try:
        for column in columns:
            time_series.check_times(column)
    except Mismatch as error:
        raise error.at(path, NO_OPTION) from None


def read_observed(path: Recording) -> np.ndarray:
    """The intervals in which the file's `obs_intervals` say that any unit was observed: (intervals, 2), seconds.

    Raises:
        BadInput: there are none, or they are not intervals.
    """
    intervals = read_column(path, "obs_intervals")
    if intervals.dtype.kind not in "fiu" or intervals.ndim != 2 or intervals.shape[1] != 2 or not len(intervals):
        found = "an empty column" if not intervals.size else f"{intervals.dtype} of shape {intervals.shape}"
        raise BadInput(path, "obs_intervals of start and stop in seconds", found, NO_OPTION)
    if not (intervals[:, 0] <= intervals[:, 1]).all():  # false for NaN, too
        raise BadInput(path, "obs_intervals that start before they stop", "NaN or reversed intervals", NO_OPTION)
    # As complex numbers, which numpy sorts by their two parts, much faster than rows: files repeat intervals by unit.
    pairs = np.ascontiguousarray(intervals, np.float64).view(np.complex128)
    return np.unique(pairs).view(np.float64).reshape(-1, 2)


def read_intervals(path: Recording, name: str) -> np.ndarray:
    """A table of intervals of the file: (intervals, 2), start and stop in seconds.

    Raises:
        BadInput: there is no such table.
    """
    with open_nwb(path) as file:
        columns = [hdf5.find(file, f"intervals/{name}/{column}") for column in ("start_time", "stop_time")]
        if not all(isinstance(column, h5py.Dataset) for column in columns):
            raise NotStated(path, f"intervals/{name} with start_time and stop_time", "none", NO_OPTION)
        _check_seconds(path, *columns)
        start, stop = (hdf5.read(path, column) for column in columns if isinstance(column, h5py.Dataset))
    if start.shape != stop.shape or start.ndim != 1 or start.dtype.kind not in "fiu" or stop.dtype.kind not in "fiu":
        found = f"{start.dtype} of shape {start.shape}, {stop.dtype} of shape {stop.shape}"
        raise BadInput(path, f"intervals/{name} of start and stop in seconds", found, NO_OPTION)
    intervals = np.stack([start, stop], axis=1).astype(np.float64)
    if not (np.isfinite(intervals).all() and (intervals[:, 0] <= intervals[:, 1]).all()):
        found = "NaN, infinite or reversed intervals"
        raise BadInput(path, f"intervals/{name} that start before they stop", found, NO_OPTION)
    return intervals


def count_units(
    path: Recording,
    options: Options,
    quality: Quality | None = None,
    observed: Callable[[Recording], np.ndarray] = read_observed,
) -> Session:
    """Spike counts of a file's units table.

    Parameters:
        path: the NWB file.
        options: with `min_quality`, units with a lower label of `quality`, or none of its labels, are left out; with
            `mask_unobserved`, bins outside the intervals that `observed` returns are cut out.
        quality: where the file says how well a unit is isolated.
        observed: returns the observed intervals of the file, (intervals, 2) in seconds.

    Raises:
        BadInput: as `read_spike_trains`; the spike times cannot be seconds; the file lacks what an option needs.

    Example:
        >>> from pathlib import Path
        >>> session = count_units(Path("sub-A/sub-A_ses-1.nwb"), Options())  # doctest: +SKIP
    """
    found = read_spike_trains(path, quality.column if quality else None, required=options.min_quality is not None)
    try:
        levels = quality.levels if quality else ()
        session = trains.count(found, options, subject_of(path), names.session(path), levels)
    except Mismatch as error:
        raise error.at(path, "check the unit of the spike times") from None
    del found  # the spike times are larger than all that follows
    session.notes[:0] = read_warning(path)
    if options.mask_unobserved:
        intervals = observed(path)
        session.notes += _about_observed(session, options, intervals)
        kept = binning.observed_bins(session.counts.shape[1], options.bin_size, intervals)
        session.notes.append(f"{np.count_nonzero(~kept):,} of {plural(len(kept), 'bin')} not observed, cut out")
        session.counts, session.observed = session.counts[:, kept], kept[kept]
    else:
        note_observed(path, session, options, observed)
    return session


def note_observed(
    path: Recording,
    session: Session,
    options: Options,
    observed: Callable[[Recording], np.ndarray] = read_observed,
) -> None:
    """Set which bins of a session were observed from the intervals that a file says were observed, if it has some.

    Parameters:
        path: the NWB file.
        session: with bins from 0 s on.
        options: of these, `bin_size`.
        observed: returns the observed intervals of the file, (intervals, 2) in seconds.

    Raises:
        BadInput: a part of the file cannot be fetched.
    """
    try:
        intervals = observed(path)
    except NotStated:
        return
    except BadInput as error:
        if not isinstance(path, Path) and path.open().failure:
            raise
        session.notes.append(f"what was observed is not known: expected {error.expected}, found {error.found}")
        return
    session.notes += _about_observed(session, options, intervals)
    session.observed = binning.observed_bins(session.counts.shape[1], options.bin_size, intervals)


def _about_observed(session: Session, options: Options, intervals: np.ndarray) -> list[str]:
    """A note if the observed intervals end long after the last spike, as they do in milliseconds."""
    seconds = session.counts.shape[1] * options.bin_size
    last = float(np.max(intervals[:, 1], initial=0, where=np.isfinite(intervals[:, 1])))
    if not seconds or last <= FAR_BEYOND * max(seconds, 1.0):
        return []
    stated = f"the file's observed intervals end at {clock.shown(last)} s, its last spike is at {seconds:,.0f} s"
    return [f"{stated}: are both in seconds?"]


def raster(*places: str, own_bin: float | None = None) -> Read:
    """The function that reads a data set's rasters, for `build.main`.

    Parameters:
        places: where in the file the raster may be; the first one that exists is read.
        own_bin: width of the file's bins in seconds; by default `Options.own_bin`, which comes from dataset.toml.

    Example:
        In a preprocess.py:

        >>> read = raster("processing/ecephys/rasters/data")
        >>> # build.main(__file__, read)
    """
    return partial(_count_own_raster, places=places, own_bin=own_bin)


def _count_own_raster(path: Recording, options: Options, places: Sequence[str], own_bin: float | None) -> Session:
    width = own_bin or options.own_bin
    if width is None:
        raise BadInput("dataset.toml", "own_bin, the width of the recordings' bins in seconds", "none", "add it")
    return count_raster(path, options, places, width)


def count_raster(path: Recording, options: Options, places: Sequence[str], own_bin: float) -> Session:
    """Spike counts of a raster (fine bins, units), summed to bins of `options.bin_size`.

    Fine bins at the end that do not fill a bin are left out. The raster is read in slabs: only the counts of a
    long one are in memory. A raster that the file's own timestamps, electrodes or unit ids show to be stored as
    (units, fine bins) is transposed.

    Parameters:
        path: the NWB file.
        options: of these, `bin_size` and `as_published`.
        places: where in the file the raster may be; the first one that exists is read.
        own_bin: width of a fine bin in seconds.

    Raises:
        BadInput: the file is not HDF5, has no raster, or one that does not hold counts or contradicts the timestamps.
    """
    factor = round(options.bin_size / own_bin)
    with open_nwb(path) as file:
        found = {place: hdf5.find(file, place) for place in places}
        place = next((place for place, here in found.items() if here is not None), places[0])
        data = found[place]
        if not isinstance(data, h5py.Dataset) or data.ndim != 2:
            what = "nothing" if data is None else _shape(data)
            raise BadInput(path, f"a raster (bins, units) at {' or '.join(places)}", what, NOT_A_RECORDING)
        prefetch(path, data)
        try:
            hdf5.check_stored(data, DENSEST)
            transposed = _is_transposed(data)
        except Mismatch as error:
            raise error.at(f"{path}, {place}", NOT_A_RECORDING) from None
        try:
            conversion, offset = (1.0, 0.0) if options.as_published else time_series.scale(data)
        except Mismatch as error:
            raise error.at(f"{path}, {place}", CONTRADICTS) from None
        try:
            notes = time_series.check_clock(path, data, own_bin)
        except Mismatch as error:
            if not options.as_published:
                raise error.at(f"{path}, {place}", OTHER_BINS) from None
            notes = [f"the file's clock contradicts its bins: expected {error.expected}, found {error.found}"]
        notes += time_series.about_counts(data, conversion, offset)
        try:
            binned = _rebin_in_slabs(data, factor, options.as_published, transposed, conversion, offset)
        except Mismatch as error:
            raise error.at(f"{path}, {place}", NOT_A_RECORDING) from None
        others = [other for other, here in found.items() if other != place and here is not None]
        notes += [f"{other} exists, too; it is not read" for other in others]
        lists = [table for table in _unit_tables(data) if table["id"].size == len(binned.counts)]
        about = unit_table.about(path, file, next(iter(lists), None), data.parent, len(binned.counts))
    if max(binned.counts.shape[0], 1) > data.shape[1 if transposed else 0]:
        units, bins = len(binned.counts), data.shape[1 if transposed else 0]
        notes.append(f"{units:,} units and only {bins:,} of the file's bins: is the raster stored as (units, bins)?")
    if transposed:
        notes.append("the raster is stored as (units, bins), as the file's other entries show; it was transposed")
    subject_id, session_id = subject_of(path), names.session(path)
    notes += about.notes + binned.notes(options.as_published)
    return Session(subject_id, session_id, binned.counts, notes, units=about.columns, start_time=about.start_time)


def _rebin_in_slabs(
    data: h5py.Dataset, factor: int, as_published: bool, transposed: bool, conversion: float, offset: float
) -> binning.Binned:
    """Sum a raster of a file to coarser bins, a slab at a time."""
    length, n_units = data.shape[::-1] if transposed else data.shape
    n_bins = length // factor
    counts = np.empty((n_units, n_bins), np.uint8)
    itemsize = data.dtype.itemsize if (conversion, offset) == (1.0, 0.0) else 8  # scaled values are float64
    bins_in_slab, units_in_slab = _slab(data, factor, transposed, itemsize)
    above = in_tail = 0
    for first in range(0, n_units, units_in_slab):
        units = slice(first, min(first + units_in_slab, n_units))
        for start in range(0, max(n_bins, 1), bins_in_slab):
            stop = min(start + bins_in_slab, n_bins)
            fine = slice(start * factor, stop * factor if stop < n_bins else length)
            values = hdf5.part(data, units, fine).T if transposed else hdf5.part(data, fine, units)
            fine_counts = binning.whole_numbers(time_series.scaled(values, conversion, offset))
            slab = binning.rebin(fine_counts, factor, as_published)
            counts[units, start:stop] = slab.counts
            above += slab.above_largest
            in_tail += slab.in_tail
    return binning.Binned(counts, in_tail=in_tail, above_largest=above)


def _slab(data: h5py.Dataset, factor: int, transposed: bool, itemsize: int) -> tuple[int, int]:
    """Bins and units of a slab: at most `SLAB` bytes, or a chunk. HDF5 unpacks a chunk again for each slab it is in."""
    length, n_units = data.shape[::-1] if transposed else data.shape
    fine_in_slab = SLAB // max(1, n_units * itemsize)
    chunk, chunk_units = (data.chunks or (1, 1))[:: -1 if transposed else 1]
    if chunk <= fine_in_slab:
        return max(1, fine_in_slab // factor), max(1, n_units)
    chunk = min(chunk, length)
    in_slab = SLAB // max(1, chunk * itemsize) // chunk_units * chunk_units
    return max(1, -(-chunk // factor)), max(1, min(n_units, max(chunk_units, in_slab)))


def _is_transposed(data: h5py.Dataset) -> bool:
    """Whether a raster is stored as (units, bins) instead of NWB's (bins, units).

    NWB puts time first. The lengths of `timestamps` (bins), and of `electrodes` or of a table of units beside the
    raster (units), show where a file does not.

    Raises:
        Mismatch: the raster fits its timestamps or its electrodes in neither orientation.
    """
    bins, units = data.shape
    stated = {name: n for name, n in _lengths(data).items() if n is not None}
    expected = {"timestamps": bins, "electrodes": units, "units": units}
    swapped = {"timestamps": units, "electrodes": bins, "units": bins}
    fits = all(n == expected[name] for name, n in stated.items())
    if fits:
        return False
    if all(n == swapped[name] for name, n in stated.items()):
        return True
    text = ", ".join(f"{n:,} {name}" for name, n in stated.items())
    raise Mismatch(f"a raster (bins, units) that fits {text}", f"shape {data.shape}")


def _lengths(data: h5py.Dataset) -> dict[str, int | None]:
    """How many timestamps, electrodes and units the file states beside a raster; None where it does not."""
    series = data.parent
    units = [table["id"].size for table in _unit_tables(data)]
    timestamps, electrodes = series.get("timestamps"), series.get("electrodes")
    return {
        "timestamps": timestamps.size if _is_list(timestamps) else None,
        "electrodes": electrodes.size if _is_list(electrodes) else None,
        "units": units[0] if len(units) == 1 and units[0] in data.shape else None,
    }


def _unit_tables(data: h5py.Dataset) -> list[h5py.Group]:
    """Tables beside a raster's series that list units, as their names say."""
    series = data.parent
    beside = series.parent.values() if series.name != "/" else []
    groups = [group for group in beside if isinstance(group, h5py.Group)]
    return [group for group in groups if "unit" in group.name.rpartition("/")[2] and _is_list(group.get("id"))]


def _is_list(value: object) -> bool:
    return isinstance(value, h5py.Dataset) and value.ndim > 0 and max(value.shape) == value.size


def _shape(data: object) -> str:
    return f"{data.dtype} of shape {data.shape}" if isinstance(data, h5py.Dataset) else "something else"


def read_rate(path: Recording, series: str) -> float:
    """Samples per second of a TimeSeries: its rate, or what its timestamps say.

    Raises:
        BadInput: it has neither, or one that is not above 0.
    """
    expected = f"a rate of {series} from {LOWEST_RATE:g} to {HIGHEST_RATE:g} Hz"
    with open_nwb(path) as file:
        start, stamps = (hdf5.find(file, f"{series}/{name}") for name in ("starting_time", "timestamps"))
        try:
            if isinstance(start, h5py.Dataset) and "rate" in start.attrs:
                rate = hdf5.number(start, "rate") or 0.0
            elif isinstance(stamps, h5py.Dataset) and stamps.ndim == 1 and stamps.dtype.kind in "fiu":
                time_series.check_times(stamps)
                hdf5.check_stored(stamps)
                steps = np.diff(hdf5.part(stamps, slice(0, 10_000)).astype(np.float64))
                with np.errstate(divide="ignore", invalid="ignore"):
                    rate = float(1 / np.median(steps)) if steps.size else np.nan
            else:
                raise BadInput(path, f"a rate or timestamps of {series}", "none", NOT_A_RECORDING)
        except Mismatch as error:
            raise BadInput(path, expected, error.found, NOT_A_RECORDING) from None
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise BadInput(path, expected, f"{rate:g}", NOT_A_RECORDING)
    return rate
