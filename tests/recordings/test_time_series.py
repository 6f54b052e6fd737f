"""What an NWB file states of its numbers and its clock, against the numbers themselves: applied, noted or refused."""

import h5py
import numpy as np
import pytest
from helpers.data_sets import one_line
from helpers.recordings import write_units_bare

from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import hdf5, nwb
from neuralpile.spikes.session import Options

PLACE = "acquisition/counts"
RASTER = np.random.default_rng(5).poisson(0.4, (400, 6)).astype(np.uint8)  # (bins, units) of 20 ms
CLOCK = np.arange(400) * 0.02
BACK = np.where(np.arange(400) < 200, CLOCK, CLOCK - 4.0)  # the clock restarts at bin 200
AHEAD = CLOCK + 7.5 * (np.arange(400) >= 200)
read = nwb.raster(f"{PLACE}/data", own_bin=0.02)


def series(path, data=RASTER, beside=None, rate=None, start=0.0, **attributes):
    """A raster with datasets beside it, a rate, and attributes of its values."""
    with h5py.File(path, "w") as file:
        group = file.create_group(PLACE)
        group["data"] = data
        group["data"].attrs.update(attributes)
        for name, value in (beside or {}).items():
            group[name] = value
        if rate is not None:
            group["starting_time"] = start
            group["starting_time"].attrs["rate"] = rate
    return path


# Clocks of rasters


@pytest.mark.parametrize(
    ("stamps", "found"),
    [
        (CLOCK[::-1], "steps of -0.02 s"),
        (CLOCK * 0 + 3, "steps of 0 s"),
        (CLOCK * np.nan, "NaN or infinite"),
        (np.where(CLOCK == 0.4, np.nan, CLOCK), "NaN or infinite"),
        (np.where(CLOCK == 0.4, np.inf, CLOCK), "NaN or infinite"),
        (CLOCK * 1.6, "steps of 0.032 s"),
        (CLOCK * 1000, "steps of 20 s"),
        (np.arange(400), "steps of 1 s"),
        (CLOCK * 1.25, r"steps of 0\.025 s"),
        (np.cumsum(np.where(np.arange(400) < 200, 0.02, 0.04)), "199 of 399 steps"),
        (np.random.default_rng(0).permutation(CLOCK), "steps as long as a bin"),
        (CLOCK.astype("S8"), "shape"),
    ],
)
def test_timestamps_of_other_bins_than_the_data_sets_are_refused(tmp_path, stamps, found):
    with pytest.raises(BadInput, match=found) as error:
        read(series(tmp_path / "a.nwb", beside={"timestamps": stamps}), Options())
    assert one_line(error)
    published = read(tmp_path / "a.nwb", Options(as_published=True))  # whose pipeline reads no timestamps
    np.testing.assert_array_equal(published.counts, RASTER.T)
    assert any(note.startswith("the file's clock contradicts its bins: expected ") for note in published.notes)


@pytest.mark.parametrize(
    ("stamps", "notes"),
    [
        (CLOCK, []),
        (CLOCK[:, None], []),
        (CLOCK + 1.6e9, []),  # a clock that counts from 1970
        (CLOCK.astype("f4") + np.float32(5000), []),  # float32: steps of 0.0195 and 0.0200 s
        (CLOCK + np.random.default_rng(0).normal(0, 0.001, 400), []),  # jitter
        (CLOCK * 1.02, ["the timestamps of the bins are 0.0204 s apart on average: are the bins 0.02 s?"]),
        (AHEAD, ["1 gap between the file's bins, 7.5 s in all: bins follow one another without them"]),
        (
            BACK,
            ["the timestamps of the bins go back, or stand still, 1 time: are parts in another order, or on another"],
        ),
    ],
)
@pytest.mark.parametrize("block", [150, 2**20])
def test_what_is_odd_but_harmless_in_timestamps_is_noted(tmp_path, monkeypatch, stamps, notes, block):
    monkeypatch.setattr(nwb.time_series, "BLOCK", block)
    session = read(series(tmp_path / "a.nwb", beside={"timestamps": stamps}), Options())
    np.testing.assert_array_equal(session.counts, RASTER.T)
    assert len(session.notes) == len(notes)
    assert all(note.startswith(begin) for note, begin in zip(session.notes, notes, strict=True))


def test_a_link_to_timestamps_that_are_gone_is_noted(tmp_path):
    path = series(tmp_path / "a.nwb", beside={"timestamps": h5py.SoftLink("/acquisition/other/timestamps")})
    session = read(path, Options())
    np.testing.assert_array_equal(session.counts, RASTER.T)
    assert session.notes == [
        "the raster's clock is not known: a link to /acquisition/other/timestamps, which does not exist"
    ]


RATES = [0.0, -50.0, np.nan, np.inf, "fast", [50.0, 60.0], [], h5py.Empty("f8"), 50j, 49.0, 1000.0]


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_a_rate_that_is_none_or_that_of_other_bins_is_noted(tmp_path, rate):
    session = read(series(tmp_path / "a.nwb", rate=rate), Options())
    np.testing.assert_array_equal(session.counts, RASTER.T)
    assert len(session.notes) == 1
    assert "are they 0.02 s?" in session.notes[0] or "are the bins 0.02 s?" in session.notes[0]


@pytest.mark.parametrize("rate", [50.0, np.float32(50), [50.0], "50", np.bytes_(b"50.0"), [50, 50], 0.02], ids=str)
def test_the_rate_of_the_bins_is_known_however_it_is_written(tmp_path, rate):
    assert read(series(tmp_path / "a.nwb", rate=rate), Options()).notes == []


@pytest.mark.parametrize("start", [np.nan, np.inf, -1e9, 1e300, "noon", [0.0, 1.0], h5py.Empty("f8")], ids=str)
def test_a_start_that_is_no_time_is_noted(tmp_path, start):
    session = read(series(tmp_path / "a.nwb", rate=50.0, start=start), Options())
    np.testing.assert_array_equal(session.counts, RASTER.T)
    assert len(session.notes) == 1
    assert "starting_time" in session.notes[0]
    assert read(series(tmp_path / "b.nwb", rate=50.0, start=-12.5), Options()).notes == []


# Scales and units


@pytest.mark.parametrize(
    ("stored", "conversion", "offset"),
    [(RASTER * 20, 0.05, 0.0), (RASTER.astype("f4") / 50, 50.0, 0.0), (RASTER * 2 + 3, 0.5, -1.5), (RASTER, 1.0, 0.0)],
)
@pytest.mark.parametrize("as_type", [np.float32, np.float64, str])
def test_conversion_and_offset_are_applied(tmp_path, stored, conversion, offset, as_type):
    path = series(tmp_path / "a.nwb", stored, conversion=as_type(conversion), offset=as_type(offset))
    np.testing.assert_array_equal(read(path, Options()).counts, RASTER.T)
    assert len(read(path, Options()).notes) == (conversion != 1)


@pytest.mark.parametrize(
    "attributes",
    [
        *({"conversion": value} for value in (1e-6, 0.3, 0.0, -1.0, np.nan, np.inf, "volts", [1.0, 2.0])),
        *({"offset": value} for value in (0.5, np.nan, -np.inf, "none", -3.0)),
    ],
    ids=str,
)
def test_a_scale_that_makes_no_counts_is_refused(tmp_path, attributes):
    with pytest.raises(BadInput, match=r"counts|conversion|offset") as error:
        read(series(tmp_path / "a.nwb", **attributes), Options())
    assert one_line(error)


def test_published_counts_are_those_without_a_scale(tmp_path):
    path = series(tmp_path / "a.nwb", conversion=2.0)
    np.testing.assert_array_equal(read(path, Options(as_published=True)).counts, RASTER.T)
    np.testing.assert_array_equal(read(path, Options()).counts, RASTER.T * 2)


@pytest.mark.parametrize("attributes", [{"unit": unit} for unit in ("Hz", "ms", "volts")] + [{"resolution": 4.0}])
def test_a_unit_that_is_none_of_counts_is_noted(tmp_path, attributes):
    assert len(read(series(tmp_path / "a.nwb", **attributes), Options()).notes) == 1


def test_units_and_resolutions_of_counts_are_no_news(tmp_path):
    for unit in ("spikes", "n/a", "counts", "", "unknown", "threshold crossings"):
        path = series(tmp_path / "a.nwb", unit=unit, resolution=np.float32(-1), conversion=np.float32(1), offset=0)
        assert read(path, Options()).notes == []


TIMES, ENDS = np.array([0.013, 0.5, 1.25, 0.705, 0.715]), np.array([3, 5])


def units(path, times=TIMES, **attributes):
    write_units_bare(path, times, ENDS)
    with h5py.File(path, "a") as file:
        file["units/spike_times"].attrs.update(attributes)
    return path


@pytest.mark.parametrize(
    "attributes",
    [
        *({"unit": unit} for unit in ("ms", "milliseconds", " Milliseconds", "samples", np.bytes_(b"us"), ["ticks"])),
        *({"conversion": value} for value in (0.001, 1 / 30_000, np.nan, "x")),
        *({"offset": value} for value in (5.0, -1.0)),
        {"units": "ms"},
    ],
    ids=str,
)
def test_spike_times_that_are_stated_in_other_units_than_seconds_are_refused(tmp_path, attributes):
    with pytest.raises(BadInput, match="units/spike_times") as error:
        nwb.count_units(units(tmp_path / "a.nwb", **attributes), Options())
    assert one_line(error)


@pytest.mark.parametrize(
    ("attributes", "n_notes"),
    [
        ({"unit": "seconds", "conversion": 1.0, "offset": 0.0, "resolution": 1 / 30_000}, 0),
        ({"unit": "s", "resolution": -1.0}, 0),
        ({"unit": "", "resolution": np.nan}, 0),
        ({"unit": "volts"}, 1),
        ({"resolution": 0.1}, 1),
        ({"resolution": "fine"}, 1),
    ],
)
def test_what_is_stated_of_spike_times_and_changes_nothing(tmp_path, attributes, n_notes):
    session = nwb.count_units(units(tmp_path / "a.nwb", **attributes), Options())
    assert session.counts.sum(axis=1).tolist() == [3, 2]
    assert len(session.notes) == n_notes


@pytest.mark.parametrize("attributes", [{"unit": "ms"}, {"conversion": 0.001}])
def test_intervals_in_other_units_than_seconds_are_refused(tmp_path, attributes):
    path = units(tmp_path / "a.nwb")
    with h5py.File(path, "a") as file:
        file["intervals/trials/start_time"], file["intervals/trials/stop_time"] = [0.0, 500.0], [400.0, 900.0]
        file["units/obs_intervals"] = [[0.0, 1000.0]]
        for place in ("intervals/trials/stop_time", "units/obs_intervals"):
            file[place].attrs.update(attributes)
    for read_them in (lambda: nwb.read_intervals(path, "trials"), lambda: nwb.read_observed(path)):
        with pytest.raises(BadInput, match="in seconds"):
            read_them()
    assert "what was observed is not known" in nwb.count_units(path, Options()).notes[0]


# Number types that are too coarse


@pytest.mark.parametrize(
    ("dtype", "latest", "outcome"),
    [
        (np.float16, 3.0, "right"),  # steps of 1/512 s
        (np.float16, 20.0, "noted"),  # 1/64 s
        (np.float16, 60.0, "refused"),  # 1/32 s
        (np.float32, 7200.0, "right"),  # 1/2048 s
        (np.float32, 100_000.0, "noted"),  # 1/128 s
        (np.float32, 300_000.0, "refused"),  # 1/32 s
        (np.float64, 300_000.0, "right"),
    ],
)
def test_times_of_a_type_that_is_coarser_than_a_bin_are_refused(tmp_path, dtype, latest, outcome):
    times = np.linspace(latest * 0.99, latest, 5).astype(dtype)
    path = write_units_bare(tmp_path / "a.nwb", times, ENDS)
    if outcome == "refused":
        with pytest.raises(
            BadInput, match=r"finer than a bin of 0\.02 s, found numbers of a type with steps of 0\.031 s"
        ):
            nwb.count_units(path, Options())
        return
    notes = nwb.count_units(path, Options()).notes
    assert any("spikes may be in a neighbouring bin" in note for note in notes) == (outcome == "noted")


# One number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        ("3.5", 3.5),
        ([7, 7], 7),
        ([[2.0]], 2),
        (np.bytes_(b" 4 "), 4),
        (np.float16(0.5), 0.5),
        ([np.nan] * 2, None),
    ],
)
def test_a_number_is_read_however_it_is_written(tmp_path, value, number):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["x"] = value
        found = hdf5.number(file, "x")
    assert np.isnan(found) if number is None else found == number


@pytest.mark.parametrize("value", ["", "12 Hz", [], [1, 2], 3j, True, h5py.Empty("f4"), np.void(b"abc")], ids=str)
def test_what_is_not_one_number_is_none(tmp_path, value):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["x"] = value
        with pytest.raises(Mismatch, match="a number"):
            hdf5.number(file, "x")
        assert hdf5.number(file, "y") is None
