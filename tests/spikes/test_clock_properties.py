"""The clock's check as properties: plausible sessions are never refused, sample numbers and milliseconds always are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralpile.cli import plural
from neuralpile.errors import Mismatch
from neuralpile.spikes import clock


def session(seed, n_units, seconds, hertz):
    """Sorted Poisson trains, one after another, and their ends."""
    rng = np.random.default_rng(seed)
    trains = [np.sort(rng.uniform(0, seconds, rng.poisson(hertz * seconds))) for _ in range(n_units)]
    return np.concatenate(trains), np.cumsum([len(train) for train in trains])


SEEDS, UNITS = st.integers(0, 10_000), st.integers(1, 20)


@settings(deadline=None)
@given(SEEDS, UNITS, st.floats(10, 4000), st.floats(0.1, 5), st.sampled_from([0, 1e-3, 1 / 24_414.0625, 1 / 30_000]))
def test_no_plausible_session_is_refused_or_noted_on_any_clock(seed, n_units, seconds, hertz, tick):
    times, ends = session(seed, n_units, seconds, hertz)
    if tick:
        times = np.rint(times / tick) * tick
    assert clock.check(times, ends, 0.02) == []


@settings(deadline=None)
@given(SEEDS, UNITS, st.floats(60, 4000), st.sampled_from([1000.0, 24_414.0625, 25_000.0, 30_000.0, 40_000.0]))
def test_sample_numbers_and_whole_milliseconds_are_refused(seed, n_units, seconds, rate):
    times, ends = session(seed, n_units, seconds, 2.0)
    with pytest.raises(Mismatch, match="spike times in seconds"):
        clock.check(np.rint(times * rate), ends, 0.02)


@settings(deadline=None)
@given(SEEDS, st.integers(1, 20), st.floats(100, 4000))
def test_milliseconds_with_fractions_are_refused(seed, n_units, seconds):
    """At 5 Hz, taken for seconds, they are 0.005 Hz."""
    times, ends = session(seed, n_units, seconds, 5.0)
    with pytest.raises(Mismatch, match="spike times in seconds"):
        clock.check(times * 1000, ends, 0.02)


@settings(deadline=None)
@given(SEEDS, st.integers(1, 20))
def test_a_clock_that_restarts_in_every_unit_is_noted_not_refused(seed, n_units):
    rng = np.random.default_rng(seed)
    trains = [np.concatenate([np.sort(rng.uniform(0, end, 100)) for end in (60, 40)]) for _ in range(n_units)]
    notes = clock.check(np.concatenate(trains), np.arange(1, n_units + 1) * 200, 0.02)
    expected = f"times go back in {n_units} of {plural(n_units, 'unit')}, once"
    assert [note.partition(":")[0] for note in notes] == [expected]
