"""What the data sets that come as NWB files share: rows, options and README of each, on miniatures of their layout.

What the rows must be is worked out here from what the miniature was made of, with numpy.histogram and plain sums.
"""

import json
import re

import numpy as np
import pytest
from helpers import ROOT
from helpers.nwb_miniatures import (
    BIN,
    BINNED,
    BURST,
    DROPOUTS,
    EC_LABELS,
    IS_SUA,
    MOORE_QUALITY,
    OBSERVED,
    PPC_LABELS,
    SILENT,
    WRITERS,
    expected_counts,
)
from hypothesis import given
from hypothesis import strategies as st

from neuralpile import catalog
from neuralpile.open import open_data_set
from neuralpile.spikes import binning, session


@pytest.mark.parametrize("name", WRITERS)
def test_every_session_file_is_a_row_in_the_order_of_the_paths(name, script, raw, tmp_path):
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
def test_published_counts_wrap_at_256(name, here, raw):
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
def test_bins_before_the_first_and_after_the_last_spike_are_left_out_with_trim(name, here, raw):
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
def test_minival_files_are_left_out_with_drop_duplicates(name, here, raw):
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
def test_units_of_lower_quality_are_left_out_with_min_quality(name, lowest, labels, good, here, raw):
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
def test_only_bins_observed_throughout_are_kept_with_mask_unobserved(name, here, raw):
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
def test_a_bin_is_observed_where_all_its_milliseconds_are(spans, n_bins, bin_ms):
    """A bin is observed just where all its milliseconds are; intervals overlap, touch, are empty, come in any order."""
    observed = {ms for start, length in spans for ms in range(start, start + length)}
    expected = [observed.issuperset(range(b * bin_ms, (b + 1) * bin_ms)) for b in range(n_bins)]
    seconds = np.array([(start / 1000, (start + length) / 1000) for start, length in spans]).reshape(-1, 2)
    assert binning.observed_bins(n_bins, bin_ms / 1000, seconds).tolist() == expected
    # What is not a dropout is observed, from ever and for ever.
    assert binning.observed_bins(n_bins, bin_ms / 1000, np.array([[-np.inf, np.inf]])).all()
