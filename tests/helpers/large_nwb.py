"""Large NWB files of few spikes: raw voltage before and after what is read, in the layouts that are met.

Written with h5py, in the places of the NWB schema; `pynwb` files of the same kind are in `recordings` and
`nwb_miniatures`.
"""

from pathlib import Path

import h5py
import numpy as np


def write_large(path: Path, dataset: str, data: np.ndarray, raw_bytes: int, ends: np.ndarray | None = None, **storage):
    """A file with `data` at `dataset`, in half of `raw_bytes` of voltage before and half after; gives its stored bytes.

    With `ends` it is the spike times of a units table. `storage` is of h5py's create_dataset.
    """
    rng = np.random.default_rng(0)
    voltage = np.frombuffer(rng.bytes(raw_bytes // 2), np.int16).reshape(-1, 32)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["session_description"] = "large"
        file["identifier"] = path.stem
        file.create_dataset("acquisition/before/data", data=voltage, chunks=(min(2**15, len(voltage)), 32))
        table, _, _ = dataset.rpartition("/")
        kept = file.create_dataset(dataset, data=data, **storage)
        if ends is not None:
            file[f"{table}/spike_times_index"] = ends
            file[f"{table}/id"] = np.arange(len(ends))
            file[f"{table}/quality"] = ["good"] * len(ends)
        file[f"{table}/later"] = np.arange(1000.0)
        file.create_dataset("processing/after/data", data=voltage)
        file["intervals/trials/start_time"] = np.arange(1000.0)
        return kept.id.get_storage_size()


def spike_times(n_spikes: int, n_units: int = 300, seconds: float = 5400.0) -> tuple[np.ndarray, np.ndarray]:
    """Sorted spike times on a 30 kHz clock, one unit after the other: times (spikes,), ends (units,)."""
    rng = np.random.default_rng(1)
    each = n_spikes // n_units
    times = np.sort(np.round(rng.uniform(0, seconds, (n_units, each)) * 30_000) / 30_000, axis=1)
    return times.ravel(), np.arange(1, n_units + 1) * each


def raster(n_bins: int, n_units: int, dtype: type = np.uint8) -> np.ndarray:
    """Counts (bins, units) of few spikes."""
    return (np.random.default_rng(2).random((n_bins, n_units), np.float32) < 0.02).astype(dtype)
