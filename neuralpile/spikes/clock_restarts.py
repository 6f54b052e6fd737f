"""Restarted clocks: where a recording's clock went back, trials overlap in time; epochs lay them out one after another.

An epoch is the trials between two restarts. Spike trains hold the spikes in the order of the trials, so a spike belongs
to the epoch of the one before it, or to a later one. Where both are possible, it is counted in the earlier one.
"""

import numpy as np

from neuralpile.compile import compiled
from neuralpile.errors import Mismatch
from neuralpile.spikes import clock


def first_trials(trials: np.ndarray) -> np.ndarray:
    """Where epochs begin: (epochs,), int64, positions in `trials`.

    A trial that starts before the one before it has ended begins a new epoch.

    Parameters:
        trials: (trials, 2), start and stop in seconds, in the order of recording.

    Example:
        >>> first_trials(np.array([[0.0, 1.0], [1.5, 2.0], [0.3, 0.9]])).tolist()
        [0, 2]
    """
    return np.concatenate([[0], np.flatnonzero(trials[1:, 0] < trials[:-1, 1]) + 1])


def epoch_shifts(trials: np.ndarray, first: np.ndarray, bin_size: float) -> np.ndarray:
    """Seconds to add to the times of each epoch, (epochs,), float64: each begins in the bin after the one before.

    The first epoch keeps its times.

    Parameters:
        trials: (trials, 2), start and stop in seconds, in the order of recording.
        first: (epochs,), positions in `trials` at which epochs begin.
        bin_size: width of a bin in seconds.
    """
    starts = np.minimum.reduceat(trials[:, 0], first)
    stops = np.maximum.reduceat(trials[:, 1], first)
    shifts, slack = np.zeros(len(first)), bin_size / 1000
    for epoch in range(1, len(first)):
        end = stops[epoch - 1] + shifts[epoch - 1]
        # The slack, a thousandth of a bin, keeps rounding from putting the first spike into the bin before.
        shifts[epoch] = (np.floor((end + slack) / bin_size) + 1) * bin_size - starts[epoch] + slack
    return shifts


def epoch_of_spikes(times: np.ndarray, ends: np.ndarray, trials: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The epoch of each spike: (spikes,), int64; -1 for a spike outside all trials.

    Parameters:
        times: (spikes,), float64, seconds: all units one after another, each unit's spikes in the order of recording.
        ends: (units,), int64: where each unit's spikes end.
        trials: (trials, 2), start and stop in seconds.
        first: (epochs,), positions in `trials` at which epochs begin, ascending from 0.

    Raises:
        Mismatch: the ends do not fit the times, or the epochs not the trials.
    """
    clock.check_ends(ends, len(times))
    if not len(first) or first[0] != 0 or (np.diff(first) <= 0).any() or first[-1] >= len(trials):
        raise Mismatch(f"epochs of {len(trials):,} trials", f"epochs that begin at {first.tolist()[:5]}")
    return np.asarray(_epoch_of_spikes(times, ends, trials, first))


@compiled
def _epoch_of_spikes(times, ends, trials, first):  # type: ignore[no-untyped-def]
    epochs = np.full(len(times), -1)
    n_epochs = len(first)
    begin = 0
    for unit in range(len(ends)):
        # Dynamic programming finds the epochs that explain the train best: a spike outside the trials of its epoch
        # costs 1, and so does a step back in time within an epoch. A stray spike after its trial moves no other.
        n = ends[unit] - begin
        inside = np.zeros((n, n_epochs), np.bool_)
        came_from = np.zeros((n, n_epochs), np.int16)
        cost = np.zeros(n_epochs, np.int64)
        for i in range(n):
            t = times[begin + i]
            back = i > 0 and t < times[begin + i - 1]
            before = cost.copy()
            for epoch in range(n_epochs):
                last = first[epoch + 1] if epoch + 1 < n_epochs else len(trials)
                trial = first[epoch] + np.searchsorted(trials[first[epoch] : last, 0], t, side="right") - 1
                inside[i, epoch] = trial >= first[epoch] and t <= trials[trial, 1]
                best, source = before[epoch] + back, epoch
                for earlier in range(epoch - 1, -1, -1):
                    if before[earlier] <= best:
                        best, source = before[earlier], earlier
                came_from[i, epoch] = source
                cost[epoch] = best + (not inside[i, epoch])
        epoch = int(np.argmin(cost))
        for i in range(n - 1, -1, -1):
            if inside[i, epoch]:
                epochs[begin + i] = epoch
            epoch = came_from[i, epoch]
        begin = ends[unit]
    return epochs
