"""Scores of predicted counts, against formulas that are written out here, scipy's distributions, and nlb_tools."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import gamma, poisson

from neuralpile.errors import BadInput
from neuralpile.training import metrics

SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)
seeds = st.integers(0, 2**32 - 1)


def drawn(seed, shape, missing=0.1):
    """Counts (trials, units, bins) with NaN and a silent unit, and rates with zeros."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(1, 1, shape)).astype(float)
    counts[:, 0] = 0
    counts[rng.random(shape) < missing] = np.nan
    rates = rng.gamma(1, 1, shape)
    rates[rng.random(shape) < 0.05] = 0
    return counts, rates


def nlb_bits_per_spike(counts, rates):
    """Bits per spike as NLB '21 writes it: (log-likelihood of the model - that of mean rates) / spikes / log 2."""

    def log_likelihood(rate, n):
        rate = rate or 1e-9
        return -rate + n * math.log(rate) - math.lgamma(n + 1)

    total = spikes = 0.0
    for unit in range(counts.shape[1]):
        n, r = counts[:, unit].ravel(), rates[:, unit].ravel()
        seen = [(a, b) for a, b in zip(n.tolist(), r.tolist(), strict=True) if not math.isnan(a)]
        mean = sum(a for a, _ in seen) / len(seen) if seen else 0.0
        total += sum(log_likelihood(b, a) - log_likelihood(mean, a) for a, b in seen)
        spikes += sum(a for a, _ in seen)
    return total / spikes / math.log(2) if spikes else math.nan


@given(seeds, SHAPES)
def test_bits_per_spike_follow_the_benchmarks_formula(seed, shape):
    counts, rates = drawn(seed, shape)
    expected = nlb_bits_per_spike(counts, rates)
    np.testing.assert_allclose(metrics.bits_per_spike(counts, rates), expected, rtol=1e-6, atol=1e-6)


@given(seeds, SHAPES)
def test_bits_per_spike_are_those_of_nlb_tools(seed, shape):
    nlb = pytest.importorskip("nlb_tools.evaluation", reason="nlb_tools is not installed")
    counts, rates = drawn(seed, shape)
    if np.nansum(counts):
        swapped = (rates.swapaxes(1, 2).copy(), counts.swapaxes(1, 2).copy())
        np.testing.assert_allclose(metrics.bits_per_spike(counts, rates), nlb.bits_per_spike(*swapped), 1e-6, 1e-6)


@given(seeds, SHAPES)
def test_poisson_nll_is_that_of_the_distribution(seed, shape):
    counts, rates = drawn(seed, shape, missing=0)
    expected = -poisson.logpmf(counts, np.where(rates == 0, 1e-9, rates)).sum(axis=-1)
    np.testing.assert_allclose(metrics.poisson_nll(counts.astype(np.uint8), rates).nll, expected, rtol=1e-9)


@given(seeds, SHAPES)
def test_no_constant_rates_beat_the_null_model_and_the_mean_rates_equal_it(seed, shape):
    counts, _ = drawn(seed, shape)
    if not np.nansum(counts):
        return
    other = np.random.default_rng(seed).gamma(1, 1, shape[1])[:, None]
    assert metrics.bits_per_spike(counts, other) <= 1e-9
    scores = metrics.poisson_nll(counts, 1.0).merge(np.arange(shape[1]))
    means = scores.spikes / np.maximum(scores.bins, 1)
    assert metrics.bits_per_spike(counts, means[:, None]) == pytest.approx(0, abs=1e-6)


@given(seeds, SHAPES, st.integers(1, 5))
def test_windows_of_the_same_units_score_as_the_whole(seed, shape, length):
    counts, rates = drawn(seed, (1, shape[1], 30))
    parts = [
        metrics.poisson_nll(counts[0, :, i : i + length], rates[0, :, i : i + length]) for i in range(0, 30, length)
    ]
    together = metrics.concatenate(parts)
    merged = together.merge(np.tile(np.arange(shape[1]), len(parts)))
    for mine, whole in zip(merged, metrics.poisson_nll(counts[0], rates[0]), strict=True):
        np.testing.assert_allclose(mine, whole, rtol=1e-9, atol=1e-9)


@given(seeds, SHAPES)
def test_what_is_not_observed_does_not_count_whatever_stands_there(seed, shape):
    counts, rates = drawn(seed, shape, missing=0)
    observed = np.random.default_rng(seed).random(shape) < 0.5
    expected = metrics.poisson_nll(np.where(observed, counts, np.nan), rates)
    rates[~observed] = np.nan
    garbage = np.where(observed, counts, -7)
    for mine, wanted in zip(metrics.poisson_nll(garbage, rates, observed), expected, strict=True):
        np.testing.assert_array_equal(mine, wanted)


def test_padded_units_of_a_batch_are_masked_and_need_no_number():
    counts = np.array([[[1, 0], [2, 0]], [[0, 1], [9, 9]]], dtype=np.uint8)  # the last one is padding
    mask = np.array([[True, True], [True, False]])
    scores = metrics.poisson_nll(counts, 0.5, mask[..., None]).merge([[0, 1], [0, -1]])
    assert scores.spikes.tolist() == [2, 2]
    assert scores.bins.tolist() == [4, 2]


def test_a_silent_unit_and_a_unit_that_was_never_observed_cost_what_their_rates_do():
    counts = np.array([[0.0, 0.0], [np.nan, np.nan], [1.0, 0.0]])
    scores = metrics.poisson_nll(counts, [[0.25], [np.nan], [0.5]])
    np.testing.assert_allclose(scores.nll, [0.5, 0, 1 - math.log(0.5)])
    np.testing.assert_allclose(scores.null_nll, [0, 0, 1 - math.log(0.5)])
    assert scores.bins.tolist() == [2, 0, 2]


def test_without_spikes_or_bins_a_score_is_nan():
    assert math.isnan(metrics.bits_per_spike(np.zeros((2, 3)), 0.1))
    assert math.isnan(metrics.poisson_nll(np.zeros((2, 3)), 0.1, False).nats_per_token)


def test_groups_hold_the_units_of_their_label():
    rng = np.random.default_rng(0)
    counts, rates = rng.poisson(1, (4, 9)), rng.gamma(1, 1, (4, 9))
    groups = metrics.poisson_nll(counts, rates).by(["V4", "M1", "V4", "M1"])
    assert list(groups) == ["M1", "V4"]
    assert groups["V4"].bits_per_spike == metrics.bits_per_spike(counts[::2], rates[::2])


@given(seeds, st.integers(1, 5))
def test_cross_entropy_is_that_of_the_probabilities(seed, classes):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.5, (3, 4))
    probabilities = rng.dirichlet(np.ones(classes), (3, 4))
    logits = np.log(probabilities) + rng.normal(size=(3, 4, 1))  # a constant changes no probability
    expected = [
        [-math.log(p[min(n, classes - 1)]) for n, p in zip(*unit, strict=True)]
        for unit in zip(counts, probabilities, strict=True)
    ]
    scores = metrics.cross_entropy(counts, logits)
    np.testing.assert_allclose(scores.nll, np.sum(expected, axis=1), atol=1e-9)
    assert scores.nats_per_token == pytest.approx(np.mean(expected))


def test_a_classifier_with_poisson_probabilities_scores_as_the_rates_do():
    rng = np.random.default_rng(0)
    counts, rates = rng.poisson(0.5, (5, 40)), rng.gamma(1, 1, (5, 40))
    logits = poisson.logpmf(np.arange(40), rates[..., None])
    by_class, by_rate = metrics.cross_entropy(counts, logits), metrics.poisson_nll(counts, rates)
    assert by_class.bits_per_spike == pytest.approx(by_rate.bits_per_spike)


def test_mean_rates_are_jeffreys_posterior_means():
    spikes, bins = np.array([0, 3, 70]), np.array([10, 10, 100])
    np.testing.assert_allclose(metrics.mean_rates(spikes, bins), gamma.mean(spikes + 0.5, scale=1 / bins))
    assert np.isnan(metrics.mean_rates([0, 1], [0, 1])).tolist() == [True, False]


@given(seeds, st.integers(1, 40), st.integers(1, 12))
def test_smoothed_rates_are_posterior_means_of_the_past_alone(seed, bins, window):
    rng = np.random.default_rng(seed)
    counts, observed, mean = rng.poisson(0.7, (2, 3, bins)), rng.random((2, 1, bins)) < 0.8, rng.gamma(1, 1, (2, 3))
    rates = metrics.smoothed_rates(counts, mean, window, observed)
    for trial, unit, b in np.ndindex(rates.shape):
        past = [counts[trial, unit, i] if observed[trial, 0, i] else None for i in range(max(0, b - window), b)]
        past = [n for n in past if n is not None]
        expected = (sum(past) + mean[trial, unit] * window) / (len(past) + window)
        assert rates[trial, unit, b] == pytest.approx(expected)


def test_the_smoothed_baseline_beats_mean_rates_where_rates_change_slowly():
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.repeat([0.1, 1.0, 0.1], 500), (10, 1500))
    mean = np.full(10, 0.4)
    assert metrics.bits_per_spike(counts, metrics.smoothed_rates(counts, mean)) > 0.1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.poisson_nll([[1, 2]], [[-1, 1]]), "rates: expected finite numbers >= 0, found -1.0"),
        (lambda: metrics.poisson_nll([[1, 2]], [[np.nan, 1]]), "rates: expected finite numbers >= 0, found nan"),
        (lambda: metrics.poisson_nll([[1, -2]], [[1, 1]]), "counts: expected finite numbers >= 0, found -2.0"),
        (lambda: metrics.poisson_nll([[1, 2]], np.ones((2, 3))), "rates: expected a shape that broadcasts to (1, 2)"),
        (lambda: metrics.poisson_nll([1, 2], [1, 1]), "counts: expected an array (..., units, bins), found shape (2,)"),
        (lambda: metrics.poisson_nll([[1, 2]], 1, [True] * 3), "observed: expected a shape that broadcasts to (1, 2)"),
        (lambda: metrics.cross_entropy([[0.5]], [[[0, 0]]]), "counts: expected whole numbers, found 0.5"),
        (lambda: metrics.cross_entropy([[1]], [[[0, np.nan]]]), "logits: expected numbers, found nan"),
        (lambda: metrics.cross_entropy([[1, 1]], np.zeros((3, 2, 2))), "logits: expected a shape that broadcasts"),
    ],
)
def test_what_is_no_prediction_or_no_count_is_refused_in_one_line(call, words):
    with pytest.raises(BadInput) as refused:
        call()
    assert str(refused.value).startswith(words)
