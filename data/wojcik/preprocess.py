"""Spike counts of wojcik (Wójcik et al. 2026): macaque lateral PFC, XOR rule learning, from smoothed firing rates.

The files hold no spikes but rates in Hz: (trials, units, samples of 1 ms). A unit's counts are the steps of the running
integral of its rate, rounded, so their sum is the integral to within one spike. Trials follow one another.
"""

import re
from pathlib import Path

import numpy as np

from neuralpile import build
from neuralpile.errors import BadInput
from neuralpile.spikes import binning
from neuralpile.spikes.session import Options, Session

PUBLISHED_BIN = 0.02  # seconds: in the published counts, whatever the bin
FOLDERS = 3  # the file's own folder and those above it whose names may show the monkey


def read(path: Path, options: Options) -> Session:
    """Integrate the rates of one unit after the other over bins of `bin_size`."""
    try:
        rates = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise BadInput(path, "a whole .npy file of numbers", str(error), "unpack or download it again") from None
    factor = options.own_bins
    if rates.ndim != 3 or rates.dtype.kind != "f" or rates.shape[2] < factor:
        found = f"{rates.dtype} of shape {rates.shape}"
        raise BadInput(path, "rates (trials, units, samples of 1 ms)", found, "take such files out of the folder")
    n_trials, n_units, n_samples = rates.shape
    n_bins = n_samples // factor
    matrix = np.empty((n_units, n_trials * n_bins), np.uint8)
    missing = negative = above = 0
    for unit in range(n_units):
        samples = np.ascontiguousarray(rates[:, unit, : n_bins * factor]).reshape(-1, factor)
        gone = ~np.isfinite(samples).all(axis=1)
        missing += int(np.count_nonzero(gone))
        if options.as_published:
            hertz = np.where(gone, 0, samples.mean(axis=1))
            matrix[unit] = np.ceil(PUBLISHED_BIN * hertz).astype(np.int64)
            continue
        hertz = np.where(gone, 0, samples.mean(axis=1, dtype=np.float64))
        negative += int(np.count_nonzero(hertz < 0))
        spikes = np.diff(np.rint(np.cumsum(np.maximum(hertz, 0)) * options.bin_size), prepend=0)
        above += int(np.count_nonzero(spikes > binning.LARGEST))
        matrix[unit] = np.minimum(spikes, binning.LARGEST)
    notable = [
        (missing, "without a rate count as 0"),
        (negative, "of a negative rate count as 0"),
        (above, "stay at 255"),
    ]
    return Session(monkey(path), path.stem, matrix, [f"{n:,} bins {what}" for n, what in notable if n])


def monkey(path: Path) -> str:
    """M1 (Womble) or M2 (Wilfred), from the file's name and the nearest folder that is named after one of them.

    Folders further up are the user's own and can have any name. Raises BadInput if no name shows the monkey, or two
    contradict each other.
    """
    names = [path.stem, *(folder.name for folder in path.parents)][: 1 + FOLDERS]
    found_in = [re.match(r"m([12])(?![0-9a-z])|(wom)(?:ble|[0-9]|$)|wil(?:fred|[0-9]|$)", name, re.I) for name in names]
    numbers = [match[1] or ("1" if match[2] else "2") for match in found_in if match]
    if not numbers or (found_in[0] and len(set(numbers[:2])) > 1):
        found = "both" if numbers else "none"
        do = "unpack it into such a folder"
        raise BadInput(path, "a file or folder named after m1, m2, Wom… or Wil…", found, do)
    return f"M{numbers[0]}"


if __name__ == "__main__":
    build.main(__file__, read)
