"""What willett, makin, lanzarini and rajalingham share: the MATLAB files that are read, and those that are refused."""

import h5py
import numpy as np
import pytest
import scipy.io
from helpers.data_files import MATLAB_FILES, makin_cells, save_73, save_mat, write_lanzarini, write_rajalingham
from helpers.data_sets import one_line

from neuralpile import catalog
from neuralpile.build import record
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.recordings import matlab


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
    assert not matlab.cut_off(tmp_path / "4.mat")
    big = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + (14).to_bytes(4, "big") + (16).to_bytes(4, "big") + bytes(16)
    (tmp_path / "big.mat").write_bytes(big)
    assert not matlab.cut_off(tmp_path / "big.mat")
    (tmp_path / "big.mat").write_bytes(big[:-1])
    assert matlab.cut_off(tmp_path / "big.mat")


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


@pytest.mark.parametrize("name", MATLAB_FILES)
def test_a_bad_file_is_reported_and_the_good_one_beside_it_is_built(name, tmp_path, script, rates):
    """The good one is built, the bad one is told of in one line, and the exit status says so."""
    data = tmp_path / "raw"
    good = data / MATLAB_FILES[name]
    if name == "willett":
        save_mat(good, {"tx1": np.ones((30, 256), "u1")})
    elif name == "makin":
        save_73(good, makin_cells(96))
    elif name == "lanzarini":
        write_lanzarini(good, {})
    else:
        write_rajalingham(good, rates)
    bad = data / MATLAB_FILES[name].replace("04", "05").replace("session1", "session2").replace("mahler", "perle")
    bad.write_bytes(good.read_bytes()[:-300])
    done = script(f"data/{name}/preprocess.py", "--data_dir", data)
    assert done.returncode == 1
    assert sum(str(bad) in line for line in done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    (row,) = open_data_set(str(tmp_path / "build" / name))
    assert row.subject_id in catalog.load(name).subject_ids
    assert record.REPORT in {path.name for path in (tmp_path / "build" / name).iterdir()}
