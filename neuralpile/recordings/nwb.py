"""NWB files: spike times of a units table and rasters, read with h5py straight from where the schema puts them.

pynwb reads a units table by way of a DataFrame of all its columns, waveforms included; the spike times are two
arrays (NWB schema 2, `Units`: `spike_times`, all units one after the other in seconds, and `spike_times_index`, where
each unit's end), which is all that is read here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from neuralpile import counts
from neuralpile.errors import BadInput
from neuralpile.rows import Options, Session

SLAB = 64 * 2**20  # bytes of a raster that are read at a time
UNITS_TABLES = ("units", "processing/ecephys/units")  # where the published data sets have them


class SpikeTrains(NamedTuple):
    """The spike times of all units, one after the other; unit u is `times[ends[u - 1]:ends[u]]`."""

    times: np.ndarray  # (spikes,), float64, seconds
    ends: np.ndarray  # (units,), int64
    unassigned: int  # spikes after the last unit's end, left out of `times`


@contextmanager
def open_nwb(path: Path) -> Iterator[h5py.File]:
    """Open an NWB file. Raises BadInput where it, or what is read from it within the block, is not valid HDF5."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise BadInput(path, "a whole NWB file (HDF5)", str(error), "download it again") from None


def read_spike_trains(path: Path) -> SpikeTrains:
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


def count_units(path: Path, options: Options) -> Session:
    """Spike counts of a file's units table; the subject is the folder that the file is in, the session its name.

    Raises BadInput as `read_spike_trains` does, and where the spike times cannot be seconds.
    """
    trains = read_spike_trains(path)
    try:
        binned = counts.bin_spikes(trains.times, trains.ends, options.bin_size, options.as_published)
    except ValueError as error:
        raise BadInput(path, *error.args, "the times are in another unit, or damaged") from None
    notes = binned.notes(options.as_published)
    if trains.unassigned:
        notes.append(f"{trains.unassigned:,} spikes after the last unit's end in spike_times_index left out")
    return Session(path.parent.name, path.stem, binned.counts, notes)


def count_raster(path: Path, options: Options, place: str, own_bin: float) -> Session:
    """Spike counts of a raster (fine bins, units) at `place` in the file, summed to bins of `options.bin_size`.

    Fine bins at the end that fill no bin are left out. `own_bin` is the width of a fine bin in seconds. The raster is
    read in slabs: of a long one only the counts are in memory.

    Raises BadInput: not an HDF5 file, nothing at `place`, or something that is no raster.
    """
    factor = round(options.bin_size / own_bin)
    with open_nwb(path) as file:
        raster = file.get(place)
        if not isinstance(raster, h5py.Dataset) or raster.ndim != 2:
            found = "nothing" if raster is None else str(raster)
            raise BadInput(path, f"a raster (bins, units) at {place}", found, "check that this is a recording's file")
        n_bins, n_units = raster.shape[0] // factor, raster.shape[1]
        binned = np.empty((n_units, n_bins), np.uint8)
        bins_in_slab = max(1, SLAB // max(1, factor * n_units * raster.dtype.itemsize))
        above = 0
        for start in range(0, n_bins, bins_in_slab):
            stop = min(start + bins_in_slab, n_bins)
            try:
                slab = counts.rebin(raster[start * factor : stop * factor], factor, options.as_published)
            except ValueError as error:
                raise BadInput(f"{path}, {place}", *error.args, "check that this is a recording's file") from None
            binned[:, start:stop] = slab.counts
            above += slab.above_largest
    notes = counts.Binned(binned, above_largest=above).notes(options.as_published)
    return Session(path.parent.name, path.stem, binned, notes)
