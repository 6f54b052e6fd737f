"""MATLAB files of every version: what is read of them, and which are refused."""

import struct

import h5py
import numpy as np
import pytest
import scipy.io
from helpers.data_files import save_73, save_mat
from helpers.data_sets import one_line

from neuralpile.errors import BadInput
from neuralpile.recordings import hdf5, matlab
from neuralpile.spikes.session import Options

STEM = "mat/Peter_MS22_180629_110319_concat_stubbed"
KINDS = (".spikes.cellinfo.mat", "_hdf5.spikes.cellinfo.mat")


def test_both_versions_of_a_real_recording(real):
    """The same spike times as MATLAB 5 and as 7.3 with object references."""
    five = matlab.read_variables(real(f"{STEM}.spikes.cellinfo.mat"), ["spikes"])["spikes"]["times"][0, 0]
    trains = [cell.ravel() for cell in five.ravel()]
    seven = matlab.read_cells(real(f"{STEM}_hdf5.spikes.cellinfo.mat"), "spikes/times").ravel()
    assert len(trains) == len(seven) > 0
    assert sum(map(len, trains)) > 100
    assert all(map(np.array_equal, trains, seven))


@pytest.mark.parametrize("content", [b"", b"no MATLAB file", b"<html>" * 1000])
def test_files_that_are_no_matlab_files(tmp_path, content):
    path = tmp_path / "x.mat"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="expected a whole MATLAB file of version 7 or earlier"):
        matlab.read_variables(path, ["tx1"])
    with pytest.raises(BadInput, match=r"expected a whole MATLAB 7\.3 file"):
        matlab.read_cells(path, "spikes")


def test_a_truncated_matlab_file_is_refused(tmp_path):
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"tx1": np.arange(10_000)}, do_compression=True)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(BadInput, match="expected a whole MATLAB file of version 7 or earlier"):
        matlab.read_variables(path, ["tx1"])


@pytest.mark.parametrize("marked", [True, False])
def test_an_empty_cell_is_empty_with_and_without_its_mark(tmp_path, marked):
    with h5py.File(tmp_path / "x.mat", "w") as file:
        file["#refs#/0"] = np.array([0, 0], np.uint64)
        file["#refs#/1"] = np.array([[1, 2]], np.uint8)
        if marked:
            file["#refs#/0"].attrs["MATLAB_empty"] = 1
        file["spikes"] = np.array([[file["#refs#/0"].ref, file["#refs#/1"].ref]], h5py.ref_dtype)
    assert [cell.tolist() for cell in matlab.read_cells(tmp_path / "x.mat", "spikes").ravel()] == [[], [1.0, 2.0]]


def test_cell_arrays_are_read_from_both_versions_in_the_order_of_matlab(tmp_path):
    """CellExplorer's layout: a field of a struct."""
    trains = [[0.5, 1.25], [], [2.0], [0.75], [3.0], [4.0]]
    cells = np.empty((2, 3), object)
    for i, train in enumerate(trains):
        cells[i % 2, i // 2] = np.array(train)  # MATLAB counts down the columns
    scipy.io.savemat(tmp_path / "five.mat", {"spikes": {"times": cells}})
    with h5py.File(tmp_path / "seven.mat", "w") as file:
        for i, train in enumerate(trains):
            file[f"#refs#/{i}"] = np.array([train]) if train else np.array([0, 0], np.uint64)
            if not train:
                file[f"#refs#/{i}"].attrs["MATLAB_empty"] = 1
        file["spikes/times"] = np.array([file[f"#refs#/{i}"].ref for i in range(6)], h5py.ref_dtype).reshape(3, 2)
    for name in ("five.mat", "seven.mat"):
        found = matlab.read_spike_trains(tmp_path / name, "spikes.times")
        assert [t.tolist() for t in np.split(found.times, found.ends[:-1])] == trains
        session = matlab.count_units("spikes.times", seconds_per="ms")(tmp_path / name, Options())
        assert session.counts.tolist() == [[2], [0], [1], [1], [1], [1]]
        with pytest.raises(BadInput, match="a cell array"):
            matlab.read_spike_trains(tmp_path / name, "spikes.other")


def test_a_real_recording_becomes_the_same_session_from_both_versions(real):
    found = [matlab.read_spike_trains(real(f"{STEM}{kind}"), "spikes.times") for kind in KINDS]
    assert (found[0].times == found[1].times).all()
    assert (found[0].ends == found[1].ends).all()
    assert found[0].times.size > 100


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_cut_off_in_a_variable_that_is_not_read_is_refused(tmp_path, compressed):
    """scipy skips by the length that a variable claims; what would follow it is missing then, without a word."""
    variables = {"first": np.arange(50.0), "other": np.random.default_rng(0).uniform(size=500), "second": np.ones(3)}
    path = save_mat(tmp_path / "x.mat", variables, compressed)
    assert set(matlab.read_variables(path, ["first", "second"])) == {"first", "second"}
    whole = path.read_bytes()
    for length in range(len(whole) - 1, 600, -97):
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput) as error:
            matlab.read_variables(path, ["first", "second"])
        one_line(error)


def test_version_4_and_big_endian_files_are_whole(tmp_path):
    scipy.io.savemat(tmp_path / "4.mat", {"tx1": np.arange(6.0).reshape(2, 3)}, format="4")
    assert matlab.read_variables(tmp_path / "4.mat", ["tx1"])["tx1"].tolist() == [[0, 1, 2], [3, 4, 5]]
    flags, dimensions = struct.pack(">4I", 6, 8, 6, 0), struct.pack(">2I2i", 5, 8, 1, 2)
    name, values = struct.pack(">2H4s", 3, 1, b"tx1"), struct.pack(">2I2d", 9, 16, 0.5, 7.0)
    content = flags + dimensions + name + values
    big = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + struct.pack(">2I", 14, len(content)) + content
    (tmp_path / "big.mat").write_bytes(big)
    assert matlab.read_variables(tmp_path / "big.mat", ["tx1"])["tx1"].tolist() == [[0.5, 7.0]]
    (tmp_path / "big.mat").write_bytes(big[:-1])
    with pytest.raises(BadInput, match="found one that is cut off"):
        matlab.read_variables(tmp_path / "big.mat", ["tx1"])


def structure(path, find, put):
    """A file with two cells, in which bytes are replaced."""
    cells = np.empty((1, 2), object)
    cells[0] = [np.arange(40.0) + 0.5, np.arange(7.0) + 0.25]
    content = save_mat(path, {"spikes": cells}, compressed=False).read_bytes()
    assert find in content
    path.write_bytes(content.replace(find, put, 1))
    return path


VALUES = struct.pack("<2I", 9, 320)  # the tag of the first cell's 40 values


@pytest.mark.parametrize(
    ("find", "put"),
    [
        (VALUES, bytes(8)),
        (VALUES, struct.pack("<2I", 9, 312)),
        (VALUES, struct.pack("<2I", 99, 320)),
        (VALUES, struct.pack("<2I", 9, 2**31)),
        (struct.pack("<2i", 1, 40), struct.pack("<2i", 2**30, 2**30)),  # the first cell's dimensions
        (struct.pack("<2i", 1, 40), struct.pack("<2i", 1, -40)),
        (struct.pack("<2i", 1, 2), struct.pack("<2i", 1, 3)),  # those of the cell array
        (struct.pack("<2i", 1, 2), struct.pack("<2i", 2**15, 2**16)),
        (struct.pack("<2i", 1, 2), struct.pack("<2i", 1, 1)),
    ],
)
def test_cells_whose_parts_do_not_fit_are_refused_before_they_are_read(tmp_path, find, put):
    """scipy crashes where some of these are damaged, and allocates by the dimensions."""
    with pytest.raises(BadInput, match="whole MATLAB file") as error:
        matlab.read_spike_trains(structure(tmp_path / "a.mat", find, put), "spikes")
    one_line(error)
    assert len(matlab.read_spike_trains(structure(tmp_path / "b.mat", find, find), "spikes").ends) == 2


def test_variables_that_unpack_to_far_more_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "BOMB", 1 << 18)
    path = save_mat(tmp_path / "a.mat", {"x": np.zeros(10**6), "y": np.ones(3)}, True)
    with pytest.raises(BadInput, match="bytes that unpack to 8,000,0"):
        matlab.read_variables(path, ["x"])
    assert matlab.read_variables(path, ["y"])["y"].tolist() == [[1, 1, 1]]  # x stays packed
    path = save_mat(tmp_path / "b.mat", {"y": np.random.default_rng(0).random(10**5)}, True)
    assert matlab.read_variables(path, ["y"])["y"].shape == (1, 10**5)


def test_a_file_of_another_matlab_version_is_refused(tmp_path):
    with pytest.raises(BadInput) as error:
        matlab.read_variables(save_73(tmp_path / "a.mat", [[[1.0]]]), ["spikes"])
    assert "version 7 or earlier" in one_line(error)
    with pytest.raises(BadInput) as error:
        matlab.read_cells(save_mat(tmp_path / "b.mat", {"spikes": np.ones(3)}), "spikes")
    assert "MATLAB 7.3" in one_line(error)


@pytest.mark.parametrize("kind", ["missing", "no cells", "null", "group", "text"])
def test_cells_that_are_no_spike_trains_are_refused(tmp_path, kind):
    path = save_73(tmp_path / "a.mat", [[[1.0], [2.0]]])
    with h5py.File(path, "r+") as file:
        if kind == "missing":
            del file["spikes"]
        elif kind == "no cells":
            del file["spikes"]
            file["spikes"] = np.ones((5, 2))
        else:
            file["#refs#/text"] = "spikes"
            null, text, group = h5py.Reference(), file["#refs#/text"].ref, file["#refs#"].ref
            file["spikes"][0, 1] = {"null": null, "text": text, "group": group}[kind]
    with pytest.raises(BadInput) as error:
        matlab.read_cells(path, "spikes")
    one_line(error)


def test_a_truncated_matlab_73_file_is_refused(tmp_path):
    path = save_73(tmp_path / "a.mat", [[np.arange(5000.0)] * 4])
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(BadInput) as error:
        matlab.read_cells(path, "spikes")
    assert "a whole MATLAB 7.3 file" in one_line(error)
