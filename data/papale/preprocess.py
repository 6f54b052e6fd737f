"""Threshold events of papale (Papale et al. 2025, TVSD): multi-unit envelopes, macaque V1, V4 and IT, natural images.

The files hold no spikes but the envelope of multi-unit activity (MUA): (samples of 1 ms, presentations, electrodes). An
event is a sample at which the envelope falls below the threshold of its presentation. Presentations follow one another,
each with its bins in order. The files have 58 GB, so they are read in parts.
"""

import re
from pathlib import Path

import h5py  # not found? run: . .venv/bin/activate
import numpy as np

from neuralpile import build
from neuralpile.errors import BadInput
from neuralpile.recordings import hdf5, matlab
from neuralpile.spikes.session import Options, Session

VARIABLE = "ALLMUA"
DEVIATIONS = 3.5  # standard deviations above the mean: the published threshold
SLAB = 50_000_000  # bytes read at a time; the work on them takes about four times as much memory


def read(path: Path, options: Options) -> Session:
    """Count threshold events of every electrode in the bins of every presentation."""
    letter = monkey(path)
    factor = options.own_bins
    with matlab.open_73(path) as file:
        mua = file.get(VARIABLE)
        is_cube = isinstance(mua, h5py.Dataset) and mua.ndim == 3 and mua.dtype.kind == "f" and mua.size
        if not is_cube or mua.shape[0] < factor:
            found = f"{mua.dtype} of shape {mua.shape}" if isinstance(mua, h5py.Dataset) else "none"
            do = "check that this is a recording's file"
            raise BadInput(path, f"{VARIABLE} (samples, presentations, electrodes)", found, do)
        hdf5.check_stored(mua)
        n_samples, n_presentations, n_electrodes = mua.shape
        _check_axes(path, file, n_samples, n_presentations)
        n_bins = n_samples // factor
        # Published, the bins are the slow axis: bin 0 of all presentations, then bin 1 of all.
        slow_bins = options.as_published
        order = (n_bins, n_presentations) if slow_bins else (n_presentations, n_bins)
        matrix = np.empty((n_electrodes, *order), np.uint8)
        missing = 0
        for presentations, electrodes in hdf5.tiles(mua, SLAB):
            part = hdf5.part(mua, slice(0, n_samples), presentations, electrodes)
            events, without = threshold_events(part, factor)
            missing += without
            if slow_bins:
                matrix[electrodes, :, presentations] = events.transpose(2, 0, 1)
            else:
                matrix[electrodes, presentations] = events.transpose(2, 1, 0)
    notes = [f"{missing:,} presentations of an electrode with missing samples have no events"] if missing else []
    return Session(f"monkey_{letter}", f"{letter}_0", matrix.reshape(n_electrodes, -1), notes)


def _check_axes(path: Path, file: h5py.File, n_samples: int, n_presentations: int) -> None:
    """Raises BadInput if the file's times (`tb`) or presentations (`ALLMAT`) are not those of the envelopes."""
    times, presentations = file.get("tb"), file.get("ALLMAT")
    if isinstance(times, h5py.Dataset) and times.size != n_samples:
        found = f"{n_samples:,} and {times.size:,} times (tb)"
        raise BadInput(path, f"as many samples of {VARIABLE} as times", found, "check the order of its axes")
    if isinstance(presentations, h5py.Dataset) and n_presentations not in presentations.shape:
        found = f"{n_presentations:,} and ALLMAT of shape {presentations.shape}"
        raise BadInput(path, f"the presentations of {VARIABLE} in ALLMAT", found, "check the order of its axes")
    if isinstance(times, h5py.Dataset) and times.dtype.kind in "fiu" and times.size > 1:
        step = float(np.median(np.diff(np.ravel(times[()]))))
        if not np.isclose(step, [1, 0.001], rtol=0.01).any():  # in ms, or in seconds
            raise BadInput(
                path, "samples of 1 ms", f"a step of {step:g} in tb", "check that this is a recording's file"
            )


def threshold_events(mua: np.ndarray, factor: int) -> tuple[np.ndarray, int]:
    """Events of envelopes (samples, presentations, electrodes) in bins of `factor` samples.

    Each presentation and electrode has a threshold from its own samples; an event is at the last sample above it.

    Returns:
        Counts (bins, presentations, electrodes), uint8, and the number of envelopes without a threshold.
    """
    with np.errstate(invalid="ignore"):  # infinite samples: no threshold, as with NaN
        threshold = mua.mean(axis=0) + DEVIATIONS * mua.std(axis=0)
    above = mua > threshold
    falls = np.zeros(mua.shape, bool)
    np.greater(above[:-1], above[1:], out=falls[:-1])
    n_bins = len(mua) // factor
    falls = falls[: n_bins * factor].reshape(n_bins, factor, *threshold.shape)
    return falls.sum(axis=1, dtype=np.uint8), int(np.count_nonzero(np.isnan(threshold)))


def monkey(path: Path) -> str:
    """F or N, from the folder (monkeyF) or the end of the file's name (_F). Raises BadInput if neither shows it."""
    found_in = [re.search(r"monkey_?([FN])$", path.parent.name), re.search(r"_([FN])$", path.stem)]
    letters = {match[1] for match in found_in if match}
    if len(letters) != 1:
        found = "both" if letters else "neither"
        do = "put it into the folder monkeyF or monkeyN"
        raise BadInput(path, "a folder monkeyF or monkeyN, or a name that ends in _F or _N", found, do)
    return letters.pop()


if __name__ == "__main__":
    build.main(__file__, read)
