"""Restarted clocks: where a recording's clock went back, trials overlap in time; epochs lay them out one after another.

An epoch is the trials between two restarts. Spike trains hold the spikes in the order of the trials, so a spike belongs
to the epoch of the one before it, or to a later one. Where both are possible, it is counted to the earlier one.
"""

import numpy as np

from neuralpile.compile import compiled


def first_trials(trials: np.ndarray) -> np.ndarray:
    """Where epochs begin: positions in `trials` (trials, 2), start and stop in seconds, in the order of recording.

    A trial that starts before the one before it has ended begins a new epoch.
    """
    return np.concatenate([[0], np.flatnonzero(trials[1:, 0] < trials[:-1, 1]) + 1])


def epoch_shifts(trials: np.ndarray, first: np.ndarray, bin_size: float) -> np.ndarray:
    """Seconds to add to the times of each epoch, so that each begins with the bin after the last of the one before.

    The first epoch keeps its times.
    """
    starts = np.minimum.reduceat(trials[:, 0], first)
    stops = np.maximum.reduceat(trials[:, 1], first)
    shifts, slack = np.zeros(len(first)), bin_size / 1000
    for epoch in range(1, len(first)):
        end = stops[epoch - 1] + shifts[epoch - 1]
        # the slack, a thousandth of a bin, keeps rounding from putting the first spike into the bin before
        shifts[epoch] = (np.floor((end + slack) / bin_size) + 1) * bin_size - starts[epoch] + slack
    return shifts


@compiled
def epoch_of_spikes(times, ends, trials, first):  # type: ignore[no-untyped-def]
    """The epoch of each spike, int64 (spikes,); -1 where it lies in no trial.

    Args:
        times: spike times in seconds, all units one after the other, each unit's in the order of recording.
        ends: where each unit's spikes end.
        trials: (trials, 2), start and stop in seconds.
        first: positions in `trials` at which epochs begin.
    """
    epochs = np.full(len(times), -1)
    n_epochs = len(first)
    begin = 0
    for unit in range(len(ends)):
        # The epochs that explain the train best (dynamic programming): each spike outside the trials of its epoch costs
        # 1, and each step back in time within an epoch. So a stray spike, just after its trial, moves no other.
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
        epoch = np.argmin(cost)
        for i in range(n - 1, -1, -1):
            if inside[i, epoch]:
                epochs[begin + i] = epoch
            epoch = came_from[i, epoch]
        begin = ends[unit]
    return epochs
