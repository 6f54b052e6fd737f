"""Undo a z-score: counts from z = (n - mean) / deviation, where mean and deviation are not known.

Whole numbers lie on a lattice. Its step is 1 / deviation, and the smallest z of a trial is its smallest count less the
mean, in steps. The constants change slowly from trial to trial, so neighbouring trials show what one trial does not.

A constant added to all counts of a run of trials leaves no trace: it shifts their means by the same amount, and every z
stays as it is. The smallest count of a run is therefore taken to be 0.
"""

from typing import NamedTuple

import numpy as np

SAME_AS_PUBLISHED = 1e-6  # the published pipeline takes smaller differences of z for rounding
# z: a step is 1 / deviation. A threshold crossing has a dead time of about 1 ms, so a bin of 20 ms has at most 20.
# Their deviation is at most 10, half the range (Popoviciu's inequality). One above 25 is no deviation of counts.
SMALLEST_STEP = 1 / 25
SAME = SMALLEST_STEP / 2  # z: values that are closer have the same count
OFF_LATTICE = 0.1  # steps: float32 and steps of 0.1 or more leave far less
NEARLY_ALL = 0.9  # of the bins that are not at the most frequent value: a step must explain so many
ALL_BUT_FEW = 0.98  # likewise, where all differences are multiples of a finer step
FEWEST = 50  # bins: with fewer, a share of 0.98 proves nothing
FINEST = 4  # how many times finer than the smallest difference a step may be
TRIED = 8  # the most frequent values whose distances are tried as steps
SLOWLY = 1.5  # times: a step that is smaller than that of the trials around by this factor is checked against it
AROUND = 5  # trials to each side whose constants are taken for nearly the same
DRIFT = 0.25  # spikes: from trial to trial of a run the mean changes by less
BELIEVED = 10  # expected empty bins (Poisson): if so many are expected, their absence is not chance
DUE = 3  # expected empty bins in a run: if so many are expected, at least one is taken to be there
FEW = 0.01  # of the bins of a run: so many can be damaged
PLAUSIBLE = 255  # spikes in a bin; a damaged value above counts as so many in a mean
LARGEST = 2**30  # steps: a count beyond is no count, and would not fit
PUBLISHED_LARGEST = 20


class Undone(NamedTuple):
    """Counts of all trials, and how many trials of a channel were not clear by themselves.

    Attributes:
        counts: (bins, channels), int32: the trials one after another.
        finer: the trials around show a finer step than the trial's own values.
        lifted: the smallest count is not 0, by the trials around.
        constant: all bins are the same, or not numbers: the trial has no lattice of its own.
        off_lattice: the values lie on no lattice: counts are approximate, by the step of the trials around, or 0 if
            these have none.
        unsure: the run is too busy, or too short, for an empty bin to be expected: counts may be too low.
        below: bins far below the lattice of their trial, which the other bins of the run contradict: their count is 0.
        no_lattice: number of channels that have values, and a lattice in no trial.
    """

    counts: np.ndarray
    finer: int
    lifted: int
    constant: int
    off_lattice: int
    unsure: int
    below: int
    no_lattice: int


def lattice_step(values: np.ndarray) -> tuple[float, bool]:
    """The largest step that explains some z-scores, and whether there is one.

    Values within `SAME` of one another count as one. A step explains z-scores if all differences are multiples of it;
    failing that, if nearly all bins lie on its lattice.

    Parameters:
        values: (bins,), finite z-scores.

    Returns:
        (step, True); (NaN, True) if all values are the same; (NaN, False) if no step explains them.

    Example:
        >>> lattice_step(np.array([-1.0, 0.0, 1.5, -1.0]))
        (0.5, True)
    """
    distinct, often = np.unique(values.astype(np.float64), return_counts=True)
    if distinct[-1] - distinct[0] <= SAME:
        return np.nan, True
    gaps = np.flatnonzero(np.diff(distinct) > SAME)
    first, last = np.append(0, gaps + 1), np.append(gaps, len(distinct) - 1)
    if (distinct[last] - distinct[first]).max() > 2 * SAME:
        return np.nan, False  # values without gaps
    weights = np.add.reduceat(often, first)
    centres = np.add.reduceat(distinct * often, first) / weights
    differences = np.diff(centres)
    smallest = differences.min()
    exact = 0.0
    for finer in range(1, FINEST + 1):
        multiples = differences / smallest * finer
        if np.abs(multiples - np.rint(multiples)).max() < OFF_LATTICE:
            # The whole range shows the step more exactly than the smallest difference does.
            step = float(differences.sum() / np.rint(multiples).sum())
            exact = step if step >= SMALLEST_STEP else 0.0
            break
    frequent = np.argsort(-weights, kind="stable")[: TRIED + 1]
    distances = np.abs(centres[frequent[1:]] - centres[frequent[0]])
    if exact and distances[0] < SLOWLY * exact:
        return exact, True  # the two most frequent values are neighbours, as those of counts are
    few = exact and (centres[-1] - centres[0]) / exact <= PUBLISHED_LARGEST
    if few and weights.sum() - weights.max() < FEWEST:
        return exact, True
    candidates = np.unique(distances[:, None] / np.arange(1, FINEST + 1))
    for candidate in candidates[candidates >= max(SMALLEST_STEP, SLOWLY * exact)][::-1]:
        step = fitted_step(centres, weights, float(candidate), ALL_BUT_FEW if few else NEARLY_ALL)
        if np.isfinite(step):
            return step, True
    return (exact, True) if exact else (np.nan, False)


def fitted_step(distinct: np.ndarray, often: np.ndarray, near: float, enough: float = NEARLY_ALL) -> float:
    """The step near a given one that explains nearly all of some z-scores; NaN if there is none.

    Parameters:
        distinct: (values,), z-scores.
        often: (values,), integers: in how many bins each occurs.
        near: a first guess of the step, right to a few per cent.
        enough: the share that it must explain of the bins that are not at the most frequent value.

    Example:
        >>> fitted_step(np.array([0.0, 0.51, 1.02]), np.array([5, 3, 1]), 0.5)
        0.51
    """
    distances = distinct - distinct[np.argmax(often)]
    away = np.abs(distances) > SAME
    steps = np.rint(distances / near)
    square = float((often * steps**2).sum())
    if not square:
        return np.nan
    step = float((often * steps * distances).sum()) / square
    explained = away & (steps != 0) & (np.abs(distances - steps * step) < OFF_LATTICE * step)
    return step if often[explained].sum() >= enough * often[away].sum() else np.nan


def undo(trials: list[np.ndarray], blocks: np.ndarray) -> Undone:
    """Recover the counts of z-scored trials, whose constants change slowly within a block.

    A channel that is constant in a trial has the count that the trials around imply. One with values that are not
    numbers has 0.

    Parameters:
        trials: (bins, channels) each, float32: z-scores.
        blocks: (trials,), integers: the block of each trial.

    Example:
        >>> z = (np.array([[0.0], [2.0], [1.0], [0.0]]) - 0.75) / 0.8
        >>> undo([z], np.zeros(1, int)).counts.ravel().tolist()
        [0, 2, 1, 0]
    """
    absent = np.array([~np.isfinite(trial).all(axis=0) for trial in trials])
    trials = [np.where(gone, np.float32(0), trial) for trial, gone in zip(trials, absent, strict=True)]
    found = [[lattice_step(channel) for channel in trial.T] for trial in trials]
    steps = np.array([[step for step, _ in trial] for trial in found])
    off_lattice = np.array([[not on_lattice for _, on_lattice in trial] for trial in found])
    constant = np.isnan(steps) & ~off_lattice
    typical = _around(steps, blocks, np.nanmedian)
    with np.errstate(invalid="ignore"):
        doubtful = (off_lattice | (steps * SLOWLY < typical)) & np.isfinite(typical)
    for trial, channel in np.argwhere(doubtful):
        distinct, often = np.unique(trials[trial][:, channel].astype(np.float64), return_counts=True)
        near = typical[trial, channel]
        step = fitted_step(distinct, often, near)
        if near / SLOWLY < step < near * SLOWLY:
            steps[trial, channel], off_lattice[trial, channel] = step, False
    with np.errstate(invalid="ignore"):
        ratio = steps / typical
        finer = np.rint(ratio)
        is_finer = (finer >= 2) & (np.abs(ratio - finer) < OFF_LATTICE * finer)
    unknown = np.isnan(steps)
    no_lattice = int(np.count_nonzero((unknown & off_lattice).any(axis=0) & unknown.all(axis=0)))
    steps = np.where(unknown, typical, np.where(is_finer, steps / np.maximum(finer, 1), steps))
    steps = np.where(np.isnan(steps), np.inf, steps)  # no trial around has a lattice: every count is 0
    counts, lows = [], np.empty(steps.shape)
    for i, (trial, step) in enumerate(zip(trials, steps, strict=True)):
        low = trial.min(axis=0).astype(np.float64)
        levels = np.rint((trial.astype(np.float64) - low) / step)
        counts.append(np.minimum(levels, LARGEST).astype(np.int32))
        lows[i] = low
    means = -lows / steps  # of the trials before, where the smallest count is 0; else less, by this count
    means[unknown] = np.nan
    while True:
        lift, runs = _lifts(means, blocks)
        raised = _raise_zero(counts, lift, runs, unknown)
        if not raised.any():
            break
        means -= raised
        for trial, steps_up in zip(counts, raised, strict=True):
            trial -= steps_up
    means[unknown] = (-lows / steps)[unknown]
    levels = _around(np.where(unknown, np.nan, means + lift), blocks, np.nanmedian)
    lift = np.where(unknown, np.nan_to_num(np.rint(levels - means)), lift)
    bins = np.array([len(trial) for trial in trials])[:, None]
    # spikes a bin, before they are lifted
    busy = np.array([trial.clip(0, PLAUSIBLE).mean(axis=0) for trial in counts])
    believed = (lift > 0) & ~absent & (bins * np.exp(-busy - np.maximum(lift, 0)) < BELIEVED)
    lift = np.where(believed, lift, 0).astype(np.int32)
    channels = np.broadcast_to(np.arange(runs.shape[1]), runs.shape)
    due = np.zeros((int(runs.max()) + 1, runs.shape[1]))
    np.add.at(due, (runs, channels), np.where(unknown, 0, bins * np.exp(-busy - lift)))
    unsure = ~unknown & (due[runs, channels] < DUE)
    for trial, more in zip(counts, lift, strict=True):
        trial += more
    lifted = np.concatenate(counts)
    return Undone(
        lifted.clip(0),
        finer=int(np.count_nonzero(is_finer)),
        lifted=int(np.count_nonzero(lift)),
        constant=int(np.count_nonzero(constant)),
        off_lattice=int(np.count_nonzero(off_lattice)),
        unsure=int(np.count_nonzero(unsure)),
        below=int(np.count_nonzero(lifted < 0)),
        no_lattice=no_lattice,
    )


def _raise_zero(counts: list[np.ndarray], lift: np.ndarray, runs: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """How many steps the 0 of each trial and channel is too low, (trials, channels), int32.

    A damaged bin far below all others is no count, and must not lift them. A few bins at the bottom of a run are taken
    for damaged if the run has none at the levels between them and the others, where a Poisson process of the same mean
    would have `BELIEVED`. Bins below 0 are those of which this is known already.
    """
    raised = np.zeros(lift.shape, np.int32)
    at_zero = np.array([(trial == 0).sum(axis=0) for trial in counts])
    bins = np.array([len(trial) for trial in counts])
    for channel in range(lift.shape[1]):
        for run in np.unique(runs[:, channel]):
            members = np.flatnonzero((runs[:, channel] == run) & ~unknown[:, channel])
            few = max(1, int(FEW * bins[members].sum()))
            lifts = lift[members, channel]
            if not len(members) or at_zero[members[lifts == lifts.min()], channel].sum() > few:
                continue
            trials = [counts[trial][:, channel] for trial in members]
            levels = [trial[trial >= 0] + int(more) for trial, more in zip(trials, lifts, strict=True)]
            lowest = _lowest_level(levels, few)
            for trial, level in zip(members, levels, strict=True):
                if level.min() < lowest <= level.max():
                    raised[trial, channel] = level[level >= lowest].min() - level.min()
    return raised


def _lowest_level(levels: list[np.ndarray], few: int) -> int:
    """The lowest level of a run's trials, without at most `few` damaged bins far below."""
    from scipy.special import pdtr  # the distribution function of a Poisson distribution

    distinct, often = np.unique(np.concatenate(levels), return_counts=True)
    for i in reversed(range(np.searchsorted(np.cumsum(often), few, side="right"))):
        if i + 1 == len(distinct) or distinct[i + 1] - distinct[i] < 2:
            continue
        below, above = distinct[i] - distinct[0], distinct[i + 1] - distinct[0]
        others = [(level[level > distinct[i]] - distinct[0]).clip(0, above + PLAUSIBLE) for level in levels]
        due = sum(
            len(other) * (pdtr(above - 1, other.mean()) - pdtr(below, other.mean())) for other in others if len(other)
        )
        if due >= BELIEVED:
            return int(distinct[i + 1])
    return int(distinct[0])


def _lifts(means: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What to add to the counts of each trial and channel, and the number of the run in which a channel's trial is.

    `means` (trials, channels) are right but for whole numbers, or NaN. In a run they hardly change from trial to trial.
    So the whole numbers follow from those of the trial before, and the smallest of the run is 0.
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
    known = ~np.isnan(means)
    channels = np.broadcast_to(np.arange(means.shape[1]), means.shape)
    least = np.full((int(runs.max()) + 1, means.shape[1]), np.inf)
    np.minimum.at(least, (runs, channels), np.where(known, lift, np.inf))
    return np.where(known, lift - np.where(known, least[runs, channels], 0), lift), runs


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
        differences = differences[differences > SAME_AS_PUBLISHED]
        if differences.size:
            lattice = np.rint(values / differences.min())
            counts[:, channel] = np.clip(lattice - lattice.min(), 0, PUBLISHED_LARGEST)
    return counts
