"""Every reader of spike times passes them through the check of the clock: a new one that does not fails here."""

import ast

import h5py
import numpy as np
import pytest
from helpers import ROOT
from helpers.data_files import save_73, save_mat, write_lanzarini
from helpers.data_sets import read
from helpers.recordings import write_units
from helpers.recordings_of_labs import write_nex, write_phy

from neuralpile.errors import BadInput
from neuralpile.recordings import matlab, neo, nwb, phy, pynapple, table
from neuralpile.spikes.session import Options

# Sample numbers of 30 kHz, which are taken for seconds.
SAMPLES = [np.unique(np.random.default_rng(unit).integers(0, 450_000, 60)) for unit in range(4)]
UNITS, TIMES = np.repeat(np.arange(4), [len(train) for train in SAMPLES]), np.concatenate(SAMPLES)


def cells(path):
    content = np.empty((1, 4), object)
    content[0] = [train.astype(float) for train in SAMPLES]
    return save_mat(path / "x.mat", {"spikes": content})


def cells_73(path):
    save_73(path / "x.mat", [SAMPLES])
    return path / "x.mat"


def lines(path):
    path.mkdir(parents=True, exist_ok=True)
    (path / "x.csv").write_text("unit,time\n" + "".join(f"{u},{t}\n" for u, t in zip(UNITS, TIMES, strict=True)))
    return path / "x.csv"


def group(path):
    path.mkdir(parents=True, exist_ok=True)
    np.savez(path / "x.npz", type=np.array(["TsGroup"]), t=TIMES.astype(float), index=UNITS, keys=np.arange(4))
    return path / "x.npz"


def trials(path):
    path = write_units(path / "sub-A" / "x.nwb", SAMPLES)
    with h5py.File(path, "a") as file:
        file["intervals/trials/start_time"], file["intervals/trials/stop_time"] = [0.0, 1e5], [9e4, 4.5e5]
    return path


MODULES = {
    "nwb": lambda path: nwb.count_units(write_units(path / "x.nwb", SAMPLES), Options()),
    "phy": lambda path: phy.count_units(write_phy(path / "day", TIMES, UNITS, "1."), Options()),
    "pynapple": lambda path: pynapple.count_units(group(path), Options()),
    "neo": lambda path: neo.count_units(
        write_nex(path / "x.nex", {str(unit): train.tolist() for unit, train in enumerate(SAMPLES)}, 1.0), Options()
    ),
    "table": lambda path: table.count_units()(lines(path), Options()),
    "matlab": lambda path: matlab.count_units()(cells(path), Options()),
}
SCRIPTS = {
    "makin": lambda path: read("makin", cells_73(path)),
    "lanzarini": lambda path: read("lanzarini", write_lanzarini(path / "x.mat", {0: SAMPLES[0][None]})),
    "churchland": lambda path: read("churchland", trials(path), Options(epochs=True)),
}


@pytest.mark.parametrize("name", [*MODULES, *SCRIPTS])
def test_sample_numbers_in_place_of_seconds_are_refused_by_every_reader_of_spike_times(tmp_path, name):
    with pytest.raises(BadInput, match="expected spike times in seconds") as error:
        (MODULES | SCRIPTS)[name](tmp_path)
    assert str(error.value).count("\n") == 0


def called(path):
    """The names of functions that a file calls."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in calls}


BINNING = {"bin_spikes", "count_between", "histogram", "histogram2d", "bincount", "digitize", "searchsorted"}


def test_no_reader_of_spike_times_is_missing_above():
    """A module of recordings/ reads spike times if it makes SpikeTrains, a script if it bins times by itself."""
    modules = {path.stem for path in ROOT.glob("neuralpile/recordings/*.py") if "SpikeTrains" in path.read_text()}
    assert modules == set(MODULES)
    scripts = {path.parent.name for path in ROOT.glob("data/*/preprocess.py") if called(path) & BINNING}
    assert scripts == set(SCRIPTS)


@pytest.mark.parametrize("path", [*sorted(ROOT.glob("neuralpile/recordings/*.py"))], ids=lambda path: path.stem)
def test_modules_of_recordings_count_spikes_only_behind_the_check(path):
    assert not called(path) & BINNING  # `trains.count` checks, and is what bins
