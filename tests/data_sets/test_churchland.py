"""churchland: clocks that restart, and epochs that are laid one after the other."""

import numpy as np
from helpers.nwb_miniatures import BIN, CLOCKS, WRITERS, churchland_spikes
from hypothesis import given
from hypothesis import strategies as st

from neuralpile.spikes import binning, clock_restarts


def test_clocks_of_epochs_lie_on_one_another_without_the_option(here, raw):
    """As published, three epochs are added up: the bins of the shorter clocks hold up to three trials."""
    sessions = WRITERS["churchland"](raw)
    built, _ = here("churchland")
    longest = max(stop for clock in CLOCKS for _, stop in clock)
    for row, trains in zip(built, sessions.values(), strict=True):
        assert any((np.diff(train) < 0).any() for train in trains)
        assert row.counts.shape[1] <= np.ceil(longest / BIN)


def test_every_spike_is_where_its_epoch_was_laid(here, raw):
    """With --epochs, every spike is where its epoch was laid: worked out from the spikes of each epoch and trial."""
    WRITERS["churchland"](raw)
    built, said = here("churchland", "--epochs")
    for seed, row in enumerate(built):
        units = churchland_spikes(seed, 4)
        expected = np.zeros((4, 0), int)
        for epoch, clock in enumerate(CLOCKS):
            shift = 0.0 if epoch == 0 else expected.shape[1] * BIN - clock[0][0]
            begin = expected.shape[1]
            # The first bin that begins at or after the end of the last trial is the next epoch's.
            n_bins = int(np.ceil(round((clock[-1][1] + shift) / BIN, 6)))
            expected = np.pad(expected, [(0, 0), (0, n_bins - begin)])
            for unit in range(4):
                for train in units[unit][epoch]:
                    # Spikes are at whole milliseconds: their bins by whole numbers.
                    np.add.at(expected[unit], np.round((train + shift) * 1000).astype(int) // 20, 1)
        n_bins = row.counts.shape[1]
        assert not expected[:, n_bins:].any()  # the last bin is that of the last spike
        expected = expected[:, :n_bins].clip(max=255)
        assert np.count_nonzero(expected) > 50
        assert (row.counts.sum(axis=1, dtype=int) == expected.sum(axis=1)).all()
        # A spike on a bin's edge may go either side by rounding, as any; nearly all are where they must be.
        assert np.count_nonzero(row.counts != expected) <= 0.02 * expected.sum()
    assert said.count("the clock restarts 2 times") == 2
    assert "in no trial" not in said


def test_a_spike_just_after_its_trial_moves_no_others():
    """A spike may lie after the end of its trial by rounding. Whatever becomes of it, the unit's later spikes, all well
    within trials of the first epoch, stay there."""
    trials = np.array([(10.0, 10.3), (11.0, 12.0), (13.0, 14.0), (10.1, 10.9), (11.5, 12.5), (15.0, 16.0)])
    first = clock_restarts.first_trials(trials)
    assert first.tolist() == [0, 3]
    times = np.array([10.1, 10.3 + 1e-9, 11.2, 11.7, 11.9, 13.5, 10.5, 15.5])
    found = clock_restarts.epoch_of_spikes(times, np.array([len(times)]), trials, first)
    assert found[[0, 2, 3, 4, 5, 6, 7]].tolist() == [0, 0, 0, 0, 0, 1, 1]


# Epochs of trials in milliseconds: the start of the clock, then the pause before and the length of each trial.
clocks = st.lists(
    st.tuples(
        st.integers(0, 200), st.lists(st.tuples(st.integers(1, 60), st.integers(1, 200)), min_size=1, max_size=4)
    ),
    min_size=1,
    max_size=4,
)


def trials_of(clocks):
    """(epoch, start, stop) in ms of every trial. An epoch that would not restart the clock is left out."""
    trials = []
    for clock, durations in clocks:
        at = clock
        if trials and at + durations[0][0] >= trials[-1][2]:
            continue
        epoch = trials[-1][0] + 1 if trials else 0
        for pause, length in durations:
            trials.append((epoch, at + pause, at + pause + length))
            at += pause + length
    return trials


@given(clocks)
def test_epochs_share_no_bin(clocks):
    """Laid one after the other, no bin holds spikes of two epochs, not even of spikes at the very ends of trials."""
    trials = np.array(trials_of(clocks))
    seconds = trials[:, 1:] / 1000
    first = clock_restarts.first_trials(seconds)
    assert first.tolist() == [int(np.flatnonzero(trials[:, 0] == e)[0]) for e in range(trials[-1, 0] + 1)]
    shifts = clock_restarts.epoch_shifts(seconds, first, BIN)
    assert shifts[0] == 0
    # Spikes at the start and at the end of every trial, one unit per epoch.
    trains = [(seconds[trials[:, 0] == epoch] + shift).ravel() for epoch, shift in enumerate(shifts)]
    times = np.concatenate(trains)
    binned = binning.bin_spikes(times, np.cumsum([len(train) for train in trains]), BIN).counts
    assert binned.sum() == len(times)
    assert (np.count_nonzero(binned, axis=0) <= 1).all()
    assert (np.diff(np.argmax(binned > 0, axis=1)) > 0).all()


@given(clocks, st.integers(0, 2**32 - 1))
def test_every_spike_of_a_trial_finds_an_epoch(clocks, seed):
    """However sparse a unit: no spike of a trial is lost, an epoch is never followed by an earlier one, and with the
    epoch found a spike does lie in a trial of it."""
    trials = np.array(trials_of(clocks))
    seconds = trials[:, 1:] / 1000
    first = clock_restarts.first_trials(seconds)
    rng = np.random.default_rng(seed)
    times, ends = [], []
    for _ in range(3):
        for start, stop in seconds:
            times += sorted(rng.uniform(start, stop, rng.integers(0, 3)))
        ends.append(len(times))
    found = clock_restarts.epoch_of_spikes(np.array(times, float), np.array(ends), seconds, first)
    for unit in np.split(np.arange(len(times)), ends[:-1]):
        assert (np.diff(found[unit]) >= 0).all()
        for spike in unit:
            of_epoch = seconds[trials[:, 0] == found[spike]]
            assert ((of_epoch[:, 0] <= times[spike]) & (times[spike] <= of_epoch[:, 1])).any()
