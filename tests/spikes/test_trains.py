"""Spike trains: lists and labels give the same trains; quality labels are compared without case."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralpile.errors import Mismatch
from neuralpile.spikes import trains
from neuralpile.spikes.session import Options
from neuralpile.spikes.trains import SpikeTrains

LEVELS = ("noise", "mua", "good")


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 100)), max_size=40))
def test_labels_and_lists_give_the_same_trains(spikes):
    labels, times = np.array([u for u, _ in spikes], int), np.array([t for _, t in spikes], float)
    found = SpikeTrains.from_labels(times, labels, np.arange(6))
    expected = SpikeTrains.from_list([[t for u, t in spikes if u == unit] for unit in range(6)])
    assert found.times.tolist() == expected.times.tolist()
    assert found.ends.tolist() == expected.ends.tolist()
    assert list(found.ids) == list(expected.ids) == list("012345")


def test_a_list_of_arrays_is_counted_as_it_is():
    session = trains.count([np.array([0.01, 0.03]), [], (0.05,)], Options(bin_size=0.02), "me", "today")
    assert (session.subject_id, session.session_id) == ("me", "today")
    assert session.counts.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert trains.count([], Options(), "me", "today").counts.shape == (0, 0)


def test_names_and_labels_must_be_one_for_each_unit():
    with pytest.raises(Mismatch, match="ids of 2 units"):
        SpikeTrains.from_list([[1.0], [2.0]], ids=["a"])
    with pytest.raises(Mismatch, match="quality labels of 1 unit"):
        SpikeTrains.from_list([[1.0]], quality=["good", "mua"])
    with pytest.raises(Mismatch, match="a unit for each spike time"):
        SpikeTrains.from_labels(np.array([1.0, 2.0]), np.array([1]))


def test_quality_is_compared_without_case_and_blanks():
    assert trains.at_least(["GOOD", " Mua ", "noise", "", "x"], LEVELS, "mua").tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]
    with pytest.raises(Mismatch, match="only 'fine', 'poor'") as error:
        trains.at_least(["fine", "poor"], LEVELS, "mua")
    assert str(error.value.at("x.nwb", "check the times")).endswith("'poor'; build without --min_quality")
    assert trains.at_least([], LEVELS, "good").tolist() == []
    with pytest.raises(Mismatch, match="quality labels"):
        trains.count([[0.5]], Options(min_quality="good"), "a", "b", LEVELS)


@pytest.mark.parametrize(("unit", "seconds"), [("s", 1.0), ("ms", 0.001), ("us", 1e-6), (1 / 30_000, 1 / 30_000)])
def test_units_of_time_are_converted_to_seconds(unit, seconds):
    assert trains.seconds_per(unit) == seconds


@pytest.mark.parametrize("unit", ["min", "", 0, -1, float("nan"), float("inf")])
def test_what_is_no_unit_of_time_is_refused(unit):
    with pytest.raises(Mismatch, match="a unit of time"):
        trains.seconds_per(unit)
