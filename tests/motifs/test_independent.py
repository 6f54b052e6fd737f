"""Independent units: probabilities by a plain sum over groups, known entropies, and the lift of a planted motif."""

import itertools
import math

import numpy as np
import pytest
from helpers.small_corpora import write_rows_of
from hypothesis import given
from hypothesis import strategies as st

from neuralpile.motifs import extract, independent, run
from neuralpile.motifs.independent import Groups


def poisson(n, rate):
    return math.exp(-rate) * rate**n / math.factorial(n)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_the_probability_is_the_mean_over_groups_of_a_product_over_cells(p_n, p_t, seed):
    rng = np.random.default_rng(seed)
    rates = rng.choice([0.0, 0.1, 0.5, 2.0], (4, p_n))
    weights = rng.dirichlet(np.ones(4))
    patches = rng.integers(0, 4, (10, p_n, p_t)).astype(np.uint8)
    found = np.exp2(independent.log2_probability(patches, Groups(rates, weights)))
    for patch, p in zip(patches.tolist(), found, strict=True):
        expected = sum(
            weight * math.prod(poisson(n, rate) for unit, rate in zip(patch, group, strict=True) for n in unit)
            for weight, group in zip(weights, rates.tolist(), strict=True)
        )
        assert p == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_the_entropy_of_one_group_is_the_sum_over_its_cells():
    """Independent cells: p_n × p_t times the entropy of a Poisson distribution, summed term by term."""
    rate = 0.3
    cell = -sum(poisson(n, rate) * math.log2(poisson(n, rate)) for n in range(20))
    found = independent.entropy(Groups(np.full((1, 2), rate), np.ones(1)), p_t=5)
    assert found == pytest.approx(10 * cell, rel=0.02)


def test_the_entropy_of_several_groups_is_that_of_their_mixture():
    """One unit, one bin: the distribution is a mean of Poisson distributions, and can be written down."""
    rates, weights = [0.05, 1.5], [0.75, 0.25]
    mixture = [sum(w * poisson(n, r) for w, r in zip(weights, rates, strict=True)) for n in range(40)]
    expected = -sum(p * math.log2(p) for p in mixture if p > 0)
    found = independent.entropy(Groups(np.array(rates)[:, None], np.array(weights)), p_t=1)
    assert found == pytest.approx(expected, rel=0.02)


def test_groups_have_the_rates_of_the_units(tmp_path):
    rng = np.random.default_rng(0)
    matrices = [rng.poisson(0.3, (5, 81)).astype(np.uint8), rng.poisson(1, (2, 16)).astype(np.uint8)]
    groups = independent.read_groups(write_rows_of(tmp_path / "x", matrices), 2, 8)
    first, second = (m.mean(axis=1) for m in matrices)
    np.testing.assert_allclose(groups.rates, [first[:2], first[2:4], [first[4], 0], second])
    np.testing.assert_allclose(groups.weights, np.array([11, 11, 11, 2]) / 35)


def test_rows_are_drawn_by_size_so_that_a_few_long_ones_are_not_missed(tmp_path):
    """Two long rows of fast units among 100 short ones of slow units: nearly all patches are from the long ones."""
    rng = np.random.default_rng(0)
    matrices = [rng.poisson(0.02, (1, 80)).astype(np.uint8) for _ in range(100)]
    matrices += [rng.poisson(1, (1, 80_000)).astype(np.uint8) for _ in range(2)]
    data_set = write_rows_of(tmp_path / "x", matrices)
    for seed in range(5):
        groups = independent.read_groups(data_set, 1, 8, seed)
        assert len(groups.weights) == independent.ROWS
        assert groups.weights[groups.rates[:, 0] > 0.8].sum() == pytest.approx(20_000 / 21_000, rel=1e-6)


def test_each_row_is_drawn_with_its_probability():
    probability = independent.inclusion(np.array([50.0, 4, 3, 2, 1, 0]), 3)
    assert probability.tolist() == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0])
    rng = np.random.default_rng(0)
    times = np.zeros(6)
    for _ in range(4_000):
        chosen = independent.drawn(probability, rng)
        assert len(chosen) == 3
        times[chosen] += 1
    np.testing.assert_allclose(times / 4_000, probability, atol=0.04)


def test_a_planted_motif_ranks_first_by_lift_and_the_blank_one_is_left_out(tmp_path):
    """Bursts of four single spikes in every third patch of two units among Poisson units of the same rates."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.1, (20, 8_000)).astype(np.uint8)
    burst = np.array([0, 1, 0, 1, 1, 0, 0, 1], np.uint8)
    for unit, start in itertools.product((3, 11), range(0, 8_000, 24)):
        counts[unit, start : start + 8] = burst
    data_set = write_rows_of(tmp_path / "x", [counts])
    counted = extract.count([counts], 1, 8)
    groups = independent.read_groups(data_set, 1, 8)
    n = int(counted.frequencies.sum())
    shown, notes = run.select(counted, groups, n, run.Selection(5, "lift", skip_blank=True))
    assert shown.patches[0].tolist() == [burst.tolist()]
    assert float(notes[0].removeprefix("× ")) > 20
    assert shown.patches.any(axis=(1, 2)).all()
    shown, notes = run.select(counted, groups, n, run.Selection(5, skip_blank=True))
    assert shown.frequencies.tolist() == counted.frequencies[1:6].tolist()  # the blank one is the most frequent
    assert notes == []
    blank = extract.count([np.zeros((2, 80), np.uint8)], 1, 8)
    assert len(run.select(blank, groups, 20, run.Selection(5, skip_blank=True))[0].frequencies) == 1
