"""Spike counts of wojcik (Wójcik et al. 2026): macaque lateral PFC, XOR rule learning, from smoothed firing rates.

The files hold no spikes but rates in Hz: (trials, units, samples of 1 ms). Counts are derived from the rates,
each trial by itself. Trials follow one another.
"""

import hashlib
import re
from pathlib import Path

import numpy as np  # not found? run: . .venv/bin/activate

from neuralpile import build
from neuralpile.cli import plural
from neuralpile.errors import BadInput
from neuralpile.recordings import npy
from neuralpile.spikes import binning
from neuralpile.spikes.session import Options, Session

PUBLISHED_BIN = 0.02  # seconds: in the published counts, whatever the bin
HIGHEST_RATE = 100_000.0  # Hz: 100 spikes in a sample of 1 ms are no firing rate
FOLDERS = 3  # the file's own folder and those above it whose names may show the monkey


def read(path: Path, options: Options) -> Session:
    """Derive counts from the rates of one unit after another: steps of the integral, or Poisson counts."""
    rates = npy.read(path, mapped=True)
    factor = options.own_bins
    if rates.ndim != 3 or rates.dtype.kind != "f" or rates.shape[2] < factor:
        found = f"{rates.dtype} of shape {rates.shape}"
        raise BadInput(path, "rates (trials, units, samples of 1 ms)", found, "take such files out of the folder")
    subject = monkey(path)
    n_trials, n_units, n_samples = rates.shape
    if n_trials != n_units and _trials_of_meta(path) == n_units:
        found = f"shape {rates.shape}, and {n_units} trials in the meta beside it"
        raise BadInput(path, "rates (trials, units, samples of 1 ms)", found, "swap the first two axes")
    n_bins = n_samples // factor
    matrix = np.empty((n_units, n_trials * n_bins), np.uint8)
    missing = above = 0
    for unit in range(n_units):
        samples = np.ascontiguousarray(rates[:, unit, : n_bins * factor]).reshape(-1, factor)
        _check_rates(samples, f"{path}, unit {unit}", options.as_published)
        if options.as_published:
            gone = ~np.isfinite(samples).all(axis=1)
            missing += int(np.count_nonzero(gone))
            hertz = np.where(gone, 0, samples.mean(axis=1))
            matrix[unit] = np.ceil(PUBLISHED_BIN * hertz).astype(np.int64)
            continue
        expected = samples.mean(axis=1, dtype=np.float64).reshape(n_trials, n_bins) * options.bin_size
        name = f"{subject}/{path.stem}/{unit}"
        spikes = (
            steps_of_integral(expected, name)
            if options.poisson is None
            else poisson_counts(expected, f"{options.poisson}/{name}")
        )
        above += int(np.count_nonzero(spikes > binning.LARGEST))
        matrix[unit] = np.minimum(spikes, binning.LARGEST).ravel()
    notable = [(missing, "without a rate counted as 0"), (above, "above 255 kept at 255")]
    how = "rounded up bin by bin, as published" if options.as_published else "steps of the integral of each trial"
    if options.poisson is not None:
        how = f"Poisson counts, --poisson {options.poisson}"
    facts = {"derived": f"counts are derived from smoothed rates: {how}"}
    return Session(subject, path.stem, matrix, [f"{plural(n, 'bin')} {what}" for n, what in notable if n], facts=facts)


def _trials_of_meta(path: Path) -> int | None:
    """How many trials the file `*_meta.npy` beside the rates is of; None if there is not one that shows it."""
    metas = sorted(path.parent.glob("*_meta.npy"))
    if len(metas) > 1:  # of several sessions in a folder
        metas = [meta for meta in metas if path.name.startswith(meta.name.removesuffix("meta.npy"))]
    try:
        return len(npy.read(metas[0], mapped=True)) if len(metas) == 1 else None
    except (BadInput, TypeError):  # it is not needed for counts
        return None


def _check_rates(samples: np.ndarray, where: str, as_published: bool) -> None:
    """Refuse what is no firing rate. As published, a rate that is missing or negative is not refused."""
    wrong = np.isfinite(samples) & (np.abs(samples) > np.float64(HIGHEST_RATE))  # float16 does not hold it
    if not as_published:
        wrong |= ~(samples >= 0) | np.isinf(samples)
    if wrong.any():
        expected = f"firing rates from 0 to {HIGHEST_RATE:,.0f} Hz"
        raise BadInput(where, expected, f"{samples[wrong][0]:g}", "check that the file holds rates in Hz")


def steps_of_integral(expected: np.ndarray, name: str) -> np.ndarray:
    """Counts that follow the integral of a unit's rate to within one spike, in each trial by itself.

    The counts are the steps of floor(integral + phase). The phase of each trial is uniform in [0, 1), from a hash of
    the unit's name and the trial's number. So the mean count of a bin over phases is the expected number of spikes in
    it. With the same phase in all trials, a unit of low rate would be silent in each.

    Parameters:
        expected: (trials, bins), float64: the expected number of spikes in each bin.
        name: the unit's name; other names give other phases.

    Returns:
        Counts (trials, bins), float64, whole numbers.

    Example:
        >>> steps_of_integral(np.full((1, 4), 1.0), "M1/a/0").tolist()
        [[1.0, 1.0, 1.0, 1.0]]
    """
    drawn = hashlib.shake_256(name.encode(errors="surrogateescape")).digest(8 * len(expected))
    phases = (np.frombuffer(drawn, "<u8") >> 11) * 2.0**-53  # the 53 bits that float64 holds
    integral = np.cumsum(expected, axis=1) + phases[:, None]
    return np.diff(np.floor(integral), axis=1, prepend=0)


def poisson_counts(expected: np.ndarray, name: str) -> np.ndarray:
    """Poisson counts with the given expected values, (trials, bins). The same name gives the same counts."""
    seed = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(seed, "little"))).poisson(expected)


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
    build.main(__file__, read, offers=["poisson"])
