"""Mean rates: 1 Hz and 10 Hz look different, a single spike is not white, and every rate has a colour."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralpile.figures import image


@given(st.floats(0, 13_000), st.booleans())
def test_every_rate_up_to_the_largest_has_a_colour_of_its_class(largest, in_hz):
    scale = image.rate_scale(largest, in_hz)
    assert (np.diff(scale.edges) > 0).all()
    assert len(scale.labels) == len(scale.edges) - 1 <= 10
    assert scale.edges[-1] > largest or largest == 0
    assert len({tuple(colour) for colour in scale.colours.colors}) == len(scale.labels)


def test_rates_of_real_units_look_different():
    """The row that was solid red: 104,000 bins of 20 ms of units at 1 Hz and at 10 Hz."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.array([[0.02], [0.2]]), (2, 104_000)).astype(np.uint8)
    rates = image.mean_rates(counts, 1_780, 0.02)
    assert rates.mean(axis=1) == pytest.approx([1, 10], rel=0.05)
    scale = image.rate_scale(float(rates.max()), in_hz=True)
    classes = np.digitize(rates, scale.edges) - 1
    assert np.median(classes[1]) >= np.median(classes[0]) + 2
    assert [scale.labels[int(np.median(c))] for c in classes] in (
        ["< 1", "5–10"],
        ["< 1", "10–20"],
        ["1–2", "10–20"],
        ["1–2", "5–10"],
    )


def test_a_single_spike_in_a_long_row_is_not_white():
    counts = np.zeros((1, 500_000), np.uint8)
    counts[0, 333_333] = 1
    rates = image.mean_rates(counts, 513, 0.02)
    assert np.count_nonzero(rates) == 1
    scale = image.rate_scale(float(rates.max()), in_hz=True)
    colour = scale.colours(scale.norm(rates))[rates > 0][0]
    assert colour[0] - colour[2] > 0.25  # red
    assert scale.labels == ["0", "< 1"]


@given(st.integers(1, 60), st.integers(1, 70), st.integers(1, 40), st.integers(1, 40))
def test_means_keep_the_number_of_spikes(n_units, n_bins, height, width):
    counts = np.random.default_rng(n_units * n_bins).integers(0, 9, (n_units, n_bins), np.uint8)
    rates = image.mean_rates(counts, width, 0.5)
    sizes = np.diff(np.arange(rates.shape[1] + 1) * n_bins // rates.shape[1])
    assert (rates * sizes * 0.5).sum() == pytest.approx(counts.sum())
    pooled = image.mean_units(rates, height)
    lines = np.diff(np.arange(len(pooled) + 1) * n_units // len(pooled))
    assert (pooled * lines[:, None] * sizes * 0.5).sum() == pytest.approx(counts.sum())
