"""Recordings that are odd: the right counts, or one line that says what is wrong, in little memory."""

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.data_files import save_mat
from helpers.data_sets import one_line
from helpers.recordings import write_units_bare
from helpers.recordings_of_labs import write_phy

from neuralpile.errors import BadInput
from neuralpile.recordings import hdf5, matlab, npy, nwb, phy, pynapple, table
from neuralpile.spikes.session import Options

TIMES, ENDS = np.array([0.013, 0.5, 1.25, 0.705, 0.715]), np.array([3, 5])
COUNTS = np.zeros((2, 63), np.uint8)
COUNTS[0, [0, 25, 62]], COUNTS[1, 35] = 1, 2


def units(path, **columns):
    write_units_bare(path, TIMES, ENDS)
    with h5py.File(path, "a") as file:
        for name, values in columns.items():
            if name in file["units"]:
                del file[f"units/{name}"]
            file[f"units/{name}"] = values
    return path


@pytest.mark.parametrize("ids", [[np.inf, 1], [np.nan, -np.inf], [7, 7], [1j, 2], [True, False], ["a/b", "x\ny"]])
def test_whatever_names_units_have_they_are_counted(tmp_path, ids):
    session = nwb.count_units(units(tmp_path / "a.nwb", id=ids), Options())
    np.testing.assert_array_equal(session.counts, COUNTS)
    session.stated_units()


def virtual(path, rows, mapped, stored=True):
    """Spike times that are virtual: `mapped` of them come from another file, which stores them or not."""
    with h5py.File(path.parent / "b.h5", "w") as file:
        source = file.create_dataset("x", (rows,), "f8", chunks=(1,))
        if stored:
            source[:] = TIMES
    layout = h5py.VirtualLayout((len(TIMES),), "f8")
    layout[:mapped] = h5py.VirtualSource("b.h5", "x", (rows,))[:mapped]
    with h5py.File(path, "w") as file:
        file["units/spike_times_index"] = ENDS
        file.create_virtual_dataset("units/spike_times", layout)
    return path


def test_a_virtual_dataset_with_all_its_parts_is_read(tmp_path):
    session = nwb.count_units(virtual(tmp_path / "a.nwb", 5, 5), Options())
    np.testing.assert_array_equal(session.counts, COUNTS)


@pytest.mark.parametrize(("mapped", "stored"), [(3, True), (5, False)])
def test_a_virtual_dataset_with_parts_that_nothing_fills_is_refused(tmp_path, mapped, stored):
    with pytest.raises(BadInput, match=r"3 of 5 values|5 chunks of /x, found 0 stored") as error:
        nwb.count_units(virtual(tmp_path / "a.nwb", 5, mapped, stored), Options())
    assert one_line(error)


def test_tables_that_declare_millions_of_lines_take_no_memory(tmp_path):
    """Ids, which must fit the units, and electrodes, which need not."""
    path = units(tmp_path / "a.nwb", electrodes=[0, 1])
    with h5py.File(path, "a") as file:
        del file["units/id"]
        file.create_dataset("general/extracellular_ephys/electrodes/id", (2**40,), "i8", chunks=(2**20,))
    session = nwb.count_units(path, Options())
    np.testing.assert_array_equal(session.counts, COUNTS)
    assert "the electrodes of the units cannot be read" in session.notes[0]
    with h5py.File(path, "a") as file:
        file.create_dataset("units/id", (2**40,), "i8", chunks=(2**20,))
    with pytest.raises(BadInput, match="1,099,511,627,776 units, found 2"):
        nwb.count_units(path, Options())


def test_bombs_are_refused_before_they_unpack(tmp_path, monkeypatch):
    """Zeros, packed more than a hundredfold, in three formats. Numbers that are packed less are read."""
    monkeypatch.setattr(hdf5, "BOMB", 1 << 18)
    zeros = np.zeros(10**5)
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.create_dataset("units/spike_times", data=zeros, compression="gzip", chunks=(10**4,))
        file["units/spike_times_index"] = [10**5]
    np.savez_compressed(tmp_path / "a.npz", type="Ts", t=zeros)
    pq.write_table(pa.table({"unit": zeros, "time": zeros}), tmp_path / "a.parquet")
    for read, name in ((nwb, "a.nwb"), (pynapple, "a.npz"), (table, "a.parquet")):
        with pytest.raises(BadInput, match=r"that unpack to 800,|with 100,000 lines"):
            read.read_spike_trains(tmp_path / name)
    times = np.random.default_rng(0).random(10**5)
    np.savez_compressed(tmp_path / "b.npz", t=times)
    assert len(npy.read_npz(tmp_path / "b.npz", {"t"})["t"]) == 10**5


def test_rasters_are_refused_if_hardly_anything_is_stored_of_them(tmp_path, monkeypatch):
    """Zeros pack 1,000-fold; a raster of a population with a mean rate of 0.3 Hz packs about 500-fold, and is read."""
    monkeypatch.setattr(hdf5, "BOMB", 1 << 20)
    sparse = np.random.default_rng(0).random((200_000, 30)) < 0.3e-3
    for name, raster in (("zeros", np.zeros_like(sparse)), ("sparse", sparse)):
        with h5py.File(tmp_path / f"{name}.nwb", "w") as file:
            file.create_dataset("x/data", data=raster.astype("u1"), chunks=(100_000, 30), compression="gzip")
    with pytest.raises(BadInput, match="bytes that unpack to 6,000,000"):
        nwb.count_raster(tmp_path / "zeros.nwb", Options(), ["x/data"], 0.001)
    session = nwb.count_raster(tmp_path / "sparse.nwb", Options(), ["x/data"], 0.001)
    np.testing.assert_array_equal(session.counts, sparse.reshape(10_000, 20, 30).sum(axis=1).T)


def test_chunks_longer_than_a_slab_are_unpacked_once(tmp_path, monkeypatch):
    """A raster with a chunk for each unit took a time quadratic in its length: each slab unpacked all chunks."""
    monkeypatch.setattr(nwb, "SLAB", 1 << 12)
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.create_dataset("x/data", data=np.ones((20_000, 5), np.uint8), chunks=(20_000, 1), compression="gzip")
    read, part = [], hdf5.part
    monkeypatch.setattr(hdf5, "part", lambda data, *where: read.append(where) or part(data, *where))
    assert (nwb.count_raster(tmp_path / "a.nwb", Options(), ["x/data"], 0.01).counts == 2).all()
    assert len(read) == 5


def test_a_virtual_dataset_of_one_part_many_times_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "BOMB", 1 << 18)
    n = 200
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = np.random.default_rng(0).random(1000)
    layout = h5py.VirtualLayout((n * 1000,), "f8")
    for i in range(n):
        layout[i * 1000 : (i + 1) * 1000] = h5py.VirtualSource("b.h5", "x", (1000,))
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file["units/spike_times_index"] = [n * 1000]
        file.create_virtual_dataset("units/spike_times", layout)
    with pytest.raises(BadInput, match="8,000 bytes that unpack to 1,600,000"):
        nwb.count_units(tmp_path / "a.nwb", Options())


@pytest.mark.parametrize("shape", [(10**12,), (10**6, 10**6), (4,), (6,)])
def test_arrays_that_hold_more_or_fewer_values_than_they_declare_are_refused(tmp_path, shape):
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
        file.write(np.arange(5.0).tobytes())
    with pytest.raises(BadInput, match="found 40 bytes of values where its header says") as error:
        npy.read(tmp_path / "a.npy")
    assert one_line(error)


def test_an_archive_that_claims_to_hold_more_than_it_is_does_not_hide_a_bomb(tmp_path, monkeypatch):
    """The sizes of a packed member are in the archive's directory, where a hostile one can state any."""
    monkeypatch.setattr(hdf5, "BOMB", 1 << 18)
    np.savez_compressed(tmp_path / "a.npz", t=np.zeros(10**5))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    at = content.rindex(b"PK\x01\x02") + 20  # the packed size in the directory
    content[at : at + 4] = (10**6).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(BadInput, match="that unpack to 800,128"):
        npy.read_npz(tmp_path / "a.npz", {"t"})


def test_a_raster_with_more_units_than_bins_is_noted(tmp_path):
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file["x/data"] = np.ones((4, 40), np.uint8)
    session = nwb.count_raster(tmp_path / "a.nwb", Options(), ["x/data"], 0.02)
    assert session.notes == ["40 units and only 4 of the file's bins: is the raster stored as (units, bins)?"]


@pytest.mark.parametrize("stated", ["fast", [], [200.0, 60.0], 200j, np.nan, h5py.Empty("f8")])
def test_a_rate_that_is_no_number_is_refused(tmp_path, stated):
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file["x/starting_time"] = 0.0
        file["x/starting_time"].attrs["rate"] = stated
    with pytest.raises(BadInput, match="expected a rate of x"):
        nwb.read_rate(tmp_path / "a.nwb", "x")


@pytest.mark.parametrize(
    ("starts", "stops"), [([0.0, np.nan], [1.0, 2.0]), ([0.0, 3.0], [1.0, 2.0]), ([0.0, 1.0], [1.0, np.inf])]
)
def test_trials_that_are_no_intervals_are_refused(tmp_path, starts, stops):
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file["intervals/trials/start_time"], file["intervals/trials/stop_time"] = starts, stops
    with pytest.raises(BadInput, match="NaN, infinite or reversed"):
        nwb.read_intervals(tmp_path / "a.nwb", "trials")


# phy


WHOLE = [([0.25, 3e6], [1, 2], "0.25"), ([1, 2], [1.5, 2.0], "1.5"), ([1, 2], [np.nan, 2], "nan")]


@pytest.mark.parametrize(("samples", "clusters", "found"), WHOLE)
def test_samples_and_clusters_that_are_not_whole_are_refused(tmp_path, samples, clusters, found):
    folder = write_phy(tmp_path, [1, 2], [1, 2])
    np.save(folder / "spike_times.npy", samples)
    np.save(folder / "spike_clusters.npy", clusters)
    with pytest.raises(BadInput, match=f"expected whole numbers, found {found}"):
        phy.read_spike_trains(folder)


INFO = "cluster_id\tKSLabel\tch\tgroup\n1\tmua\t5\tgood\n2\tmua\t6\t\n"


@pytest.mark.parametrize(
    ("tables", "labels", "files"),
    [
        ({"cluster_info": INFO}, ["good", "mua"], ["cluster_info.tsv"]),
        ({"cluster_info": INFO.replace("cluster_id", "id")}, ["good", "mua"], ["cluster_info.tsv"]),
        ({"cluster_info": INFO, "cluster_KSLabel": "cluster_id\tKSLabel\n2\tgood\n"}, ["good", "mua"], None),
        ({"cluster_info": INFO, "cluster_group": "\ncluster_id\tgroup\n1\tnoise\n"}, ["noise", "mua"], None),
        ({"cluster_info": "cluster_id\tch\n1\t5\n2\t6\n"}, None, []),
    ],
)
def test_labels_are_read_from_what_phy_showed_where_no_table_of_labels_is_there(tmp_path, tables, labels, files):
    folder = write_phy(tmp_path, [300, 900], [1, 2], **tables)
    trains = phy.read_spike_trains(folder)
    assert trains.quality == labels
    assert files is None or phy.label_files(folder) == files
    noted = any("quality labels are those of cluster_info.tsv" in note for note in trains.notes)
    assert noted == (labels is not None and "cluster_group" not in tables)


@pytest.mark.parametrize(
    "labels", ["cluster_id\tgroup\n1\tgood\n1\tmua\n", "\n", "cluster_id\tgroup\n1\t" + "x" * 200_000]
)
def test_tables_of_labels_that_make_no_sense_are_one_line(tmp_path, labels):
    with pytest.raises(BadInput) as error:
        phy.read_spike_trains(write_phy(tmp_path, [300], [1], cluster_group=labels))
    assert one_line(error)


@pytest.mark.parametrize("line", ["\ufeffsample_rate = 30000.", "sample_rate: float = 30_000"])
def test_the_sample_rate_is_read_however_it_is_written(tmp_path, line):
    (tmp_path / "params.py").write_text(line, encoding="utf-8")
    assert phy.read_sample_rate(tmp_path / "params.py") == 30_000


# Others


@pytest.mark.parametrize("keys", [np.array(0), np.array([[0], [1]]), np.array([0, 0, 1])])
def test_keys_of_pynapple_that_are_no_list_of_units_are_refused(tmp_path, keys):
    np.savez(tmp_path / "a.npz", type="TsGroup", t=[0.1, 0.2], index=[0, 1], keys=keys)
    with pytest.raises(BadInput, match="expected keys, each unit once"):
        pynapple.read_spike_trains(tmp_path / "a.npz")


def cells(path, contents, same=False, **attributes):
    with h5py.File(path, "w", userblock_size=512) as file:
        references = []
        for i, content in enumerate(contents):
            file[f"#refs#/{i}"] = content
            file[f"#refs#/{i}"].attrs.update(attributes)
            references.append(file[f"#refs#/{0 if same else i}"].ref)
        file["spikes"] = np.array([references], h5py.ref_dtype)
    return path


def test_cells_of_characters_and_cells_with_the_content_of_others_are_refused(tmp_path):
    with pytest.raises(BadInput, match="expected numbers, found char"):
        matlab.read_cells(
            cells(tmp_path / "a.mat", [np.array([[97, 98]], "u2")], MATLAB_class=np.bytes_("char")), "spikes"
        )
    with pytest.raises(BadInput, match="found the content of another cell"):
        matlab.read_cells(cells(tmp_path / "b.mat", [TIMES[None]] * 2, same=True), "spikes")
    assert matlab.read_cells(cells(tmp_path / "c.mat", [TIMES[None]] * 2), "spikes").shape == (1, 2)


def test_a_raster_in_cells_is_not_taken_for_times(tmp_path):
    raster = np.empty((1, 2), object)
    raster[0, :] = np.tile([0, 1, 0], 30), np.tile([1, 1, 0], 30)
    path = save_mat(tmp_path / "a.mat", {"spikes": raster})
    with pytest.raises(BadInput, match="only whole numbers"):
        matlab.count_units("spikes")(path, Options())


@pytest.mark.parametrize("unit", [np.inf, 1e300, 1.5, np.nan])
def test_units_of_a_table_that_are_no_whole_numbers_are_refused(tmp_path, unit):
    pq.write_table(pa.table({"unit": [1.0, unit], "time": [0.1, 0.2]}), tmp_path / "a.parquet")
    with pytest.raises(BadInput, match="expected whole numbers or text"):
        table.read_spike_trains(tmp_path / "a.parquet")


def test_blanks_around_names_of_columns_and_decimals_are_read(tmp_path):
    (tmp_path / "a.csv").write_text("unit, time\n7, 0.5\n8, 1.5\n")
    assert table.read_spike_trains(tmp_path / "a.csv").times.tolist() == [0.5, 1.5]
    pq.write_table(
        pa.table({"unit": [7, 8], "time": pa.array([0.5, 1.5]).cast(pa.decimal128(9, 3))}), tmp_path / "a.parquet"
    )
    assert table.read_spike_trains(tmp_path / "a.parquet").times.tolist() == [0.5, 1.5]
