"""wojcik: counts that are derived from rates, each trial by itself, and the files of a session that hold rates."""

import itertools
import json
import math
import runpy

import numpy as np
import pytest
from helpers import ROOT
from helpers.data_files import save_rates
from helpers.data_sets import build, read
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.spikes.session import Options

SCRIPT = runpy.run_path(str(ROOT / "data" / "wojcik" / "preprocess.py"))


def read_rates(path, **options):
    return SCRIPT["read"](path, Options(own_bin=0.001, **options))


def build_folder(script, data_dir, out_dir, *options):
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
    trials = read_rates(path).counts.reshape(4, 1000, 5).sum(axis=2)
    assert (np.abs(trials.sum(axis=1) - 200) < 5 * np.sqrt(1000 * 0.2 * 0.8)).all()
    assert np.abs(np.corrcoef(trials) - np.eye(4)).max() < 0.2
    elsewhere = read_rates(save_rates(tmp_path / "M1" / "b.npy", np.full((1000, 4, 100), 2.0)))
    assert (elsewhere.counts != read_rates(path).counts).any()


def test_poisson_counts_have_the_mean_and_variance_of_a_poisson_process(tmp_path):
    path = save_rates(tmp_path / "M2" / "a.npy", np.full((400, 3, 1000), 30.0))
    counts = read_rates(path, poisson=1).counts
    n = counts[0].size  # 20,000 bins of 0.6 expected spikes
    assert (np.abs(counts.mean(axis=1) - 0.6) < 5 * np.sqrt(0.6 / n)).all()
    assert (np.abs(counts.var(axis=1) / 0.6 - 1) < 0.08).all()
    assert (read_rates(path).counts.var(axis=1) < 0.5 * 0.6).all()  # of the integral: much less
    assert (read_rates(path, poisson=2).counts != counts).any()


def test_poisson_counts_depend_on_seed_and_names_only(script, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("M1/a", "M1/b", "M2/a"):
        save_rates(tmp_path / "raw" / f"{name}.npy", rng.gamma(0.5, 30, (4, 3, 200)))
    first = build_folder(script, tmp_path / "raw", tmp_path / "1", "--poisson", 0)
    again = build_folder(script, tmp_path / "raw", tmp_path / "2", "--poisson", 0, "--jobs", 2)
    (tmp_path / "raw" / "M1" / "a.npy").unlink()
    fewer = build_folder(script, tmp_path / "raw", tmp_path / "3", "--poisson", 0)
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
        build_folder(script, tmp_path / "raw", tmp_path / str(i), *options)
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
        read_rates(path, as_published=as_published)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -5.0])
def test_a_rate_that_is_missing_or_negative_is_refused_but_as_published_it_is_not(tmp_path, wrong):
    rates = np.full((1, 2, 40), 100.0)
    rates[0, 1, 30] = wrong
    path = save_rates(tmp_path / "M1" / "a.npy", rates)
    with pytest.raises(BadInput, match="unit 1: expected firing rates from 0 to 100,000 Hz, found"):
        read_rates(path)
    assert read_rates(path, as_published=True).counts[0].tolist() == [2, 2]


def test_files_without_rates_are_no_sessions_and_damaged_ones_are_reported(script, tmp_path):
    """Members are chosen by content: three dimensions, floating point."""
    folder = tmp_path / "raw" / "m1_ses1"
    save_rates(folder / "anything.npy", np.full((2, 3, 100), 9.0))
    np.save(folder / "meta.npy", np.ones(5))
    np.save(folder / "cell_loc.npy", np.ones((3, 2)))
    np.save(folder / "labels.npy", np.ones((2, 3, 4), int))
    np.save(folder / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    rows = build_folder(script, tmp_path / "raw", tmp_path / "out")
    assert [(row.subject_id, row.session_id) for row in rows] == [("M1", "anything")]
    (folder / "empty.npy").touch()
    save_rates(tmp_path / "raw" / "other" / "a.npy", np.full((2, 3, 100), 9.0))
    done = script("data/wojcik/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", tmp_path / "x")
    assert done.returncode == 1
    assert "empty.npy: expected" in done.stderr
    assert "other/a.npy: expected a file or folder named after m1, m2" in done.stderr
    assert "Traceback" not in done.stderr


PUBLISHED = Options(as_published=True)


def test_the_command_counts_each_trial_to_within_one_spike_of_its_integral(script, tmp_path):
    """Trials of 3500 samples and of others; ours integrates to within one spike, the published counts round up."""
    rng = np.random.default_rng(0)
    expected = {}
    for folder, length in {"m1_ses18": 3500, "M2": 187}.items():
        rates = rng.gamma(0.3, 10, (5, 6, length))
        rates[:, 5] = 0
        save_rates(tmp_path / "raw" / folder / f"{folder}_Spikes_preprocessed.npy", rates)
        save_rates(tmp_path / "raw" / folder / f"{folder}_meta.npy", np.ones(5))
        expected[folder] = rates
    published, _ = build(script, tmp_path, "wojcik", "--as_published")
    rows, _ = build(script, tmp_path, "wojcik")
    assert [row.subject_id for row in rows] == ["M2", "M1"]  # in the order of the paths
    for row, theirs, folder in zip(rows, published, ["M2", "m1_ses18"], strict=True):
        rates = expected[folder]
        assert row.session_id == f"{folder}_Spikes_preprocessed"
        n_bins = rates.shape[2] // 20
        assert row.counts.shape == theirs.counts.shape == (6, 5 * n_bins)
        for unit, trial in itertools.product(range(6), range(5)):
            integral = spikes = 0  # each trial by itself
            for b in range(n_bins):
                part = rates[trial, unit, 20 * b : 20 * b + 20]
                integral += math.fsum(part) / 1000
                spikes += int(row.counts[unit, trial * n_bins + b])
                assert abs(spikes - integral) < 1 + 1e-9
                assert theirs.counts[unit, trial * n_bins + b] == math.ceil(0.02 * part.mean())
        assert theirs.counts[:5].mean() > 2 * row.counts[:5].mean()
        assert not row.counts[5].any()


def test_the_published_bin_is_20_ms_whatever_the_option(tmp_path):
    """55 Hz for 40 ms are 2.2 spikes; published, 0.02 s are taken whatever the bin is: 1.1, rounded up."""
    path = save_rates(tmp_path / "M1" / "a.npy", np.full((1, 1, 400), 55.0))
    ours = read("wojcik", path, Options(bin_size=0.04)).counts[0]
    assert set(ours.tolist()) == {2, 3}
    assert (np.abs(np.cumsum(ours, dtype=int) - 2.2 * np.arange(1, 11)) < 1).all()
    assert read("wojcik", path, Options(bin_size=0.04, as_published=True)).counts[0].tolist() == [2] * 10


def test_sums_are_in_double_precision_and_counts_above_255_are_reported(tmp_path):
    """Sums in double precision; more than 255 stays at 255 and is told, where the published count wraps."""
    rates = np.full((300, 1, 3500), 12.34, np.float32)
    counts = read("wojcik", save_rates(tmp_path / "M1" / "a.npy", rates)).counts.reshape(300, 175)
    running = float(np.float32(12.34)) * 0.02 * np.arange(1, 176)
    assert (np.abs(counts.cumsum(axis=1, dtype=int) - running) < 1 + 1e-9).all()
    path = save_rates(tmp_path / "M1" / "b.npy", np.array([[[12_850.0] * 20 + [0.0] * 20]]))
    session = read("wojcik", path)
    assert session.counts.tolist() == [[255, 0]]
    assert session.notes == ["1 bin above 255 kept at 255"]
    path = save_rates(tmp_path / "M1" / "c.npy", np.array([[[12_850.0] * 20 + [np.inf] * 20]]))
    session = read("wojcik", path, PUBLISHED)
    assert session.counts.tolist() == [[257 % 256, 0]]
    assert session.notes == ["1 bin without a rate counted as 0"]


@pytest.mark.parametrize(
    ("place", "subject"),
    [
        ("m1_ses18/x.npy", "M1"),
        ("M2/x.npy", "M2"),
        ("m2_ses11/inner/x.npy", "M2"),
        ("some/Wil20201104_Spikes_preprocessed.npy", "M2"),
        ("m1_ses1/Wom20200910_Spikes_preprocessed.npy", "M1"),
        ("william/a/b/c/x.npy", None),  # a user's home is no monkey
        ("m1/a/M2/x.npy", "M2"),  # the nearest
        ("M1/Wil20201104.npy", None),  # they contradict each other
        ("m10/x.npy", None),
    ],
)
def test_the_subject_is_the_nearest_name_in_the_path(tmp_path, place, subject):
    path = save_rates(tmp_path / place, np.ones((1, 1, 40)))
    if subject:
        assert read("wojcik", path).subject_id == subject
    else:
        with pytest.raises(BadInput, match="after m1, m2"):
            read("wojcik", path)
