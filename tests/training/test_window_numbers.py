"""What is no whole number, share or checkpoint: one line says so, and nothing is computed from it."""

from itertools import islice

import numpy as np
import pyarrow as pa
import pytest
from helpers.small_corpora import write_big_and_small, write_rows_of

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
