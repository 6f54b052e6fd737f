"""card: how counts are recovered from z-scores, what a file must state, and what the report states of its counts."""

import itertools
import json
import runpy

import h5py
import numpy as np
import pytest
from helpers import ROOT
from helpers.data_files import score, simulate, write_trials
from helpers.data_sets import build

from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.spikes import zscore
from neuralpile.spikes.session import Options

READ = runpy.run_path(str(ROOT / "data" / "card" / "preprocess.py"))["read"]


def session_file(folder, n_trials=4):
    counts, scored = simulate(0.5, n_trials=n_trials, n_channels=256)
    return counts, scored, folder / "t15.2023.08.11" / "data_train.hdf5"


@pytest.mark.parametrize("value", [None, np.nan, "two", [1, 2], 1.5, np.inf])
def test_a_trial_without_a_block_number_is_refused_in_one_line(tmp_path, value):
    _, scored, path = session_file(tmp_path)
    write_trials(path, scored, [1] * 4)
    with h5py.File(path, "a") as file:
        del file["trial_0002"].attrs["block_num"]
        if value is not None:
            file["trial_0002"].attrs["block_num"] = value
    with pytest.raises(BadInput, match="trial_0002: expected block_num, the number of the trial's block") as error:
        READ(path, Options(own_bin=0.02))
    assert "\n" not in str(error.value)
    assert READ(path, Options(own_bin=0.02, as_published=True)).counts.any()  # blocks are not needed


def test_the_report_states_how_many_channels_have_no_lattice(script, tmp_path):
    counts, scored, path = session_file(tmp_path / "raw")
    rng = np.random.default_rng(0)
    for z in scored:
        z[:, 7] = rng.normal(size=len(z))
        z[rng.choice(len(z), 4), 9] += np.float32(1.5e-5)
    write_trials(path, scored, [1] * 4)
    done = script("data/card/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "out" / "report.json").read_text())["sessions"][0]["facts"]
    assert facts["derived"].startswith("counts are recovered from z-scores")
    assert facts["channel_trials"] == 4 * 256
    assert facts["channel_trials_off_lattice"] == 4
    assert facts["channels_without_lattice"] == 1
    (row,) = open_data_set(str(tmp_path / "out"))
    assert not row.counts[7].any()
    assert (row.counts[9] == np.concatenate(counts)[:, 9]).all()


def published(z):
    """The published inversion of one channel of one trial, step by step."""
    distinct = sorted(set(z.tolist()))
    steps = [np.float32(b) - np.float32(a) for a, b in itertools.pairwise(distinct)]
    steps = [step for step in steps if step > 1e-6]
    if not steps:
        return [0] * len(z)
    rounded = [round(float(np.float32(value) / min(steps))) for value in z]
    return [min(20, n - min(rounded)) for n in rounded]


def wrong(found, counts):
    """Share of trials of a channel with any wrong count, and with one too high."""
    pairs = list(zip(np.split(found, np.cumsum([len(trial) for trial in counts])[:-1]), counts, strict=True))
    return (
        np.mean([(a != b).any(axis=0) for a, b in pairs]),
        np.mean([(a > b).any(axis=0) for a, b in pairs]),
    )


# Measured: ours wrong 0, 0, 0, 0.001, 0.15; published 0, 0.001, 0.09, 0.83, 0.76
@pytest.mark.parametrize(
    ("rate", "drift", "ours", "theirs"),
    [(0.5, 0, 0, 0), (1.5, 0.03, 0, 0), (4, 0.03, 0, 0.05), (8, 0, 0.02, 0.7), (8, 0.03, 0.2, 0.6)],
)
def test_few_counts_are_wrong_and_every_wrong_one_is_reported_as_unsure(rate, drift, ours, theirs):
    """Wrong trials of a channel, at rates in spikes a bin, with rates that drift: at most `ours`, at least `theirs`."""
    counts, scored = simulate(rate, drift)
    undone = zscore.undo(scored, np.zeros(len(scored), int))
    share, too_high = wrong(undone.counts, counts)
    as_published, _ = wrong(np.concatenate([zscore.undo_as_published(z) for z in scored]), counts)
    assert share <= ours
    assert undone.unsure >= share * 60 * 16  # all that is wrong is told, by number
    assert as_published >= theirs
    assert too_high == 0


def test_counts_that_cannot_be_recovered_are_reported():
    """At 15 spikes a bin no bin is ever empty: counts come out too low, and nearly all are reported."""
    counts, scored = simulate(15)
    undone = zscore.undo(scored, np.zeros(len(scored), int))
    share, too_high = wrong(undone.counts, counts)
    assert share > 0.9
    assert too_high == 0
    assert undone.unsure >= share * 60 * 16


def test_a_burst_does_not_lift_the_counts_of_its_neighbours():
    """After a burst the mean jumps by whole numbers; trials with many empty bins due keep a smallest count of 0."""
    rng = np.random.default_rng(0)
    counts = [rng.poisson(0.5, (300, 4)) for _ in range(50)]
    counts[30] = rng.poisson(0.5, (300, 4)) + 40  # 20 trials later, its going is a jump as well
    scored = [score(counts[t], np.concatenate(counts[t - 20 : t])) for t in range(20, 50)]
    undone = zscore.undo(scored, np.zeros(30, int))
    found = np.split(undone.counts, 30)
    for t in range(20, 50):
        if t != 30:
            assert (found[t - 20] == counts[t]).all()


def test_counts_are_recovered_from_half_means_and_from_doubled_steps():
    """A mean of 1.5: rounding first merges counts. Only 0 and 2: the step is that of the trials around."""
    counts = np.array([0, 1, 2, 3, 4, 5] * 4)[:, None]
    half = ((counts - 1.5) / 0.9).astype(np.float32)
    assert zscore.undo([half], np.zeros(1, int)).counts.tolist() == counts.tolist()
    assert zscore.undo_as_published(half)[:, 0].tolist() == published(half[:, 0]) != counts[:, 0].tolist()
    few = np.array([0, 2, 2, 0, 0, 2])[:, None]
    trials = [((n - 1.2) / 0.9).astype(np.float32) for n in (counts, counts, few)]
    undone = zscore.undo(trials, np.zeros(3, int))
    assert undone.counts[-len(few) :].tolist() == few.tolist()
    assert undone.finer == 1
    assert zscore.undo_as_published(trials[2])[:, 0].tolist() == [0, 1, 1, 0, 0, 1]


def test_a_trial_can_yield_its_own_step_and_another_block_does_not_lift_it():
    """0, 2 and 5 tell their step by themselves. A mean that another block has does not lift the trials of this one."""
    alone = np.array([0, 2, 5, 2, 0])[:, None]
    z = ((alone - 1.2) / 0.9).astype(np.float32)
    assert zscore.undo([z], np.zeros(1, int)).counts.tolist() == alone.tolist()
    counts = np.array([0, 1, 2, 3])[:, None]
    scored = [((counts - mean) / 0.9).astype(np.float32) for mean in (1.2, 3.2)]
    assert zscore.undo(scored, np.array([0, 1])).counts[:, 0].tolist() == [0, 1, 2, 3] * 2


def test_constant_channels_and_values_on_no_lattice_are_counted_in_the_notes():
    trials = [((np.array(n)[:, None] - 1) / 0.7).astype(np.float32) for n in ([0, 1, 2, 1], [1, 1, 1, 1])]
    undone = zscore.undo(trials, np.zeros(2, int))
    assert undone.counts[:, 0].tolist() == [0, 1, 2, 1, 1, 1, 1, 1]
    assert (undone.constant, undone.lifted) == (1, 1)
    assert not zscore.undo([np.full((2, 1), 2, np.float32)], np.zeros(1, int)).counts.any()
    noise = np.random.default_rng(0).normal(size=(50, 1)).astype(np.float32)
    assert zscore.undo([noise], np.zeros(1, int)).off_lattice == 1


def test_the_command_builds_the_train_and_val_files_of_a_day(script, tmp_path):
    """Train and val of a day (no test); 256 of 512 columns; a dead channel; counts above 20 and above 255."""
    rng = np.random.default_rng(0)
    expected, scores = {}, {}
    for name in ("data_train", "data_val"):
        counts, scored = simulate(0.7, n_trials=5, n_channels=256, seed=len(name))
        low, step = scored[1][:, 3].min(), np.diff(np.unique(scored[1][:, 3])).min()
        for at, n in [(10, 30), (20, 300)]:
            scored[1][at, 3], counts[1][at, 3] = low + n * step, n
        for z, n in zip(scored, counts, strict=True):
            z[:, 5], n[:, 5] = np.nan, 0
        write_trials(tmp_path / "raw" / "t15.2023.08.11" / f"{name}.hdf5", scored, rng.integers(2, 4, 5).cumsum())
        expected[name], scores[name] = np.concatenate(counts), scored
    rows, said = build(script, tmp_path, "card")
    assert [row.subject_id for row in rows] == ["T15"] * 2
    assert [row.session_id for row in rows] == ["t15.2023.08.11_data_train", "t15.2023.08.11_data_val"]
    for row, counts in zip(rows, expected.values(), strict=True):
        assert (row.counts == np.minimum(counts.T, 255)).mean() > 0.999
        assert (row.counts[3] == np.minimum(counts[:, 3], 255)).all()
        assert not row.counts[5].any()
    assert "1 of 45 published sessions built" in said  # a day; two files
    assert "45 spikes above 255 in a bin left out: the bin stays at 255" in said
    assert "are constant, or no numbers" in said
    rows, _ = build(script, tmp_path, "card", "--as_published")
    for row, scored in zip(rows, scores.values(), strict=True):
        for channel in (0, 3, 5, 255):
            theirs = [n for z in scored for n in ([0] * len(z) if channel == 5 else published(z[:, channel]))]
            assert row.counts[channel].tolist() == theirs
        assert row.counts[3].max() == 20
    rows, _ = build(script, tmp_path, "card", "--bin_size", "0.04")
    for row, counts in zip(rows, expected.values(), strict=True):
        wide = counts[: len(counts) // 2 * 2].reshape(-1, 2, 256).sum(axis=1)
        assert (row.counts == np.minimum(wide.T, 255)).mean() > 0.999
