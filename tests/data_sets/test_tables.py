"""The tables of every data set hold what its files say, read here with h5py, numpy and scipy alone."""

import runpy
from datetime import UTC, datetime
from typing import NamedTuple

import h5py
import numpy as np
import pytest
import scipy.io
from helpers import ROOT
from helpers.data_files import (
    MATLAB_FILES,
    envelopes,
    makin_cells,
    save_73,
    save_mat,
    save_rates,
    simulate,
    write_envelopes,
    write_lanzarini,
    write_rajalingham,
    write_trials,
)
from helpers.nwb_miniatures import WRITERS

from neuralpile import catalog, evaluation
from neuralpile.build import workers
from neuralpile.open import open_data_set

# Columns of the files' tables of units; those that a data set does not name are null.
QUALITY = {"neupane-ppc": "KSLabel", "neupane-entorhinal": "quality", "kim": "is_sua", "moore": "quality"}
CHANNEL = {"neupane-entorhinal": "ch", "kim": "best_ch"}
COLUMNS = ("id", "area", "electrode", "group", "quality", "x", "y", "z")
MINIATURES = datetime(2020, 1, 1, tzinfo=UTC)


class Stated(NamedTuple):
    """What a file says: columns of each unit that are not null, and when the session began.

    `spikes`, where they are counted from the file alone: of each unit, and how far the table's can be from them.
    """

    units: list[dict]
    start: datetime | None = None
    spikes: tuple[np.ndarray, float] | None = None


@pytest.fixture
def in_this_process(monkeypatch):
    """Sessions are built without workers, whose start takes most of the time of a small build."""

    def results(read, tasks, jobs):
        yield from ((task, workers._attempt(read, task)) for task in tasks)

    monkeypatch.setattr(workers, "results", results)


def text(value):
    word = value.decode() if isinstance(value, bytes) else str(int(value))
    return word or None


def nwb_units(name, path):
    """What an NWB file says of its units; None if it has no list of units."""
    with h5py.File(path) as file:
        table = next((file[place] for place in ("units", "processing/ecephys/units") if place in file), None)
        if table is None:  # a raster
            names = file.get("processing/ecephys/unit_names/unit_name")
            return None if names is None else [{"id": text(value)} for value in names]
        units = [{"id": text(value)} for value in table["id"]]
        for column, places in (("quality", QUALITY), ("electrode", CHANNEL)):
            for unit, value in zip(units, table[places[name]] if name in places else [], strict=False):
                unit[column] = text(value)
        if "electrodes" in table:
            electrodes = file["general/extracellular_ephys/electrodes"]
            assert list(table["electrodes_index"]) == list(range(1, len(units) + 1))  # one for each unit
            on_array = [axis for axis in "xyz" if f"rel_{axis}" in electrodes]
            for unit, line in zip(units, table["electrodes"], strict=True):
                unit["electrode"] = str(electrodes["id"][line])
                unit["area"], unit["group"] = text(electrodes["location"][line]), text(electrodes["group_name"][line])
                unit |= {axis: electrodes[f"rel_{axis}"][line] for axis in on_array}
        return units


def check(name, script, raw, build, expected):
    """Build a data set from files; `expected` is what is stated in each, in the order of the rows."""
    done = script(f"data/{name}/preprocess.py", "--data_dir", raw)
    assert done.returncode == 0, done.stderr
    built, info = open_data_set(str(build / name)), catalog.load(name)
    sessions, units = built.sessions().to_pylist(), built.units().to_pylist()
    assert len(sessions) == len(expected) == len(built)  # every session of a miniature is one row
    for row, line, (path, stated) in zip(built, sessions, expected.items(), strict=True):
        its = [unit for unit in units if unit["session_id"] == row.session_id]
        units = units[len(its) :]
        assert [unit["unit"] for unit in its] == list(range(len(row.counts)))
        spikes, tolerance = stated.spikes or (row.counts.sum(axis=1), 0)
        for unit, says in zip(its, stated.units or [{}] * len(its), strict=True):
            assert {key: unit[key] for key in COLUMNS} == dict.fromkeys(COLUMNS) | says
        n_spikes, rates, alive = (np.array([unit[key] for unit in its]) for key in ("n_spikes", "rate", "alive"))
        assert (abs(n_spikes - spikes) <= tolerance).all()
        assert (n_spikes == row.counts.sum(axis=1)).all() and (alive == row.counts.any(axis=1)).all()
        np.testing.assert_allclose(rates, n_spikes / (row.counts.shape[1] * line["bin_size"]))
        assert (line["source_dataset"], line["subject_id"]) == (name, row.subject_id)
        assert (line["n_units"], line["n_bins"], line["tokens"]) == (*row.counts.shape, row.counts.size)
        assert (line["spikes"], line["segments"]) == (row.counts.sum(), 1)
        assert line["silent_units"] == sum(~alive)
        areas = list(dict.fromkeys(says["area"] for says in stated.units if says.get("area"))) or info.area.split(", ")
        assert line["areas"] == areas
        assert line["start_time"] == stated.start
        assert line["animal"] == info.animal(row.subject_id)
        assert line["evaluation"] == evaluation.uses(name, row.subject_id, row.session_id)
        assert line["file"] == path.relative_to(raw).as_posix()
        assert line["bin_size"] == pytest.approx({"rajalingham": 0.05}.get(name, 1 / 60 if is_slow(path) else 0.02))
        check_observed(name, path, line)
    assert not units


def is_slow(path):
    """Whether a file is of athalye's monkey G, whose counts come in bins of 1/60 s."""
    return "monk-g" in path.name


def check_observed(name, path, line):
    """The observed fraction is the share of bins within the intervals that the file lists."""
    observed = None
    if path.suffix == ".nwb":
        with h5py.File(path) as file:
            observed = np.unique(file["units/obs_intervals"], axis=0) if "units/obs_intervals" in file else None
    assert (line["observed_fraction"] is None) == (observed is None and name != "moore")
    assert (line["unobserved"] is None) == (line["observed_fraction"] is None)
    gaps = line["unobserved"]
    assert (gaps is None) == (line["observed_fraction"] is None)
    if gaps is not None:
        seen = np.ones(line["n_bins"], bool)
        for gap in gaps:
            assert seen[gap["start"] : gap["stop"]].all()
            seen[gap["start"] : gap["stop"]] = False
        assert np.mean(seen) == pytest.approx(line["observed_fraction"])
    if observed is not None:
        begins = np.arange(line["n_bins"])[:, None] * 0.02
        covered = ((observed[:, 0] <= begins + 1e-5) & (begins + 0.02 <= observed[:, 1] + 1e-5)).any(axis=1)
        # Bins that only two intervals together cover count as observed too.
        assert line["observed_fraction"] >= np.mean(covered) - 1e-9
        assert line["observed_fraction"] <= np.mean(covered) + len(observed) / line["n_bins"]
        in_gap = np.zeros(line["n_bins"], bool)
        for gap in line["unobserved"]:
            in_gap[gap["start"] : gap["stop"]] = True
        assert not (in_gap & covered).any()
        assert line["observed_fraction"] == pytest.approx(1 - in_gap.mean())


@pytest.mark.parametrize("name", WRITERS)
def test_tables_hold_what_the_files_say_and_what_the_rows_count(name, script, raw, tmp_path, in_this_process):
    expected = {path: Stated(nwb_units(name, path) or [], MINIATURES) for path in WRITERS[name](raw)}
    check(name, script, raw, tmp_path / "build", expected)


@pytest.mark.parametrize("name", ["simulated-motor", "simulated-visual"])
def test_tables_of_simulated_recordings(name, script, raw, tmp_path, in_this_process):
    download = runpy.run_path(str(ROOT / "data" / name / "download.py"))
    expected = {}
    for i, file in enumerate(list(download["SESSIONS"])[::3]):  # two sessions of two subjects
        download["simulate"](raw / file, 20 + i, 13.007, [i], "short")
        with h5py.File(raw / file) as nwb:
            if name == "simulated-motor":
                spikes = np.diff(nwb["units/spike_times_index"], prepend=0)
            else:
                spikes = nwb["processing/ecephys/rasters/data"][:13_000].sum(axis=0)  # the rest fills no bin
        units = nwb_units(name, raw / file)
        assert all("x" in unit and "area" in unit for unit in units) == (name == "simulated-motor")
        expected[raw / file] = Stated(units, None, (spikes, 0))
    check(name, script, raw, tmp_path / "build", expected)


def card(raw):
    """Counts of 4 arrays of 64 channels in the order of the README on Dryad; the files hold their z-scores."""
    counts, scored = simulate(0.5, n_trials=4, n_channels=256)
    path = write_trials(raw / "t15.2023.08.11" / "data_train.hdf5", scored, [1] * 4)
    arrays = ("ventral 6v", "area 4", "55b", "dorsal 6v")
    with h5py.File(path) as file:
        n_channels = file["trial_0000/input_features"].shape[1] // 2  # the other half is power
    units = [{"area": arrays[channel // 64]} for channel in range(n_channels)]
    return {path: Stated(units, spikes=(np.concatenate(counts).sum(axis=0), 0))}


def willett(raw):
    tx1 = np.random.default_rng(0).integers(0, 3, (100, 256), np.uint8)
    path = save_mat(raw / MATLAB_FILES["willett"], {"tx1": tx1})
    there = scipy.io.loadmat(path)["tx1"]
    return {path: Stated([{"area": "6v"}] * 128 + [{"area": "44"}] * 128, spikes=(there.sum(axis=0, dtype=int), 0))}


def papale(raw):
    """An event is a sample above a presentation's threshold that is followed by one below it. No unit has an area:
    the archive's list of them is in the order of the cortex, the electrodes are in that of the recording system."""
    found = {}
    for monkey in "FN":
        path = write_envelopes(raw / f"monkey{monkey}" / "THINGS_MUA_trials.mat", envelopes(seed=ord(monkey)))
        with h5py.File(path) as file:
            mua = file["ALLMUA"][()]
        above = mua > mua.mean(axis=0) + 3.5 * mua.std(axis=0)
        found[path] = Stated([], spikes=((above[:-1] & ~above[1:]).sum(axis=(0, 1)), 0))
    return found


def wojcik(raw):
    """The spikes of a trial are its rate added up over time, to one."""
    found = {}
    for folder, name in (("m1_ses1", "Wom20200910"), ("m2_ses1", "Wil20201020")):
        rates = np.random.default_rng(len(found)).gamma(0.5, 8, (6, 4, 200))
        path = save_rates(raw / folder / f"{name}_Spikes_preprocessed.npy", rates)
        found[path] = Stated([], spikes=(np.load(path).sum(axis=(0, 2)) / 1000, 6))
    return found


def makin(raw):
    """Channels 97 and later are in S1; all units of a channel are one."""
    found = {}
    for name, n_channels in (("indy_20160407_02", 5), ("loco_20170210_03", 98)):
        path = save_73(raw / f"{name}.mat", makin_cells(n_channels))
        with h5py.File(path) as file:
            trains = [[file[cell] for cell in channel] for channel in np.transpose(file["spikes"])]
            spikes = [sum(t.size for t in its if "MATLAB_empty" not in t.attrs) for its in trains]
        units = [{"electrode": f"{n}", "area": "M1" if n <= 96 else "S1"} for n in range(1, n_channels + 1)]
        found[path] = Stated(units, spikes=(np.array(spikes), 0))
    return found


def lanzarini(raw):
    """The units with the letter a of channels 0 to 127."""
    path = write_lanzarini(raw / MATLAB_FILES["lanzarini"], {3: [[0.1, 1.0, 2.0]], 5: np.empty((0, 0))})
    names = [f"Spk_{channel:03d}a_sh" for channel in range(128)]
    there = scipy.io.loadmat(path)
    return {path: Stated([{"id": name} for name in names], spikes=(np.array([there[n].size for n in names]), 0))}


def rajalingham(raw):
    """Averages of 79 conditions, 100 bins of 50 ms, in spikes per ms."""
    found = {}
    for i, monkey in enumerate(("mahler", "perle")):
        rates = np.random.default_rng(i).uniform(0, 0.08, (3 + i, 79, 100))
        path = write_rajalingham(raw / f"{monkey}_hand_dmfc_dataset_50ms.mat", rates)
        there = scipy.io.loadmat(path)["neural_responses_reliable"]["occ"].item()
        found[path] = Stated([], spikes=(np.rint(there * 50).sum(axis=(1, 2)), 0))
    return found


OTHERS = {write.__name__: write for write in (card, willett, papale, wojcik, makin, lanzarini, rajalingham)}


@pytest.mark.parametrize("name", OTHERS)
def test_tables_of_files_in_other_formats(name, script, raw, tmp_path, in_this_process):
    check(name, script, raw, tmp_path / "build", OTHERS[name](raw))


def test_every_data_set_has_its_test():
    published = {data_set.name for data_set in catalog.published()}
    assert published == {*WRITERS, *OTHERS}


REAL = {
    "sub-Jenkins_ses-small_desc-test_ecephys.nwb": (datetime(2009, 9, 28, 7, tzinfo=UTC), (32_897, 0)),
    "sub-4_ses-4_ecephys+image.nwb": (None, (214_278, 0)),  # it states 1900
}


@pytest.mark.parametrize("file", REAL)
def test_tables_of_real_recordings(file, script, raw, tmp_path, real, in_this_process):
    """Built with the script of a data set of such files, under a name that it takes."""
    path = raw / "sub-Han" / "sub-Han_desc-train_behavior+ecephys.nwb"
    path.parent.mkdir(parents=True)
    path.symlink_to(real(f"nwb/{file}"))
    start, (n_spikes, _) = REAL[file]
    with h5py.File(path) as nwb:
        table, electrodes = nwb["units"], nwb["general/extracellular_ephys/electrodes"]
        spikes = np.diff(table["spike_times_index"], prepend=0)
        assert sum(spikes) == n_spikes
        units = [{"id": text(i), "electrode": text(electrodes["id"][n]), "area": text(electrodes["location"][n]),
                  "group": text(electrodes["group_name"][n]),
                  **{axis: v for axis in "xyz" if np.isfinite(v := electrodes[axis][n])}}
                 for i, n in zip(table["id"], table["electrodes"], strict=True)]  # fmt: skip
    check("area2-bump", script, raw, tmp_path / "build", {path: Stated(units, start, (spikes, 0))})
