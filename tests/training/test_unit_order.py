"""Orders of units: similar ones become neighbours, silent ones come last, and no simple change would be better."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from neuralpile.training import unit_order
from neuralpile.training.unit_order import activity, by_similarity


def sum_of_neighbours(similarity, order):
    return sum(similarity[a, b] for a, b in pairwise(order))


def correlations(n_units, seed):
    rng = np.random.default_rng(seed)
    return np.corrcoef(
        rng.standard_normal((n_units, 3)) @ rng.standard_normal((3, 40)) + rng.standard_normal((n_units, 40))
    )


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40)), st.integers(1, 45))
def test_sums_over_stretches_are_exact(counts, n):
    summed = unit_order.sums(counts, n)
    n_bins = counts.shape[1]
    edges = [i * n_bins // min(n, n_bins) for i in range(min(n, n_bins) + 1)]
    assert summed.tolist() == [[sum(map(int, unit[a:b])) for a, b in pairwise(edges)] for unit in counts]


# --- what is compared ---


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=4))
def test_every_spike_of_a_short_session_is_compared(widths):
    parts = [np.ones((2, width), np.uint8) for width in widths]
    active = activity(parts)
    assert active.summed.sum(axis=1).tolist() == [sum(widths)] * 2
    n_stretches = active.summed.shape[1]
    assert n_stretches <= unit_order.STRETCHES + len(widths)
    assert active.lengths.tolist() == active.summed[0].tolist()


@pytest.mark.parametrize("widths", [[900_000], [300_000, 1, 500_000, 99_999]])
def test_of_a_long_session_windows_all_over_it_are_read(widths):
    """5 hours of bins of 20 ms: a ninth of them is read, from the beginning to the end."""
    parts = [np.ones((2, width), np.uint8) for width in widths]
    ends = np.cumsum([0, *widths])
    for part, start in zip(parts, ends[:-1], strict=True):
        part[1] = (np.arange(start, start + part.shape[1]) * 10 // sum(widths) + 1).astype(np.uint8)  # which tenth
    active = activity(parts)
    assert 90_000 <= active.summed[0].sum() <= 110_000
    tenths = np.round(active.summed[1] / active.summed[0]).astype(int)
    assert set(tenths) == set(range(1, 11))
    assert active.summed.shape[1] <= 1.1 * unit_order.STRETCHES
    assert active.lengths.mean() == pytest.approx(25, rel=0.1)


# --- similarity ---


@given(st.integers(0, 1000))
def test_similar_units_are_neighbours(seed):
    """Two populations with a rhythm each, mixed, and a silent unit: sorted, each is together, the silent one last."""
    rng = np.random.default_rng(seed)
    time = np.arange(2_000)
    kinds = rng.permutation([0] * 10 + [1] * 10 + [2])
    rates = np.stack([np.sin(time / 50) > 0, np.cos(time / 33) > 0, np.zeros(2_000, bool)])[kinds] * 0.8
    order = by_similarity(activity([rng.poisson(rates).astype(np.uint8)]))
    assert sorted(order) == list(range(21))
    assert kinds[order[-1]] == 2
    assert np.count_nonzero(np.diff(kinds[order[:-1]])) == 1


def test_units_with_few_spikes_in_a_common_rhythm_become_neighbours():
    """20 s at 3 Hz, 20 of 60 units with a 1 Hz rhythm: single bins are too sparse to tell, smoothed ones are not."""
    time, borders = np.arange(1_000), 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        kinds = rng.permutation([0] * 40 + [1] * 20)
        rates = 0.06 * np.stack([np.ones(len(time)), 1 + np.sin(2 * np.pi * time / 50)])
        order = by_similarity(activity([rng.poisson(rates[kinds]).astype(np.uint8)]))
        borders += np.count_nonzero(np.diff(kinds[order]))
    assert borders / 4 < 5  # 1 at best, 26 by chance, 16 without smoothing


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (3, 0), (5, 1), (0, 4)])
def test_few_units_and_bins_have_an_order(shape):
    assert sorted(by_similarity(activity([np.ones(shape, np.uint8)]))) == list(range(shape[0]))


def test_silent_units_come_last_in_the_order_of_the_file():
    counts = np.random.default_rng(0).poisson(0.5, (30, 500)).astype(np.uint8)
    counts[[2, 17, 5]] = 0
    assert by_similarity(activity([counts]))[-3:].tolist() == [2, 5, 17]


@given(st.integers(2, 11), st.integers(0, 10**6))
def test_no_unit_is_better_elsewhere_and_no_part_turned_round(n_units, seed):
    """All turns of parts, and all moves of up to three units, as they are or turned, are tried by hand."""
    similarity = correlations(n_units, seed)
    order = unit_order.path(similarity).tolist()
    assert sorted(order) == list(range(n_units))
    best = sum_of_neighbours(similarity, order)
    for i in range(n_units):
        for j in range(i + 1, n_units + 1):
            turned = order[:i] + order[i:j][::-1] + order[j:]
            assert sum_of_neighbours(similarity, turned) <= best + 1e-8
            if j - i > 3:
                continue
            rest = order[:i] + order[j:]
            for at in range(len(rest) + 1):
                for moved in (order[i:j], order[i:j][::-1]):
                    assert sum_of_neighbours(similarity, rest[:at] + moved + rest[at:]) <= best + 1e-8


@pytest.mark.parametrize("seed", range(5))
def test_neighbours_are_more_alike_than_in_an_optimal_order_of_leaves(seed):
    similarity = correlations(120, seed)
    distances = squareform(1 - similarity, checks=False)
    leaves = leaves_list(optimal_leaf_ordering(linkage(distances, "average"), distances))
    ours = sum_of_neighbours(similarity, unit_order.path(similarity))
    assert ours >= sum_of_neighbours(similarity, leaves)


def test_the_same_activity_gives_the_same_order_wherever_segments_are_cut():
    counts = np.random.default_rng(1).poisson(0.3, (40, 3_000)).astype(np.uint8)
    whole = by_similarity(activity([counts]))
    assert whole.tolist() == by_similarity(activity([counts[:, :1_500], counts[:, 1_500:]])).tolist()


@given(st.integers(2, 9), st.integers(2, 30), st.integers(0, 10**6))
def test_correlations_are_those_of_numpy(n_units, n_bins, seed):
    values = np.random.default_rng(seed).normal(3, 2, (n_units, n_bins)).astype(np.float32)
    np.testing.assert_allclose(unit_order.correlations(values), np.corrcoef(values.astype(float)), atol=1e-5)


@pytest.mark.parametrize("count", [1, 7, 255])
def test_units_that_spike_always_alike_come_after_those_that_vary(count):
    """Whatever rounding errors smoothing makes of them."""
    counts = np.random.default_rng(1).poisson(3, (6, 9_000)).astype(np.uint8)
    counts[[1, 3]] = count
    assert sorted(by_similarity(activity([counts]))[-2:].tolist()) == [1, 3]
