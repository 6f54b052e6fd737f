"""Miniature recordings: small files in the layout of real ones."""

from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
from pynwb import NWBHDF5IO, NWBFile


def write_units(path: Path, trains: list, observed: list | None = None) -> Path:
    """An NWB file with a units table of these spike trains (seconds), as pynwb writes it."""
    nwb = NWBFile("miniature", path.stem, datetime(2020, 1, 1, tzinfo=UTC))
    if observed is not None:
        for train in trains:
            nwb.add_unit(spike_times=np.asarray(train, float), obs_intervals=np.asarray(observed, float))
    else:
        for train in trains:
            nwb.add_unit(spike_times=np.asarray(train, float))
    path.parent.mkdir(parents=True, exist_ok=True)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def write_units_bare(path: Path, times, ends, place: str = "units") -> Path:
    """A units table as bare HDF5, for what pynwb refuses to write: any types, any offsets, any place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        table = file.create_group(place)
        table["spike_times"] = times
        table["spike_times_index"] = ends
        table["id"] = np.arange(len(ends))
    return path
