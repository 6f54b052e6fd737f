"""Restarted clocks: where a recording's clock went back, trials overlap in time; epochs lay them out one after another.

An epoch is the trials between two restarts. Spike trains hold the spikes in the order of the trials, so a spike belongs
to the epoch of the one before it, or to a later one. Where both are possible, it is counted to the earlier one.
"""

import numba
import numpy as np


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
    shifts = np.zeros(len(first))
    for epoch in range(1, len(first)):
        end = stops[epoch - 1] + shifts[epoch - 1]
        shifts[epoch] = np.ceil(end / bin_size) * bin_size - starts[epoch]
    return shifts


@numba.njit(cache=True)
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
        epoch, before = 0, -np.inf
        for spike in range(begin, ends[unit]):
            t = times[spike]
            for candidate in range(epoch, n_epochs):
                if candidate == epoch and t < before:
                    continue
                last = first[candidate + 1] if candidate + 1 < n_epochs else len(trials)
                i = first[candidate] + np.searchsorted(trials[first[candidate] : last, 0], t, side="right") - 1
                if i >= first[candidate] and t <= trials[i, 1]:
                    epoch, before = candidate, t
                    epochs[spike] = candidate
                    break
        begin = ends[unit]
    return epochs
