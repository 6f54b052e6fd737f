"""NWB files, on the disk or in an archive: spike times of a units table, and rasters, read with h5py from where the
schema puts them.

pynwb reads a units table by way of a DataFrame of all its columns, waveforms included; the spike times are two
arrays (NWB schema 2, `Units`: `spike_times`, all units one after the other in seconds, and `spike_times_index`, where
each unit's end), which is all that is read here.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import NamedTuple

import h5py
import numpy as np

from neuralpile.errors import BadInput
from neuralpile.recordings.hdf5 import Recording, open_hdf5, prefetch
from neuralpile.spikes import binning
from neuralpile.spikes.session import Options, Session

SLAB = 64 * 2**20  # bytes of a raster that are read at a time
UNITS_TABLES = ("units", "processing/ecephys/units")  # where the published data sets have them


class SpikeTrains(NamedTuple):
    """The spike times of all units, one after the other; unit u is `times[ends[u - 1]:ends[u]]`."""

    times: np.ndarray  # (spikes,), float64, seconds
    ends: np.ndarray  # (units,), int64
    unassigned: int  # spikes after the last unit's end, left out of `times`


def open_nwb(path: Recording) -> AbstractContextManager[h5py.File]:
    """Open an NWB file. Raises BadInput as `open_hdf5` does."""
    return open_hdf5(path, "NWB file (HDF5)")


def read_spike_trains(path: Recording) -> SpikeTrains:
    """Read the spike trains of a file's units table.

    Raises:
        BadInput: not an HDF5 file, no units table, no spike times in it, or an index that does not fit them.
    """
    with open_nwb(path) as file:
        table = next((file[place] for place in UNITS_TABLES if place in file), None)
        if table is None:
            found = f"only {', '.join(file) or 'nothing'}"
            raise BadInput(
                path, f"a units table at {' or '.join(UNITS_TABLES)}", found, "take a file with sorted spikes"
            )
        missing = [name for name in ("spike_times", "spike_times_index") if name not in table]
        if missing:
            found = f"a table of {', '.join(table) or 'nothing'}"
            raise BadInput(path, f"{table.name}/{missing[0]}", found, "take a file with spike times")
        prefetch(path, table["spike_times"])
        times, ends = table["spike_times"][()], table["spike_times_index"][()]
        rows = table["id"].shape[0] if "id" in table else len(ends)

    def bad(expected: str, found: str) -> BadInput:
        return BadInput(path, f"units/{expected}", found, "the file is damaged or not NWB; download it again")

    if times.ndim != 1 or times.dtype.kind not in "fiu":
        raise bad("spike_times to be a list of seconds", f"{times.dtype} of shape {times.shape}")
    if ends.ndim != 1 or ends.dtype.kind not in "iu":
        raise bad("spike_times_index to be a list of offsets", f"{ends.dtype} of shape {ends.shape}")
    ends = ends.astype(np.int64)  # it may be uint8 in the file: differences would wrap
    if len(ends) != rows:
        raise bad(f"spike_times_index to have an end for each of {rows} units", f"{len(ends)}")
    if (np.diff(ends, prepend=0) < 0).any() or ends.max(initial=0) > times.size:
        raise bad(f"spike_times_index to rise from 0 to at most {times.size}", "offsets that fall or go beyond")
    assigned = int(ends.max(initial=0))
    return SpikeTrains(times[:assigned].astype(np.float64, copy=False), ends, times.size - assigned)


def has_spike_times(path: Recording) -> bool:
    """Whether a file has a units table with spike times. A file that cannot be read counts as one that has: its error
    is told when it is built."""
    try:
        with open_nwb(path) as file:
            return any(f"{place}/spike_times" in file for place in UNITS_TABLES)
    except (BadInput, OSError):
        return True


def read_warning(path: Recording) -> list[str]:
    """What the file's session description warns of, in a list; an empty one where it does not begin with "Warning"."""
    with open_nwb(path) as file:
        text = file["session_description"].asstr()[()] if "session_description" in file else ""
    return [f"the file says: {' '.join(text.split())}"] if text.lower().startswith("warning") else []


def read_column(path: Recording, name: str) -> np.ndarray:
    """A column of the units table, one value for each unit: numbers, or str. Raises BadInput where there is none."""
    with open_nwb(path) as file:
        table = next(file[place] for place in UNITS_TABLES if place in file)
        if name not in table:
            raise BadInput(path, f"{table.name}/{name}", f"a table of {', '.join(table)}", "do without this option")
        column = table[name]
        return column.asstr()[()] if h5py.check_string_dtype(column.dtype) else column[()]


def read_observed(path: Recording) -> np.ndarray:
    """When the recording ran, as `obs_intervals` of any unit says: (intervals, 2) in seconds.

    Raises BadInput where there are none.
    """
    return np.unique(read_column(path, "obs_intervals").reshape(-1, 2), axis=0)


def read_intervals(path: Recording, name: str) -> np.ndarray:
    """A table of intervals of the file: (intervals, 2), start and stop in seconds. Raises BadInput: there is none."""
    with open_nwb(path) as file:
        table = file.get(f"intervals/{name}")
        if table is None or not {"start_time", "stop_time"} <= set(table):
            raise BadInput(path, f"intervals/{name} with start_time and stop_time", "none", "do without this option")
        return np.stack([table["start_time"][()], table["stop_time"][()]], axis=1)


class Quality(NamedTuple):
    """A column of the units table that says how well a unit is isolated, and its values as text, the lowest first."""

    column: str
    levels: tuple[str, ...]


def at_least(column: np.ndarray, levels: Sequence[str], lowest: str) -> np.ndarray:
    """Which units have the quality `lowest` or better: boolean (units,). Flags count as the texts "0" and "1"."""
    values = column if column.dtype.kind in "OUT" else column.astype(np.int64).astype(str)
    return np.isin(np.asarray(values, dtype=str), levels[levels.index(lowest) :])


def count_units(
    path: Recording,
    options: Options,
    quality: Quality | None = None,
    observed: Callable[[Recording], np.ndarray] = read_observed,
) -> Session:
    """Spike counts of a file's units table; the subject is the folder that the file is in, the session its name.

    Args:
        path: the NWB file.
        options: with `min_quality`, units whose `quality` is lower, or none of its levels, are left out; with
            `mask_unobserved`, bins that do not lie in the intervals that `observed` gives are cut out.
        quality: where the file says how well a unit is isolated.
        observed: gives the observed intervals of the file, (intervals, 2) in seconds.

    Raises BadInput as `read_spike_trains` does, where the spike times cannot be seconds, and where the file lacks what
    an option needs.
    """
    trains = read_spike_trains(path)
    try:
        binned = binning.bin_spikes(trains.times, trains.ends, options.bin_size, options.as_published)
    except ValueError as error:
        raise BadInput(path, *error.args, "the times are in another unit, or damaged") from None
    notes = [*read_warning(path), *binned.notes(options.as_published)]
    if trains.unassigned:
        notes.append(f"{trains.unassigned:,} spikes after the last unit's end in spike_times_index left out")
    matrix = binned.counts
    if options.min_quality and quality:
        good = at_least(read_column(path, quality.column), quality.levels, options.min_quality)
        notes.append(f"{np.count_nonzero(~good):,} of {len(good):,} units below {options.min_quality} left out")
        matrix = matrix[good]
    if options.mask_unobserved:
        kept = binning.observed_bins(matrix.shape[1], options.bin_size, observed(path))
        notes.append(f"{np.count_nonzero(~kept):,} of {len(kept):,} bins not observed, cut out")
        matrix = matrix[:, kept]
    return Session(path.parent.name, path.stem, matrix, notes)


def raster(*places: str, own_bin: float | None = None) -> Callable[[Recording, Options], Session]:
    """The function that reads a data set's rasters, for `build.main`.

    Args:
        places: where in the file the raster may be; the first one that exists is read.
        own_bin: width of the file's bins in seconds; by default `Options.own_bin`, which comes from dataset.toml.

    Example:
        >>> read = raster("processing/ecephys/rasters/data", own_bin=0.001)
        >>> # in a preprocess.py: build.main(__file__, raster("processing/ecephys/rasters/data"))
    """
    return partial(_count_own_raster, places=places, own_bin=own_bin)


def _count_own_raster(path: Recording, options: Options, places: Sequence[str], own_bin: float | None) -> Session:
    width = own_bin or options.own_bin
    if width is None:
        raise BadInput("dataset.toml", "own_bin, the width of the recordings' bins in seconds", "none", "add it")
    return count_raster(path, options, places, width)


def count_raster(path: Recording, options: Options, places: Sequence[str], own_bin: float) -> Session:
    """Spike counts of a raster (fine bins, units), summed to bins of `options.bin_size`.

    Fine bins at the end that fill no bin are left out. The raster is read in slabs: of a long one, only the counts are
    in memory.

    Args:
        path: the NWB file; the subject is the folder that it is in, the session its name.
        options: of these, `bin_size` and `as_published`.
        places: where in the file the raster may be; the first that is there is taken.
        own_bin: width of a fine bin in seconds.

    Raises BadInput: not an HDF5 file, no raster, or something that is none.
    """
    factor = round(options.bin_size / own_bin)
    with open_nwb(path) as file:
        place = next((place for place in places if place in file), places[0])
        raster = file.get(place)
        if not isinstance(raster, h5py.Dataset) or raster.ndim != 2:
            found = "nothing" if raster is None else str(raster)
            expected = f"a raster (bins, units) at {' or '.join(places)}"
            raise BadInput(path, expected, found, "check that this is a recording's file")
        prefetch(path, raster)
        n_bins, n_units = raster.shape[0] // factor, raster.shape[1]
        matrix = np.empty((n_units, n_bins), np.uint8)
        bins_in_slab = max(1, SLAB // max(1, factor * n_units * raster.dtype.itemsize))
        above = in_tail = 0
        for start in range(0, max(n_bins, 1), bins_in_slab):
            stop = min(start + bins_in_slab, n_bins)
            end = stop * factor if stop < n_bins else raster.shape[0]
            try:
                fine = binning.whole_numbers(raster[start * factor : end])
                slab = binning.rebin(fine, factor, options.as_published)
            except ValueError as error:
                raise BadInput(f"{path}, {place}", *error.args, "check that this is a recording's file") from None
            matrix[:, start:stop] = slab.counts
            above += slab.above_largest
            in_tail += slab.in_tail
    notes = binning.Binned(matrix, in_tail=in_tail, above_largest=above).notes(options.as_published)
    return Session(path.parent.name, path.stem, matrix, notes)


def read_rate(path: Recording, series: str) -> float:
    """Samples per second of a TimeSeries: its rate, or what its timestamps say. Raises BadInput where it has none."""
    with open_nwb(path) as file:
        if f"{series}/starting_time" in file:
            return float(file[f"{series}/starting_time"].attrs["rate"])
        if f"{series}/timestamps" in file and file[f"{series}/timestamps"].size > 1:
            return float(1 / np.median(np.diff(file[f"{series}/timestamps"][:10_000])))
    raise BadInput(path, f"a rate or timestamps of {series}", "none", "check that this is a recording's file")
