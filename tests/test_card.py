"""card: counts found again from z-scores, on simulated trials scored as the authors did, and on a miniature file."""

import itertools

import h5py
import numpy as np
import pytest

from neuralpile import lattice, store

PRECEDING = 20  # trials whose mean and deviation score a trial


def simulate(rate, n_trials=60, n_bins=300, n_channels=32, seed=0):
    """Counts of trials, and their z-scores by the 20 trials before each, float32."""
    rng = np.random.default_rng(seed)
    rates = rate * np.exp(rng.normal(0, 0.15, n_trials + PRECEDING))
    counts = [rng.poisson(r, (n_bins, n_channels)) for r in rates]
    scored = []
    for t in range(PRECEDING, len(counts)):
        before = np.concatenate(counts[t - PRECEDING : t])
        scored.append(((counts[t] - before.mean(axis=0)) / before.std(axis=0)).astype(np.float32))
    return np.array(counts[PRECEDING:]), scored


def right(found, counts):
    """Share of trials of a channel whose counts are all right."""
    return (found.reshape(counts.shape) == counts).all(axis=1).mean()


@pytest.mark.parametrize(("rate", "at_least"), [(0.1, 1), (0.5, 1), (1.5, 1), (4, 0.99), (8, 0.7)])
def test_counts_are_found_again(rate, at_least):
    """More spikes in a bin: fewer empty bins by which 0 is known. Ours is never worse than the published way."""
    counts, scored = simulate(rate)
    undone = lattice.undo(scored, np.zeros(len(scored), int))
    published = np.concatenate([lattice.undo_as_published(trial) for trial in scored])
    assert right(undone.counts, counts) >= at_least
    assert right(undone.counts, counts) >= right(published, counts)
    if rate == 8:
        assert right(published, counts) < 0.3
        assert undone.lifted > 0


def score(counts, mean, deviation):
    return ((np.array(counts)[:, None] - mean) / deviation).astype(np.float32)


def test_shift_before_rounding():
    """With a mean of 1.5 the values lie between the published lattice's points."""
    counts = np.array([0, 1, 2, 3, 4, 5] * 5)
    trials = [score(counts, 1.5, 0.9)]
    assert (lattice.undo(trials, np.zeros(1, int)).counts[:, 0] == counts).all()
    assert set(lattice.undo_as_published(trials[0])[:, 0]) != set(counts)


def test_no_neighbouring_numbers():
    """0, 2 and 5 tell their step by themselves; 0 and 2 only by the trials around."""
    some, few = [0, 2, 5, 2, 0], [0, 2, 0, 2, 0]
    undone = lattice.undo([score(some, 1, 0.7)], np.zeros(1, int))
    assert undone.counts[:, 0].tolist() == some
    trials = [score([0, 1, 0, 3, 1], 1, 0.7 + 0.001 * i) for i in range(3)] + [score(few, 1, 0.703)]
    undone = lattice.undo(trials, np.zeros(4, int))
    assert undone.counts[-5:, 0].tolist() == few
    assert undone.finer == 1
    assert lattice.undo(trials, np.array([0, 0, 0, 1])).counts[-5:, 0].tolist() == [0, 1, 0, 1, 0]  # another block
    assert lattice.undo_as_published(trials[-1])[:, 0].tolist() != few


def test_constant_channel():
    trials = [score([0, 1, 2, 1], 1, 0.7), score([1, 1, 1, 1], 1, 0.7)]
    undone = lattice.undo(trials, np.zeros(2, int))
    assert undone.counts[:, 0].tolist() == [0, 1, 2, 1, 1, 1, 1, 1]
    assert (undone.constant, undone.lifted) == (1, 1)
    assert not lattice.undo([score([3, 3], 1, 1)], np.zeros(1, int)).counts.any()


def test_values_on_no_lattice_are_told():
    trial = np.random.default_rng(0).normal(size=(50, 1)).astype(np.float32)
    assert lattice.undo([trial], np.zeros(1, int)).off_lattice == 1


def published_steps(z):
    """The published inversion of one channel of one trial, step by step."""
    distinct = sorted(set(z.tolist()))
    gaps = [np.float32(b) - np.float32(a) for a, b in itertools.pairwise(distinct)]
    gaps = [gap for gap in gaps if gap > 1e-6]
    if not gaps:
        return [0] * len(z)
    rounded = [round(float(np.float32(value) / min(gaps))) for value in z]
    return [min(20, n - min(rounded)) for n in rounded]


def test_file(tmp_path, script):
    counts, scored = simulate(0.8, n_trials=4, n_bins=40, n_channels=256)
    path = tmp_path / "raw" / "hdf5_data_final" / "t15.2023.08.11" / "data_train.hdf5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        for i, z in enumerate(scored):
            group = file.create_group(f"trial_{i:04d}")
            group["input_features"] = np.concatenate([z, np.full_like(z, 7.7)], axis=1)
            group.attrs["block_num"] = 2
            group.attrs["n_time_steps"] = len(z)
    options = ["--data_dir", tmp_path / "raw", "--out_dir"]
    done = script("data/card/preprocess.py", *options, tmp_path / "a")
    assert done.returncode == 0, done.stderr
    (row,) = store.open_data_set(str(tmp_path / "a"))
    assert (row.subject_id, row.session_id) == ("T15", "t15.2023.08.11_data_train")
    assert row.counts.shape == (256, 160)
    assert (row.counts == counts.reshape(160, 256).T).mean() > 0.98
    done = script("data/card/preprocess.py", *options, tmp_path / "b", "--as_published")
    (row,) = store.open_data_set(str(tmp_path / "b"))
    for channel in range(0, 256, 7):
        expected = [n for z in scored for n in published_steps(z[:, channel])]
        assert row.counts[channel].tolist() == expected
    done = script("data/card/preprocess.py", *options, tmp_path / "c", "--bin_size", "0.04")
    assert "--bin_size: expected 0.02 for this data set" in done.stderr
