"""Files that contradict themselves, or hold more than is read: the right counts, a note, or one line."""

import h5py
import numpy as np
import pytest
from helpers.data_files import (
    MATLAB_FILES,
    envelopes,
    save_mat,
    save_rates,
    simulate,
    write_lanzarini,
    write_series,
    write_trials,
)
from helpers.data_sets import one_line, read
from helpers.recordings import write_units, write_units_bare
from scipy.sparse import csc_matrix

from neuralpile.build.sessions import find_sessions
from neuralpile.catalog import load
from neuralpile.errors import BadInput
from neuralpile.recordings import matlab, nwb
from neuralpile.spikes.session import Options


@pytest.mark.parametrize("shape", [(2, 3), (3, 2)])
def test_a_matrix_in_a_cell_is_not_taken_for_spike_times(tmp_path, shape):
    """Such as times and waveform numbers, in two rows or columns."""
    matrix, row = np.arange(6.0).reshape(shape) + 0.5, np.array([[0.5, 1.5]])
    with h5py.File(tmp_path / "new.mat", "w") as file:
        file["a"], file["b"] = row, matrix
        file["spikes"] = np.array([[file["a"].ref, file["b"].ref]], h5py.ref_dtype)
    cells = np.empty((1, 2), object)
    cells[0, :] = [row, matrix]
    save_mat(tmp_path / "old.mat", {"spikes": cells})
    for name in ("new.mat", "old.mat"):
        with pytest.raises(BadInput, match="one row or column of numbers, found a matrix of shape") as error:
            matlab.read_spike_trains(tmp_path / name, "spikes")
        assert one_line(error)


def test_a_sparse_variable_is_named_so(tmp_path):
    path = save_mat(tmp_path / MATLAB_FILES["willett"], {"tx1": csc_matrix(np.eye(256))})
    with pytest.raises(BadInput, match=r"expected a full array, found a sparse one; save full\(tx1\) instead"):
        read("willett", path)


def test_lanzarini_notes_what_it_does_not_read(tmp_path):
    path = write_lanzarini(tmp_path / "wifi" / "a.mat", {3: [[0.1, 0.2], [0.3, 0.4]], 128: [[0.7]]})
    session = read("lanzarini", path)
    assert session.subject_id == "Wifi"
    assert session.notes == [
        "Spk_128a_sh is not read: do the channels of this file count from 1?",
        "1 variable with several rows, such as Spk_003a_sh: only the first is read",
    ]


@pytest.mark.parametrize("first", ["vis", "occ_sh1"])
def test_rajalingham_takes_its_epoch_by_name(tmp_path, rates, first):
    path = tmp_path / MATLAB_FILES["rajalingham"]
    save_mat(path, {"neural_responses_reliable": {first: rates * 0, "occ": rates}})
    expected = np.rint(np.nan_to_num(rates) * 50).astype(np.uint8).reshape(5, -1)
    np.testing.assert_array_equal(read("rajalingham", path, Options(bin_size=0.05)).counts, expected)
    save_mat(path, {"neural_responses_reliable": {first: rates}})
    with pytest.raises(BadInput, match=f"with the field occ, found 1 with {first}"):
        read("rajalingham", path, Options(bin_size=0.05))
    save_mat(path, {"neural_responses_reliable": {"occ": np.where(rates > 0.07, np.inf, rates)}})
    with pytest.raises(BadInput, match="none negative or infinite, found infinity"):
        read("rajalingham", path, Options(bin_size=0.05))


@pytest.mark.parametrize(
    ("axes", "tb", "n", "found"),
    [
        ((0, 2, 1), np.arange(300.0), 40, "found 16 and ALLMAT of shape"),
        ((1, 0, 2), np.arange(300.0), 40, "found 40 and 300 times"),
        ((0, 1, 2), np.arange(0, 150, 0.5), 40, "found a step of 0.5 in tb"),
        ((0, 1, 2), np.arange(0, 0.3, 0.001), 40, None),
    ],
)
def test_papale_compares_the_axes_with_the_times_and_presentations_of_the_file(tmp_path, axes, tb, n, found):
    path = tmp_path / "monkeyF" / "THINGS_MUA_trials.mat"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["ALLMUA"], file["ALLMAT"], file["tb"] = envelopes().transpose(axes), np.ones((6, n)), tb[:, None]
    if found is None:
        assert read("papale", path).counts.shape == (16, 600)
    else:
        with pytest.raises(BadInput, match=found) as error:
            read("papale", path)
        assert one_line(error)


def test_wojcik_compares_the_axes_with_the_meta_beside_the_rates(tmp_path):
    rates = np.random.default_rng(0).uniform(0, 30, (4, 5, 100))
    path = save_rates(tmp_path / "m1_ses1" / "Wom20200910_Spikes.npy", rates.transpose(1, 0, 2))
    np.save(path.with_name("Wom20200911_meta.npy"), np.ones(5))
    assert read("wojcik", path).counts.shape == (4, 25)
    np.save(path.with_name("Wom20200910_meta.npy"), np.ones(4))
    with pytest.raises(BadInput, match="4 trials in the meta beside it; swap the first two axes"):
        read("wojcik", path)


def test_trials_of_card_are_in_the_order_of_their_numbers(tmp_path):
    """Whatever order the file lists them in, and with names that have no leading zeros."""
    counts, scored = simulate(1.0, n_trials=3, n_channels=256)
    path = write_trials(tmp_path / "t15.2023.08.11" / "data_train.hdf5", scored, np.zeros(3, int))
    with h5py.File(path) as padded, h5py.File(tmp_path / "data_train.hdf5", "w", track_order=True) as file:
        for i, name in ((2, "trial_11"), (1, "trial_10"), (0, "trial_2")):
            padded.copy(f"trial_{i:04d}", file, name)
    (tmp_path / "data_train.hdf5").replace(path)
    np.testing.assert_array_equal(read("card", path).counts, np.concatenate(counts).T)


def test_spikes_of_makin_before_0_s_are_noted_and_a_time_that_is_none_is_refused(tmp_path):
    path = tmp_path / "indy_20160407_02.mat"

    def write(first):
        with h5py.File(path, "w") as file:
            file["a"] = np.append(first, np.arange(40) / 7 + 0.01)
            file["spikes"] = np.array([[file["a"].ref]], h5py.ref_dtype)

    write(-5.0)
    assert read("makin", path).notes == ["1 spike before 0 s: the bins begin at -5.000 s"]
    write(-1e9)
    with pytest.raises(BadInput, match=r"within 604,800 s \(7 days\), found -1e\+09"):
        read("makin", path)


def test_trials_in_another_order_than_the_spikes_are_no_epochs(tmp_path):
    path = write_units(tmp_path / "sub-J_ses-1.nwb", [np.arange(0.25, 10, 0.1)] * 3)
    with h5py.File(path, "a") as file:
        file["intervals/trials/start_time"] = [6.0, 0.0, 8.5]
        file["intervals/trials/stop_time"] = [8.0, 2.0, 9.5]
    with pytest.raises(BadInput, match="found times that never go back: the trials may not be in that order"):
        read("churchland", path, Options(epochs=True))


def test_a_second_place_with_other_spikes_is_noted(tmp_path):
    path = write_units_bare(tmp_path / "sub-A_ses-1.nwb", [0.5], [1])
    with h5py.File(path, "a") as file:
        file["processing/ecephys/units/spike_times"] = [0.1]
    assert nwb.count_units(path, Options()).notes == [
        "processing/ecephys/units has spike times, too; they are not read"
    ]
    path = tmp_path / "sub-N_ses-1.nwb"
    write_series(path, "analysis/ThresholdCrossings", np.ones((9, 3), int))
    with h5py.File(path, "a") as file:
        file["processing/ecephys/ThresholdCrossings/data"] = np.ones((9, 3), int)
    two = ["analysis/ThresholdCrossings/data", "processing/ecephys/ThresholdCrossings/data"]
    assert nwb.count_raster(path, Options(), two, 0.02).notes == [
        "processing/ecephys/ThresholdCrossings/data exists, too; it is not read",
    ]


def test_hidden_copies_are_no_sessions(tmp_path):
    """As git-annex, notebooks and the trash keep them; a link to the content of git-annex is followed."""
    content = ".git/annex/objects/a/SHA256E-s1--b.nwb/SHA256E-s1--b.nwb"
    for place in (content, "sub-A/.ipynb_checkpoints/x-checkpoint.nwb", "sub-A/.x.nwb", ".Trash-0/files/x.nwb"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    (tmp_path / "sub-A" / "x.nwb").symlink_to(f"../{content}")
    assert list(find_sessions(tmp_path, load("perich"))) == ["sub-A/x.nwb"]


def test_half_precision_and_rates_in_place_of_counts(script, tmp_path, recwarn):
    raster = np.random.default_rng(0).integers(0, 2, (2000, 3)).astype(np.float16)
    for factor, noted in ((1, False), (1000, True)):
        write_series(tmp_path / "raw" / "sub-A" / "sub-A_ses-1.nwb", "processing/ecephys/rasters", raster * factor)
        done = script("data/xiao/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", tmp_path / "out")
        assert done.returncode == 0
        assert ("a median rate of 12,750 Hz (above 1,000 Hz): are these counts?" in done.stdout) == noted
    assert not [each for each in recwarn if "overflow" in str(each.message)]


def test_a_build_without_spikes_says_why(script, tmp_path):
    write_units(tmp_path / "raw" / "sub-A" / "sub-A_ses-1.nwb", [[-3.0, -1.0]])
    done = script("data/perich/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", tmp_path / "out")
    assert done.returncode == 2
    assert "found none (sub-A/sub-A_ses-1.nwb: 2 spikes before the first bin left out); check" in done.stderr
