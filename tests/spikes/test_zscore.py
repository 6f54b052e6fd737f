"""The lattice of z-scored counts: what noise, outliers and values on no lattice do to it."""

import numpy as np
import pytest
from helpers.data_files import simulate
from hypothesis import given
from hypothesis import strategies as st

from neuralpile.spikes import zscore


def undo(scored):
    return zscore.undo(scored, np.zeros(len(scored), int))


@pytest.mark.parametrize("noise", [1.5e-5, 1e-4, 3e-3])
@pytest.mark.parametrize("rate", [0.02, 0.5, 1.5])
def test_noise_on_a_few_bins_makes_no_lattice_of_its_own(rate, noise):
    """Ten channels, four bins each, in every trial."""
    counts, scored = simulate(rate, n_channels=16)
    clean = undo(scored)
    rng = np.random.default_rng(1)
    for z in scored:
        for channel in range(10):
            z[rng.choice(len(z), 4, replace=False), channel] += np.float32(noise)
    noisy = undo(scored)
    assert (noisy.counts == clean.counts).all()
    assert (noisy.counts == np.concatenate(counts)).all()
    assert noisy.off_lattice == clean.off_lattice == 0


@given(st.integers(0, 1000), st.floats(0, 5e-3))
def test_noise_on_all_bins_leaves_the_counts(seed, noise):
    _, scored = simulate(0.7, n_trials=12, n_channels=3, seed=seed)
    rng = np.random.default_rng(seed)
    clean = undo(scored).counts
    shaken = [(z + rng.uniform(-noise, noise, z.shape)).astype(np.float32) for z in scored]
    assert (undo(shaken).counts == clean).all()


@pytest.mark.parametrize("offset", [0.05, 0.13, 0.37, 0.5])
def test_a_bin_off_the_lattice_does_not_make_a_finer_one(offset):
    """A bin of count 1 in each trial lies `offset` steps off: it has the nearest count, all others keep theirs."""
    counts, scored = simulate(1.0, n_channels=8)
    moved = [np.zeros(n.shape, bool) for n in counts]
    for z, n, here in zip(scored, counts, moved, strict=True):
        for channel in range(8):
            step = zscore.lattice_step(z[:, channel])[0]
            at = np.flatnonzero(n[:, channel] == 1)[0]
            z[at, channel] += np.float32(offset * step)
            here[at, channel] = True
    found, right, off = undo(scored).counts, np.concatenate(counts), np.concatenate(moved)
    assert off.sum() == 60 * 8
    assert (found[~off] == right[~off]).all()
    assert np.isin(found[off], [1] if offset < 0.5 else [1, 2]).all()  # half a step is as near to either


def test_a_trial_that_its_neighbours_contradict_takes_their_step():
    """Only 0 and 1, and one value at 0.03: by itself, this trial has a lattice of 0.03 / FINEST."""
    counts = np.array([0, 1, 2, 3, 0, 0] * 10)[:, None]
    trials = [((counts - 0.8) / 0.9).astype(np.float32) for _ in range(5)]
    few = np.array([0] * 30 + [1] * 12)[:, None]
    odd = ((few - 0.8) / 0.9).astype(np.float32)
    odd[3] += np.float32(0.03)
    undone = undo([*trials[:3], odd, *trials[3:]])
    found = undone.counts[180 : 180 + len(few), 0]
    assert found.tolist() == few[:, 0].tolist()


def test_a_channel_without_any_lattice_has_no_counts_and_is_named():
    rng = np.random.default_rng(0)
    trials = [rng.normal(size=(400, 2)).astype(np.float32) for _ in range(6)]
    for trial in trials:
        trial[:, 1] = ((rng.poisson(1, 400) - 1) / 0.9).astype(np.float32)
    undone = undo(trials)
    assert not undone.counts[:, 0].any()
    assert undone.counts[:, 1].any()
    assert (undone.off_lattice, undone.no_lattice) == (6, 1)


def test_a_trial_off_the_lattice_among_good_ones_has_counts_of_their_size():
    counts, scored = simulate(1.0, n_trials=9, n_channels=2)
    scored[4][:, 0] = np.random.default_rng(0).normal(size=len(scored[4]))
    undone = undo(scored)
    parts = np.split(undone.counts, np.cumsum([len(z) for z in scored])[:-1])
    assert (undone.off_lattice, undone.no_lattice) == (1, 0)
    assert parts[4][:, 0].max() < 12
    assert all((parts[t] == counts[t]).all() for t in range(9) if t != 4)


@pytest.mark.parametrize("rate", [0.02, 0.5, 1.5, 4.0])
@pytest.mark.parametrize("steps", [-5, -37.4, -1e6])
def test_a_damaged_bin_far_below_lifts_no_other_bin(rate, steps):
    """In four channels, one bin of one trial lies far below the lattice: all other counts of all trials are right."""
    counts, scored = simulate(rate, n_channels=8, n_trials=30)
    right = np.concatenate(counts)
    assert (undo(scored).counts == right).all()
    damaged = np.zeros(right.shape, bool)
    starts = np.cumsum([0, *map(len, scored)])
    for channel in range(4):
        trial = 5 + 6 * channel
        z, step = scored[trial][:, channel], zscore.lattice_step(scored[trial][:, channel])[0]
        z[7] = z.min() + np.float32(steps * (step if np.isfinite(step) else 1.0))
        damaged[starts[trial] + 7, channel] = True
    undone = undo(scored)
    assert (undone.counts[~damaged] == right[~damaged]).all()
    assert not undone.counts[damaged].any()
    assert undone.below == 4


def test_a_damaged_bin_in_the_only_trial_lifts_no_other_bin():
    counts = np.random.default_rng(0).poisson(1.0, (400, 1))
    z = ((counts - 1) / 0.9).astype(np.float32)
    z[11] = -1e4
    counts[11] = 0
    undone = undo([z])
    assert (undone.counts == counts).all()
    assert undone.below == 1


def test_the_few_empty_bins_of_a_busy_channel_are_counts():
    """At 8 spikes a bin, a trial has an empty bin now and then, and it is no damage."""
    counts = np.random.default_rng(3).poisson(8, (2000, 4))
    counts[100] = 0
    undone = undo([((counts - 7.3) / 2.7).astype(np.float32)])
    assert (undone.counts == counts).all()
    assert undone.below == 0
