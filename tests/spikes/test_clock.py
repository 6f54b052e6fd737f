"""Clocks: what cannot be seconds is refused, what is unlikely is noted, real recordings pass without a word."""

import numpy as np
import pytest
from helpers.recordings import write_units, write_units_bare

from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import nwb
from neuralpile.spikes import clock, trains
from neuralpile.spikes.session import Options


def population(n_units=20, seconds=15.0, rate=8.0, seed=0):
    """Sorted Poisson trains in seconds."""
    rng = np.random.default_rng(seed)
    return [np.sort(rng.uniform(0, seconds, rng.poisson(rate * seconds))) for _ in range(n_units)]


def check(trains, bin_size=0.02):
    ends = np.cumsum([len(train) for train in trains])
    return clock.check(np.concatenate([np.asarray(train, float) for train in trains]), ends, bin_size)


@pytest.mark.parametrize(
    ("per_second", "digits"),
    [(30_000, 0), (24_414.0625, 0), (1000, 0), (1000, 3), (1e6, 0), (1e9, 0), (1 / 3600, 15)],
)
def test_times_in_another_unit_are_refused(per_second, digits):
    """Samples, milliseconds (whole or not), micro- and nanoseconds; hours."""
    trains = population(rate=3.0 if digits == 3 else 20.0) if per_second > 1 else population(4, 4000, 3.0)
    assert check(trains) == []
    with pytest.raises(Mismatch, match="seconds"):
        check([np.round(train * per_second, digits) for train in trains])


def test_samples_of_a_short_recording_are_refused_before_bins_are_allocated(tmp_path):
    """20 units, 15 s at 30 kHz: 22.5 million bins, 450 MB, if they were taken for seconds."""
    path = write_units(tmp_path / "sub" / "x.nwb", [np.round(train * 30_000) for train in population()])
    with pytest.raises(BadInput, match="expected spike times in seconds, found only whole numbers"):
        nwb.count_units(path, Options())


@pytest.mark.parametrize("scale", [0.0, 1e-5, 0.019])
def test_many_spikes_within_a_bin_are_refused(scale):
    """Seconds that were divided by a sampling rate, or times that were never filled in."""
    times = np.linspace(0, 1, 120) * scale + 3.1
    with pytest.raises(Mismatch, match=r"120 spikes within .* s, less than a bin"):
        clock.check(times, np.array([60, 120]), 0.02)


def test_units_in_minutes_are_noted():
    """8 Hz are 480 Hz in minutes: some multi-unit channels are that fast, but not half of them."""
    (note,) = check([train / 60 for train in population(seconds=600)])
    assert note.startswith("a median rate of 4")
    assert "above 300 Hz" in note


def test_busy_units_in_milliseconds_are_noted_where_the_rate_may_be_right():
    """25 Hz in ms are 0.025 Hz: rare, but some neurons are that slow."""
    (note,) = check([train * 1000 + 0.25 for train in population(rate=25.0)])
    assert note.startswith("a median rate of 0.02")
    assert "below 0.05 Hz" in note


@pytest.mark.parametrize("n", [1, 5, 19])
def test_a_few_whole_seconds_are_seconds(n):
    assert check([np.arange(n), np.arange(n)]) == []


def test_whole_numbers_are_refused_from_twenty_different_ones():
    with pytest.raises(Mismatch, match="only whole numbers: 20 of 20"):
        check([np.arange(20)])
    assert not any("whole" in note for note in check([np.append(np.arange(20), 20.5)]))


def test_a_clock_that_starts_again_halfway_is_noted_by_units_and_times():
    rng = np.random.default_rng(1)
    trains = [np.concatenate([np.sort(rng.uniform(0, 60, 300)), np.sort(rng.uniform(0, 40, 200))]) for _ in range(10)]
    (note,) = check(trains)
    assert note.startswith("times go back in 10 of 10 units, once")
    (note,) = check([*trains[:3], *population(7, 60), []])
    assert note.startswith("times go back in 3 of 10 units, once")
    thrice = [np.concatenate([train, train, train, train]) for train in population(4)]
    assert check(thrice)[0].startswith("times go back in 4 of 4 units, 3 times")


def test_unsorted_spikes_that_follow_nan_are_noted():
    assert "in 1 of 1 unit, once" in check([[2.0, np.nan, 1.0]])[0]


def test_times_coarser_than_bins_are_noted():
    trains = [np.round(train, 1) for train in population()]
    assert check(trains, 0.02) == ["all spike times are multiples of 0.1 s, which is longer than a bin"]
    assert check(trains, 0.1) == []


def test_a_clock_that_began_long_before_the_recording_is_noted():
    (note,) = check([train + 7000 for train in population()])
    assert note.startswith("the first spike is at 7,000 s")
    assert "--trim drops the empty bins" in note
    late = [train + 7000 for train in population()]
    assert trains.count(late, Options(trim=True), "a", "1").notes == []
    assert check([train + 100 for train in population()]) == []


def test_rates_are_judged_by_the_median_unit_that_spikes():
    slow = [np.array([100.0 * i + 0.37, 3000.0 * i + 5000.31]) for i in range(40)]  # 80 spikes: too few to judge
    assert check(slow) == []
    burst = [np.linspace(0, 0.5, 3000), *population(4)]  # one artefact among ordinary units
    assert check(burst) == []


@pytest.mark.parametrize(
    "ends",
    [
        np.array([2**63, 4], np.uint64),
        np.array([3, 2**63 + 5], np.uint64),
        np.array([2**64 - 1], np.uint64),
        np.array([5]),
        np.array([3, 2]),
        np.array([-1, 4]),
        np.array([4.0]),
        np.array([[4]]),
    ],
)
def test_ends_that_lie_outside_never_reach_a_kernel(ends):
    for look in (clock.check_ends, lambda ends, n: clock.survey(np.arange(float(n)), ends)):
        with pytest.raises(Mismatch, match="ends of spike trains"):
            look(ends, 4)


@pytest.mark.parametrize("dtype", ["u8", "u4", "i8"])
def test_an_index_of_two_to_the_63_and_more_is_one_clear_line(tmp_path, dtype):
    """Differences of such offsets wrap, and looked like offsets that rise."""
    large = {"u8": [3, 2**63 + 5], "u4": [3, 2**32 - 1], "i8": [3, 2**63 - 1]}[dtype]
    path = write_units_bare(tmp_path / "x.nwb", np.arange(6) * 0.02, np.array(large, dtype))
    with pytest.raises(BadInput, match="offsets that fall or go beyond"):
        nwb.count_units(path, Options())


@pytest.mark.parametrize(
    "name", ["sub-Jenkins_ses-small_desc-test_ecephys", "sub-4_ses-4_ecephys+image", "A8604-211122"]
)
def test_real_recordings_are_plausible(real, name):
    trains = nwb.read_spike_trains(real(f"nwb/{name}.nwb"))
    assert clock.check(trains.times, trains.ends, 0.02) == []
    with pytest.raises(Mismatch, match="seconds"):
        clock.check(trains.times * 30_000, trains.ends, 0.02)


@pytest.mark.parametrize("times", [2, 3])
def test_spikes_that_are_stored_several_times_are_noted(times):
    rng = np.random.default_rng(0)
    once = [np.sort(rng.uniform(0, 60, n)) for n in (200, 150, 19)]
    often = [np.repeat(train, times) for train in once]
    found = "of 3 units, 90% or more of the spike times are there several times in a row: is each spike stored twice?"
    assert trains.count(once, Options(), "a", "b").notes == []
    assert trains.count(often, Options(), "a", "b").notes == [f"in 2 {found}"]
    assert trains.count([often[0], *once[1:]], Options(), "a", "b").notes == [f"in 1 {found}"]
    burst = np.sort(np.append(once[0], np.full(500, once[0][7])))
    notes = trains.count([burst, *once[1:]], Options(), "a", "b").notes  # a burst is none
    assert notes[0] == "501 spikes of a unit at the same time, one after another: are they spikes?"
    assert len(notes) == 2
    assert "above 255 in a bin" in notes[1]


def test_units_with_the_same_train_are_noted():
    rng = np.random.default_rng(0)
    a, b, few = (np.sort(rng.uniform(0, 60, n)) for n in (200, 150, 19))
    near = np.append(a[:-2], a[[-2, -1]] + [0.001, 0])
    notes = trains.count([a, b, few, a, few, near, a], Options(), "a", "b").notes
    assert notes == ["units with the same spike times, listed twice: 0 and 3, 0 and 6"]
