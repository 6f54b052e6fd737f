"""Windows of rows that are read one after another: which there are, and that a stopped run goes on with the next."""

import gc
import json
import weakref
from collections import Counter
from itertools import islice, pairwise, permutations
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from helpers.small_corpora import write_big_and_small, write_rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralpile.corpus import tables
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.training import StreamedWindows, Windows, reordered

SHAPES = [(3, 40), (7, 25), (1, 9), (0, 0), (5, 130), (12, 60), (2, 3)]
EPOCH = 4 + 2 + 1 + 13 + 6 + 1  # windows of 10 bins


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    rng = np.random.default_rng(0)
    matrices = [rng.integers(0, 256, shape, np.uint8) for shape in SHAPES]
    return write_rows_of(tmp_path_factory.mktemp("rows") / "x", matrices)


def streamed(data_set, **options):
    return StreamedWindows(data_set, **{"n_bins": 10, "n_units": 4, "pool": 2} | options)


def endless(windows):
    while True:
        yield from windows


def identity(window):
    return window.row, window.start, tuple(window.units.tolist()), window.counts.tobytes(), window.names, window.source


def cells(window):
    n_units, n_bins = window.counts.shape
    return [(window.row, int(window.units[u]), window.start + b) for u in range(n_units) for b in range(n_bins)]


@given(
    st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.booleans(), st.sampled_from(["random", "block", "all"])
)
@settings(max_examples=15)
def test_an_epoch_has_the_windows_of_the_epoch_of_a_copy_on_disk(data_set, seed, epoch, pool, jitter, units):
    options = {"n_bins": 10, "n_units": 4, "seed": seed, "jitter": jitter, "units": units}
    expected = Windows(data_set, **options).epoch(epoch)
    found = StreamedWindows(data_set, pool=pool, **options)
    found.epoch = epoch
    expected_windows = (expected[i] for i in range(len(expected)))
    assert Counter(map(identity, found)) == Counter(map(identity, expected_windows))


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A corpus of nine rows of `big` and one of `small`, of which two animals and some gaps are known, and an order."""
    folder = tmp_path_factory.mktemp("known")
    data_set = write_big_and_small(folder / "y")
    sessions = tables.of_rows(data_set).to_pylist()
    for i, line in enumerate(sessions):
        line |= {"animal": "ABA"[i % 3], "unobserved": [{"start": 7 * i, "stop": 9 * i}] if i != 4 else None}
    tables.write(folder / "y", pa.Table.from_pylist(sessions, tables.SESSIONS), tables.UNITS.empty_table())
    data_set = open_data_set(str(folder / "y"))
    return data_set, str(reordered.run(data_set, reordered.Job("rate"), folder / "order", orders_only=True).folder)


MIXTURES = [
    {"weights": {"small": 0.5}},
    {"weights": {"small": 1}},
    {"temperature": 0},
    {"temperature": 3.5, "mix_by": "animal"},
    {"cap": 90},
    {"weights": {"big": 1, "small": 3}, "cap": 400},
    {},
]


@given(st.sampled_from(MIXTURES), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 5), st.integers(1, 11))
@settings(max_examples=25)
def test_mixtures_orders_and_what_was_observed_are_those_of_windows(
    known, mixture, observed, ordered, jitter, epoch, pool
):
    data_set, order = known
    options = mixture | {"observed": observed, "order": order if ordered else None, "jitter": jitter, "n_bins": 10}
    options |= {"n_units": 3, "units": "block"}
    expected = Windows(data_set, **options).epoch(epoch)
    found = StreamedWindows(data_set, pool=pool, **options)
    if mixture:
        assert found.shares() == expected.shares()
    found.epoch = epoch
    assert Counter(map(identity, found)) == Counter(map(identity, expected))
    assert found.epoch == epoch + 1


def test_a_stopped_mixture_goes_on_with_the_next_window_and_reads_no_row_without_windows(known):
    def windows(part=0):
        return StreamedWindows(known[0], n_bins=10, weights={"big": 0.02, "small": 0.1}, pool=1).shard(part, 2)

    whole = [identity(window) for window in islice(endless(windows()), 120)]
    for stop in (0, 1, 30, 101):
        stopped = windows()
        for _ in islice(endless(stopped), stop):
            pass
        resumed = windows()
        resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
        assert [identity(window) for window in islice(endless(resumed), 120 - stop)] == whole[stop:]
    read = []

    class Source(type(known[0])):
        def read(self, numbers):
            read.extend(numbers)
            return super().read(numbers)

    source = Source(known[0].name, known[0].files, known[0].fingerprint, known[0].folder)
    assert {window.source for window in StreamedWindows(source, n_bins=10, weights={"small": 1})} == {"small"}
    assert read == [9]


@given(st.integers(1, 50), st.one_of(st.none(), st.integers(1, 13)), st.integers(1, 9), st.integers(1, 7))
@settings(max_examples=15)
def test_processes_without_jitter_cover_every_count_exactly_once(data_set, n_bins, n_units, pool, world):
    windows = StreamedWindows(data_set, n_bins=n_bins, n_units=n_units, pool=pool, jitter=False)
    found = Counter(cell for rank in range(world) for window in windows.shard(rank, world) for cell in cells(window))
    assert found == Counter((row, u, b) for row, (us, bs) in enumerate(SHAPES) for u in range(us) for b in range(bs))


@given(st.integers(0, 3 * EPOCH), st.integers(0, 9), st.integers(1, 9), st.integers(1, 3))
@settings(max_examples=15)
def test_a_run_that_stopped_anywhere_goes_on_with_the_next_window(data_set, stop, seed, pool, world):
    def windows():
        return streamed(data_set, seed=seed, pool=pool).shard(world - 1, world)

    whole = [identity(window) for window in islice(endless(windows()), stop + 2 * EPOCH)]
    stopped = windows()
    for _ in islice(endless(stopped), stop):
        pass
    resumed = windows()
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    assert [identity(window) for window in islice(endless(resumed), 2 * EPOCH)] == whole[stop:]


def test_epochs_differ_in_the_order_of_rows_and_windows(data_set):
    windows = streamed(data_set, pool=1)
    orders = [list(dict.fromkeys(window.row for window in windows)) for _ in range(4)]
    assert len(set(map(tuple, orders))) > 1
    assert all(sorted(order) == [0, 1, 2, 4, 5, 6] for order in orders)
    together = [window.row for window in streamed(data_set, pool=7)]
    assert sum(a != b for a, b in pairwise(together)) > 10, "the windows of a pool's rows are not shuffled together"
    assert [window.row for window in streamed(data_set, pool=7)] == together
    assert [window.row for window in streamed(data_set, pool=7, seed=1)] != together


def test_without_shuffling_windows_are_in_the_order_of_the_rows(data_set):
    found = [(w.row, w.start) for w in streamed(data_set, n_units=None, shuffle=False, jitter=False)]
    assert found == [(row, start) for row, (_, n_bins) in enumerate(SHAPES) for start in range(0, n_bins, 10)]


@pytest.mark.parametrize("layout", ["units", "time"])
def test_batches_are_the_windows_in_one_array_epoch_after_epoch(data_set, layout):
    options = {"layout": layout, "bin_size": 0.04, "n_bins": 5}
    expected = endless(streamed(data_set, **options))
    batches = streamed(data_set, **options).batches(4)
    for batch in islice(batches, 12):
        assert batch.counts.shape == ((4, 4, 5) if layout == "units" else (4, 5, 4))
        for k, window in enumerate(islice(expected, 4)):
            counts = batch.counts[k] if layout == "units" else batch.counts[k].T
            of_window = window.counts if layout == "units" else window.counts.T
            assert (counts[batch.mask[k]][:, batch.bin_mask[k]] == of_window).all()
            assert counts.sum() == of_window.sum(dtype=int)
            assert (batch.mask[k].sum(), batch.bin_mask[k].sum()) == of_window.shape
            assert batch.units[k][batch.mask[k]].tolist() == window.units.tolist()
            assert (batch.starts[k], batch.rows[k]) == (window.start, window.row)


def test_rows_are_chosen_as_windows_chooses_them(data_set):
    assert {window.row for window in streamed(data_set, where="session_id in ('ses-1', 'ses-4')")} == {1, 4}
    # Rows of 9 and 3 bins of 0.02 s have no bin of 0.2 s: they are passed over.
    assert {window.row for window in streamed(data_set, pool=1, bin_size=0.2)} == {0, 1, 4, 5}


def test_no_more_rows_than_the_pool_are_in_memory(tmp_path):
    """A source whose rows are alive as long as something holds them: the pool, and the one that is being read."""
    rows = write_rows_of(tmp_path / "x", [np.full((2, 30), i, np.uint8) for i in range(12)])
    alive, most = 0, 0

    def free():
        nonlocal alive
        alive -= 1

    class Source(type(rows)):
        def read(self, numbers):
            nonlocal alive, most
            for i in numbers:
                row = super().row(i)
                row = row._replace(counts=row.counts.copy())
                weakref.finalize(row.counts, free)
                alive += 1
                gc.collect()
                most = max(most, alive)
                yield row

    source = Source(rows.name, rows.files, rows.fingerprint, rows.folder)
    windows = streamed(source, pool=3)
    gc.collect()
    gc.freeze()  # what libraries hold need not be searched for every row
    try:
        assert sum(1 for _ in windows) == 36
    finally:
        gc.unfreeze()
    assert 3 <= most <= 4


def test_rows_of_a_row_group_follow_one_another(data_set):
    """Row groups of 2, 1 and 4 rows, in all orders: each is read once."""

    class Grouped(type(data_set)):
        groups = tuple(SimpleNamespace(rows=n) for n in (2, 1, 4))

    windows = streamed(Grouped(data_set.name, data_set.files, "", data_set.folder), pool=1)
    orders = {tuple(dict.fromkeys(window.row for window in windows)) for _ in range(20)}
    groups = permutations([(0, 1), (2,), (4, 5, 6)])  # row 3 is empty
    assert orders == {tuple(row for group in order for row in group) for order in groups}


def test_a_checkpoint_of_something_else_is_refused(data_set):
    state = streamed(data_set).state_dict()
    streamed(data_set).load_state_dict(state)
    others = [streamed(data_set, seed=1), streamed(data_set, pool=3), streamed(data_set).shard(0, 2)]
    for other in [*others, streamed(data_set, where="n_units > 1")]:
        with pytest.raises(BadInput, match="a checkpoint of these windows"):
            other.load_state_dict(state)


def test_a_part_of_a_part_is_a_part(data_set):
    rows = [{w.row for w in streamed(data_set).shard(r, 2).shard(p, 3)} for r in range(2) for p in range(3)]
    assert sorted(row for some in rows for row in some) == [0, 1, 2, 4, 5, 6]
    assert sum(map(len, rows)) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "test"}, "expected a split test, found train"),
        ({"pool": 0}, "pool: expected a number of at least 1, found 0"),
        ({"n_bins": 0}, "n_bins: expected a number of at least 1, found 0"),
        ({"units": "some"}, "units: expected one of random, block, all, found some"),
        ({"bin_size": 0.03}, "bin_size: expected a multiple of the rows' own bin size, found 0.03 s"),
        ({"where": "n_units > 99"}, "--where: expected an expression that selects sessions of x"),
    ],
)
def test_options_without_meaning_are_refused_before_a_row_is_read(data_set, options, message):
    with pytest.raises(BadInput, match=message):
        streamed(data_set, **options)


def test_rows_without_a_window_are_refused_and_not_waited_for(tmp_path):
    rows = write_rows_of(tmp_path / "x", [np.ones((2, 3), np.uint8)] * 3)
    with pytest.raises(BadInput, match="expected rows with units and bins, found none"):
        next(streamed(rows, bin_size=0.2).batches(2))
    with pytest.raises(BadInput, match="shard"):
        streamed(rows).shard(3, 4)
