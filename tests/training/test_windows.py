"""Windows of counts: which there are, in which order, and that each is a function of its number."""

import copy
import hashlib
import pickle
import shutil
from collections import Counter

import numpy as np
import pytest
from helpers.small_corpora import numbered, write_big_and_small, write_rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.training import Stream, StreamedWindows, Windows, index
from neuralpile.training.permutation import below, hashes, key_of, permute, subset

SHAPES = [(3, 40), (7, 25), (1, 9), (5, 130), (12, 60)]


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    matrices = [numbered(*shape, of) for of, shape in enumerate(SHAPES)]
    return write_rows_of(tmp_path_factory.mktemp("rows") / "x", matrices)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_big_and_small(tmp_path_factory.mktemp("corpus") / "y")


def cells(window):
    """Row, unit and bin of each count of a window."""
    n_bins = window.counts.shape[1]
    return [(window.row, unit, window.start + i) for unit in window.units.tolist() for i in range(n_bins)]


def identity(window):
    return window.row, window.start, tuple(window.units.tolist())


@given(st.integers(1, 3_000), st.integers(0, 2**64 - 1))
@settings(max_examples=60, deadline=None)
def test_a_permutation_has_every_number_once(size, key):
    numbers = np.arange(size)
    found = permute(numbers, np.full(size, size), np.full(size, key, np.uint64))
    assert sorted(found.tolist()) == numbers.tolist()


def test_a_permutation_of_a_billion_takes_no_memory_and_has_no_number_twice():
    numbers = np.arange(10**9 - 20_000, 10**9)
    found = permute(numbers, np.full(20_000, 10**9), np.full(20_000, key_of("any")))
    assert len(set(found.tolist())) == 20_000
    assert 0 <= found.min() < found.max() < 10**9
    assert abs(found.mean() / 10**9 - 0.5) < 0.02  # 7 standard errors


def test_every_order_of_four_is_about_as_frequent():
    keys = np.repeat(hashes(key_of("seeds"), np.arange(6_000)), 4)
    orders = permute(np.tile(np.arange(4), 6_000), np.full(24_000, 4), keys).reshape(-1, 4)
    found = Counter(map(tuple, orders.tolist()))
    assert len(found) == 24
    assert 150 < min(found.values()) < max(found.values()) < 350  # 250 each, 6 standard deviations


def test_subsets_and_numbers_below_a_size_are_spread_evenly():
    found = Counter(n for i in range(300) for n in subset(3, 10, hashes(key_of("s"), i)).tolist())
    assert set(found) == set(range(10))
    assert 40 < min(found.values()) < max(found.values()) < 150  # 90 each
    assert set(below(hashes(1, np.arange(100)), np.full(100, 3)).tolist()) == {0, 1, 2}


def test_keys_are_the_same_on_every_machine():
    """By hand: the first eight bytes of the SHA-256 of the parts as JSON, and the published SplitMix64 of seed 0."""
    assert int(key_of(0, "order", 1)) == int.from_bytes(
        hashlib.sha256(b'[0, "order", 1]').digest()[:8],
        "little",
    )
    assert [int(hashes(0, i)) for i in range(2)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


@given(st.integers(1, 50), st.one_of(st.none(), st.integers(1, 13)), st.booleans())
@settings(max_examples=40, deadline=None)
def test_windows_without_jitter_cover_every_count_exactly_once(data_set, n_bins, n_units, shuffle):
    windows = Windows(data_set, n_bins=n_bins, n_units=n_units, shuffle=shuffle, jitter=False)
    found = Counter()
    for i in range(len(windows)):
        window = windows[i]
        found.update(cells(window))
        whole = data_set.row(window.row).counts
        assert (window.counts == whole[window.units, window.start : window.start + n_bins]).all()
    assert found == Counter((row, u, b) for row, (us, bs) in enumerate(SHAPES) for u in range(us) for b in range(bs))


def test_without_shuffling_windows_are_in_the_order_of_the_rows(data_set):
    windows = Windows(data_set, n_bins=10, shuffle=False, jitter=False)
    found = [identity(windows[i])[:2] for i in range(len(windows))]
    assert found == [(row, start) for row, (_, n_bins) in enumerate(SHAPES) for start in range(0, n_bins, 10)]


@given(st.integers(0, 99), st.integers(0, 99), st.sampled_from([None, 1, 2, 3]), st.sampled_from(["random", "block"]))
@settings(max_examples=40, deadline=None)
def test_an_epoch_is_a_function_of_seed_and_number(data_set, seed, epoch, locality, units):
    def windows():
        return Windows(data_set, n_bins=8, n_units=4, seed=seed, locality=locality, units=units).epoch(epoch)

    first, again = windows(), copy.deepcopy(windows())
    backwards = [again[i] for i in reversed(range(len(again)))]
    for one, other in zip((first[i] for i in range(len(first))), reversed(backwards), strict=True):
        assert identity(one) == identity(other)
        assert (one.counts == other.counts).all()
    # As many windows of each row as fit side by side, every epoch
    held = Counter(first[i].row for i in range(len(first)))
    assert held == {row: max(1, n_bins // 8) for row, (_, n_bins) in enumerate(SHAPES)}


def test_places_jitter_over_the_whole_row_and_stay_apart(data_set):
    windows = Windows(data_set, n_bins=8)
    starts = {row: Counter() for row in range(len(SHAPES))}
    for epoch in range(60):
        here = windows.epoch(epoch)
        for i in range(len(here)):
            window = here[i]
            starts[window.row][window.start] += 1
    for row, (_, n_bins) in enumerate(SHAPES):
        assert set(starts[row]) == set(range(max(1, n_bins - 8 + 1))), "a start that never comes"


def test_iterating_gives_the_windows_of_a_part_of_an_epoch_in_their_order(data_set, monkeypatch):
    monkeypatch.setattr(index, "TOGETHER", 3)
    part = Windows(data_set, n_bins=8, n_units=4).epoch(2).shard(1, 2)
    expected = [identity(part[i]) for i in range(len(part))]
    assert list(map(identity, part)) == expected
    for first in (0, 1, 3, len(part)):
        assert list(map(identity, part.iterate(first))) == expected[first:]


def test_epochs_differ_in_order_and_places(data_set):
    windows = Windows(data_set, n_bins=8, n_units=4)
    first, second = ([identity(windows.epoch(k)[i]) for i in range(len(windows))] for k in (0, 1))
    assert first != second
    assert [row for row, *_ in first] != sorted(row for row, *_ in first)
    other = Windows(data_set, n_bins=8, n_units=4, seed=1)
    assert [identity(other[i]) for i in range(len(other))] != first


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_processes_share_an_epoch_nothing_twice_and_nothing_missing(data_set, world, inner, epoch):
    windows = Windows(data_set, n_bins=8, n_units=4).epoch(epoch)
    whole = [identity(windows[i]) for i in range(len(windows))]
    parts = [windows.shard(rank, world).shard(part, inner) for rank in range(world) for part in range(inner)]
    found = [identity(part[i]) for part in parts for i in range(len(part))]
    assert sorted(found) == sorted(whole)


@given(st.integers(1, 4), st.integers(1, 7), st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_a_stream_has_every_window_of_every_epoch_in_one_batch(data_set, world, batch_size, resumed):
    windows = Windows(data_set, n_bins=8, n_units=4)
    n, epochs = len(windows), 3
    steps = -(-n * epochs // (world * batch_size))
    batches = [[Stream(windows, batch_size, rank, world)[step] for rank in range(world)] for step in range(steps)]
    found = [
        (int(row), int(start), tuple(units[mask].tolist()))
        for ranks in batches
        for batch in ranks
        for row, start, units, mask in zip(batch.rows, batch.starts, batch.units, batch.mask, strict=True)
    ]
    expected = [identity(windows.epoch(k)[i]) for k in range(epochs) for i in range(n)]
    assert found[: n * epochs] == expected
    # A run that stopped after some steps goes on with the step it had not made
    stream = Stream(windows, batch_size, 0, world)
    stream.load_state_dict({"step": resumed})
    assert (next(iter(stream)).counts == Stream(windows, batch_size, 0, world)[resumed].counts).all()
    assert stream.state_dict()["step"] == resumed + 1


def test_the_stream_is_the_same_for_any_number_of_workers(data_set):
    """As PyTorch's loader asks for them: worker k makes the batches k, k + workers, …, and they come in turn."""
    stream = Stream(Windows(data_set, n_bins=8, n_units=4), 5, steps=12)
    alone = [batch.counts for batch in stream]
    for workers in (2, 3):
        made = [[copy.deepcopy(stream)[step].counts for step in range(k, 12, workers)] for k in range(workers)]
        in_turn = [made[step % workers][step // workers] for step in range(12)]
        assert all((one == other).all() for one, other in zip(alone, in_turn, strict=True))


def test_a_batch_is_the_windows_padded_with_masks(data_set):
    windows = Windows(data_set, n_bins=12, n_units=4)
    batch = windows.batch(range(len(windows)))
    assert batch.counts.shape == (len(windows), 4, 12)
    for i in range(len(windows)):
        window = windows[i]
        n_units, n_bins = window.counts.shape
        assert (batch.counts[i, :n_units, :n_bins] == window.counts).all()
        assert not batch.counts[i, n_units:].any() and not batch.counts[i, :, n_bins:].any()
        assert batch.mask[i].tolist() == [True] * n_units + [False] * (4 - n_units)
        assert batch.bin_mask[i].sum() == n_bins == min(12, SHAPES[window.row][1])
        assert batch.units[i, :n_units].tolist() == window.units.tolist()
        assert (batch.rows[i], batch.starts[i]) == (window.row, window.start)


def test_time_can_be_the_first_axis(data_set):
    across, along = (Windows(data_set, n_bins=12, n_units=4, layout=layout) for layout in ("units", "time"))
    assert (across.batch(range(9)).counts.transpose(0, 2, 1) == along.batch(range(9)).counts).all()
    assert (along[3].counts == across[3].counts.T).all()


def test_bins_are_summed_to_wider_ones(data_set):
    """Expected by hand from the whole row: bins of 0.06 s are sums of three of 0.02 s; the last 1 of 40 is left out."""
    windows = Windows(data_set, n_bins=4, n_units=None, bin_size=0.06, shuffle=False, jitter=False)
    first = [windows[i] for i in range(4)]
    assert [window.start for window in first] == [0, 12, 24, 36]
    found = np.concatenate([window.counts for window in first], axis=1)
    assert found.dtype == np.uint16
    assert found.tolist() == numbered(3, 40, 0)[:, :39].astype(int).reshape(3, 13, 3).sum(axis=2).tolist()
    narrow = Windows(data_set, n_bins=4, n_units=None, bin_size=0.06, shuffle=False, jitter=False, dtype=np.uint8)
    assert narrow[0].counts.tolist() == found[:, :4].clip(max=255).tolist()


def test_more_units_than_wanted_are_a_subset_a_block_or_parts(data_set):
    for units in ("random", "block"):
        windows = Windows(data_set, n_bins=8, n_units=4, units=units)
        taken = [window.units for window in (windows[i] for i in range(len(windows))) if window.row == 4]
        assert all(len(some) == 4 and (np.diff(some) > 0).all() for some in taken)
        assert any((np.diff(some) > 1).any() for some in taken) == (units == "random")
        assert len({tuple(some.tolist()) for some in taken}) > 1
    windows = Windows(data_set, n_bins=8, n_units=5, units="all")
    found = (windows[i] for i in range(len(windows)))
    parts = Counter(tuple(window.units.tolist()) for window in found if window.row == 4)
    assert parts == {(0, 1, 2, 3, 4): 7, (5, 6, 7, 8, 9): 7, (10, 11): 7}


def test_shares_of_components_are_those_that_are_given(corpus, capsys):
    windows = Windows(corpus, n_bins=10, weights={"small": 0.5})
    assert len(windows) == 100  # as many as without weights: 10 rows of 10
    assert windows.shares() == {"big": 0.5, "small": 0.5}
    assert "small 50.0%" in capsys.readouterr().err
    found = Counter(windows[i].source for i in range(100))
    assert found == {"big": 50, "small": 50}
    # Half of the windows of big in each epoch, and over many epochs every row as often as any other
    rows = Counter(windows.epoch(k)[i].row for k in range(40) for i in range(100))
    assert rows[9] == 2_000
    assert all(190 < rows[i] < 255 for i in range(9)), rows  # 222 each


def test_shares_are_told_without_a_mixture_too_where_they_are_of_training(corpus, capsys):
    assert Windows(corpus, n_bins=10).shares() == {"big": 0.9, "small": 0.1}
    assert capsys.readouterr().err == "windows of an epoch: 100 (big 90.0%, small 10.0%)\n"
    Windows(corpus, n_bins=10, shuffle=False, jitter=False)
    list(StreamedWindows(corpus, n_bins=10, pool=3))
    assert capsys.readouterr().err == ""


def test_a_temperature_of_0_makes_components_equal_and_1_leaves_them(corpus):
    assert Windows(corpus, n_bins=10, temperature=0).shares() == {"big": 0.5, "small": 0.5}
    assert Windows(corpus, n_bins=10, temperature=1).shares() == {"big": 0.9, "small": 0.1}
    assert Windows(corpus, n_bins=10, temperature=0.5).shares() == {"big": 0.75, "small": 0.25}  # 3 to 1


def test_a_cap_limits_the_tokens_of_a_component_in_an_epoch(corpus):
    windows = Windows(corpus, n_bins=10, cap=1_000)  # 25 windows of 4 units × 10 bins
    found = Counter(windows[i].source for i in range(len(windows)))
    assert found == {"big": 25, "small": 10}


def test_sessions_are_chosen_by_an_expression_and_groups_by_area(corpus):
    windows = Windows(corpus, n_bins=10, where="source_dataset = 'small' or session_id = 'ses-3'")
    assert {windows[i].row for i in range(len(windows))} == {3, 9}
    some = open_data_set(str(corpus.folder), where="source_dataset = 'small'")  # its only row is number 0
    assert (Windows(some, n_bins=10)[0].row, len(Windows(some, n_bins=10))) == (0, 10)
    assert Windows(corpus, n_bins=10, temperature=1, mix_by="animal").shares() == {"not stated": 1}  # none is stated


def test_evaluation_data_of_benchmarks_are_left_out(tmp_path):
    folder = tmp_path / "y"
    made = [
        Row(numbered(4, 30, 0), "sub-Han", "sub-Han_desc-test_ecephys", "segment_0", "area2-bump"),
        Row(numbered(4, 30, 1), "sub-Han", "sub-Han_desc-train_ecephys", "segment_0", "area2-bump"),
        Row(numbered(4, 30, 2), "sub-A", "other", "segment_0", "mine"),
    ]
    arrow.write_rows(folder / "a.arrow", made, rows.MERGED_SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.MERGED_SCHEMA, "0" * 64)
    windows = Windows(str(folder), n_bins=10, exclude_evaluation="nlb")
    assert {windows[i].row for i in range(len(windows))} == {1, 2}


def test_trials_that_a_benchmark_repeats_are_left_out_with_it_as_in_a_merge(tmp_path):
    """FALCON's minival repeats trials of the calibration files of its day: those are no training data either."""
    folder = tmp_path / "y"
    days = {"minival": "20120924", "calib": "20120924", "calib ": "20120926"}
    made = [
        Row(
            numbered(4, 30, i),
            f"sub-MonkeyL-held-in-{part.strip()}",
            f"sub-MonkeyL-held-in-{part.strip()}_ses-{day}_behavior+ecephys",
            "segment_0",
            "m1-a",
        )
        for i, (part, day) in enumerate(days.items())
    ]
    arrow.write_rows(folder / "a.arrow", made, rows.MERGED_SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.MERGED_SCHEMA, "0" * 64)
    windows = Windows(str(folder), n_bins=10, exclude_evaluation=["falcon"])
    assert {windows[i].row for i in range(len(windows))} == {2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "test"}, "expected a split test, found train"),
        ({"n_bins": 0}, "n_bins: expected a number of at least 1, found 0"),
        ({"units": "some"}, "units: expected one of random, block, all, found some"),
        ({"layout": "bins"}, "layout: expected one of units, time, found bins"),
        ({"weights": {"x": 1}, "temperature": 1}, "temperature: expected weights or a temperature, found both"),
        ({"weights": {"huge": 0.5}}, "weights: expected some of big, small, found huge"),
        ({"weights": {"big": 2}}, "weights: expected shares of at most 1 in all, found 2"),
        ({"weights": {"big": "all"}}, "weights: expected numbers of at least 0, found big 'all'"),
        ({"weights": {"big": -0.1}}, "weights: expected numbers of at least 0, found big -0.1"),
        ({"mix_by": "region"}, "mix_by: expected one of source_dataset, animal, area, found region"),
        ({"temperature": -1}, "temperature: expected numbers of at least 0, found -1"),
        ({"temperature": float("nan")}, "temperature: expected numbers of at least 0, found nan"),
        ({"cap": 0}, "cap: expected numbers of at least 1, found 0"),
        ({"exclude_evaluation": ["nothing"]}, "exclude_evaluation: expected some of .*nlb.*, found nothing"),
        ({"where": "n_units > 99"}, "--where: expected an expression that selects sessions of y"),
        ({"bin_size": 0.03}, "bin_size: expected a multiple of the rows' own bin size, found 0.03 s"),
    ],
)
def test_options_without_meaning_are_refused_in_one_line(corpus, options, message):
    with pytest.raises(BadInput, match=message) as raised:
        Windows(corpus, **options)
    assert "\n" not in str(raised.value)


def test_a_window_that_does_not_exist_is_an_index_error(data_set):
    windows = Windows(data_set)
    for i in (len(windows), -len(windows) - 1):
        with pytest.raises(IndexError):
            windows[i]
    with pytest.raises(BadInput, match="rank"):
        windows.shard(2, 2)


def test_windows_work_on_in_another_working_directory(data_set, tmp_path, monkeypatch):
    monkeypatch.chdir(data_set.folder.parent)
    opened, streamed = Windows("./x", n_bins=8), StreamedWindows("./x", n_bins=8)
    sent = pickle.dumps(opened)
    monkeypatch.chdir(tmp_path)
    expected = Windows(data_set, n_bins=8).batch(range(20)).counts
    for windows in (copy.deepcopy(opened), pickle.loads(sent)):  # noqa: S301 - written above
        assert (windows.batch(range(20)).counts == expected).all()
    assert len(list(streamed)) == len(opened)


def test_rows_of_a_data_set_that_was_built_again_are_not_mixed_with_those_before(tmp_path):
    """Of the same names and shapes: nothing in the rows tells the builds apart."""
    write_rows_of(tmp_path / "x", [numbered(4, 100, of) for of in range(3)])
    folder = str(tmp_path / "x")
    viewed, windows, streamed = Windows(folder), Windows(folder), StreamedWindows(folder)
    before = viewed.batch(range(3)).counts
    shutil.rmtree(folder)
    write_rows_of(tmp_path / "x", [numbered(4, 100, of + 50) for of in range(3)])
    assert (viewed.batch(range(3)).counts == before).all(), "what is in memory stays as it was"
    for use in (lambda: windows[0], lambda: list(streamed)):
        with pytest.raises(BadInput, match="found one that was written since; open the data set again"):
            use()
    shutil.rmtree(folder)
    with pytest.raises(BadInput, match="No such file"):
        windows[0]
