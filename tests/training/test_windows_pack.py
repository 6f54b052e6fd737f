"""Windows of whole populations, packed into batches of at most so many slots."""

import copy
import re
from collections import Counter

import numpy as np
import pytest
from helpers.small_corpora import numbered, write_rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.training import Stream, Windows

SHAPES = [(3, 40), (4, 25), (1, 9), (15, 130), (12, 60), (40, 33), (13, 50), (39, 70)]


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    matrices = [numbered(*shape, of) for of, shape in enumerate(SHAPES)]
    return write_rows_of(tmp_path_factory.mktemp("rows") / "x", matrices)


def identities(batch):
    return [(int(row), int(start)) for row, start in zip(batch.rows, batch.starts, strict=True)]


def epoch_of(windows, k=0):
    return [windows.packed(k * windows.n_packed + i) for i in range(windows.n_packed)]


@given(st.integers(40, 300), st.integers(1, 50), st.integers(0, 99), st.booleans(), st.booleans())
@settings(max_examples=15, deadline=None)
def test_packed_batches_have_every_window_of_an_epoch_once_and_no_more_slots(
    data_set, pack, n_bins, seed, shuffle, jitter
):
    windows = Windows(data_set, n_bins=n_bins, pack=pack, seed=seed, shuffle=shuffle, jitter=jitter)
    for k in (0, 3):
        found = Counter()
        for batch in epoch_of(windows, k):
            n, units, bins = batch.counts.shape
            assert n * units <= pack, "more slots than there are"
            assert bins == n_bins
            held = batch.mask.sum(axis=1)
            assert held.tolist() == [SHAPES[row][0] for row in batch.rows], "a part of a population"
            assert held.min() >= 0.8 * units, "populations that are not similar"
            for i, (row, start) in enumerate(identities(batch)):
                whole = data_set.row(row).counts[:, start : start + n_bins]
                assert (batch.counts[i, : held[i], : whole.shape[1]] == whole).all()
            found.update(identities(batch))
        epoch = windows.epoch(k)
        assert found == Counter((epoch[i].row, epoch[i].start) for i in range(len(epoch)))


@given(st.integers(40, 200), st.integers(1, 4), st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_processes_share_packed_batches_and_a_run_resumes_from_its_step(data_set, pack, world, resumed):
    windows = Windows(data_set, n_bins=8, pack=pack)
    n = windows.n_packed
    streams = [Stream(windows, rank=rank, world=world, steps=n) for rank in range(world)]
    found = [[identities(batch) for batch in stream] for stream in streams]
    # `world` epochs of n batches, dealt out in turn
    in_turn = [found[i % world][i // world] for i in range(world * n)]
    assert in_turn == [identities(batch) for k in range(world) for batch in epoch_of(windows, k)]
    stream = Stream(copy.deepcopy(windows), rank=world - 1, world=world)
    stream.load_state_dict({"step": resumed})
    expected = windows.packed(resumed * world + world - 1)
    assert (next(iter(stream)).counts == expected.counts).all()
    assert stream.state_dict()["step"] == resumed + 1


def test_the_order_of_packed_batches_and_what_is_in_them_change_with_epoch_and_seed(data_set):
    orders = [
        [identities(batch) for batch in epoch_of(Windows(data_set, n_bins=8, pack=60, seed=seed), k)]
        for seed, k in ((0, 0), (0, 1), (1, 0))
    ]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    units = [[SHAPES[row][0] for row, _ in batch] for batch in orders[0]]
    assert [max(batch) for batch in units] != sorted(max(batch) for batch in units), "sorted by units"
    # Rows of 12, 13 and 15 units are in one bucket: windows of several are in one batch
    assert any(len(set(batch)) > 1 for batch in units)


def test_the_share_of_padding_is_counted_and_smaller_than_without_packing(data_set, capsys):
    windows = Windows(data_set, n_bins=8, pack=80)
    batches = epoch_of(windows)
    slots = sum(batch.mask.size for batch in batches)
    share = 1 - sum(int(batch.mask.sum()) for batch in batches) / slots
    assert windows.padding() == pytest.approx(share)
    assert re.search(rf"packed in {len(batches)} batches, {share:.1%} padding", capsys.readouterr().err)
    plain = Windows(data_set, n_bins=8, n_units=None)
    mixed = [plain.batch(range(at, min(at + 4, len(plain)))) for at in range(0, len(plain), 4)]
    without = 1 - sum(int(b.mask.sum()) for b in mixed) / sum(b.mask.size for b in mixed)
    assert share < 0.2 < without


def test_shares_hold_for_packed_batches_too(tmp_path):
    made = [Row(numbered(4 + i, 100, i), "sub-A", f"ses-{i}", "segment_0", "big") for i in range(9)]
    made.append(Row(numbered(5, 100, 9), "sub-B", "ses-0", "segment_0", "small"))
    arrow.write_rows(tmp_path / "y" / "a.arrow", made, rows.MERGED_SCHEMA)
    arrow.finish(tmp_path / "y", [tmp_path / "y" / "a.arrow"], rows.MERGED_SCHEMA, "0" * 64)
    windows = Windows(open_data_set(str(tmp_path / "y")), n_bins=10, pack=24, weights={"small": 0.5})
    assert windows.shares() == {"big": 0.5, "small": 0.5}
    for k in range(3):
        batches = epoch_of(windows, k)
        found = Counter(int(row) for batch in batches for row in batch.rows)
        assert found[9] == 50 and sum(found.values()) == 100
        assert sum(int(batch.mask.sum()) for batch in batches) / sum(b.mask.size for b in batches) == pytest.approx(
            1 - windows.epoch(k).padding()
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pack": 39}, "pack: expected at least 40 slots, the units of the largest row, found 39"),
        ({"pack": 0}, "pack: expected a number of at least 1, found 0"),
        ({"pack": 99, "n_units": 8}, "n_units: expected the units of a window or pack, found both"),
        ({"pack": 99, "locality": 4}, "locality: expected rows that are neighbours or pack, found both"),
    ],
)
def test_packing_without_meaning_is_refused_in_one_line(data_set, options, message):
    with pytest.raises(BadInput, match=message) as raised:
        Windows(data_set, **options)
    assert "\n" not in str(raised.value)


def test_batches_are_of_a_number_of_windows_or_packed(data_set):
    packed, plain = Windows(data_set, pack=99), Windows(data_set)
    for make in (lambda: Stream(plain), lambda: Stream(packed, 4), lambda: plain.packed(0), plain.padding):
        with pytest.raises(BadInput, match="pack"):
            make()
    assert plain.n_packed == 0
    with pytest.raises(BadInput, match="packed windows"):
        Stream(packed).positions(0)


def test_rows_of_any_size_are_packed_by_numpy_alone(data_set):
    """The largest row alone in a batch, and as many of the smallest as fit: worked out by hand."""
    windows = Windows(data_set, n_bins=130, pack=45, jitter=False, shuffle=False)
    shapes = Counter(batch.counts.shape for batch in epoch_of(windows))
    # 40 and 39 units: one window each. 15, 13, 12: three in 45 slots. 4 alone (3 < 0.8 × 4), 3, and 1.
    assert shapes == {(1, 40, 130): 2, (3, 15, 130): 1, (1, 4, 130): 1, (1, 3, 130): 1, (1, 1, 130): 1}
    assert np.concatenate([batch.rows for batch in epoch_of(windows)]).tolist() == [5, 7, 3, 4, 6, 1, 0, 2]
