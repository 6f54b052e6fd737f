"""willett, makin, lanzarini and rajalingham: every oddity of their files, on miniatures, read within this process.

Expected counts are worked out here, spike by spike or with numpy.histogram. What the scripts do from the command line
is in test_matlab.py.
"""

import runpy
from dataclasses import replace

import h5py
import numpy as np
import pytest
import scipy.io

from neuralpile import catalog
from neuralpile.build import record
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.recordings import matlab
from neuralpile.spikes.session import Options, Session

PUBLISHED = Options(as_published=True)
NAMES = {
    "willett": "sentences/t12.2022.04.28_sentences.mat",
    "makin": "indy/indy_20160407_02.mat",
    "lanzarini": "Router/session1.mat",
    "rajalingham": "mahler_hand_dmfc_dataset_50ms.mat",
}


def read(name, path, options=None) -> Session:
    """What the script of a data set makes of a file."""
    options = replace(options or Options(), own_bin=catalog.load(name).own_bin)
    return runpy.run_path(str(catalog.load(name).folder / "preprocess.py"))["read"](path, options)


def save(path, variables, compressed=False):
    """As MATLAB 5 (7 where compressed): the header, then each variable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, variables, do_compression=compressed, long_field_names=True)
    return path


def save_73(path, cells, user_block=512):
    """A cell array as MATLAB 7.3 has it: a user block before the HDF5 file, `spikes` (unit slots, channels) of
    references into #refs#, each to 1 × spikes; an empty cell is its two dimensions, in one, with MATLAB_empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=user_block) as file:
        references = np.empty((len(cells), len(cells[0])), h5py.ref_dtype)
        for slot, channels in enumerate(cells):
            for channel, train in enumerate(channels):
                empty = not len(train)
                content = np.zeros(2, "u8") if empty else np.array([train], float)
                cell = file.create_dataset(f"#refs#/{slot}_{channel}", data=content)
                cell.attrs["MATLAB_class"] = np.bytes_("double")
                if empty:
                    cell.attrs["MATLAB_empty"] = np.uint8(1)
                references[slot, channel] = cell.ref
        spikes = file.create_dataset("spikes", data=references)
        spikes.attrs["MATLAB_class"] = np.bytes_("cell")
        file["t"] = np.arange(10.0)[None] / 250
        file["cursor_pos"] = np.zeros((2, 10))
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return path


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert "expected" in text and "found" in text
    return text


# --- the reader


@pytest.mark.parametrize("compressed", [False, True])
def test_file_cut_off_in_a_variable_that_is_not_asked_for(tmp_path, compressed):
    """scipy skips by the length that a variable claims; what would follow it is missing then, without a word."""
    variables = {"first": np.arange(50.0), "other": np.random.default_rng(0).uniform(size=500), "second": np.ones(3)}
    path = save(tmp_path / "x.mat", variables, compressed)
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


def test_one_version_given_for_the_other(tmp_path):
    with pytest.raises(BadInput) as error:
        matlab.read_variables(save_73(tmp_path / "a.mat", [[[1.0]]]), ["spikes"])
    assert "version 7 or earlier" in one_line(error)
    with pytest.raises(BadInput) as error:
        matlab.read_cells(save(tmp_path / "b.mat", {"spikes": np.ones(3)}), "spikes")
    assert "MATLAB 7.3" in one_line(error)


@pytest.mark.parametrize("kind", ["missing", "no cells", "null", "group", "text"])
def test_cells_that_are_no_spike_trains(tmp_path, kind):
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


def test_truncated_73_file(tmp_path):
    path = save_73(tmp_path / "a.mat", [[np.arange(5000.0)] * 4])
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(BadInput) as error:
        matlab.read_cells(path, "spikes")
    assert "a whole MATLAB 7.3 file" in one_line(error)


# --- willett


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "u8", "f4", "f8"])
@pytest.mark.parametrize("options", [Options(), PUBLISHED])
def test_willett_counts_of_any_type(tmp_path, dtype, options):
    """tx1, not the stricter thresholds; above 255 nothing wraps, published or not, because the published column is
    uint8 without a cast."""
    tx1 = np.random.default_rng(0).integers(0, 9, (40, 256))
    tx1[7, 255] = 255 if dtype == "u1" else 700
    variables = {"tx2": tx1 * 0, "tx1": tx1.astype(dtype), "tx3": tx1 * 0, "blockNum": np.ones((40, 1))}
    session = read("willett", save(tmp_path / NAMES["willett"], variables, compressed=True), options)
    for channel, bin_ in [(0, 0), (17, 39), (255, 7), (128, 20)]:
        assert session.counts[channel, bin_] == min(255, tx1[bin_, channel])
    assert session.counts.shape == (256, 40)
    assert session.counts.sum(dtype=int) == np.minimum(tx1, 255).sum()
    assert any("445 spikes above 255" in note for note in session.notes) == (dtype != "u1")
    assert session.subject_id == ("sentences" if options.as_published else "T12")
    assert session.session_id == "t12.2022.04.28_sentences"


def test_willett_in_longer_bins(tmp_path):
    tx1 = np.random.default_rng(0).integers(0, 9, (41, 256)).astype("u1")
    session = read("willett", save(tmp_path / NAMES["willett"], {"tx1": tx1}), Options(bin_size=0.1))
    assert session.counts[3].tolist() == [sum(tx1[start : start + 5, 3]) for start in range(0, 40, 5)]
    assert any("in fine bins at the end" in note for note in session.notes)


@pytest.mark.parametrize(
    ("tx1", "said"),
    [
        (np.full((9, 256), 0.5), "whole numbers"),
        (np.full((9, 256), np.nan), "whole numbers"),
        (np.full((9, 256), -1, "i2"), "none negative"),
        (np.ones((256, 9), "u1"), "bins × 256 channels"),
        (np.array([[np.ones((9, 256))]], object), "expected"),  # a cell, as in competitionData.tar.gz
    ],
)
def test_willett_no_counts(tmp_path, tx1, said):
    with pytest.raises(BadInput) as error:
        read("willett", save(tmp_path / NAMES["willett"], {"tx1": tx1}))
    assert said in one_line(error)


# --- makin


def makin_cells(n_channels, seed=0):
    """Five slots: unsorted spikes, sorted units on some channels, the last slot empty. First spike at 3.2 s."""
    rng = np.random.default_rng(seed)
    cells = [[np.sort(rng.uniform(3.3, 20, rng.integers(5, 60))) for _ in range(n_channels)]]
    for slot in range(1, 5):
        here = [slot < 4 and rng.random() < 0.5 / slot for _ in range(n_channels)]
        cells.append([np.sort(rng.uniform(3.3, 20, 30)) if unit else [] for unit in here])
    cells[0][1] = cells[1][1] = cells[2][1] = cells[3][1] = []  # a channel without a spike
    cells[1][0] = [3.2, 12.0, 20.5]  # the first and the last spike are those of a sorted unit
    return cells


@pytest.mark.parametrize("n_channels", [96, 192])
@pytest.mark.parametrize("options", [Options(), PUBLISHED])
def test_makin_all_units_of_all_channels(tmp_path, n_channels, options):
    """S1 (channels 97 to 192) is included where it is in the file."""
    cells = makin_cells(n_channels)
    session = read("makin", save_73(tmp_path / "raw" / "loco_20170210_03.mat", cells), options)
    merged = [np.concatenate([slot[channel] for slot in cells]) for channel in range(n_channels)]
    edges = np.arange(3.2, 20.5 + 0.02, 0.02)
    if not options.as_published:
        edges[-1] = max(edges[-1], 20.5)
    assert (session.counts == [np.histogram(train, edges)[0] for train in merged]).all()
    assert session.counts.shape == (n_channels, len(edges) - 1)
    assert session.counts[0, 0] >= 1  # the first bin begins with the first spike
    assert not session.counts[1].any()  # an empty cell holds [0, 0], which are no spikes at 0 s
    assert session.subject_id == "loco"


def test_makin_last_spike_beyond_the_last_edge(tmp_path):
    """Rounding leaves the last published edge below it: published, it is dropped, in the same number of bins."""
    path = save_73(tmp_path / NAMES["makin"], [[[5.03], [9.31]]])
    session, published = read("makin", path), read("makin", path, PUBLISHED)
    assert np.arange(5.03, 9.31 + 0.02, 0.02)[-1] < 9.31
    assert session.counts.shape == published.counts.shape
    assert (session.counts[1, -1], published.counts[1].sum()) == (1, 0)
    assert any("1 spikes after the last published bin edge" in note for note in published.notes)


def test_makin_above_255(tmp_path):
    path = save_73(tmp_path / NAMES["makin"], [[[1.0] + [1.005] * 199, [2.0]], [[1.01] * 100, []]])
    session, published = read("makin", path), read("makin", path, PUBLISHED)
    assert (session.counts[0, 0], published.counts[0, 0]) == (255, 300 - 256)
    assert any("45 spikes above 255" in note for note in session.notes)


def test_makin_without_spikes_and_in_another_unit(tmp_path):
    path = save_73(tmp_path / NAMES["makin"], [[[], [], []]] * 5)
    assert read("makin", path).counts.shape == (3, 0)
    path = save_73(tmp_path / NAMES["makin"], [[[1.0, 3e9], []]])
    with pytest.raises(BadInput) as error:
        read("makin", path)
    assert "seconds" in one_line(error)


def test_makin_transposed(tmp_path):
    with pytest.raises(BadInput) as error:
        read("makin", save_73(tmp_path / NAMES["makin"], [[[1.0]] * 5] * 96))
    assert "5 units × channels" in one_line(error)


# --- lanzarini


def lanzarini(path, trains):
    """A file of 128 channels: these trains (as they are stored), elsewhere a spike at 0.5 s."""
    variables = {f"Spk_{channel:03d}a_sh": np.array([[0.5]]) for channel in range(128)}
    for channel, train in trains.items():
        variables[f"Spk_{channel:03d}a_sh"] = np.asarray(train, float)
    variables["Spk_000b_sh"] = np.array([[0.1, 0.2]])  # a second unit of channel 0
    return save(path, variables, compressed=True)


def published_by_hand(trains, bin_size=0.02):
    """The published values: the first row of each, quotients cut towards 0, negative ones from the end, modulo 256."""
    n_bins = int(np.ceil(max(max(train[0], default=0) for train in trains) / bin_size))
    rows = [[0] * n_bins for _ in trains]
    for row, train in zip(rows, trains, strict=True):
        for spike in train[0]:
            if (place := int(spike / bin_size)) < n_bins:
                row[place] = (row[place] + 1) % 256
    return rows


def test_lanzarini_published_values(tmp_path):
    rng = np.random.default_rng(0)
    random = {channel: [np.sort(rng.uniform(-0.1, 11.9, 300))] for channel in range(0, 128, 3)}
    edges = {1: [np.arange(600) * 0.02], 2: [np.arange(600) / 50], 4: [[12.0] * 3], 5: [[0.3] * 700]}
    column = {7: np.array([[1.0], [2.0], [3.0]])}
    trains = random | edges | column
    path = lanzarini(tmp_path / NAMES["lanzarini"], trains)
    stored = [np.asarray(trains.get(channel, [[0.5]])) for channel in range(128)]
    session = read("lanzarini", path, PUBLISHED)
    assert (session.counts == published_by_hand(stored)).all()
    assert session.counts[5, 15] == 700 % 256  # wrapped
    assert session.counts[4].sum() == 0  # at the very end: dropped
    assert session.counts[7].sum() == 1  # a column: its first spike
    ours = read("lanzarini", path)
    assert ours.counts.shape == session.counts.shape
    assert ours.counts[5, 15] == 255
    assert ours.counts[4].tolist() == [0] * 599 + [3]
    assert np.flatnonzero(ours.counts[7]).tolist() == [50, 100, 150]
    assert (ours.counts[1] == np.histogram(np.arange(600) * 0.02, np.arange(601) * 0.02)[0]).all()
    assert (ours.counts[1] != session.counts[1]).any()  # quotients put some spikes a bin early
    n_before = sum(np.count_nonzero(train[0] < 0) for train in random.values())
    assert f"{n_before:,} spikes before the first bin left out" in ours.notes
    in_range = sum(len(train[0]) for train in random.values()) - n_before
    assert ours.counts[list(random)].sum(dtype=int) == in_range


@pytest.mark.parametrize("last", [2.0, 2.001, 2.0199, 2.02, np.nextafter(0.06, 1)])
def test_lanzarini_number_of_bins(tmp_path, last):
    """As published, and the last spike is in the last bin; 0.06 and a rounding error is beyond 3 bins' edges."""
    path = tmp_path / NAMES["lanzarini"]
    save(path, {f"Spk_{channel:03d}a_sh": np.array([[last]]) for channel in range(128)})
    n_bins = {2.0: 100, 2.001: 101, 2.0199: 101, 2.02: 101}.get(last, 3)
    assert read("lanzarini", path, PUBLISHED).counts.shape == (128, n_bins)
    assert read("lanzarini", path).counts[0].tolist() == [0] * (n_bins - 1) + [1]


def test_lanzarini_two_rows(tmp_path):
    """Of a matrix the first row, published or not: what a second would be is not known."""
    path = lanzarini(tmp_path / NAMES["lanzarini"], {3: [[0.1, 0.3], [0.2, 0.4]]})
    assert np.flatnonzero(read("lanzarini", path).counts[3]).tolist() == [5, 15]
    assert np.flatnonzero(read("lanzarini", path, PUBLISHED).counts[3]).tolist() == [5, 15]


def test_lanzarini_whole_seconds_are_seconds(tmp_path):
    """MATLAB stores whole numbers in the narrowest integer type, and scipy gives them in it."""
    path = tmp_path / NAMES["lanzarini"]
    save(path, {f"Spk_{channel:03d}a_sh": np.array([[1, 200]], "u1") for channel in range(128)})
    for options in (Options(), PUBLISHED):
        counts = read("lanzarini", path, options).counts
        assert counts.shape == (128, 10_000)
        assert counts[0].nonzero()[0].tolist() == ([50] if options.as_published else [50, 9_999])


def test_lanzarini_cut_off(tmp_path):
    """A file that ends early is an error: its last channels are not silent."""
    path = lanzarini(tmp_path / NAMES["lanzarini"], {})
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BadInput) as error:
        read("lanzarini", path)
    one_line(error)


# --- rajalingham


def rajalingham(path, rates, variable="neural_responses_reliable"):
    """The struct as in the file: all trials, then the two halves of them."""
    fields = {"occ": rates, "occ_sh1": rates + 1, "occ_sh2": rates + 2}
    return save(path, {variable: fields, "meta": {"a": np.ones(3)}}, compressed=True)


@pytest.fixture
def rates():
    rates = np.random.default_rng(0).uniform(0, 0.08, (5, 79, 100))
    rates[0, 0, :3] = [0.01, 0.03, 0.05]  # 0.5, 1.5, 2.5: a half goes to the even number
    rates[:, :, -1] = np.nan  # the last bin of each condition has no value
    return rates


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_rajalingham_values(tmp_path, rates, dtype):
    rates = rates.astype(dtype)
    path = rajalingham(tmp_path / "perle_hand_dmfc_dataset_50ms.mat", rates)
    for options in (Options(0.05), Options(0.05, as_published=True)):
        session = read("rajalingham", path, options)
        for neuron in range(5):
            flat = [0 if np.isnan(rate) else rate * 50 for condition in rates[neuron] for rate in condition]
            assert session.counts[neuron].tolist() == [round(float(value)) for value in flat]
        assert (session.subject_id, session.session_id) == ("Perle", "P_0")
        assert session.whole == options.as_published
        assert "395 bins without a value count as 0" in session.notes


def test_rajalingham_longer_bins_are_added_up_before_rounding(tmp_path, rates):
    path = rajalingham(tmp_path / NAMES["rajalingham"], rates)
    counts = read("rajalingham", path, Options(0.1)).counts
    assert counts.shape == (5, 79 * 50)
    assert counts[2, 50] == round((rates[2, 1, 0] + rates[2, 1, 1]) * 50)
    with pytest.raises(BadInput) as error:
        read("rajalingham", path, Options(0.15))  # would mix conditions
    one_line(error)


def test_rajalingham_above_255(tmp_path, rates):
    rates[1, 2, 3] = 6.0  # 300 spikes in a bin
    path = rajalingham(tmp_path / NAMES["rajalingham"], rates)
    session = read("rajalingham", path, Options(0.05))
    assert session.counts[1, 203] == 255
    assert any("above 255" in note for note in session.notes)
    assert read("rajalingham", path, Options(0.05, as_published=True)).counts[1, 203] == 300 - 256


@pytest.mark.parametrize("kind", ["other variable", "no struct", "orientation", "negative"])
def test_rajalingham_wrong_file(tmp_path, rates, kind):
    path = tmp_path / NAMES["rajalingham"]
    if kind == "other variable":
        rajalingham(path, rates, "neural_responses")
    elif kind == "no struct":
        save(path, {"neural_responses_reliable": rates})
    else:
        rajalingham(path, -rates if kind == "negative" else rates.transpose(2, 1, 0))
    with pytest.raises(BadInput) as error:
        read("rajalingham", path, Options(0.05))
    one_line(error)


# --- all four


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_file_beside_a_good_one(name, tmp_path, script, rates):
    """The good one is built, the bad one is told of in one line, and the exit status says so."""
    data = tmp_path / "raw"
    good = data / NAMES[name]
    if name == "willett":
        save(good, {"tx1": np.ones((30, 256), "u1")})
    elif name == "makin":
        save_73(good, makin_cells(96))
    elif name == "lanzarini":
        lanzarini(good, {})
    else:
        rajalingham(good, rates)
    bad = data / NAMES[name].replace("04", "05").replace("session1", "session2").replace("mahler", "perle")
    bad.write_bytes(good.read_bytes()[:-300])
    done = script(f"data/{name}/preprocess.py", "--data_dir", data)
    assert done.returncode == 1
    assert sum(str(bad) in line for line in done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    (row,) = open_data_set(str(tmp_path / "build" / name))
    assert row.subject_id in catalog.load(name).subject_ids
    assert record.REPORT in {path.name for path in (tmp_path / "build" / name).iterdir()}
