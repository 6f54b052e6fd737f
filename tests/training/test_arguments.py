"""What is no whole number, share or checkpoint: one line says so, and nothing is computed from it."""

from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from helpers.small_corpora import write_big_and_small, write_rows_of

from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Names
from neuralpile.errors import BadInput
from neuralpile.training import Stream, StreamedWindows, Windows, selection


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_big_and_small(tmp_path_factory.mktemp("corpus") / "y")


def opened(corpus, **options):
    return Windows(corpus, **{"n_bins": 10} | options)


def loaded(corpus, **state):
    windows = StreamedWindows(corpus, n_bins=10, pool=2)
    windows.load_state_dict(windows.state_dict() | state)
    return next(iter(windows))


NOT_WHOLE = [100.0, "100", True, 1.5, float("nan")]


@pytest.mark.parametrize("value", [*NOT_WHOLE, [1]])
@pytest.mark.parametrize(
    "use",
    [
        *(lambda c, v, name=name: opened(c, **{name: v}) for name in ("n_bins", "n_units", "pack", "locality", "seed")),
        *(lambda c, v, name=name: StreamedWindows(c, **{name: v}) for name in ("n_bins", "n_units", "pool", "seed")),
        *(
            lambda c, v, name=name: Stream(opened(c), **{"batch_size": 2} | {name: v})
            for name in ("batch_size", "step", "rank", "world", "steps")
        ),
        lambda c, v: opened(c)[v],
        lambda c, v: opened(c).batch([v]),
        lambda c, v: opened(c).at([v]),
        lambda c, v: opened(c).epoch(v),
        lambda c, v: opened(c, pack=8).packed(v),
        lambda c, v: opened(c).shard(v, 2),
        lambda c, v: Stream(opened(c), 2)[v],
        lambda c, v: Stream(opened(c), 2).load_state_dict({"step": v}),
        lambda c, v: next(StreamedWindows(c).batches(v)),
        lambda c, v: loaded(c, row=v),
        lambda c, v: loaded(c, window=v),
        lambda c, v: loaded(c, epoch=v),
    ],
)
def test_what_is_no_whole_number_is_one_line(corpus, use, value):
    with pytest.raises(BadInput, match="whole number") as raised:
        use(corpus, value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "use",
    [
        lambda c: opened(c, n_bins=None),
        lambda c: opened(c, seed=None),
        lambda c: opened(c, n_bins=10**30),
        lambda c: Stream(opened(c), 2, step=-1),
        lambda c: Stream(opened(c), 2).load_state_dict({}),
        lambda c: Stream(opened(c), 2).load_state_dict(None),
        lambda c: Stream(opened(c), 2).load_state_dict({"step": -1}),
        *(lambda c, n=n, v=v: loaded(c, **{n: v}) for n in ("epoch", "row", "window") for v in (-1, 10**30, -(10**9))),
        lambda c: loaded(c, row=10),
        lambda c: loaded(c, window=21),  # two rows of ten windows
        lambda c: StreamedWindows(c).load_state_dict({}),
        lambda c: StreamedWindows(c).load_state_dict(None),
        *(lambda c, w=w: opened(c, weights=w) for w in ([0.5], "big", 0.5, {"big": 1e308}, {"big": 10**400})),
    ],
)
def test_numbers_out_of_range_and_other_checkpoints_and_weights_are_one_line(corpus, use):
    with pytest.raises(BadInput) as raised:
        use(corpus)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("opens", [Windows, StreamedWindows])
@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_bins": 0}, "n_bins: expected a number of at least 1, found 0; give another"),
        ({"n_units": 0}, "n_units: expected a number of at least 1, found 0; give another"),
        (
            {"weights": {"big": 1.0000001}},
            "weights: expected shares of at most 1 in all, found 1.0000001; "
            "give smaller ones, or name all groups (small too): then only their proportions matter",
        ),
        ({"weights": {"big": -0.5}}, "weights: expected numbers of at least 0, found big -0.5; give another"),
        ({"weights": {"big": float("nan")}}, "weights: expected numbers of at least 0, found big nan; give another"),
        ({"weights": {"bog": 0.5}}, "weights: expected some of big, small, found bog; name one of these"),
        ({"weights": {1: 0.5}}, "weights: expected some of big, small, found 1; name one of these"),
        ({"weights": {"big": 0, "small": 0}}, "weights: expected a share above 0, found none; give one"),
        ({"temperature": "1"}, "temperature: expected numbers of at least 0, found '1'; give another"),
        ({"cap": float("inf")}, "cap: expected numbers of at least 1, found inf; give another"),
        ({"split": "test"}, "y: expected a split test, found train; name one of its splits: train"),
        ({"split": ["train"]}, "split: expected a string, found ['train']; give one, or None for all rows"),
        (
            {"where": "1 = 0"},
            "--where: expected an expression that selects sessions of y, found 1 = 0; "
            "see its sessions: python inspect_dataset.py y",
        ),
        ({"where": 3}, "where: expected a string, found 3; give one, or None for all rows"),
        ({"exclude_evaluation": 3}, "exclude_evaluation: expected names of benchmarks, found 3; give a list"),
        ({"layout": None}, "layout: expected one of units, time, found None; give one of these"),
        ({"dtype": "banana"}, "dtype: expected numbers of NumPy, found banana; give 'uint8', 'float32' or another"),
        ({"dtype": "complex64"}, "dtype: expected numbers of NumPy, found complex64; give 'uint8', 'float32' or"),
        ({"order": 3}, "order: expected the name of a measure or a folder, found 3; give order='similarity'"),
        ({"order": "/none"}, "/none: expected orders of units, as reorder_units.py writes them, found no such file; "),
        ({"bin_size": "0.04"}, "bin_size: expected numbers of at least 0, found '0.04'; give another"),
        ({"bin_size": 0}, "bin_size: expected a multiple of the rows' own bin size, found 0 s, and rows of 0.02 s in"),
        ({"shuffle": "no"}, "shuffle: expected True or False, found 'no'; give one of these"),
        ({"jitter": None}, "jitter: expected True or False, found None; give one of these"),
        ({"observed": "no"}, "observed: expected True or False, found 'no'; give one of these"),
        ({"data_set": None}, "data set: expected a reference, found None; give the name of a build, a folder, a Hub "),
        ({"data_set": {"train": []}}, "data set: expected a reference, found dict; give the name of a build, a folder"),
    ],
)
def test_an_option_without_meaning_is_one_line_with_what_to_do(corpus, opens, options, message):
    with pytest.raises(BadInput) as raised:
        opens(**{"data_set": corpus} | options)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_rows_that_are_all_empty_or_shorter_than_a_window_are_one_line(tmp_path, capsys):
    empty = write_rows_of(tmp_path / "empty", [np.zeros((0, 0), np.uint8)] * 2)
    with pytest.raises(BadInput, match="empty: expected rows with units and bins, found none; choose other rows"):
        Windows(empty)
    arrow.write_rows(tmp_path / "none" / "a.arrow", [], rows.SCHEMA)
    arrow.finish(tmp_path / "none", [tmp_path / "none" / "a.arrow"], rows.SCHEMA, "0" * 64)
    for opens in (Windows, StreamedWindows):
        with pytest.raises(BadInput, match="none: expected rows to take windows from, found none in the split train"):
            opens(tmp_path / "none")
    capsys.readouterr()
    windows = Windows(write_rows_of(tmp_path / "short", [np.ones((2, 30), np.uint8)] * 3), n_bins=31)
    expected = "warning: every window is padded to 31 bins: the longest row has 30; give n_bins=30, or fewer\n"
    assert capsys.readouterr().err == expected
    assert windows.batch([0]).bin_mask.sum() == 30


@pytest.mark.parametrize(
    "use, message",
    [
        (lambda c: opened(c).epoch(-1), "epoch: expected a number of at least 0, found -1; give another"),
        (lambda c: opened(c).epoch(10**12), "epoch: expected a whole number of at most 2147483648, found 1,000,000,"),
        (lambda c: opened(c).iterate(-5), "window: expected a number of at least 0, found -5; give another"),
        (lambda c: opened(c).batch([1 << 63]), "window: expected a whole number of at most "),
        (
            lambda c: opened(c).batch(i for i in range(3)),
            "numbers: expected whole numbers, one after another, found <g",
        ),
        (lambda c: opened(c).batch([True]), "numbers: expected whole numbers, one after another, found [True]; "),
        (lambda c: Stream(StreamedWindows(c), 3), "windows: expected Windows, found StreamedWindows; give Windows("),
        (lambda c: Stream("y", 3), "windows: expected Windows, found str; give Windows("),
        (lambda c: Windows(opened(c)), "data set: expected a reference, found Windows; give the name of a build"),
        (lambda c: StreamedWindows(opened(c)), "data set: expected a reference, found Windows; give the name of"),
        (
            lambda c: StreamedWindows(c, n_bins=5).collate([opened(c)[0]]),
            "collate: expected windows of this object, found 4 units and 10 bins; give those that it gave",
        ),
    ],
)
def test_a_use_without_meaning_is_one_line_with_what_to_do(corpus, use, message):
    with pytest.raises(BadInput) as raised:
        list(use(corpus))
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("number", [100, -101, 10**30, -(10**30), [-1], [3, -(10**9)]])
def test_a_window_that_is_not_there_is_an_index_error_that_names_it(corpus, number):
    windows = opened(corpus)
    with pytest.raises(IndexError, match=str(number if isinstance(number, int) else min(number))):
        windows.batch(number) if isinstance(number, list) else windows[number]
    assert windows[-1].start == windows[99].start


@pytest.mark.parametrize("dtype, expected", [("int8", 127), ("uint8", 200), ("float16", 200), ("bool", True)])
def test_counts_that_a_dtype_cannot_hold_saturate(tmp_path, dtype, expected):
    data_set = write_rows_of(tmp_path / "x", [np.full((2, 600), 200, np.uint8)])
    for windows in (Windows(data_set, dtype=dtype), StreamedWindows(data_set, dtype=dtype)):
        assert next(iter(windows)).counts.dtype == dtype
        assert (next(iter(windows)).counts == expected).all()
    assert (Windows(data_set, dtype=dtype).batch([0, 1]).counts[:, :2] == expected).all()
    summed = {"int8": 127, "uint8": 255, "float16": 65504, "bool": True}[dtype]
    assert (Windows(data_set, n_bins=1, bin_size=8, dtype=dtype).batch([0]).counts[:, :2] == summed).all()


def test_a_path_opens_a_folder_and_nothing_else(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(corpus.folder.parent)
    of_text = opened("./y").batch(range(20))
    for path in (corpus.folder, Path("y")):
        assert (opened(path).batch(range(20)).counts == of_text.counts).all()
        assert next(iter(StreamedWindows(path))).row < 10
    with pytest.raises(BadInput, match="expected a data set, found none of this name"):
        opened(Path("me/y"))


@pytest.mark.parametrize(
    "options, shares",
    [
        ({"cap": 10**30}, {"big": 0.9, "small": 0.1}),
        ({"cap": 1e300}, {"big": 0.9, "small": 0.1}),
        ({"weights": {"big": 1e308, "small": 1e308}}, {"big": 0.5, "small": 0.5}),
        ({"weights": {"big": 1.5e308, "small": 0.5e308}}, {"big": 0.75, "small": 0.25}),
        ({"temperature": 1e9}, {"big": 1, "small": 0}),  # 9 ** 1e9 : 1
    ],
)
def test_very_large_numbers_have_the_shares_that_they_stand_for(corpus, options, shares):
    windows = opened(corpus, **options)
    assert len(windows) == 100
    assert windows.shares() == pytest.approx(shares)
    assert windows.batch(range(100)).counts.shape[0] == 100


def test_numbers_of_numpy_are_as_those_of_python(corpus):
    some = opened(corpus, seed=np.int64(5), n_bins=np.int32(10)).epoch(np.int64(1))
    of_python = opened(corpus, seed=5).epoch(1)
    assert (some.batch(np.arange(5, dtype=np.uint8)).counts == of_python.batch([0, 1, 2, 3, 4]).counts).all()
    for windows in (StreamedWindows(corpus, n_bins=10, seed=seed) for seed in (np.int64(5), 5)):
        state = windows.state_dict()
        assert StreamedWindows(corpus, n_bins=10, seed=5).state_dict() == state


@pytest.mark.parametrize("shapes, shuffle", [([(0, 0), (0, 0), (3, 20), (3, 20)], False), ([(0, 0)] * 4, True)])
def test_batches_of_a_part_without_a_window_end_with_a_line(tmp_path, shapes, shuffle):
    data_set = write_rows_of(tmp_path / "x", [np.zeros(shape, np.uint8) for shape in shapes])
    with pytest.raises(BadInput, match="expected rows with units and bins, found none"):
        list(islice(StreamedWindows(data_set, shuffle=shuffle, n_bins=10).shard(0, 2).batches(2), 1))


@pytest.mark.parametrize("missing", ["n_bins", "segments"])
def test_gaps_of_a_session_without_bins_or_segments_are_not_stated(missing, capsys):
    line = {"source_dataset": "x", "subject_id": "a", "session_id": "b", "n_bins": 9, "segments": 1}
    table = pa.Table.from_pylist([line | {"unobserved": [{"start": 2, "stop": 4}], missing: None}])

    class Source:
        def sessions(self):
            return table

    gaps, name = selection.Gaps(Source()), Names("a", "b", "segment_0", "x")
    gaps.warn([name])
    assert gaps.between(name, 9).tolist() == [[0, 9]]
    assert "1 of 1 session do not say" in capsys.readouterr().err
