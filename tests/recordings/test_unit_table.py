"""What an NWB file says of its units and of its session's start, read from files that pynwb wrote."""

from datetime import UTC, datetime, timedelta, timezone

import h5py
import numpy as np
import pytest
from helpers.recordings import write_units, write_units_bare
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

from neuralpile.recordings import nwb
from neuralpile.spikes.session import Options

TRAINS = [[0.1, 0.5], [0.2], [0.3, 0.9]]


def new(start=datetime(2020, 1, 1, 12, tzinfo=UTC)):
    return NWBFile("miniature", "id", start)


def save(file, tmp_path):
    path = tmp_path / "sub-A" / "a.nwb"
    path.parent.mkdir(exist_ok=True)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)
    return path


def add_electrodes(file, areas=("M1", "M1", "PMd", "PMd"), **positions):
    """Electrodes of two arrays; their ids begin at 101."""
    device = file.create_device("recorder")
    groups = [file.create_electrode_group(name, "d", place, device) for name, place in (("A", "motor"), ("B", "pre"))]
    for i, area in enumerate(areas):
        own = {axis: float(values[i]) for axis, values in positions.items()}
        file.add_electrode(group=groups[i // 2], location=area, id=101 + i, **own)


def add_units(file, electrodes=None, **columns):
    for name in columns:
        if name != "electrode_group":
            file.add_unit_column(name, name)
    for unit, train in enumerate(TRAINS):
        own = {} if electrodes is None else {"electrodes": electrodes[unit]}
        file.add_unit(spike_times=train, id=7 + unit, **own, **{name: its[unit] for name, its in columns.items()})


def about(path, **options):
    session = nwb.count_units(path, Options(**options))
    return session.units, session


def test_area_electrode_group_and_position_come_from_the_electrodes_of_a_unit(tmp_path):
    file = new()
    add_electrodes(file, rel_x=[1, 2, 3, 4], rel_y=[0, 0, 5, 5], x=[9, 9, 9, 9], y=[9, 9, 9, 9], z=[9, 9, 9, 9])
    add_units(file, electrodes=[[3], [0], [1]])
    units, session = about(save(file, tmp_path))
    assert units["id"] == ["7", "8", "9"]
    assert units["area"] == ["PMd", "M1", "M1"]
    assert units["electrode"] == ["104", "101", "102"]
    assert units["group"] == ["B", "A", "A"]
    assert (units["x"], units["y"]) == ([4.0, 1.0, 2.0], [5.0, 0.0, 0.0])  # on the array, before the brain's
    assert "z" not in units
    assert session.start_time == datetime(2020, 1, 1, 12, tzinfo=UTC)
    assert session.notes == []


def test_a_unit_of_several_electrodes_has_what_all_of_them_have(tmp_path):
    file = new()
    add_electrodes(file, x=[1, 1, 3, 4], y=[2, 2, 2, 2], z=[3, 3, 3, 3])
    add_units(file, electrodes=[[0, 1], [1, 2], [2, 3]])
    units, _ = about(save(file, tmp_path))
    assert units["electrode"] == ["101+102", "102+103", "103+104"]
    assert units["area"] == ["M1", None, "PMd"]
    assert units["group"] == ["A", None, "B"]
    assert (units["x"], units["y"]) == ([1.0, None, None], [2.0, 2.0, 2.0])


def test_the_area_of_the_group_stands_in_for_that_of_the_electrode(tmp_path):
    file = new()
    add_electrodes(file, areas=["None", "unknown", "PMd", "V4"])
    add_units(file, electrodes=[[0], [1], [3]])
    units, _ = about(save(file, tmp_path))
    assert units["area"] == ["motor", "motor", "V4"]


def test_the_units_own_columns_win(tmp_path):
    file = new()
    add_electrodes(file, x=[1, 2, 3, 4], y=[1, 1, 1, 1], z=[1, 1, 1, 1])
    own = {"x": [0.5, np.nan, 1.5], "y": [0.0, 0.0, 0.0], "z": [-1.0, -1.0, -1.0]}
    add_units(file, electrodes=[[0], [1], [2]], region=["V1", "", "V2"], quality=["good", "", "mua"], **own)
    units, _ = about(save(file, tmp_path))
    assert units["area"] == ["V1", None, "V2"]
    assert units["quality"] == ["good", None, "mua"]
    assert (units["x"], units["y"], units["z"]) == ([0.5, None, 1.5], [0.0] * 3, [-1.0] * 3)


@pytest.mark.parametrize("placeholder", [0.0, -1.0, np.nan])
def test_placeholders_are_no_positions(tmp_path, placeholder):
    file = new()
    add_electrodes(file, **{axis: [placeholder] * 4 for axis in "xyz"})
    add_units(file, electrodes=[[0], [1], [2]])
    units, _ = about(save(file, tmp_path))
    assert not {"x", "y", "z"} & set(units)


def test_without_electrodes_the_group_of_a_unit_is_read(tmp_path):
    file = new()
    add_electrodes(file)
    groups = list(file.electrode_groups.values())
    add_units(file, electrode_group=[groups[1], groups[0], groups[1]])
    units, _ = about(save(file, tmp_path))
    assert units["group"] == ["B", "A", "B"]
    assert units["area"] == ["pre", "motor", "pre"]
    assert "electrode" not in units


def test_units_left_out_by_quality_are_left_out_here_too(tmp_path):
    file = new()
    add_units(file, quality=["noise", "good", "mua"], location=["a", "b", "c"])
    path = save(file, tmp_path)
    quality = nwb.Quality("quality", ("noise", "mua", "good"))
    session = nwb.count_units(path, Options(min_quality="mua"), quality=quality)
    assert len(session.counts) == 2
    assert session.units == {"id": ["8", "9"], "area": ["b", "c"], "quality": ["good", "mua"]}


def test_labels_of_a_column_that_only_the_data_set_knows_are_read(tmp_path):
    file = new()
    add_units(file, grade=["A", "B", "C"])
    path = save(file, tmp_path)
    session = nwb.count_units(path, Options(), quality=nwb.Quality("grade", ("C", "B", "A")))
    assert session.units["quality"] == ["A", "B", "C"]
    assert "quality" not in about(path)[0]


def test_numbers_become_text(tmp_path):
    file = new()
    add_units(file, is_sua=[1, 0, 1], best_ch=[3.0, 4.0, np.nan], probe_num=[0, 1, 1])
    units, _ = about(save(file, tmp_path))
    assert units == {
        "id": ["7", "8", "9"],
        "quality": ["1", "0", "1"],
        "electrode": ["3", "4", None],
        "group": ["0", "1", "1"],
    }


def test_a_raster_has_the_names_of_its_units_and_their_electrodes(tmp_path):
    file = new()
    add_electrodes(file)
    series = TimeSeries(name="rasters", data=np.ones((100, 3), np.uint8), unit="spikes", rate=1000.0)
    module = file.create_processing_module("ecephys", "rasters")
    module.add(series)
    path = save(file, tmp_path)
    with h5py.File(path, "a") as raw:
        names = raw.create_group("processing/ecephys/unit_names")
        names["id"], names["unit_name"] = np.arange(3), ["u1", "u5", "u9"]
        place = raw["processing/ecephys/rasters"]
        place["electrodes"] = np.array([2, 0, 1])
        place["electrodes"].attrs["table"] = raw["general/extracellular_ephys/electrodes"].ref
    session = nwb.count_raster(path, Options(), ["processing/ecephys/rasters/data"], 0.001)
    assert session.units["id"] == ["u1", "u5", "u9"]
    assert session.units["area"] == ["PMd", "M1", "M1"]
    assert session.start_time == datetime(2020, 1, 1, 12, tzinfo=UTC)


def test_a_table_of_nothing_but_spike_times_says_nothing(tmp_path):
    path = write_units_bare(tmp_path / "sub-A" / "a.nwb", [0.1, 0.5, 0.2], [2, 3])
    units, session = about(path)
    assert units == {"id": ["0", "1"]}
    assert session.start_time is None
    assert session.observed_fraction is None
    assert session.notes == []


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (datetime(1900, 1, 1, tzinfo=timezone(timedelta(hours=-8))), None),
        (datetime(1925, 2, 9, 11, tzinfo=UTC), None),
        (datetime(1970, 1, 1, tzinfo=UTC), None),
        (datetime(2016, 9, 9, 1, tzinfo=timezone(timedelta(hours=2))), datetime(2016, 9, 8, 23, tzinfo=UTC)),
    ],
)
def test_invented_start_times_are_none(tmp_path, stated, expected):
    file = new(stated)
    add_units(file)
    assert about(save(file, tmp_path))[1].start_time == expected


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (None, None),
        ([[0.0, 0.9]], 1.0),
        ([[0.0, 0.3], [0.6, 0.9]], 30 / 45),  # of 45 bins, two times 15
        ([[0.2, 0.1]], None),
    ],
)
def test_the_observed_fraction_is_that_of_the_bins(tmp_path, observed, expected):
    path = write_units(tmp_path / "sub-A" / "a.nwb", TRAINS, observed)
    session = about(path)[1]
    assert session.observed_fraction == (expected if expected is None else pytest.approx(expected))
    assert session.observed is None or session.observed.shape == (session.counts.shape[1],)
    reversed_intervals = observed is not None and expected is None
    assert [note for note in session.notes if "not known" in note] == session.notes
    assert len(session.notes) == reversed_intervals


def test_with_unobserved_bins_cut_out_all_are_observed(tmp_path):
    path = write_units(tmp_path / "sub-A" / "a.nwb", TRAINS, [[0.0, 0.3], [0.6, 0.9]])
    assert about(path, mask_unobserved=True)[1].observed_fraction == 1.0


def damaged_region(file):
    file["units/electrodes"][...] = 99


def damaged_index(file):
    file["units/electrodes_index"][...] = 0


def no_such_table(file):
    file["units/electrodes"].attrs["table"] = h5py.Reference()


def no_start(file):
    file["session_start_time"][()] = "yesterday"


@pytest.mark.parametrize(
    ("damage", "noted"),
    [
        (damaged_region, "the electrodes of the units cannot be read"),
        (damaged_index, "the electrodes of the units cannot be read"),
        (no_such_table, "the electrodes of the units cannot be read"),
        (no_start, "when the session began cannot be read"),
    ],
)
def test_what_is_damaged_is_a_note_and_the_counts_are_as_without(tmp_path, damage, noted):
    file = new()
    add_electrodes(file)
    add_units(file, electrodes=[[3], [0], [1]])
    path = save(file, tmp_path)
    whole = nwb.count_units(path, Options())
    with h5py.File(path, "a") as raw:
        damage(raw)
    session = nwb.count_units(path, Options())
    assert (session.counts == whole.counts).all()
    assert len(session.notes) == 1
    assert noted in session.notes[0]
    assert "\n" not in session.notes[0]
    assert session.units["id"] == ["7", "8", "9"]


def test_columns_of_another_length_are_passed_over(tmp_path):
    file = new()
    add_units(file, quality=["good", "mua", "good"])
    path = save(file, tmp_path)
    with h5py.File(path, "a") as raw:
        del raw["units/quality"]
        raw["units/quality"] = ["good", "mua"]
    units, _ = about(path)
    assert "quality" not in units


def real_units(path):
    """The area, electrode and group of each unit, by way of `electrodes`, read with h5py here."""
    with h5py.File(path) as file:
        table = file["general/extracellular_ephys/electrodes"]
        lines = file["units/electrodes"][()]
        names = {name: table[name].asstr()[()] for name in ("location", "group_name")}
        return {
            "id": [str(i) for i in file["units/id"][()]],
            "electrode": [str(table["id"][line]) for line in lines],
            "area": [names["location"][line] for line in lines],
            "group": [names["group_name"][line] for line in lines],
        } | {axis: [float(table[axis][line]) for line in lines] for axis in "xyz"}


def test_a_real_recording_of_monkey_jenkins(real):
    path = real("nwb/sub-Jenkins_ses-small_desc-test_ecephys.nwb")
    expected = real_units(path)
    assert np.isnan([expected.pop(axis) for axis in "xyz"]).all()
    session = nwb.count_units(path, Options())
    assert session.units == expected
    # So says the file, of an array in PMd and one in M1. It contradicts itself: by their ids, 55 units are of another
    # array, and the electrodes that they name begin at 0 again.
    assert set(session.units["area"]) == {"PMd"}
    assert [int(i) // 1000 for i in session.units["id"]] == [1] * 52 + [2] * 55
    assert session.start_time == datetime(2009, 9, 28, 7, tzinfo=UTC)
    with h5py.File(path) as file:
        intervals = np.unique(file["units/obs_intervals"][()], axis=0)
    edges = np.arange(session.counts.shape[1] + 1) * 0.02
    inside = [((edges[i] >= intervals[:, 0] - 1e-9) & (edges[i + 1] <= intervals[:, 1] + 1e-9)).any()
              for i in range(len(edges) - 1)]  # fmt: skip
    assert session.observed_fraction == pytest.approx(np.mean(inside))


def test_a_real_recording_of_a_person_whose_start_is_invented(real):
    path = real("nwb/sub-4_ses-4_ecephys+image.nwb")
    session = nwb.count_units(path, Options())
    assert session.units == real_units(path)
    assert session.start_time is None
    assert session.observed_fraction is None


def test_a_real_recording_with_empty_metadata(real):
    session = nwb.count_units(real("nwb/A8604-211122.nwb"), Options())
    assert session.units == {"id": ["6", "191", "206"], "group": ["group0_psb"] * 3}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("units/obs_intervals", "always"),
        ("units/obs_intervals", np.array([b"\xff", b"\x1b[31m"])),
        ("units/id", h5py.SoftLink("/units/id")),
        ("units/electrodes", np.dtype("f8")),
        ("session_start_time", "x" * 10_000),
        ("session_start_time", np.empty(0)),
    ],
)
def test_optional_content_of_any_kind_fails_no_session_and_no_note_is_in_the_words_of_python(tmp_path, place, value):
    path = write_units(tmp_path / "sub-A_ses-1.nwb", [[0.1, 0.5], [0.3]])
    with h5py.File(path, "a") as file:
        if place in file:
            del file[place]
        file[place] = value
    session = nwb.count_units(path, Options())
    assert session.counts.sum() == 3
    for note in session.notes:
        assert len(note) < 300
        assert not any(word in note for word in ("object of type", "index out of range", "codec", "len()"))
