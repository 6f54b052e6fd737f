"""Segments and rows: nothing lost, nothing doubled, no segment over the limit."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralpile.corpus import rows
from neuralpile.corpus.rows import Row
from neuralpile.errors import Mismatch

sessions = st.tuples(st.integers(1, 20), st.integers(1, 300), st.integers(0, 500))


@given(sessions)
def test_segments_hold_the_session(session):
    n_units, n_bins, more = session
    limit = n_units + more
    matrix = np.arange(n_units * n_bins).reshape(n_units, n_bins)
    cut = list(rows.segments(matrix, limit))
    assert (np.concatenate(cut, axis=1) == matrix).all()
    assert all(0 < segment.size <= limit for segment in cut)
    assert len({segment.shape[1] for segment in cut[:-1]}) <= 1
    assert cut[-1].shape[1] <= cut[0].shape[1]
    # k is the smallest number of equal cuts that keeps to the limit
    k = next(k for k in range(1, n_bins + 1) if n_units * -(-n_bins // k) <= limit)
    assert len(cut) == k


@given(sessions)
def test_our_cut_is_the_published_one_wherever_that_keeps_to_the_limit(session):
    """k = ceil(tokens / limit) segments of ceil(bins / k) bins; the same as ours wherever that keeps to the limit."""
    n_units, n_bins, more = session
    limit = n_units + more
    matrix = np.zeros((n_units, n_bins), np.uint8)
    k = -(-n_units * n_bins // limit)
    length = -(-n_bins // k)
    published = [segment.shape[1] for segment in rows.segments(matrix, limit, as_published=True)]
    assert published == [min(length, n_bins - start) for start in range(0, n_bins, length)]
    if n_units * length <= limit and (k - 1) * length < n_bins:
        assert [segment.shape[1] for segment in rows.segments(matrix, limit)] == published


def test_moore_is_cut_as_published():
    """81 units × 378,319 bins: 4 segments, 3 × 94,580 and 94,579 bins, in the published corpus."""
    lengths = [segment.shape[1] for segment in rows.segments(np.zeros((81, 378_319), np.uint8), 10_000_000)]
    assert lengths == [94_580, 94_580, 94_580, 94_579]


def test_more_units_than_the_limit():
    with pytest.raises(Mismatch, match="at most 10 units"):
        list(rows.segments(np.zeros((11, 2), np.uint8), 10))


def test_session_without_bins_has_no_segment():
    assert list(rows.segments(np.zeros((4, 0), np.uint8), 10)) == []


@given(st.integers(1, 6), st.integers(1, 40), st.booleans())
def test_row_survives_arrow(n_units, n_bins, merged):
    matrix = np.random.default_rng(n_units * 100 + n_bins).integers(0, 256, (n_units, 3 * n_bins), np.uint8)
    row = Row(matrix[:, n_bins : 2 * n_bins], "sub-A", "ses-1", "segment_0", "x" if merged else None)
    batch = rows.to_record_batch(row)
    assert batch.schema == (rows.MERGED_SCHEMA if merged else rows.SCHEMA)
    assert batch.column("spike_counts").to_pylist() == [row.counts.tolist()]
    back = rows.from_table(pa.Table.from_batches([batch]))
    assert (back.counts == row.counts).all()
    assert back[1:] == row[1:]
    assert not back.counts.flags.owndata


def test_ragged_counts_are_refused():
    schema = rows.SCHEMA
    table = pa.table(
        {"spike_counts": [[[1, 2], [3]]], "subject_id": ["a"], "session_id": ["b"], "segment_id": ["c"]}, schema
    )
    with pytest.raises(Mismatch, match="same number of bins"):
        rows.from_table(table)


def test_digest_tells_rows_apart():
    row = Row(np.arange(6, dtype=np.uint8).reshape(2, 3), "a", "b", "c")
    others = [
        row._replace(counts=row.counts.reshape(3, 2)),
        row._replace(counts=row.counts + 1),
        row._replace(subject_id="x"),
    ]
    digests = [rows.digest([r]) for r in [row, *others]] + [rows.digest([row, row])]
    assert len(set(digests)) == len(digests)
    assert rows.digest([row]) == rows.digest([row._replace(counts=np.asfortranarray(row.counts))])
