"""Options that change the shape, and the scripts of data sets that come binned: on miniatures of their files."""

import h5py
import numpy as np
import pytest
from helpers.data_files import write_series
from helpers.recordings import write_units, write_units_bare
from hypothesis import given
from hypothesis import strategies as st

from neuralpile.open import open_data_set
from neuralpile.spikes import binning, clock_restarts


def rows_of(script, tmp_path, name, *options):
    """Build a data set from tmp_path/raw; its rows."""
    out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
    done = script(f"data/{name}/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", out, *options)
    assert done.returncode == 0, done.stderr
    return list(open_data_set(str(out))), done.stdout


@pytest.mark.parametrize("name", ["xiao", "simulated-motor"])
def test_a_folder_without_recordings_names_the_command_that_downloads_them(script, tmp_path, name):
    (tmp_path / "raw").mkdir()
    done = script(f"data/{name}/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", tmp_path / "out")
    assert done.returncode == 2
    assert f"run: python data/{name}/download.py, or give their folder with --data_dir" in done.stderr
    assert done.stderr.count("\n") == 1


def test_trim_leaves_out_bins_before_the_first_and_after_the_last_spike(script, tmp_path):
    """Kim's blocks start late on the clock of the whole penetration."""
    write_units(tmp_path / "raw" / "sub-Z" / "late.nwb", [[100.0, 100.5], [101.0]])
    rows, _ = rows_of(script, tmp_path, "kim")
    assert rows[0].counts.shape == (2, 5050)
    rows, said = rows_of(script, tmp_path, "kim", "--trim")
    assert rows[0].counts.shape == (2, 50)
    assert rows[0].counts[:, [0, 25, 49]].tolist() == [[1, 1, 0], [0, 0, 1]]
    assert "5,000 empty bins at the start and 0 at the end trimmed" in said


def with_column(path, name, values):
    with h5py.File(path, "a") as file:
        place = "units" if "units" in file else "processing/ecephys/units"
        file[place][name] = values
    return path


QUALITIES = [
    ("kim", "is_sua", np.array([1, 0, 1], "u1"), {"0": [0, 1, 2], "1": [0, 2]}),
    ("kim", "is_sua", np.array([1.0, 0.0, 1.0]), {"0": [0, 1, 2], "1": [0, 2]}),
    ("neupane-ppc", "KSLabel", ["good", "mua", "good"], {"mua": [0, 1, 2], "good": [0, 2]}),
    ("neupane-entorhinal", "quality", ["good", "noise", "mua"], {"noise": [0, 1, 2], "mua": [0, 2], "good": [0]}),
    ("moore", "quality", ["mua", "unsorted", "good"], {"mua": [0, 2], "good": [2]}),
]


@pytest.mark.parametrize(("name", "column", "values", "kept"), QUALITIES)
def test_min_quality_leaves_out_units_of_lower_quality(script, tmp_path, name, column, values, kept):
    place = "processing/ecephys/units" if name.startswith("neupane") else "units"
    suffix = "_behavior+ecephys" if name.startswith("neupane") else ""
    path = tmp_path / "raw" / "sub-A" / f"s{suffix}.nwb"
    write_units_bare(path, np.array([0.01, 0.03, 0.05]), np.array([1, 2, 3], "u1"), place)
    with_column(path, column, values)
    rows, _ = rows_of(script, tmp_path, name)
    assert rows[0].counts.tolist() == np.eye(3, dtype=int).tolist()
    for level, units in kept.items():
        rows, _ = rows_of(script, tmp_path, name, "--min_quality", level)
        assert rows[0].counts.tolist() == np.eye(3, dtype=int)[units].tolist()


def test_min_quality_without_the_column(script, tmp_path):
    write_units(tmp_path / "raw" / "sub-A" / "s.nwb", [[1.0]])
    done = script("data/kim/preprocess.py", "--data_dir", tmp_path / "raw", "--min_quality", "1")
    assert "expected /units/is_sua, found a table of" in done.stderr
    done = script("data/kim/preprocess.py", "--data_dir", tmp_path / "raw", "--min_quality", "best")
    assert "argument --min_quality: invalid choice: 'best'" in done.stderr


def test_mask_unobserved_leaves_out_bins_not_wholly_observed(script, tmp_path):
    """dmfc-rsg: bins that are not wholly in an observed interval; between two that touch none is lost."""
    trains = [np.arange(0.01, 2, 0.02), [0.5]]
    write_units(tmp_path / "raw" / "sub-A" / "s.nwb", trains, observed=[[0.2, 0.4], [0.4, 0.61], [1.01, 5.0]])
    rows, said = rows_of(script, tmp_path, "dmfc-rsg", "--mask_unobserved")
    whole, _ = rows_of(script, tmp_path, "dmfc-rsg")
    kept = [*range(10, 30), *range(51, 100)]
    assert whole[0].counts.shape == (2, 100)
    assert (rows[0].counts == whole[0].counts[:, kept]).all()
    assert "31 of 100 bins not observed, cut out" in said


def test_mask_unobserved_leaves_out_dropouts(script, tmp_path):
    """moore says when the recording dropped out."""
    path = write_units(tmp_path / "raw" / "sub-MG" / "sub-MG_ecephys.nwb", [np.arange(0.01, 2, 0.02)])
    with h5py.File(path, "a") as file:
        file["intervals/neural_dropout/start_time"] = [1.5, 0.1]
        file["intervals/neural_dropout/stop_time"] = [1.6, 0.25]
    rows, _ = rows_of(script, tmp_path, "moore", "--mask_unobserved")
    assert rows[0].counts.shape[1] == 100 - 5 - 8  # 1.5 to 1.6 s; 0.1 to 0.25 s touches eight bins


intervals = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=6)


@given(intervals, st.integers(0, 50))
def test_a_bin_is_observed_where_both_its_halves_are(spans, n_bins):
    """In steps of half a bin: a bin is observed just where both its halves are."""
    halves = np.zeros(200, bool)
    for start, length in spans:
        halves[start : start + length] = True
    seconds = np.array([[start * 0.01, (start + length) * 0.01] for start, length in spans]).reshape(-1, 2)
    expected = halves[: 2 * n_bins].reshape(n_bins, 2).all(axis=1)
    assert (binning.observed_bins(n_bins, 0.02, seconds) == expected).all()


@pytest.mark.parametrize("name", ["m1-a", "m1-b", "m2", "h1"])
def test_drop_duplicates_leaves_out_minival_files(script, tmp_path, name):
    for split in ("held-in-calib", "held-in-minival", "held-out-calib"):
        folder = f"sub-Monkey-{split}"
        write_units(tmp_path / "raw" / folder / f"{folder}_ses-20120924_behavior+ecephys.nwb", [[1.0]])
    rows, _ = rows_of(script, tmp_path, name)
    assert len(rows) == 3
    rows, _ = rows_of(script, tmp_path, name, "--drop_duplicates")
    assert [row.subject_id for row in rows] == ["sub-Monkey-held-in-calib", "sub-Monkey-held-out-calib"]


def test_published_shape_and_options_exclude_each_other(script):
    done = script("data/m1-a/preprocess.py", "--as_published", "--trim", "--drop_duplicates")
    assert done.returncode == 2
    assert "found --trim --drop_duplicates" in done.stderr


def write_restarted(path):
    """Two epochs of trials on a clock that restarts, and a spike between trials. Spikes in the order of trials."""
    trains = [[0.11, 0.51, 1.05, 0.13, 0.71], [1.11, 0.31], [0.12], [0.72]]
    write_units(path, trains)
    with h5py.File(path, "a") as file:
        file["intervals/trials/start_time"] = [0.1, 0.5, 1.0, 0.1, 0.3, 0.7]
        file["intervals/trials/stop_time"] = [0.2, 0.6, 1.2, 0.2, 0.4, 0.8]


def test_epochs_are_laid_one_after_the_other(script, tmp_path):
    """The second epoch begins at 0.1 s of its clock, and is laid into the bin after the end of the first, at 1.2 s."""
    write_restarted(tmp_path / "raw" / "sub-J" / "s.nwb")
    rows, said = rows_of(script, tmp_path, "churchland", "--epochs")
    relaid = [[0.11, 0.51, 1.05, 1.251, 1.831], [1.11, 1.431], [0.12], [1.841]]
    edges = np.arange(0, 1.841 + 0.02, 0.02)
    expected = np.stack([np.histogram(train, edges)[0] for train in relaid])
    assert (rows[0].counts[:, : expected.shape[1]] == expected).all()
    assert rows[0].counts.sum() == 9
    assert "the clock restarts 1 time\n" in said
    overlapping, _ = rows_of(script, tmp_path, "churchland")
    assert overlapping[0].counts.shape[1] == len(np.arange(0, 1.11 + 0.02, 0.02)) - 1


def test_epochs_of_sorted_spikes_cannot_be_told(script, tmp_path):
    path = tmp_path / "raw" / "sub-J" / "s.nwb"
    write_units(path, [[0.11, 0.12]])
    with h5py.File(path, "a") as file:
        file["intervals/trials/start_time"] = [0.1, 0.1]
        file["intervals/trials/stop_time"] = [0.2, 0.2]
    done = script("data/churchland/preprocess.py", "--data_dir", tmp_path / "raw", "--epochs")
    assert "expected spikes in the order of recording, over 2 epochs, found all in the first" in done.stderr


def test_epochs_of_trials_that_all_overlap(script, tmp_path):
    path = write_units(tmp_path / "raw" / "sub-Jenkins" / "sub-Jenkins_ses-1.nwb", [np.arange(100) + 0.25])
    with h5py.File(path, "a") as file:
        file["intervals/trials/start_time"] = np.arange(100.0)
        file["intervals/trials/stop_time"] = np.arange(100.0) + 1.5
    done = script("data/churchland/preprocess.py", "--data_dir", tmp_path / "raw", "--epochs")
    assert done.returncode == 2
    assert "expected a clock that restarts at most 49 times, found 99 trials that start before the one" in done.stderr


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_epochs_are_found_again(lengths, seed):
    """Trials one after the other on a clock that restarts between epochs; spikes at both ends of every trial."""
    trials, expected = [], []
    for epoch, of_epoch in enumerate(lengths):
        ends = np.cumsum(of_epoch) * 1.0
        trials += [(end - length + 0.1, end - 0.1) for end, length in zip(ends, of_epoch, strict=True)]
        expected += [epoch] * len(of_epoch)
    trials = np.array(trials)
    first = clock_restarts.first_trials(trials)
    assert first.tolist() == [expected.index(epoch) for epoch in range(len(lengths))]
    times = (trials + np.random.default_rng(seed).uniform(0, 0.1, trials.shape) * [1, -1]).ravel()
    expected = np.repeat(expected, 2)
    assert (clock_restarts.epoch_of_spikes(times, np.array([len(times)]), trials, first) == expected).all()
    relaid = times + clock_restarts.epoch_shifts(trials, first, 0.02)[expected]
    assert (np.diff(relaid) > 0).all()


def test_rows_of_200_hz_are_summed_by_fours_and_rows_of_60_hz_stay(script, tmp_path):
    """Monkey J's 200 Hz are summed by fours, monkey G's 60 Hz stay."""
    data = np.random.default_rng(0).integers(0, 100, (43, 3), np.uint8)
    for monkey, rate in [("g", 60.0), ("j", 200.0)]:
        path = tmp_path / "raw" / f"sub-monk-{monkey}" / f"sub-monk-{monkey}_ses-session0.nwb"
        write_series(path, "processing/behavior/spike_counts", data, rate)
    rows, said = rows_of(script, tmp_path, "athalye")
    sums = data[:40].reshape(10, 4, 3).sum(axis=1, dtype=int).T
    assert (rows[0].counts == data.T).all()
    assert (rows[1].counts == sums.clip(max=255)).all()
    assert sums.max() > 255
    assert "bins of 1/60 s, not of 0.02 s" in said
    rows, _ = rows_of(script, tmp_path, "athalye", "--bin_size", "0.05")
    assert [row.counts.shape for row in rows] == [(3, 14), (3, 4)]
    assert (rows[0].counts == data[:42].reshape(14, 3, 3).sum(axis=1, dtype=int).T.clip(max=255)).all()
    done = script("data/athalye/preprocess.py", "--data_dir", tmp_path / "raw", "--bin_size", "0.03")
    assert "expected a --bin_size that is a multiple of 1/60 s, found 0.03 s" in done.stderr


@pytest.mark.parametrize("dtype", ["u1", "i4", "f8"])
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("h2", "acquisition/binned_spikes"),
        ("temmar", "analysis/ThresholdCrossings"),
        ("temmar", "processing/ecephys/ThresholdCrossings"),
    ],
)
def test_counts_as_they_are(script, tmp_path, name, place, dtype):
    data = np.random.default_rng(0).integers(0, 200, (50, 4)).astype(dtype)
    write_series(tmp_path / "raw" / "sub-A" / "s.nwb", place, data)
    rows, _ = rows_of(script, tmp_path, name)
    assert (rows[0].counts == data.T).all()


def test_twenty_rows_of_1_ms_make_a_bin_and_the_tail_is_left_out(script, tmp_path):
    """Only the file without a suffix is a session; 20 rows of 1 ms are a bin, the tail is left out."""
    raster = (np.random.default_rng(0).random((1013, 5)) < 0.2).astype(np.uint8)
    stem = tmp_path / "raw" / "000628" / "sub-An" / "sub-An_ses-20220105T173929"
    write_series(stem.with_suffix(".nwb"), "processing/ecephys/rasters", raster)
    for other in ("_behavior", "_image"):
        stem.with_name(f"{stem.name}{other}.nwb").write_bytes(b"no recording")
    rows, _ = rows_of(script, tmp_path, "xiao")
    assert [(row.subject_id, row.session_id) for row in rows] == [("sub-An", stem.name)]
    assert (rows[0].counts == raster[:1000].reshape(50, 20, 5).sum(axis=1).T).all()


def test_chen_leaves_raw_recordings_out(script, tmp_path):
    write_units(tmp_path / "raw" / "sub-Lalo" / "a_behavior+ecephys.nwb", [[1.0], []])
    with h5py.File(tmp_path / "raw" / "sub-Lalo" / "a_ecephys.nwb", "w") as file:
        file["acquisition/ElectricalSeriesAP/data"] = np.zeros(4)
    rows, _ = rows_of(script, tmp_path, "chen")
    assert [row.session_id for row in rows] == ["a_behavior+ecephys"]


def test_chen_a_file_that_cannot_be_read_does_not_end_the_build(script, tmp_path):
    write_units(tmp_path / "raw" / "sub-Lalo" / "b.nwb", [[1.0], []])
    (tmp_path / "raw" / "sub-Lalo" / "a.nwb").symlink_to(tmp_path / "nowhere.nwb")
    damaged = write_units(tmp_path / "raw" / "sub-Lalo" / "c.nwb", [[1.0], []])
    damaged.write_bytes(damaged.read_bytes().replace(b"TREE", b"tree"))  # HDF5's trees: h5py raises a RuntimeError
    done = script("data/chen/preprocess.py", "--data_dir", tmp_path / "raw")
    assert done.returncode == 1
    assert "sub-Lalo/a.nwb: expected a file, found a link to" in done.stderr
    assert "sub-Lalo/c.nwb: expected a whole NWB file (HDF5), found" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(open_data_set(str(tmp_path / "build" / "chen"))) == 1
