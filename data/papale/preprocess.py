"""Threshold events of papale (Papale et al. 2025, TVSD): multi-unit envelopes, macaque V1, V4 and IT, natural images.

No spikes: the files hold the envelope of multi-unit activity (MUA), (samples of 1 ms, presentations, electrodes). An
event is where the envelope falls below a threshold of its own presentation. Presentations follow one another, each
with its bins in order. The files have 58 GB: they are read some presentations at a time.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from neuralpile import build
from neuralpile.errors import BadInput
from neuralpile.recordings import matlab
from neuralpile.rows import Options, Session

VARIABLE, OWN_BIN = "ALLMUA", 0.001  # seconds
DEVIATIONS = 3.5  # standard deviations above the mean: the published threshold
SLAB = 100_000_000  # bytes that are read at a time


def read(path: Path, options: Options) -> Session:
    """Count threshold events of every electrode in the bins of every presentation."""
    letter = monkey(path)
    factor = round(options.bin_size / OWN_BIN)
    with matlab.open_73(path) as file:
        mua = file.get(VARIABLE)
        if not isinstance(mua, h5py.Dataset) or mua.ndim != 3 or mua.dtype.kind != "f" or mua.shape[0] < factor:
            found = "none" if mua is None else str(mua)
            raise BadInput(path, f"{VARIABLE} (samples, presentations, electrodes)", found, "check the file")
        n_samples, n_presentations, n_electrodes = mua.shape
        n_bins = n_samples // factor
        # Published, the bins are the slow axis: bin 0 of all presentations, then bin 1 of all.
        order = (n_bins, n_presentations) if options.as_published else (n_presentations, n_bins)
        matrix = np.empty((n_electrodes, *order), np.uint8)
        missing = 0
        for presentations, electrodes in slabs(mua):
            slab = mua[:, presentations, electrodes]
            missing += np.count_nonzero(np.isnan(slab).any(axis=0))
            events = threshold_events(slab, factor, n_bins)
            if options.as_published:
                matrix[electrodes, :, presentations] = events.transpose(2, 0, 1)
            else:
                matrix[electrodes, presentations] = events.transpose(2, 1, 0)
    notes = [f"{missing:,} presentations of an electrode with missing samples have no events"] if missing else []
    return Session(f"monkey_{letter}", f"{letter}_0", matrix.reshape(n_electrodes, -1), notes)


def slabs(mua: h5py.Dataset) -> Iterator[tuple[slice, slice]]:
    """Presentations and electrodes that are read together: whole chunks, of about `SLAB` bytes.

    Where a chunk has so many presentations that those of all electrodes are more, some electrodes at a time.
    """
    n_samples, n_presentations, n_electrodes = mua.shape
    _, in_chunk, electrodes_in_chunk = mua.chunks or (n_samples, 1, n_electrodes)
    size = n_samples * mua.dtype.itemsize  # of a presentation and electrode
    if size * in_chunk * electrodes_in_chunk > 5 * SLAB:  # then parts of chunks, which are read several times
        in_chunk, electrodes_in_chunk = 1, n_electrodes
    e_step = electrodes_in_chunk * max(1, SLAB // (size * in_chunk * electrodes_in_chunk))
    e_step = min(e_step, n_electrodes)
    p_step = in_chunk * max(1, SLAB // (size * in_chunk * e_step))
    for p in range(0, n_presentations, p_step):
        for e in range(0, n_electrodes, e_step):
            yield slice(p, p + p_step), slice(e, e + e_step)


def threshold_events(mua: np.ndarray, factor: int, n_bins: int) -> np.ndarray:
    """Events of envelopes (samples, presentations, electrodes) in bins of `factor` samples.

    The threshold is that of a presentation and electrode, from its own samples; an event is at the last sample above
    it. Gives counts (bins, presentations, electrodes), uint8.
    """
    above = mua > mua.mean(axis=0) + DEVIATIONS * mua.std(axis=0)
    falls = (above[:-1] & ~above[1:])[: n_bins * factor].astype(np.uint8)
    return np.add.reduceat(falls, np.arange(0, len(falls), factor), axis=0)[:n_bins]


def monkey(path: Path) -> str:
    """F or N, as the folder (monkeyF) or the end of the file's name (_F) says it. Raises BadInput: neither does."""
    match = re.search(r"_([FN])$", path.stem) or re.search(r"monkey_?([FN])$", path.parent.name)
    if match is None:
        do = "put it into the folder monkeyF or monkeyN"
        raise BadInput(path, "a folder monkeyF or monkeyN, or a name that ends in _F or _N", "neither", do)
    return match[1]


if __name__ == "__main__":
    build.main(__file__, read, own_bin=OWN_BIN)
