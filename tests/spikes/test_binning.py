"""Spike counts: equal to numpy's histogram, whatever the spikes; nothing left out unnoticed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuralpile.errors import Mismatch
from neuralpile.spikes import binning


def flat(trains):
    """Spike trains as the units table has them."""
    ends = np.cumsum([len(train) for train in trains], dtype=np.int64)
    return np.concatenate([np.asarray(train, float) for train in trains] or [np.empty(0)]), ends


def histograms(trains, edges):
    return np.stack([np.histogram(train, edges)[0] for train in trains])


@st.composite
def spike_times(draw, bin_size):
    """A time that is somewhere, or on an edge as numpy computes it, or one float beside it."""
    edge = draw(st.integers(0, 3000)) * bin_size
    side = draw(st.sampled_from(["on", "before", "after", "anywhere", "clock"]))
    if side == "before":
        return max(0.0, float(np.nextafter(edge, -np.inf)))
    if side == "after":
        return float(np.nextafter(edge, np.inf))
    if side == "clock":  # milliseconds, as written by many acquisition systems
        return draw(st.integers(0, 60_000)) / 1000
    return edge if side == "on" else draw(st.floats(0, 60))


@st.composite
def populations(draw):
    bin_size = draw(st.sampled_from([0.02, 0.001, 0.05, 1 / 60, 0.1, 1.0]))
    trains = draw(st.lists(st.lists(spike_times(bin_size), max_size=30), min_size=1, max_size=4))
    return bin_size, trains


@given(populations())
@settings(max_examples=400)
def test_counts_are_those_of_numpy_histogram(population):
    bin_size, trains = population
    times, ends = flat(trains)
    for as_published in (False, True):
        binned = binning.bin_spikes(times, ends, bin_size, as_published)
        if not times.size:
            assert binned.counts.shape == (len(trains), 0)
            continue
        edges = np.arange(0, times.max() + bin_size, bin_size)
        if len(edges) == 1:
            edges = np.array([0, bin_size])
        expected = histograms(trains, edges)
        lost = times.size - expected.sum()
        assert binned.counts.shape == expected.shape
        if as_published:
            assert (binned.counts == expected).all()
            assert binned.after_end == lost
        else:  # where rounding leaves the last edge below the last spike, it is counted all the same
            assert binned.counts.sum() == times.size
            assert binned.after_end == 0
            assert (binned.counts[:, :-1] == expected[:, :-1]).all()


def test_last_spike_past_the_last_edge():
    """Rounding can leave the last edge one float below the last spike: found by search, so that the case is there."""
    candidates = np.nextafter(np.arange(1, 5000) * 0.02, np.inf)
    late = [t for t in candidates if np.arange(0, t + 0.02, 0.02)[-1] < t]
    assert late
    times, ends = flat([[0.5, late[-1]], [late[-1]]])
    assert binning.bin_spikes(times, ends, 0.02).counts[:, -1].tolist() == [1, 1]
    published = binning.bin_spikes(times, ends, 0.02, as_published=True)
    assert published.counts[:, -1].tolist() == [0, 0]
    assert published.notes(True) == ["2 spikes after the last published bin edge left out"]


def test_edges_decide_where_a_floor_of_the_quotient_would_be_wrong():
    """On a millisecond clock the quotient puts spikes on edges into the bin before; the edges decide instead."""
    times = np.arange(0, 100_000) / 1000
    edges = np.arange(0, times.max() + 0.02, 0.02)
    floored = np.bincount(np.floor(times / 0.02).astype(int), minlength=len(edges) - 1)
    expected = np.histogram(times, edges)[0]
    assert (floored[: len(expected)] != expected).any()
    binned = binning.bin_spikes(times, np.array([len(times)]), 0.02)
    assert (binned.counts[0] == expected).all()


@given(st.permutations(list(np.linspace(0, 3, 40))))
def test_order_of_spikes_is_indifferent(train):
    expected = binning.bin_spikes(np.sort(train), np.array([40]), 0.02).counts
    assert (binning.bin_spikes(np.array(train), np.array([40]), 0.02).counts == expected).all()


def test_what_is_left_out_is_counted():
    times, ends = flat([[-0.5, -1e-9, 0.0, 0.01, np.nan], [], [np.inf, -np.inf, 0.05, -0.0]])
    binned = binning.bin_spikes(times, ends, 0.02)
    assert binned.counts.tolist() == [[2, 0, 0], [0, 0, 0], [1, 0, 1]]
    assert (binned.before_start, binned.not_finite, binned.above_largest) == (2, 3, 0)
    assert binned.notes() == [
        "2 spikes before the first bin left out",
        "3 NaN or infinite spike times left out",
    ]


def test_published_end_of_a_session_with_nan():
    """Python's max passes over a unit whose largest time is NaN, so the published session ends with the other units."""
    times, ends = flat([[1.0], [0.5, 5.0, np.nan]])
    assert binning.bin_spikes(times, ends, 0.02).counts.shape == (2, 250)
    published = binning.bin_spikes(times, ends, 0.02, as_published=True)
    assert published.counts.shape[1] == len(np.arange(0, 1.02, 0.02)) - 1
    assert published.after_end == 1


def test_counts_saturate_at_255_and_wrap_only_as_published():
    times, ends = flat([[0.001] * 300 + [0.03] * 255, [0.03] * 513])
    right = binning.bin_spikes(times, ends, 0.02)
    assert right.counts.tolist() == [[255, 255], [0, 255]]
    assert right.above_largest == 45 + 258
    published = binning.bin_spikes(times, ends, 0.02, as_published=True)
    assert published.counts.tolist() == [[300 % 256, 255], [0, 513 % 256]]
    assert published.above_largest == 1 + 2


@pytest.mark.parametrize("trains", [[], [[]], [[], []], [[-1.0], []], [[np.nan]]])
def test_session_without_spikes_has_no_bins(trains):
    times, ends = flat(trains)
    for as_published in (False, True):
        assert binning.bin_spikes(times, ends, 0.02, as_published).counts.shape == (len(trains), 0)


def test_spikes_all_at_zero_make_one_bin():
    assert binning.bin_spikes(*flat([[0.0, 0.0]]), 0.02).counts.tolist() == [[2]]


def test_times_in_another_unit_are_refused():
    with pytest.raises(Mismatch, match="7 days"):
        binning.bin_spikes(*flat([[1.0, 30_000 * 3600.0]]), 0.02)


rasters = st.tuples(st.integers(0, 70), st.integers(1, 5)).flatmap(
    lambda shape: arrays(st.sampled_from([np.uint8, np.int16, np.uint16, np.bool_]), shape, fill=st.nothing())
)


@given(rasters, st.sampled_from([1, 2, 20]))
def test_rebin_is_a_sum_over_blocks(raster, factor):
    raster = np.abs(raster.astype(np.int64)).clip(0, 200).astype(raster.dtype)
    n = len(raster) // factor
    expected = np.zeros((raster.shape[1], n), int)
    for b in range(n):
        for unit in range(raster.shape[1]):
            expected[unit, b] = sum(int(x) for x in raster[b * factor : (b + 1) * factor, unit])
    binned = binning.rebin(raster, factor)
    assert (binned.counts == expected.clip(max=255)).all()
    assert binned.above_largest == (expected - expected.clip(max=255)).sum()
    assert (binning.rebin(raster, factor, as_published=True).counts == expected % 256).all()


def test_many_bins_are_summed_as_few_are():
    """More bins than are summed in one go."""
    raster = np.random.default_rng(0).integers(0, 100, (2 * 1100 + 1, 3), np.uint8)
    expected = raster[:-1].reshape(1100, 2, 3).sum(axis=1, dtype=int).T
    assert (binning.rebin(raster, 2).counts == expected).all()


@pytest.mark.parametrize("raster", [np.ones((4, 2)), np.array([[-1, 2]]), np.ones(4, np.uint8)])
def test_rebin_refuses_what_is_no_raster(raster):
    with pytest.raises(Mismatch, match="counts"):
        binning.rebin(raster, 1)
