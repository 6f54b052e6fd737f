"""The data sets that come as NWB files, on miniatures of their layout: files, rows, oddities and options of each.

What the rows must be is worked out here from what the miniature was made of, with numpy.histogram and plain sums.
"""

import json
import re
import runpy
import sys

import numpy as np
import pytest
from helpers import ROOT
from helpers.nwb_miniatures import (
    BURST,
    CLOCKS,
    DROPOUTS,
    EC_LABELS,
    IS_SUA,
    MOORE_QUALITY,
    OBSERVED,
    PPC_LABELS,
    SILENT,
    WARNING,
    WRITERS,
    churchland_spikes,
)
from hypothesis import given
from hypothesis import strategies as st

from neuralpile import catalog
from neuralpile.corpus import rows
from neuralpile.open import open_data_set
from neuralpile.spikes import binning, clock_restarts, session

BIN = 0.02
BINNED = ("xiao", "temmar", "h2", "athalye")


def fine_bins(name, path):
    """How many bins of the file make one of 20 ms, where it comes binned."""
    return {"xiao": 20, "athalye": 4 if "monk-j" in path.name else 1}.get(name, 1)


def counted(trains, as_published=False):
    """Histograms (units, bins) of spike trains with the published edges, not yet bytes."""
    last = max(np.max(train, initial=0) for train in trains)
    edges = np.arange(0, last + BIN, BIN)
    if not as_published:
        edges[-1] = max(edges[-1], last)
    return np.stack([np.histogram(train, edges)[0] for train in trains])


def expected_counts(name, path, content, as_published=False):
    """Counts (units, bins) of a miniature's session, not yet bytes."""
    if name not in BINNED:
        return counted(content, as_published)
    n = fine_bins(name, path)
    return np.stack([content[i : i + n].sum(axis=0, dtype=int) for i in range(0, len(content) - n + 1, n)], axis=1)


@pytest.fixture
def here(monkeypatch, capsys, tmp_path):
    """Run a data set's script in this process with the given command line; its rows, and what it said."""

    def run(name, *options):
        out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        path = f"data/{name}/preprocess.py"
        argv = [path, "--data_dir", tmp_path / "raw", "--out_dir", out, *options]
        monkeypatch.setattr(sys, "argv", [str(word) for word in argv])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / path), run_name="__main__")
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return list(open_data_set(str(out))) if "--help" not in options else [], said.out

    return run


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "raw"


@pytest.mark.parametrize("name", WRITERS)
def test_rows(name, script, raw, tmp_path):
    """Exactly the session files, in the order of their paths, each a row; a bin stays at 255; a silent unit is kept."""
    sessions = WRITERS[name](raw)
    done = script(f"data/{name}/preprocess.py", "--data_dir", raw)
    assert done.returncode == 0, done.stderr
    built = list(open_data_set(str(tmp_path / "build" / name)))
    assert len(built) == len(sessions)
    for row, (path, content) in zip(built, sessions.items(), strict=True):
        assert (row.subject_id, row.session_id, row.segment_id) == (path.parent.name, path.stem, "segment_0")
        expected = expected_counts(name, path, content)
        assert row.counts.shape == expected.shape
        assert (row.counts == expected.clip(max=255)).all()
        if name not in BINNED:
            assert not row.counts[SILENT].any()
        if (above := expected[expected > 255] - 255).size:
            assert f"{above.sum()} spikes above 255 in a bin left out" in done.stdout
    assert done.stdout.count("spikes above 255") == (1 if name == "athalye" else len(sessions))
    data_set = catalog.load(name)
    assert {row.subject_id for row in built} <= set(data_set.subject_ids)
    report = json.loads((tmp_path / "build" / name / "report.json").read_text())
    assert report["failed"] == {}


@pytest.mark.parametrize("name", WRITERS)
def test_as_published(name, here, raw):
    """Bytes wrap. (A sum of monkey J's above 255 ended the published build: there is no published value.)"""
    sessions = WRITERS[name](raw)
    built, _ = here(name, "--as_published")
    for row, (path, content) in zip(built, sessions.items(), strict=True):
        expected = expected_counts(name, path, content, as_published=True)
        assert expected.max() > 255 or "monk-g" in path.name
        assert (row.counts == expected % 256).all()


OPTIONS = {
    **{name: {"trim"} for name in WRITERS},
    "neupane-ppc": {"trim", "min_quality"},
    "neupane-entorhinal": {"trim", "min_quality"},
    "kim": {"trim", "min_quality"},
    "churchland": {"trim", "epochs"},
    "moore": {"trim", "min_quality", "mask_unobserved"},
    "m1-a": {"trim", "drop_duplicates", "mask_unobserved"},
    "m1-b": {"trim", "drop_duplicates", "mask_unobserved"},
    "m2": {"trim", "drop_duplicates", "mask_unobserved"},
    "h1": {"trim", "drop_duplicates"},
    "h2": {"trim", "drop_duplicates"},
    "dmfc-rsg": {"trim", "mask_unobserved"},
    "area2-bump": {"trim", "mask_unobserved"},
}


@pytest.mark.parametrize("name", WRITERS)
def test_options_are_those_of_the_readme(name, here):
    _, text = here(name, "--help")
    changing_the_shape = {"trim", "min_quality", "mask_unobserved", "drop_duplicates", "epochs"}
    assert changing_the_shape & set(re.findall(r"--(\w+)", text)) == OPTIONS[name]
    readme = (ROOT / "data" / name / "README.md").read_text(encoding="utf-8")
    described = readme.partition("## Options")[2].partition("##")[0]
    assert changing_the_shape & set(re.findall(r"--(\w+)", described)) == OPTIONS[name]


@pytest.mark.parametrize("name", WRITERS)
def test_readme_names_the_commands_and_the_version(name):
    """Which files download.py and --stream select is tested with the archive's listings, in test_catalog."""
    data_set = catalog.load(name)
    readme = (ROOT / "data" / name / "README.md").read_text(encoding="utf-8")
    assert f"python data/{name}/download.py\n    python data/{name}/preprocess.py" in readme
    assert f"{data_set.id}/{data_set.version}" in readme


@pytest.mark.parametrize("name", WRITERS)
def test_readme_says_where_sessions_are_cut(name):
    """A row is a whole file only where files, those that repeat others aside, are far below the limit on average."""
    data_set = catalog.load(name)
    readme = " ".join((ROOT / "data" / name / "README.md").read_text(encoding="utf-8").split())
    n_large = data_set.sessions // 3 * 2 if data_set.duplicates else data_set.sessions
    if data_set.tokens / n_large > session.TOKEN_COUNT_LIMIT / 2:
        assert "A row is a file;" not in readme
        assert "10 million tokens" in readme


@pytest.mark.parametrize("name", ["kim", "xiao", "h2"])
def test_trim(name, here, raw):
    """Kim's second block begins 80 s late on the clock of its penetration."""
    sessions = WRITERS[name](raw)
    built, _ = here(name, "--trim")
    for row, (path, content) in zip(built, sessions.items(), strict=True):
        expected = expected_counts(name, path, content).clip(max=255)
        first, *_, last = np.flatnonzero(expected.sum(axis=0))
        assert (row.counts == expected[:, first : last + 1]).all()
    if name == "kim":
        assert expected.shape[1] > 4_000
        assert row.counts.shape[1] <= 201


@pytest.mark.parametrize("name", ["m1-a", "m1-b", "h1", "h2", "m2"])
def test_drop_duplicates(name, here, raw):
    """The minival file holds what its calib file begins with: with the option it is left out, and nothing else."""
    WRITERS[name](raw)
    every, _ = here(name)
    calib, minival, other = every
    n = minival.counts.shape[1] - 1  # the last bin ends with the last spike
    assert (calib.counts[:, :n] == minival.counts[:, :n]).all()
    kept, _ = here(name, "--drop_duplicates")
    assert [row[1:] for row in kept] == [calib[1:], other[1:]]
    assert (kept[0].counts == calib.counts).all()
    assert (kept[1].counts == other.counts).all()


QUALITIES = [
    ("neupane-ppc", "mua", PPC_LABELS, {"mua", "good"}),
    ("neupane-ppc", "good", PPC_LABELS, {"good"}),
    ("neupane-entorhinal", "noise", EC_LABELS, {"noise", "mua", "good"}),
    ("neupane-entorhinal", "mua", EC_LABELS, {"mua", "good"}),
    ("neupane-entorhinal", "good", EC_LABELS, {"good"}),
    ("kim", "0", IS_SUA, {0, 1}),
    ("kim", "1", IS_SUA, {1}),
    ("moore", "mua", MOORE_QUALITY, {"mua", "good"}),
    ("moore", "good", MOORE_QUALITY, {"good"}),
]


@pytest.mark.parametrize(("name", "lowest", "labels", "good"), QUALITIES)
def test_min_quality(name, lowest, labels, good, here, raw):
    """Units of lower quality are left out; the session still ends with the last spike of any unit."""
    sessions = WRITERS[name](raw)
    built, said = here(name, "--min_quality", lowest)
    for row, (path, trains) in zip(built, sessions.items(), strict=True):
        kept = [unit for unit in range(len(trains)) if labels[unit] in good]
        expected = expected_counts(name, path, trains).clip(max=255)
        assert (row.counts == expected[kept]).all()
        assert f"{len(trains) - len(kept)} of {len(trains)} units below {lowest} left out" in said


def milliseconds(intervals):
    """The whole milliseconds that lie in intervals of seconds."""
    return {ms for start, stop in intervals for ms in range(round(start * 1000), round(stop * 1000))}


MASKED = ["moore", "dmfc-rsg", "area2-bump", "m1-a", "m1-b", "m2"]


@pytest.mark.parametrize("name", MASKED)
def test_mask_unobserved(name, here, raw):
    """A bin is kept where each of its 20 ms was observed."""
    sessions = WRITERS[name](raw)
    built, said = here(name, "--mask_unobserved")
    for row, (path, trains) in zip(built, sessions.items(), strict=True):
        expected = expected_counts(name, path, trains).clip(max=255)
        n_bins = expected.shape[1]
        if name == "moore":
            observed = set(range(20 * n_bins)) - milliseconds(DROPOUTS)
        elif name in ("dmfc-rsg", "area2-bump"):
            observed = milliseconds(OBSERVED)
        else:
            observed = milliseconds([(0.4, 0.8 if "minival" in path.name else 3.8)])
        kept = [b for b in range(n_bins) if observed.issuperset(range(20 * b, 20 * b + 20))]
        assert 0 < len(kept) < n_bins
        assert (row.counts == expected[:, kept]).all()
        assert f"{n_bins - len(kept)} of {n_bins} bins not observed, cut out" in said


def test_churchland_clocks_lie_on_one_another(here, raw):
    """As published, three epochs are added up: the bins of the shorter clocks hold up to three trials."""
    sessions = WRITERS["churchland"](raw)
    built, _ = here("churchland")
    longest = max(stop for clock in CLOCKS for _, stop in clock)
    for row, trains in zip(built, sessions.values(), strict=True):
        assert any((np.diff(train) < 0).any() for train in trains)
        assert row.counts.shape[1] <= np.ceil(longest / BIN)


def test_churchland_epochs(here, raw):
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


def test_perich_warning_is_passed_on(here, raw):
    """The description of some of monkey C's sessions warns; a user must come to know of it."""
    WRITERS["perich"](raw)
    _, said = here("perich")
    assert said.count(WARNING) == 1


def test_athalye_widths(here, raw):
    """Monkey G's bins last 1/60 s, and the report says so; bins of 50 ms are the same for both."""
    sessions = WRITERS["athalye"](raw)
    data_g, data_j = sessions.values()
    built, said = here("athalye")
    assert [row.counts.shape[1] for row in built] == [123, 30]
    assert said.count("bins of 1/60 s, not of 0.02 s") == 1
    built, said = here("athalye", "--bin_size", "0.05")
    assert (built[0].counts == data_g.reshape(41, 3, -1).sum(axis=1).T).all()
    assert (built[1].counts == data_j[:120].reshape(12, 10, -1).sum(axis=1).T.clip(max=255)).all()
    assert "not of" not in said


def test_moore_is_cut_as_published(here, raw):
    """81 units and 378,319 bins: three rows of 94,580 bins, and one of 94,579. A miniature is cut without a loss."""
    whole = np.zeros((81, 378_319), np.uint8)
    for as_published in (False, True):
        lengths = [segment.shape[1] for segment in rows.segments(whole, session.TOKEN_COUNT_LIMIT, as_published)]
        assert lengths == [94_580, 94_580, 94_580, 94_579]
    (trains,) = WRITERS["moore"](raw).values()
    built, _ = here("moore", "--token_count_limit", "500")
    assert [row.segment_id for row in built] == [f"segment_{i}" for i in range(len(built))]
    assert len(built) > 1
    assert max(row.counts.size for row in built) <= 500
    assert (np.concatenate([row.counts for row in built], axis=1) == counted(trains).clip(max=255)).all()


@pytest.mark.parametrize("name", ["neupane-ppc", "chen"])
def test_a_damaged_session_is_not_passed_over(name, script, raw):
    """Raw recordings are no sessions; a session file that cannot be read is reported, not taken for one of them."""
    sessions = list(WRITERS[name](raw))
    sessions[0].write_bytes(sessions[0].read_bytes()[:3000])
    done = script(f"data/{name}/preprocess.py", "--data_dir", raw)
    assert done.returncode == 1
    assert done.stdout.count("NOT BUILT") == 1
    assert f"NOT BUILT: {sessions[0]}" in done.stdout


def test_burst_and_silent_units_are_in_the_miniatures(raw):
    """The tests above would prove less if the writers lost what is odd."""
    for name in set(WRITERS) - set(BINNED):
        for trains in WRITERS[name](raw / name).values():
            assert len(trains[SILENT]) == 0
            assert np.histogram(trains[BURST], np.arange(0, trains[BURST].max() + BIN, BIN))[0].max() > 255


spans = st.lists(st.tuples(st.integers(-50, 1200), st.integers(0, 400)), max_size=8)


@given(spans, st.integers(0, 60), st.sampled_from([1, 7, 20, 50]))
def test_observed_bins(spans, n_bins, bin_ms):
    """A bin is observed just where all its milliseconds are; intervals overlap, touch, are empty, come in any order."""
    observed = {ms for start, length in spans for ms in range(start, start + length)}
    expected = [observed.issuperset(range(b * bin_ms, (b + 1) * bin_ms)) for b in range(n_bins)]
    seconds = np.array([(start / 1000, (start + length) / 1000) for start, length in spans]).reshape(-1, 2)
    assert binning.observed_bins(n_bins, bin_ms / 1000, seconds).tolist() == expected
    # What is not a dropout is observed, from ever and for ever.
    assert binning.observed_bins(n_bins, bin_ms / 1000, np.array([[-np.inf, np.inf]])).all()


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
