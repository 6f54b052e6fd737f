"""Undoing a z-score: counts from z = (n - mean) / deviation, where mean and deviation are not known.

Whole numbers lie on a lattice, whose step is 1 / deviation; and the smallest z of a trial is its smallest count less
the mean, in steps. What one trial cannot tell, those around it can: the constants change slowly from trial to trial.

What no trial can tell: a number that is missing from all counts of a run of trials alike moves their means by as much,
and leaves every z as it is. So the smallest count of a run is taken for 0.
"""

from typing import NamedTuple

import numpy as np

SAME = 1e-6  # differences of z below this are rounding, as published
OFF_LATTICE = 0.1  # steps: float32 and steps of 0.1 or more leave far less
FINEST = 4  # how many times finer than the smallest difference a step may be
AROUND = 5  # trials to each side whose constants are taken for nearly the same
DRIFT = 0.25  # spikes: from trial to trial of a run the mean changes by less
BELIEVED = 10  # so many empty bins were due by chance (Poisson): then none is no accident
DUE = 3  # so many empty bins were due in a run: then one of them was there
PUBLISHED_LARGEST = 20


class Undone(NamedTuple):
    """Counts of all trials, one after the other, and of how many trials of a channel what could not be told at once."""

    counts: np.ndarray  # (bins, channels), int32
    finer: int  # the step was finer than their own differences say, by the trials around
    lifted: int  # their smallest count was not 0, by the trials around
    constant: int  # all bins the same, or no numbers: no lattice of their own
    off_lattice: int  # values that are on no lattice: counts are approximate
    unsure: int  # in a run that is too busy, or too short, for an empty bin to be due: counts may be too low


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
            # the whole range tells the step more exactly than the smallest difference does
            return differences.sum() / np.rint(multiples).sum(), True
    return smallest, False


def undo(trials: list[np.ndarray], blocks: np.ndarray) -> Undone:
    """Counts of z-scored trials (bins, channels), whose constants change slowly within a block.

    `blocks` (trials,) numbers the block of each trial. A channel that is constant in a trial has the count that the
    trials around give it; one with values that are no numbers has none: 0.
    """
    absent = np.array([~np.isfinite(trial).all(axis=0) for trial in trials])
    trials = [np.where(gone, np.float32(0), trial) for trial, gone in zip(trials, absent, strict=True)]
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
    counts = [
        np.rint((trial.astype(np.float64) - low) / step).astype(np.int32)
        for trial, low, step in zip(trials, lows, steps, strict=True)
    ]
    means = -lows / steps  # of the trials before, where the smallest count is 0; else less, by this count
    lift, runs = _lifts(np.where(constant, np.nan, means), blocks)
    levels = _around(np.where(constant, np.nan, means + lift), blocks, np.nanmedian)
    lift = np.where(constant, np.nan_to_num(np.rint(levels - means)), lift)
    bins = np.array([len(trial) for trial in trials])[:, None]
    busy = np.array([trial.mean(axis=0) for trial in counts])  # spikes a bin, before they are lifted
    believed = (lift > 0) & ~absent & (bins * np.exp(-busy - np.maximum(lift, 0)) < BELIEVED)
    lift = np.where(believed, lift, 0).astype(np.int32)
    due = bins * np.exp(-busy - lift)
    unsure = np.zeros(lift.shape, bool)
    for run in range(int(runs.max()) + 1):
        here = (runs == run) & ~constant
        unsure |= here & ((due * here).sum(axis=0) < DUE)
    for trial, more in zip(counts, lift, strict=True):
        trial += more
    told = (is_finer, lift > 0, constant, off_lattice, unsure)
    return Undone(np.concatenate(counts), *(int(np.count_nonzero(what)) for what in told))


def _lifts(means: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What to add to the counts of each trial and channel, and the number of the run in which a channel's trial is.

    `means` (trials, channels) are right but for whole numbers, or NaN. In a run they hardly change from trial to trial:
    so the whole numbers follow from those of the trial before, and the smallest of the run is 0.
    """
    lift, runs = np.zeros(means.shape), np.zeros(means.shape, int)
    level, run = np.full(means.shape[1], np.nan), np.zeros(means.shape[1], int)  # of the last trial that had a mean
    for i, mean in enumerate(means):
        if i and blocks[i] != blocks[i - 1]:
            level[:] = np.nan
        known = ~np.isnan(mean)
        whole = np.rint(level - mean)
        follows = np.abs(level - mean - whole) < DRIFT
        run = run + (known & ~follows)
        lift[i], runs[i] = np.where(known & follows, whole, 0), run
        level = np.where(known, mean + lift[i], level)
    for number in range(int(runs.max()) + 1):
        here = (runs == number) & ~np.isnan(means)
        lift -= np.where(here, np.where(here, lift, np.inf).min(axis=0), 0)
    return lift, runs


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
        if not np.isfinite(values).all():
            continue  # the published cast of NaN to uint8, which mostly gives 0
        differences = np.diff(np.unique(values))
        differences = differences[differences > SAME]
        if differences.size:
            lattice = np.rint(values / differences.min())
            counts[:, channel] = np.clip(lattice - lattice.min(), 0, PUBLISHED_LARGEST)
    return counts
