"""The nearest motif: the one that a comparison with all motifs finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralpile.training.nearest import Nearest


def plainly(motifs, patch):
    """The rank that comes first by spikes added and removed, then by movement in time, then by rank."""
    distances = []
    for rank, motif in enumerate(motifs.astype(int)):
        differ = patch.astype(int) - motif
        added_and_removed = sum(abs(unit.sum()) for unit in differ)
        moved = sum(abs(unit[: b + 1].sum()) for unit in differ for b in range(len(unit)))
        distances.append((added_and_removed, moved, rank))
    return min(distances)[-1]


@settings(max_examples=60)
@given(st.data(), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 2, 4, 255]))
def test_the_nearest_motif_is_that_of_a_comparison_with_all(data, p_n, p_t, most):
    size = p_n * p_t
    patch = st.lists(st.integers(0, most), min_size=size, max_size=size)
    motifs = np.array(data.draw(st.lists(patch, min_size=1, max_size=40, unique_by=tuple)), np.uint8)
    patches = np.array(data.draw(st.lists(patch, min_size=1, max_size=10)), np.uint8)
    motifs, patches = motifs.reshape(-1, p_n, p_t), patches.reshape(-1, p_n, p_t)
    found = Nearest.of(motifs).find(patches)
    assert found.tolist() == [plainly(motifs, patch) for patch in patches]


@pytest.mark.parametrize("shape", [(1, 8), (4, 4), (15, 1), (3, 5)])
def test_it_is_so_for_thousands_of_motifs(shape):
    rng = np.random.default_rng(0)
    rates = rng.lognormal(-0.5, 1, (4_000, 1, 1))
    patches = np.unique(rng.poisson(rates, (4_000, *shape)).astype(np.uint8), axis=0)
    rng.shuffle(patches)
    motifs, others = patches[:1_500], patches[1_500:1_540]
    for patch, found in zip(others.astype(int), Nearest.of(motifs).find(others), strict=True):
        differ = patch - motifs
        added_and_removed = np.abs(differ.sum(axis=2)).sum(axis=1)
        moved = np.abs(differ.cumsum(axis=2)).sum(axis=(1, 2))
        assert found == min(range(len(motifs)), key=lambda rank: (added_and_removed[rank], moved[rank], rank))


@pytest.mark.parametrize(
    ("patch", "nearest"),
    [
        ([2, 2, 0, 0], [4, 0, 0, 0]),  # as many spikes, rather than the pattern of half as many that cosine would take
        ([0, 0, 1, 0], [0, 0, 0, 1]),  # a bin later, rather than two bins earlier
        ([0, 9, 0, 0], [4, 0, 0, 0]),  # the most spikes there are
        ([0, 1, 0, 0], [1, 0, 0, 0]),  # a bin earlier
    ],
)
def test_amplitude_comes_first_then_time(patch, nearest):
    motifs = [[0, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [4, 0, 0, 0]]
    found = Nearest.of(np.array(motifs, np.uint8)[:, None]).find(np.array([[patch]], np.uint8))
    assert motifs[found[0]] == nearest


def test_of_two_at_the_same_distance_the_more_frequent_is_nearest():
    motifs = np.array([[[0, 0, 1]], [[1, 0, 0]]], np.uint8)
    for order in ([0, 1], [1, 0]):
        assert Nearest.of(motifs[order]).find(np.array([[[0, 1, 0]]], np.uint8)).tolist() == [0]
