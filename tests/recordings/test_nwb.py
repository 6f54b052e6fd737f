"""Reading NWB: real recordings, miniatures of what the schema allows, and files that are not what they should be."""

import h5py
import numpy as np
import pytest
from helpers.recordings import write_units, write_units_bare

from neuralpile.errors import BadInput
from neuralpile.recordings import nwb
from neuralpile.spikes.session import Options

# Units, bins at 20 ms, spikes and largest count of the real recordings, worked out with numpy.histogram and the
# published edges. (shared/real/INDEX.md gives 3,996 and 141,055 bins for the first two: that is the number of edges.)
REAL = [
    ("nwb/sub-Jenkins_ses-small_desc-test_ecephys.nwb", (107, 3_995), 32_897, 4),
    ("nwb/sub-4_ses-4_ecephys+image.nwb", (35, 141_054), 214_278, 4),
    ("nwb/A8604-211122.nwb", (3, 54_368), 21_354, 7),
    ("nwb/ecephys_tutorial_v2.5.0.nwb", (10, 83), 195, 3),
    ("nwb/3.0.0_electrodes_dynamic_table.nwb", (1, 15), 3, 1),
]


@pytest.mark.parametrize(("name", "shape", "spikes", "largest"), REAL)
def test_real_recordings_have_the_known_shapes_and_spikes(real, name, shape, spikes, largest):
    path = real(name)
    session = nwb.count_units(path, Options())
    assert session.counts.shape == shape
    assert session.counts.sum(dtype=int) == spikes
    assert session.counts.max() == largest
    assert session.notes == []
    assert session.session_id == path.stem
    with h5py.File(path) as file:
        times, ends = file["units/spike_times"][:], file["units/spike_times_index"][:].astype(int)
    edges = np.arange(0, times.max() + 0.02, 0.02)
    trains = np.split(times, ends[:-1])
    assert (session.counts == [np.histogram(train, edges)[0] for train in trains]).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nwb/test_DynamicTable.nwb", "expected /units/spike_times, found a table of foo, id, my_bool;"),
        ("nwb/2.1.0_nwbfile_with_extension.nwb", "expected a units table at units or processing/ecephys/units, found"),
    ],
)
def test_real_files_without_spikes_are_refused(real, name, message):
    with pytest.raises(BadInput, match="units") as error:
        nwb.count_units(real(name), Options())
    assert message in str(error.value)


def test_units_table_as_pynwb_writes_it(tmp_path):
    """Unsorted spikes, a silent unit between others, and more than 255 spikes behind a small index type."""
    trains = [[0.5, 0.1, 0.30001], [], np.linspace(0, 4, 300)]
    path = write_units(tmp_path / "sub-A" / "sub-A_ses-1.nwb", trains, observed=[[0, 4]])
    session = nwb.count_units(path, Options())
    assert (session.subject_id, session.session_id) == ("sub-A", "sub-A_ses-1")
    edges = np.arange(0, 4.02, 0.02)
    assert (session.counts == [np.histogram(train, edges)[0] for train in trains]).all()


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i8"])
@pytest.mark.parametrize("place", ["units", "processing/ecephys/units"])
def test_unsigned_ends_of_any_type_and_place_are_read(tmp_path, dtype, place):
    """Differences of unsigned ends would wrap where a unit is silent."""
    path = write_units_bare(tmp_path / "x.nwb", np.arange(6) * 0.02, np.array([0, 2, 2, 6], dtype), place)
    assert nwb.count_units(path, Options()).counts.sum(axis=1).tolist() == [0, 2, 0, 4]


def test_single_precision_and_whole_seconds(tmp_path):
    path = write_units_bare(tmp_path / "x.nwb", np.array([1, 2], "i4"), np.array([2], "u1"))
    assert nwb.count_units(path, Options(bin_size=1.0)).counts.tolist() == [[0, 2]]
    path = write_units_bare(tmp_path / "y.nwb", np.array([0.5, 1.5], "f4"), np.array([2], "u1"))
    assert nwb.count_units(path, Options(bin_size=1.0)).counts.tolist() == [[1, 1]]


def test_odd_times_are_reported(tmp_path):
    path = write_units_bare(tmp_path / "x.nwb", np.array([-1, np.nan, 0.01, 0.02, 0.03]), np.array([3, 4], "u1"))
    session = nwb.count_units(path, Options())
    assert session.counts.tolist() == [[1], [1]]
    assert session.notes == [
        "1 spike before the first bin left out",
        "1 NaN or infinite spike time left out",
        "1 spike of no unit left out",
    ]


@pytest.mark.parametrize(
    ("times", "ends", "message"),
    [
        (np.arange(4.0), np.array([3, 2], "u1"), "offsets that fall"),
        (np.arange(4.0), np.array([5], "u1"), "go beyond"),
        (np.arange(4.0), np.array([-1, 4], "i4"), "offsets that fall"),
        (np.ones((2, 2)), np.array([4], "u1"), "spike_times to be a list"),
        (np.array([b"a", b"b"]), np.array([2], "u1"), "spike_times to be a list"),
        (np.arange(4.0), np.array([3.5]), "spike_times_index to be a list"),
        (np.arange(4.0) * 1e9, np.array([4], "u1"), "7 days"),
    ],
)
def test_damaged_tables_are_one_clear_line(tmp_path, times, ends, message):
    path = write_units_bare(tmp_path / "x.nwb", times, ends)
    with pytest.raises(BadInput, match=message) as error:
        nwb.count_units(path, Options())
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_index_of_another_length_than_the_table(tmp_path):
    path = write_units_bare(tmp_path / "x.nwb", np.arange(4.0), np.array([2, 4], "u1"))
    with h5py.File(path, "a") as file:
        del file["units/id"]
        file["units/id"] = np.arange(3)
    with pytest.raises(BadInput, match="an end for each of 3 units"):
        nwb.count_units(path, Options())


@pytest.mark.parametrize("keep", [0, 10, 3000, 0.9])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = write_units(tmp_path / "x.nwb", [np.linspace(0, 9, 5000)])
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(BadInput, match="expected a whole NWB file"):
        nwb.count_units(path, Options())


def test_page_of_a_login_instead_of_a_file(tmp_path):
    path = tmp_path / "x.nwb"
    path.write_text("<html>log in</html>" * 1000)
    with pytest.raises(BadInput, match="expected a whole NWB file"):
        nwb.count_units(path, Options())


def write_raster(path, raster):
    with h5py.File(path, "w") as file:
        file.create_dataset("processing/ecephys/rasters/data", data=raster)
    return path


PLACE = "processing/ecephys/rasters/data"


@pytest.mark.parametrize("slab", [1, 1000, 2**20])
@pytest.mark.parametrize("chunks", [None, (1234, 1), (500, 3), (30, 7), (1, 7)])
def test_counts_do_not_depend_on_the_slab(tmp_path, monkeypatch, slab, chunks):
    monkeypatch.setattr(nwb, "SLAB", slab)
    raster = np.random.default_rng(0).poisson(0.1, (1234, 7)).astype(np.uint8)
    raster[40:60, 3] = 20
    with h5py.File(tmp_path / "x.nwb", "w") as file:
        file.create_dataset(PLACE, data=raster, chunks=chunks)
    session = nwb.count_raster(tmp_path / "x.nwb", Options(), [PLACE], 0.001)
    expected = raster[:1220].reshape(61, 20, 7).sum(axis=1).T
    assert expected.max() == 400
    assert (session.counts == expected.clip(max=255)).all()
    assert session.notes == [
        f"{raster[1220:].sum()} spikes in fine bins at the end, which fill no bin, left out",
        "145 spikes above 255 in a bin left out: the bin stays at 255",
    ]
    published = nwb.count_raster(tmp_path / "x.nwb", Options(as_published=True), [PLACE], 0.001)
    assert (published.counts == expected % 256).all()


def test_files_without_a_raster_are_refused(tmp_path):
    path = write_units(tmp_path / "x.nwb", [[1.0]])
    with pytest.raises(BadInput, match=r"expected a raster .* found nothing"):
        nwb.count_raster(path, Options(), [PLACE], 0.001)
    path = write_raster(tmp_path / "y.nwb", np.full((40, 2), 0.5))
    with pytest.raises(BadInput, match="expected counts, whole numbers, found 0"):
        nwb.count_raster(path, Options(), [PLACE], 0.001)


def test_raster_takes_the_bin_width_from_the_options_or_its_argument(tmp_path):
    path = write_raster(tmp_path / "x.nwb", np.ones((60, 2), np.uint8))
    from_options = nwb.raster("elsewhere", PLACE)(path, Options(own_bin=0.001))
    assert from_options.counts.tolist() == [[20, 20, 20]] * 2
    assert nwb.raster(PLACE, own_bin=0.01)(path, Options()).counts.tolist() == [[2] * 30] * 2
    with pytest.raises(BadInput, match="own_bin"):
        nwb.raster(PLACE)(path, Options())


def write_series(path, data, **beside):
    """A raster as `write_raster` makes it, with datasets beside it."""
    with h5py.File(write_raster(path, data), "a") as file:
        for name, value in beside.items():
            file[f"processing/ecephys/rasters/{name}"] = value
    return path


RASTER = np.random.default_rng(3).poisson(0.3, (400, 6)).astype(np.uint8)  # (bins, units)
read_raster = nwb.raster(PLACE, own_bin=0.02)
BESIDE = {"timestamps": np.arange(400) * 0.02, "electrodes": np.arange(6)}


@pytest.mark.parametrize("known", [["timestamps"], ["electrodes"], ["timestamps", "electrodes"]])
@pytest.mark.parametrize("slab", [100, 2**20])
def test_a_raster_stored_transposed_is_recognised_by_what_lies_beside_it(tmp_path, monkeypatch, known, slab):
    monkeypatch.setattr(nwb, "SLAB", slab)
    beside = {name: BESIDE[name] for name in known}
    right = read_raster(write_series(tmp_path / "x.nwb", RASTER, **beside), Options())
    swapped = read_raster(write_series(tmp_path / "y.nwb", RASTER.T, **beside), Options())
    assert right.counts.shape == swapped.counts.shape == (6, 400)
    assert (right.counts == RASTER.T).all()
    assert (swapped.counts == RASTER.T).all()
    assert right.notes == []
    assert "it was transposed" in swapped.notes[0]


def test_a_raster_is_recognised_by_the_table_of_units(tmp_path):
    path = write_raster(tmp_path / "x.nwb", RASTER.T)
    with h5py.File(path, "a") as file:
        file["processing/ecephys/unit_names/id"] = np.arange(6)
    assert (read_raster(path, Options()).counts == RASTER.T).all()


@pytest.mark.parametrize(
    "beside",
    [
        {"timestamps": np.arange(399) * 0.02},
        {"electrodes": np.arange(7)},
        {"timestamps": np.arange(400) * 0.02, "electrodes": np.arange(400)},
    ],
)
def test_a_raster_that_fits_in_neither_orientation_is_refused(tmp_path, beside):
    with pytest.raises(BadInput, match=r"expected a raster \(bins, units\) that fits"):
        read_raster(write_series(tmp_path / "x.nwb", RASTER, **beside), Options())


@pytest.mark.parametrize("dtype", [">i2", ">u4", "<u8", ">f4", "f8", "i1", "?"])
def test_rasters_of_every_type_of_number(tmp_path, dtype):
    raster = np.minimum(RASTER, 1).astype(dtype)
    assert (read_raster(write_raster(tmp_path / "x.nwb", raster), Options()).counts == raster.T).all()


@pytest.mark.parametrize(
    "raster",
    [
        np.array([[2**63], [2**63], [1]], np.uint64),
        np.array([[2**64 - 1], [1], [1]], np.uint64),
        np.array([[2**62], [1], [1]], np.int64),
        np.array([[1e300], [1.0], [0.0]]),
        np.array([[np.nan], [1.0], [0.0]]),
        np.array([[-1], [0], [0]], np.int16),
    ],
)
def test_numbers_that_are_no_counts_are_refused(tmp_path, raster):
    """Sums of them would wrap to counts that look right."""
    for own_bin in (0.02, 0.01):
        with pytest.raises(BadInput, match="counts"):
            nwb.raster(PLACE, own_bin=own_bin)(write_raster(tmp_path / f"{own_bin}.nwb", raster), Options())


def test_a_rate_that_the_file_states_otherwise_is_noted(tmp_path):
    for rate, notes in ((50.0, 0), (0.02, 0), (30.0, 1), (float("nan"), 1), (0.0, 1), (-50.0, 1)):
        path = write_series(tmp_path / f"{rate}.nwb", RASTER, starting_time=0.0)
        with h5py.File(path, "a") as file:
            file["processing/ecephys/rasters/starting_time"].attrs["rate"] = rate
        assert len(read_raster(path, Options()).notes) == notes, rate


@pytest.mark.parametrize("rate", [0.0, -60.0, 1e-300, 1e300, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(tmp_path, rate):
    path = write_series(tmp_path / "x.nwb", RASTER, starting_time=0.0)
    with h5py.File(path, "a") as file:
        file["processing/ecephys/rasters/starting_time"].attrs["rate"] = rate
    with pytest.raises(BadInput, match=r"a rate of .* from 0\.1 to 100000 Hz"):
        nwb.read_rate(path, "processing/ecephys/rasters")


DESCRIPTIONS = {
    "a list": ["Warning: this is", "a list"],
    "null": h5py.Empty("S1"),
    "a number": 3,
    "bytes that are no text": np.bytes_(b"Warning: \xff\xfe"),
    "a compound": np.zeros(2, [("a", "f8"), ("b", "S3")]),
    "a matrix": np.zeros((2, 2)),
    "references": np.array([h5py.Reference()], h5py.ref_dtype),
}


@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_a_description_of_any_kind_never_fails_a_session(tmp_path, kind):
    path = write_units_bare(tmp_path / "x.nwb", np.array([0.01, 0.03]), np.array([2]))
    with h5py.File(path, "a") as file:
        file["session_description"] = DESCRIPTIONS[kind]
    session = nwb.count_units(path, Options())
    assert session.counts.tolist() == [[1, 1]]
    assert bool(session.notes) == (kind in ("a list", "bytes that are no text"))


def test_a_description_that_is_a_group_or_a_broken_link_never_fails_a_session(tmp_path):
    for i, value in enumerate([None, h5py.SoftLink("/nowhere")]):
        path = write_units_bare(tmp_path / f"{i}.nwb", np.array([0.01, 0.03]), np.array([2]))
        with h5py.File(path, "a") as file:
            if value is None:
                file.create_group("session_description")
            else:
                file["session_description"] = value
        assert nwb.count_units(path, Options()).counts.tolist() == [[1, 1]]


@pytest.mark.parametrize("first", ["no times", "no index", "a dataset"])
def test_the_first_table_with_times_is_read(tmp_path, first):
    path = write_units_bare(tmp_path / "x.nwb", np.array([0.01, 0.03]), np.array([2]), "processing/ecephys/units")
    with h5py.File(path, "a") as file:
        if first == "a dataset":
            file["units"] = np.arange(3)
        else:
            file["units/id"] = np.arange(3)
            file["units/spike_times" if first == "no index" else "units/other"] = np.arange(3.0)
    assert nwb.count_units(path, Options()).counts.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("times", "ends"),
    [
        (np.array([0.01, 0.03, 0.05]), np.array([1.0, 3.0])),
        (np.array([0.01, 0.03, 0.05], ">f8"), np.array([1, 3], ">u2")),
        (np.array([[0.01], [0.03], [0.05]]), np.array([[1, 3]], "u1")),
        (np.array([0.01, 0.03, 0.05], "f2"), np.array([1, 3], "f4")),
    ],
)
def test_what_can_be_converted_is_converted(tmp_path, times, ends):
    path = write_units_bare(tmp_path / "x.nwb", times, ends)
    with h5py.File(path, "a") as file:
        del file["units/id"]
    assert nwb.count_units(path, Options()).counts.tolist() == [[1, 0, 0], [0, 1, 1]]


def test_ids_are_those_of_the_file(tmp_path):
    path = write_units_bare(tmp_path / "x.nwb", np.array([0.01, 0.03]), np.array([1, 2]))
    with h5py.File(path, "a") as file:
        file["units/id"][:] = [7, 3]
    assert list(nwb.read_spike_trains(path).ids) == ["7", "3"]
    with h5py.File(path, "a") as file:
        del file["units/id"]
    assert list(nwb.read_spike_trains(path).ids) == ["0", "1"]


@pytest.mark.parametrize(("values", "kept"), [([1, 0], 1), ([1.0, 0.0], 1), ([True, False], 1), (["1", "0"], 1)])
def test_units_are_chosen_by_flags_as_by_labels(tmp_path, values, kept):
    path = write_units_bare(tmp_path / "x.nwb", np.array([0.01, 0.03]), np.array([1, 2]))
    with h5py.File(path, "a") as file:
        file["units/is_sua"] = values
    session = nwb.count_units(path, Options(min_quality="1"), nwb.Quality("is_sua", ("0", "1")))
    assert session.counts.tolist() == [[1, 0]]


@pytest.mark.parametrize("mask", [True, False])
def test_observed_intervals_in_another_unit_than_the_spikes_are_noted(tmp_path, mask):
    for name, scale, noted in (("s", 1, False), ("ms", 1000, True)):
        observed = [[0, 4 * scale], [6 * scale, 10 * scale]]
        path = write_units(tmp_path / f"{name}.nwb", [[0.5, 3.2], [9.9]], observed)
        notes = nwb.count_units(path, Options(mask_unobserved=mask)).notes
        found = "the file's observed intervals end at 10,000 s, its last spike is at 10 s: are both in seconds?"
        assert (found in notes) == noted
