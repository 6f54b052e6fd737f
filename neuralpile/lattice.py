"""Undoing a z-score: counts from z = (n - mean) / deviation, where mean and deviation are not known.

Whole numbers lie on a lattice, whose step is 1 / deviation; and the smallest z of a trial is its smallest count less
the mean, in steps. What one trial cannot tell, those around it can: the constants change slowly from trial to trial.
"""

from typing import NamedTuple

import numpy as np

SAME = 1e-6  # differences of z below this are rounding, as published
OFF_LATTICE = 0.1  # steps: float32 and steps of 0.1 or more leave far less
FINEST = 4  # how many times finer than the smallest difference a step may be
AROUND = 5  # trials to each side whose constants are taken for nearly the same
PUBLISHED_LARGEST = 20


class Undone(NamedTuple):
    """Counts of all trials, one after the other, and of how many trials of a channel what could not be told at once."""

    counts: np.ndarray  # (bins, channels), int64
    finer: int  # the step was finer than their own differences say, by the trials around
    lifted: int  # their smallest count was not 0, by the trials around
    constant: int  # all bins the same: no lattice of their own
    off_lattice: int  # values that are on no lattice: counts are approximate


def lattice_step(values: np.ndarray) -> tuple[float, bool]:
    """The largest step of which all differences of some z-scores are multiples, and whether there is one.

    (NaN, True) where all are the same. Where there is none, the smallest difference.
    """
    differences = np.diff(np.unique(values))
    differences = differences[differences > SAME].astype(np.float64)
    if not differences.size:
        return np.nan, True
    smallest = differences.min()
    for finer in range(1, FINEST + 1):
        multiples = differences / smallest * finer
        if np.abs(multiples - np.rint(multiples)).max() < OFF_LATTICE:
            return smallest / finer, True
    return smallest, False


def undo(trials: list[np.ndarray], blocks: np.ndarray) -> Undone:
    """Counts of z-scored trials (bins, channels), whose constants change slowly within a block.

    `blocks` (trials,) numbers the block of each trial. Where no trial around has an empty bin, a smallest count above 0
    cannot be told: it becomes 0.
    """
    found = [[lattice_step(channel) for channel in trial.T] for trial in trials]
    steps = np.array([[step for step, _ in trial] for trial in found])
    off_lattice = np.array([[not on_lattice for _, on_lattice in trial] for trial in found])
    lows = np.array([trial.min(axis=0) for trial in trials], np.float64)
    typical = _around(steps, blocks, np.nanmedian)
    with np.errstate(invalid="ignore"):
        ratio = steps / typical
        finer = np.rint(ratio)
        is_finer = (finer >= 2) & (np.abs(ratio - finer) < OFF_LATTICE * finer)
    constant = np.isnan(steps)
    steps = np.where(constant, typical, np.where(is_finer, steps / np.maximum(finer, 1), steps))
    steps = np.where(np.isnan(steps), 1.0, steps)  # a channel that is constant in all trials around
    means = -lows / steps  # where the smallest count is 0; else less, by this count
    lift = np.rint(np.nan_to_num(_around(means, blocks, np.nanmax) - means)).astype(np.int64)
    lift = np.where(np.isnan(typical), 0, lift)
    counts = [
        np.rint((trial.astype(np.float64) - low) / step).astype(np.int64) + more
        for trial, low, step, more in zip(trials, lows, steps, lift, strict=True)
    ]
    told = (is_finer, lift > 0, constant, off_lattice)
    return Undone(np.concatenate(counts), *(int(np.count_nonzero(what)) for what in told))


def _around(values: np.ndarray, blocks: np.ndarray, statistic: object) -> np.ndarray:
    """A statistic of each trial and those around it in its block: of (trials, channels), NaN where all are NaN."""
    result = np.full(values.shape, np.nan)
    for i in range(len(values)):
        near = slice(max(0, i - AROUND), i + AROUND + 1)
        window = values[near][blocks[near] == blocks[i]]
        known = ~np.isnan(window).all(axis=0)
        result[i, known] = statistic(window[:, known], axis=0)  # type: ignore[operator]
    return result


def undo_as_published(trial: np.ndarray) -> np.ndarray:
    """The published counts of a z-scored trial (bins, channels): rounded before they are shifted, at most 20, uint8."""
    counts = np.zeros(trial.shape, np.uint8)
    for channel, values in enumerate(trial.T):
        differences = np.diff(np.unique(values))
        differences = differences[differences > SAME]
        if differences.size:
            lattice = np.rint(values / differences.min())
            counts[:, channel] = np.clip(lattice - lattice.min(), 0, PUBLISHED_LARGEST)
    return counts
