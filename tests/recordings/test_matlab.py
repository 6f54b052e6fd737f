"""MATLAB files, and the scripts of the data sets that come as such, on miniatures in the layout of their files."""

import runpy

import h5py
import numpy as np
import pytest
import scipy.io
from helpers import ROOT
from helpers.data_files import CELLS, save, save_cells

from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.recordings import matlab
from neuralpile.spikes.session import Options

STEM = "mat/Peter_MS22_180629_110319_concat_stubbed"
KINDS = (".spikes.cellinfo.mat", "_hdf5.spikes.cellinfo.mat")


def read(name, path):
    """What the script of a data set makes of a file."""
    return runpy.run_path(str(ROOT / "data" / name / "preprocess.py"))["read"](path, Options())


def build(script, tmp_path, name, *options):
    """Build a data set from tmp_path/raw; its rows and what was said."""
    out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
    done = script(f"data/{name}/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", out, *options)
    assert done.returncode == 0, done.stderr
    return list(open_data_set(str(out))), done.stdout


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


@pytest.mark.parametrize("dtype", ["u1", "i2", "f8"])
def test_threshold_crossings_of_willett_are_read_in_any_number_type(script, tmp_path, dtype):
    tx1 = np.random.default_rng(0).integers(0, 9, (30, 256)).astype(dtype)
    if dtype != "u1":
        tx1[3, 4] = 300
    save(
        tmp_path / "raw" / "sentences" / "t12.2022.04.28_sentences.mat", tx1=tx1, tx2=tx1 + 1, blockNum=np.ones((30, 1))
    )
    rows, said = build(script, tmp_path, "willett")
    assert (rows[0].subject_id, rows[0].session_id) == ("T12", "t12.2022.04.28_sentences")
    assert (rows[0].counts == tx1.T.astype(int).clip(max=255)).all()
    assert ("45 spikes above 255" in said) == (dtype != "u1")
    rows, _ = build(script, tmp_path, "willett", "--as_published")
    assert rows[0].subject_id == "sentences"


def test_a_willett_file_without_its_variable_is_refused(script, tmp_path):
    save(tmp_path / "raw" / "sentences" / "t12.2022.04.28_sentences.mat", tx2=np.ones((3, 256)))
    done = script("data/willett/preprocess.py", "--data_dir", tmp_path / "raw")
    assert "expected a variable tx1, found none" in done.stderr


@pytest.mark.parametrize("options", [[], ["--as_published"]])
def test_units_of_a_makin_channel_are_counted_together(script, tmp_path, options):
    """All slots of a channel together, bins from the first spike on; the subject is in the file's name."""
    save_cells(tmp_path / "raw" / "data" / "indy_20160407_02.mat", CELLS)
    rows, _ = build(script, tmp_path, "makin", *options)
    merged = [np.concatenate([slot[channel] for slot in CELLS]) for channel in range(3)]
    edges = np.arange(5.03, 9.31 + 0.02, 0.02)
    assert edges[-1] < 9.31  # rounding: the published last bin misses the last spike
    if not options:
        edges[-1] = 9.31
    assert (rows[0].counts == [np.histogram(train, edges)[0] for train in merged]).all()
    assert rows[0].counts.sum() == (5 if options else 6)
    assert rows[0].session_id == "indy_20160407_02"
    assert rows[0].subject_id == "indy"


def test_makin_edges_are_those_of_numpy(script, tmp_path):
    """The edges begin at a number that is no multiple of the bin: many spikes, on and beside edges."""
    rng = np.random.default_rng(0)
    edges = 123.456789 + np.arange(2000) * 0.02
    times = np.concatenate(
        [[123.456789], edges, np.nextafter(edges, 0), np.nextafter(edges, 1e9), rng.uniform(124, 160, 500)]
    )
    times = times[times >= 123.456789]
    save_cells(tmp_path / "raw" / "loco" / "loco_20170210_03.mat", [[times], [[]]])
    rows, _ = build(script, tmp_path, "makin", "--as_published")
    published = np.arange(times.min(), times.max() + 0.02, 0.02)
    assert (rows[0].counts[0] == np.histogram(times, published)[0]).all()


def test_a_makin_session_without_spikes_is_skipped(script, tmp_path):
    save_cells(tmp_path / "raw" / "a" / "indy_1.mat", [[[], []]])
    save_cells(tmp_path / "raw" / "a" / "indy_2.mat", CELLS)
    rows, said = build(script, tmp_path, "makin")
    assert [row.session_id for row in rows] == ["indy_2"]
    assert "indy_1: no spike" in said


def lanzarini_trains(trains):
    return {
        f"Spk_{channel:03d}a_sh": np.array(train, float).reshape(shape) for channel, (train, shape) in trains.items()
    }


def test_lanzarini_columns_are_read_whole_but_as_published_are_not(script, tmp_path):
    """Columns are read whole, spikes before 0 s are reported, the last spike counts; published, none of these."""
    trains = {channel: ([0.5], (1, 1)) for channel in range(126)}
    trains[0] = ([0.01, 0.03, 0.05], (3, 1))  # a column
    trains[1] = ([-0.5, -0.01, 0.03, 2.0], (1, 4))  # the very end is 100 bins
    trains[2] = ([0.01] * 300, (1, 300))
    trains[3] = ([], (0, 0))
    path = tmp_path / "raw" / "Router" / "Router_1.mat"
    save(path, **lanzarini_trains(trains), Spk_005b_sh=np.array([[1.0]]))
    rows, said = build(script, tmp_path, "lanzarini")
    counts = rows[0].counts
    assert counts.shape == (128, 100)
    assert rows[0].subject_id == "Router"
    assert counts[0, :4].tolist() == [1, 1, 1, 0]
    assert np.flatnonzero(counts[1]).tolist() == [1, 99]
    assert counts[2, 0] == 255
    assert not counts[[3, 126, 127]].any()
    assert counts[5].sum() == 1
    assert "2 spikes before the first bin left out" in said
    assert "no Spk_126a_sh, Spk_127a_sh: 2 silent channels" in said
    rows, _ = build(script, tmp_path, "lanzarini", "--as_published")
    published = rows[0].counts
    assert published.shape == (128, 100)
    assert published[0].nonzero()[0].tolist() == [0]
    assert published[1].nonzero()[0].tolist() == [0, 1, 75]  # -0.01 to bin 0, -0.5 from the end, 2.0 dropped
    assert published[2, 0] == 300 - 256
    assert (published[4:] == counts[4:]).all()


def test_a_lanzarini_file_without_its_variables_is_refused(script, tmp_path):
    save(tmp_path / "raw" / "Wifi" / "x.mat", other=np.ones(3))
    done = script("data/lanzarini/preprocess.py", "--data_dir", tmp_path / "raw")
    assert "expected variables Spk_000a_sh to Spk_127a_sh, found none of them" in done.stderr


def test_rajalingham_rates_become_counts_and_only_ours_are_cut_at_the_limit(script, tmp_path):
    """Rates in spikes per ms, times 50 ms; conditions one after the other; ours are cut at the limit, published not."""
    rng = np.random.default_rng(0)
    rates = rng.uniform(0, 0.08, (6, 79, 100))
    rates[0, 0, :4] = [0.01, 0.03, 0.05, 0.05001]  # 0.5, 1.5, 2.5: half to even
    rates[:, :, -1] = np.nan
    for monkey in ("mahler", "perle"):
        path = tmp_path / "raw" / f"{monkey}_hand_dmfc_dataset_50ms.mat"
        save(path, neural_responses_reliable={"occ": rates, "occ_sh1": rates * 2}, other=np.ones(3))
    rows, _ = build(script, tmp_path, "rajalingham", "--token_count_limit", "30_000")
    assert [(row.subject_id, row.session_id, row.segment_id) for row in rows] == [
        (subject, f"{subject[0]}_0", f"segment_{i}") for subject in ("Mahler", "Perle") for i in range(2)
    ]
    whole = np.concatenate([row.counts for row in rows[:2]], axis=1)
    expected = np.zeros((6, 7900), int)
    for neuron in range(6):
        for condition in range(79):
            for b in range(99):
                expected[neuron, condition * 100 + b] = round(rates[neuron, condition, b] * 50)
    assert (whole == expected).all()
    assert whole[0, :4].tolist() == [0, 2, 2, 3]
    rows, _ = build(script, tmp_path, "rajalingham", "--token_count_limit", "30_000", "--as_published")
    assert [row.counts.shape for row in rows] == [(6, 7900)] * 2
    assert (rows[0].counts == expected).all()


def test_cells_without_the_mark_of_emptiness_are_read(tmp_path):
    """2 × 3 cells of eight spikes; cells 0, 2 and 4 are stored with one dimension, and none is marked as empty."""
    path = tmp_path / "indy" / "indy_20160407_02.mat"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        references = np.empty((2, 3), h5py.ref_dtype)
        for i in range(6):
            times = np.arange(1, 5, 0.5) + 0.1 * i
            file[f"#refs#/{i}"] = times if i % 2 == 0 else times[None]
            references.flat[i] = file[f"#refs#/{i}"].ref
        file["spikes"] = references
    counts = read("makin", path).counts
    assert counts.shape == (3, 200)
    assert counts.sum() == 48


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
