"""Windows of what was observed: none has a bin in which nothing was recorded."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from helpers.small_corpora import numbered
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralpile.corpus import arrow, rows, tables
from neuralpile.corpus.rows import Row
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.training import Windows

UNITS = 4
LENGTHS = (100, 60)  # bins of two sessions; the first in segments of 40, 40 and 20
SEGMENTS = [(0, 0, 40), (0, 40, 80), (0, 80, 100), (1, 0, 60)]  # session, and its bins


def write(folder, gaps, bin_size=0.02, segment="segment_{}"):
    """Two sessions, of which the first is three rows, and their tables; `gaps` of each session, or None."""
    matrices = [numbered(UNITS, n_bins, of) for of, n_bins in enumerate(LENGTHS)]
    numbers = Counter()
    made = []
    for session, start, stop in SEGMENTS:
        made.append(Row(matrices[session][:, start:stop], "A", f"{session}", segment.format(numbers[session])))
        numbers[session] += 1
    arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
    sessions = [
        {
            "source_dataset": "x",
            "subject_id": "A",
            "session_id": f"{session}",
            "bin_size": bin_size,
            "n_units": UNITS,
            "n_bins": n_bins,
            "segments": numbers[session],
            "unobserved": of and [{"start": start, "stop": stop} for start, stop in of] if of is not None else None,
        }
        for session, (n_bins, of) in enumerate(zip(LENGTHS, gaps, strict=True))
    ]
    tables.write(folder, pa.Table.from_pylist(sessions, tables.SESSIONS), tables.UNITS.empty_table())
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
    return open_data_set(str(folder))


def bins_of(window):
    """Session, and its bins, of a window."""
    session, start, _ = SEGMENTS[window.row]
    begin = start + window.start
    return session, range(begin, begin + window.counts.shape[1])


@st.composite
def gaps(draw, n_bins):
    edges = sorted(draw(st.sets(st.integers(0, n_bins), max_size=8)))
    return list(zip(edges[::2], edges[1::2], strict=False))


@given(gaps(100), gaps(60), st.integers(1, 30), st.booleans(), st.sampled_from([None, 1, 2]), st.integers(0, 9))
@settings(max_examples=12, deadline=None)
def test_no_window_has_an_unobserved_bin_and_all_others_are_covered(
    tmp_path_factory, first, second, n_bins, jitter, locality, epoch
):
    data_set = write(tmp_path_factory.mktemp("observed") / "x", (first, second))
    seen = [np.ones(n, bool) for n in LENGTHS]
    for of, its in zip(seen, (first, second), strict=True):
        for start, stop in its:
            of[start:stop] = False
    if not any(of.any() for of in seen):
        with pytest.raises(BadInput, match="rows with units and bins"):
            Windows(data_set, n_bins=n_bins, observed=True)
        return
    windows = Windows(data_set, n_bins=n_bins, jitter=jitter, observed=True, locality=locality).epoch(epoch)
    covered = Counter()
    for i in range(len(windows)):
        window = windows[i]
        session, its = bins_of(window)
        assert 0 < len(its) <= n_bins
        assert seen[session][its].all(), "a bin that was not observed"
        assert (window.counts == numbered(UNITS, LENGTHS[session], session)[:, its.start : its.stop]).all()
        covered.update((session, at) for at in its)
    if not jitter:
        assert covered == Counter((session, int(at)) for session in (0, 1) for at in np.flatnonzero(seen[session]))


@given(st.integers(1, 50), st.booleans(), st.integers(0, 5), st.sampled_from([([], []), (None, None), ([], None)]))
@settings(max_examples=8, deadline=None)
def test_where_all_is_observed_or_nothing_is_known_the_windows_are_the_same(
    tmp_path_factory, n_bins, jitter, epoch, known
):
    data_set = write(tmp_path_factory.mktemp("observed") / "x", known)
    some, whole = (Windows(data_set, n_bins=n_bins, jitter=jitter, observed=o).epoch(epoch) for o in (True, False))
    assert len(some) == len(whole)
    found, expected = (each.batch(range(len(each))) for each in (some, whole))
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))


def test_sessions_that_do_not_say_are_counted_in_one_line(tmp_path, capsys):
    Windows(write(tmp_path / "x", ([(3, 9)], None)), n_bins=5, observed=True)
    expected = "observed: 1 of 2 sessions do not say what was not observed; all of their bins count as observed\n"
    assert capsys.readouterr().err == expected
    Windows(write(tmp_path / "y", ([(3, 9)], [])), n_bins=5, observed=True)
    assert capsys.readouterr().err == ""


def test_segments_whose_ids_have_no_number_count_as_the_first(tmp_path):
    windows = Windows(write(tmp_path / "x", ([], [(3, 60)]), segment="part{}"), n_bins=3, observed=True)
    assert {windows[i].start for i in range(len(windows)) if windows[i].row == 3} == {0}


def test_bins_are_summed_within_what_was_observed(tmp_path):
    """By hand: bins 5 to 39 of the first row, in threes: 11 sums, and the last two are left out."""
    data_set = write(tmp_path / "x", ([(0, 5), (40, 100)], [(0, 60)]))
    windows = Windows(data_set, n_bins=100, bin_size=0.06, observed=True, shuffle=False, jitter=False)
    assert len(windows) == 1
    assert windows[0].start == 5
    whole = numbered(UNITS, 100, 0)[:, 5:38].astype(int)
    assert windows[0].counts.tolist() == whole.reshape(UNITS, 11, 3).sum(axis=2).tolist()


def test_places_jitter_over_all_that_was_observed(tmp_path):
    data_set = write(tmp_path / "x", ([(10, 20), (40, 100)], [(0, 60)]))
    windows = Windows(data_set, n_bins=8, observed=True)
    starts = {windows.epoch(k)[i].start for k in range(80) for i in range(len(windows))}
    assert starts == {*range(3), *range(20, 33)}
