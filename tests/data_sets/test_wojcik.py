"""wojcik: counts that are derived from rates, each trial by itself, and the files of a session that hold rates."""

import json
import runpy

import numpy as np
import pytest
from helpers import ROOT
from helpers.data_files import save_rates
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.spikes.session import Options

SCRIPT = runpy.run_path(str(ROOT / "data" / "wojcik" / "preprocess.py"))
OPTIONS = Options(own_bin=0.001)


def read(path, **options):
    return SCRIPT["read"](path, Options(own_bin=0.001, **options))


def build(script, data_dir, out_dir, *options):
    done = script("data/wojcik/preprocess.py", "--data_dir", data_dir, "--out_dir", out_dir, *options)
    assert done.returncode == 0, done.stderr
    return list(open_data_set(str(out_dir)))


@given(arrays(np.float64, (3, 20), elements=st.floats(0, 5)), st.text(max_size=5))
def test_counts_follow_the_integral_of_each_trial_to_within_one_spike(expected, name):
    counts = SCRIPT["steps_of_integral"](expected, name)
    assert (counts >= 0).all()
    assert (counts == np.rint(counts)).all()
    assert (np.abs(counts.cumsum(axis=1) - expected.cumsum(axis=1)) < 1 + 1e-9).all()


@given(st.integers(1, 6))
def test_a_trial_does_not_depend_on_those_around_it(kept):
    expected = np.random.default_rng(0).gamma(0.5, 0.3, (6, 50))
    whole = SCRIPT["steps_of_integral"](expected, "M1/a/0")
    changed = expected.copy()
    changed[kept:] = 7.7
    assert (SCRIPT["steps_of_integral"](changed[: kept + 1], "M1/a/0")[:kept] == whole[:kept]).all()


def test_the_mean_over_trials_is_the_rate_in_every_bin():
    """7 Hz and 0.3 Hz in 4,000 trials: no bin differs from the expected count by 5 standard errors."""
    for hertz in (7.0, 0.3):
        expected = np.full((4000, 25), hertz * 0.02)
        counts = SCRIPT["steps_of_integral"](expected, "M1/a/0")
        p = hertz * 0.02
        assert (np.abs(counts.mean(axis=0) - p) < 5 * np.sqrt(p * (1 - p) / 4000)).all()


def test_a_unit_of_low_rate_is_not_silent_and_units_do_not_spike_together(tmp_path):
    """0.2 spikes in each of 1,000 trials: about 200 spikes in every unit, at other trials in each."""
    path = save_rates(tmp_path / "M1" / "a.npy", np.full((1000, 4, 100), 2.0))
    trials = read(path).counts.reshape(4, 1000, 5).sum(axis=2)
    assert (np.abs(trials.sum(axis=1) - 200) < 5 * np.sqrt(1000 * 0.2 * 0.8)).all()
    assert np.abs(np.corrcoef(trials) - np.eye(4)).max() < 0.2
    elsewhere = read(save_rates(tmp_path / "M1" / "b.npy", np.full((1000, 4, 100), 2.0)))
    assert (elsewhere.counts != read(path).counts).any()


def test_poisson_counts_have_the_mean_and_variance_of_a_poisson_process(tmp_path):
    path = save_rates(tmp_path / "M2" / "a.npy", np.full((400, 3, 1000), 30.0))
    counts = read(path, poisson=1).counts
    n = counts[0].size  # 20,000 bins of 0.6 expected spikes
    assert (np.abs(counts.mean(axis=1) - 0.6) < 5 * np.sqrt(0.6 / n)).all()
    assert (np.abs(counts.var(axis=1) / 0.6 - 1) < 0.08).all()
    assert (read(path).counts.var(axis=1) < 0.5 * 0.6).all()  # of the integral: much less
    assert (read(path, poisson=2).counts != counts).any()


def test_poisson_counts_depend_on_seed_and_names_only(script, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("M1/a", "M1/b", "M2/a"):
        save_rates(tmp_path / "raw" / f"{name}.npy", rng.gamma(0.5, 30, (4, 3, 200)))
    first = build(script, tmp_path / "raw", tmp_path / "1", "--poisson", 0)
    again = build(script, tmp_path / "raw", tmp_path / "2", "--poisson", 0, "--jobs", 2)
    (tmp_path / "raw" / "M1" / "a.npy").unlink()
    fewer = build(script, tmp_path / "raw", tmp_path / "3", "--poisson", 0)
    assert all((a.counts == b.counts).all() for a, b in zip(first, again, strict=True))
    assert all((a.counts == b.counts).all() for a, b in zip(first[1:], fewer, strict=True))
    facts = json.loads((tmp_path / "1" / "report.json").read_text())["sessions"][0]["facts"]
    assert facts["derived"] == "counts are derived from smoothed rates: Poisson counts, --poisson 0"


def test_poisson_is_not_as_published(script, tmp_path):
    done = script("data/wojcik/preprocess.py", "--as_published", "--poisson", 0)
    assert done.returncode == 2
    assert "found --poisson" in done.stderr


def test_the_report_states_for_every_session_that_counts_are_derived_from_rates(script, tmp_path):
    save_rates(tmp_path / "raw" / "M1" / "a.npy", np.full((2, 3, 100), 9.0))
    save_rates(tmp_path / "raw" / "M2" / "b.npy", np.full((2, 3, 100), 9.0))
    for i, options in enumerate(([], ["--as_published"])):
        build(script, tmp_path / "raw", tmp_path / str(i), *options)
        sessions = json.loads((tmp_path / str(i) / "report.json").read_text())["sessions"]
        assert len(sessions) == 2
        assert all("derived from smoothed rates" in session["facts"]["derived"] for session in sessions)


@pytest.mark.parametrize("wrong", [1e300, -1e300, 200_000.0])
@pytest.mark.parametrize("as_published", [False, True])
def test_a_rate_that_no_unit_has_is_refused(tmp_path, wrong, as_published):
    rates = np.full((2, 3, 100), 9.0)
    rates[1, 2, 33] = wrong
    path = save_rates(tmp_path / "M1" / "a.npy", rates)
    with pytest.raises(BadInput, match="unit 2: expected firing rates from 0 to 100,000 Hz, found"):
        read(path, as_published=as_published)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -5.0])
def test_a_rate_that_is_missing_or_negative_is_refused_but_as_published_it_is_not(tmp_path, wrong):
    rates = np.full((1, 2, 40), 100.0)
    rates[0, 1, 30] = wrong
    path = save_rates(tmp_path / "M1" / "a.npy", rates)
    with pytest.raises(BadInput, match="unit 1: expected firing rates from 0 to 100,000 Hz, found"):
        read(path)
    assert read(path, as_published=True).counts[0].tolist() == [2, 2]


def test_files_without_rates_are_no_sessions_and_damaged_ones_are_reported(script, tmp_path):
    """Members are chosen by content: three dimensions, floating point."""
    folder = tmp_path / "raw" / "m1_ses1"
    save_rates(folder / "anything.npy", np.full((2, 3, 100), 9.0))
    np.save(folder / "meta.npy", np.ones(5))
    np.save(folder / "cell_loc.npy", np.ones((3, 2)))
    np.save(folder / "labels.npy", np.ones((2, 3, 4), int))
    np.save(folder / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    rows = build(script, tmp_path / "raw", tmp_path / "out")
    assert [(row.subject_id, row.session_id) for row in rows] == [("M1", "anything")]
    (folder / "empty.npy").touch()
    save_rates(tmp_path / "raw" / "other" / "a.npy", np.full((2, 3, 100), 9.0))
    done = script("data/wojcik/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", tmp_path / "x")
    assert done.returncode == 1
    assert "empty.npy: expected" in done.stderr
    assert "other/a.npy: expected a file or folder named after m1, m2" in done.stderr
    assert "Traceback" not in done.stderr
