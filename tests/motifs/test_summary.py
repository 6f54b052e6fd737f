"""Entropy: of the sample as defined, and corrected as the published formula says, close to the truth."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralpile.motifs import parquet, summary


def spectrum(frequencies):
    return np.stack(np.unique(np.array(frequencies, np.int64), return_counts=True), axis=1)[::-1]


def chao_wang_jost(frequencies):
    """Equation 7 of Chao, Wang & Jost 2013 term by term, the sums in exact fractions; in bits."""
    n = sum(frequencies)
    f1, f2 = frequencies.count(1), frequencies.count(2)
    seen = sum(Fraction(x, n) * sum(Fraction(1, k) for k in range(x, n)) for x in frequencies)
    if f2:
        a = Fraction(2 * f2, (n - 1) * f1 + 2 * f2)
    elif f1:
        a = Fraction(2, (n - 1) * (f1 - 1) + 2)
    else:
        a = Fraction(1)
    if a == 1:
        return float(seen) / math.log(2)
    # −log a is Σ (1 − a)^r / r over all r from 1, of which those below n are subtracted: what is left, term by term
    rest, term, r = 0.0, float(1 - a), n
    while term / r > 1e-18:
        rest += term / r
        term *= float(1 - a)
        r += 1
    return (float(seen) + f1 / n * rest) / math.log(2)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=40))
def test_the_corrected_entropy_is_that_of_the_published_formula(frequencies):
    assert summary.corrected_entropy(spectrum(frequencies)) == pytest.approx(chao_wang_jost(frequencies), abs=1e-6)


@pytest.mark.parametrize(("n_kinds", "n"), [(1_000, 500), (1_000, 2_000), (10, 100_000)])
def test_the_corrected_entropy_is_nearer_to_the_truth_than_that_of_the_sample(n_kinds, n):
    """Samples of a uniform distribution, whose entropy is known; with 500 of 1,000 kinds most occur once."""
    plain, corrected = [], []
    for seed in range(20):
        drawn = np.random.default_rng(seed).integers(0, n_kinds, n)
        found = spectrum(np.unique(drawn, return_counts=True)[1])
        plain.append(summary.entropy(found))
        corrected.append(summary.corrected_entropy(found))
    truth = math.log2(n_kinds)
    assert abs(np.mean(corrected) - truth) < 0.05
    assert abs(np.mean(corrected) - truth) <= abs(np.mean(plain) - truth) + 1e-4


def test_a_sample_of_patches_that_occur_once_is_flagged():
    job = parquet.Counted("x", 8, 8, 6_400, 100)
    made = summary.summarize(job, spectrum([1] * 90 + [10]), 3.2)
    assert (made.singletons, made.sample_coverage) == (90, pytest.approx(0.1))
    text = "\n".join(summary.lines(made))
    assert "⚠ 90% of the patches occur once" in text
    assert "cannot exceed 6.64 bits a patch" in text  # log2(100)
    assert "⚠" not in "\n".join(summary.lines(summary.summarize(job, spectrum([50, 49, 1]), 3.2)))


def test_shares_of_more_motifs_than_there_are_are_not_printed():
    job = parquet.Counted("x", 1, 8, 8 * 150, 150)
    text = "\n".join(summary.lines(summary.summarize(job, spectrum([2] * 30 + [1] * 90), 1.0)))
    assert "share of top 100 " in text
    assert "1,000" not in text
    assert text.startswith("x, patches of 1 unit × 8 bins\n")
