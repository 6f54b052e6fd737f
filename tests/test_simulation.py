"""The simulated population has the properties that its README files promise, and so have the files."""

import os
import re
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO

from neuralpile import catalog, simulation
from neuralpile.errors import BadInput

NAMES = ["simulated-motor", "simulated-visual"]
GAP = (10.0, 12.0)


@pytest.fixture(scope="module")
def motor():
    return simulation.population(60, 200.0, 1, modulated=np.arange(40, 60), gap=GAP)


@pytest.fixture(scope="module")
def visual():
    return simulation.population(60, 200.0, 2, mean_rate=6.0, modulation=simulation.bursts)


def counts(trains, seconds, bin_size=0.02):
    """Spikes of all these units together, in bins."""
    return np.histogram(np.concatenate(trains), round(seconds / bin_size), (0, seconds))[0]


# --- the population -------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_spikes():
    one, same, other = (simulation.population(12, 30.0, seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(one.trains, same.trains, strict=True))
    assert np.array_equal(one.rates, same.rates)
    assert not np.array_equal(one.trains[0], other.trains[0])


@pytest.mark.parametrize("name", ["motor", "visual"])
def test_spike_trains_lie_in_the_recording_and_are_refractory(name, request):
    simulated = request.getfixturevalue(name)
    for train in simulated.trains:
        assert train.dtype == np.float64
        assert ((train >= 0) & (train < simulated.seconds)).all()
        assert (np.diff(train) >= 0.002).all()


def test_a_fast_unit_is_refractory_for_2_ms_and_not_longer():
    train = simulation.spike_train(np.full(1, 100.0), np.array([0.0, 200.0]), np.random.default_rng(0))
    assert 0.002 <= np.diff(train).min() < 0.0021


@pytest.mark.parametrize("refractory", [0.0, 0.002, 0.005])
def test_a_unit_fires_at_its_rate_in_spite_of_the_refractory_period(refractory):
    # Without the correction 5 ms would make 67 Hz of 100 Hz.
    train = simulation.spike_train(np.full(1, 100.0), np.array([0.0, 200.0]), np.random.default_rng(0), refractory)
    assert len(train) / 200.0 == pytest.approx(100.0, rel=0.03)


def test_a_rate_that_the_refractory_period_forbids_is_refused():
    with pytest.raises(ValueError, match="cannot fire at 500 Hz"):
        simulation.spike_train(np.full(1, 500.0), np.array([0.0, 1.0]), np.random.default_rng(0))


def test_refractory_spikes_are_dropped_as_one_by_one():
    times = np.sort(np.random.default_rng(3).uniform(0, 1, 2000))
    kept = [times[0]]
    for t in times[1:]:
        if t - kept[-1] >= 0.002:
            kept.append(t)
    assert np.array_equal(simulation.drop_refractory(times, 0.002), kept)


@pytest.mark.parametrize("name", ["motor", "visual"])
def test_units_fire_at_the_rates_that_were_drawn(name, request):
    simulated = request.getfixturevalue(name)
    expected = simulated.rates * np.diff(simulated.observed).sum()
    found = np.array([len(train) for train in simulated.trains])
    # Refractory spike trains are more regular than Poisson ones, whose standard deviation is the root of the mean.
    assert (np.abs(found - expected) <= 4.5 * np.sqrt(expected)).all()
    assert found.sum() == pytest.approx(expected.sum(), rel=0.02)


def test_rates_have_a_lognormal_distribution():
    rates = simulation.lognormal_rates(50_000, np.random.default_rng(0), mean=5.0)
    logarithms = np.log(rates)
    assert rates.mean() == pytest.approx(5.0, rel=0.05)  # the fastest are cut
    assert rates.max() == simulation.FASTEST
    assert np.median(logarithms) == pytest.approx(np.log(5.0) - 0.5, abs=0.03)
    assert np.percentile(logarithms, 84.13) - np.median(logarithms) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("name", ["motor", "visual"])
def test_only_the_silent_unit_is_silent(name, request):
    simulated = request.getfixturevalue(name)
    assert [unit for unit, train in enumerate(simulated.trains) if not len(train)] == [3]


def test_no_spikes_in_the_gap(motor):
    spikes = np.concatenate(motor.trains)
    assert not ((spikes >= GAP[0]) & (spikes < GAP[1])).any()
    assert motor.observed.tolist() == [[0.0, 10.0], [12.0, 200.0]]


@pytest.mark.parametrize(("name", "frequency"), [("motor", 2.0), ("visual", 2.0)])
def test_modulated_units_have_the_rhythm_and_the_others_not(name, frequency, request):
    simulated = request.getfixturevalue(name)
    others = np.setdiff1d(np.arange(60), simulated.modulated)
    f = np.fft.rfftfreq(round(simulated.seconds / 0.02), 0.02)
    fast = f > 0.5  # above the shared gain
    power = {
        label: np.abs(np.fft.rfft(counts([simulated.trains[i] for i in units], simulated.seconds)))[fast] ** 2
        for label, units in (("modulated", simulated.modulated), ("others", others))
    }
    at = np.argmin(np.abs(f[fast] - frequency))
    assert power["modulated"].argmax() == at
    assert power["modulated"][at] > 100 * np.median(power["modulated"])
    assert power["others"][at] < 20 * np.median(power["others"])


def test_bursts_follow_the_stimulus_by_100_ms(visual):
    since_stimulus = np.concatenate([visual.trains[i] for i in visual.modulated]) % 0.5
    found, edges = np.histogram(since_stimulus, 25, (0, 0.5))
    assert edges[found.argmax()] == pytest.approx(0.1, abs=0.021)
    assert found.max() > 4 * np.median(found)


def test_all_units_share_a_slow_gain(motor):
    others = [train for i, train in enumerate(motor.trains) if i not in motor.modulated]
    running = np.arange(40) >= 3  # bins of 5 s after the gap
    a, b = (counts(half, motor.seconds, 5.0)[running] for half in (others[::2], others[1::2]))
    assert np.corrcoef(a, b)[0, 1] > 0.5


# --- rasters and files ----------------------------------------------------------------------------------------------


def test_raster_counts_spikes_per_millisecond(visual):
    edges = np.arange(200_001) / 1000
    raster = simulation.raster(visual)
    assert raster.dtype == np.uint8
    assert np.array_equal(raster.T, [np.histogram(train, edges)[0] for train in visual.trains])


@pytest.mark.parametrize("n_units", [2, 41, 80, 200])
def test_units_are_on_two_arrays_and_few_share_an_electrode(n_units):
    placed = simulation.electrodes(n_units)
    first = placed < 96
    assert len(placed) == n_units
    assert first[: n_units // 2].all()
    assert not first[n_units // 2 :].any()
    _, times = np.unique(placed, return_counts=True)
    assert times.max() <= 2
    assert (times == 2).sum() == (n_units // 2 - 1) // 8 + (n_units - n_units // 2 - 1) // 8


def test_electrodes_stand_on_grids_without_corners(tmp_path):
    path = tmp_path / "sub-a_ses-1.nwb"
    simulation.write_units_nwb(path, simulation.population(20, 1.0, 0), "id", "a test")
    with h5py.File(path) as file:
        table = file["general/extracellular_ephys/electrodes"]
        areas = table["location"].asstr()[()]
        places = set(zip(areas, table["rel_x"][()], table["rel_y"][()], strict=True))
        assert list(areas) == ["M1"] * 96 + ["PMd"] * 96
        assert len(places) == 192
        assert {x for _, x, _ in places} == {y for _, _, y in places} == {400.0 * i for i in range(10)}
        assert not any(x in (0, 3600) and y in (0, 3600) for _, x, y in places)
        assert file["units/electrodes"][()].tolist() == simulation.electrodes(20).tolist()


def test_a_failed_write_leaves_no_file(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("the disk is full")

    monkeypatch.setattr(NWBHDF5IO, "write", fail)
    simulated = simulation.population(5, 1.0, 0)
    with pytest.raises(OSError, match="the disk is full"):
        simulation.write_units_nwb(tmp_path / "sub-a_ses-1.nwb", simulated, "id", "a test")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "not NWB"])
def test_a_foreign_file_is_not_overwritten(tmp_path, content):
    path = tmp_path / "sub-a_ses-1.nwb"
    path.write_text(content)
    with pytest.raises(BadInput, match="not NWB"):
        simulation.is_written(path, "id")
    assert path.read_text() == content


# --- download.py ----------------------------------------------------------------------------------------------------


def download(name, folder, *options):
    environment = os.environ | {"PYTHONPATH": str(catalog.ROOT)}
    command = [sys.executable, catalog.DATA / name / "download.py", "--data_dir", folder, *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder.parent)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """The raw folder of both data sets, and what download.py printed."""
    folder = tmp_path_factory.mktemp("raw")
    runs = {name: download(name, folder / name) for name in NAMES}
    for run in runs.values():
        assert (run.returncode, run.stderr) == (0, "")
    return {name: (folder / name, runs[name].stdout) for name in NAMES}


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", NAMES)
def test_download_writes_the_files_that_it_prints(name, raw):
    folder, printed = raw[name]
    described = catalog.load(name)
    assert described.simulated
    assert described.archive == "simulation"
    assert len(files(folder)) == described.files
    assert all(described.wants(path.name) for path in files(folder))
    assert sum(path.stat().st_size for path in files(folder)) < 30e6
    for path in files(folder):
        assert f"wrote {path.relative_to(folder)}: " in printed
    assert re.search(rf"next: python data/{name}/preprocess.py --data_dir \S+\n$", printed)


@pytest.mark.parametrize("name", NAMES)
def test_download_keeps_what_is_there(name, raw):
    folder, _ = raw[name]
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files(folder)}
    again = download(name, folder)
    assert again.returncode == 0
    assert again.stdout.count("kept ") == len(before)
    assert "wrote " not in again.stdout
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files(folder)} == before


def test_download_does_not_mix_seeds(raw):
    folder, _ = raw["simulated-visual"]
    other = download("simulated-visual", folder, "--seed", "1")
    assert other.returncode == 2
    assert "seed 0" in other.stderr
    assert other.stderr.count("\n") == 1


def test_files_have_the_shape_in_dataset_toml(raw):
    shapes = {name: [] for name in NAMES}
    for path in files(raw["simulated-motor"][0]):
        with h5py.File(path) as file:
            times, ends = file["units/spike_times"][()], file["units/spike_times_index"][()]
        shapes["simulated-motor"].append((len(ends), len(np.arange(0, times.max() + 0.02, 0.02)) - 1))
    for path in files(raw["simulated-visual"][0]):
        with h5py.File(path) as file:
            milliseconds, n_units = file["processing/ecephys/rasters/data"].shape
        shapes["simulated-visual"].append((n_units, milliseconds // 20))
    for name in NAMES:
        described = catalog.load(name)
        units, _ = zip(*shapes[name], strict=True)
        assert described.units == (min(units), max(units))
        assert described.sessions == len(shapes[name])
        assert described.tokens == sum(n * bins for n, bins in shapes[name])
        assert set(described.subject_ids) == {path.parent.name for path in files(raw[name][0])}
        assert described.subjects == len(described.subject_ids)


def test_units_files_are_read_by_pynwb(raw):
    for path in files(raw["simulated-motor"][0]):
        with NWBHDF5IO(path, "r") as file:
            nwb = file.read()
            trains = [nwb.units["spike_times"][unit] for unit in range(len(nwb.units))]
            n_units, end = len(trains), nwb.units["obs_intervals"][0][-1, 1]
            assert nwb.units["obs_intervals"][0].tolist() == [[0.0, GAP[0]], [GAP[1], end]]
            assert path.name == f"sub-{nwb.subject.subject_id}_ses-{nwb.session_id}.nwb"
            assert nwb.subject.species == "simulated"
        assert max(train.max(initial=0) for train in trains) < end
        assert [unit for unit, train in enumerate(trains) if not len(train)] == [simulation.SILENT]
        phase = np.exp(2j * np.pi * 2.0 * np.concatenate(trains[n_units - n_units // 3 :]))
        assert abs(phase.mean()) == pytest.approx(0.5, abs=0.05)  # of 1 - cos
        phase = np.exp(2j * np.pi * 2.0 * np.concatenate(trains[: n_units - n_units // 3]))
        assert abs(phase.mean()) < 0.05


def test_raster_files_are_read_by_pynwb_and_have_the_layout_of_xiao(raw):
    for path in files(raw["simulated-visual"][0]):
        with h5py.File(path) as file:
            data = file["processing/ecephys/rasters/data"]
            assert (data.dtype, data.compression) == (np.uint8, "gzip")
            assert file["processing/ecephys/rasters/starting_time"].attrs["rate"] == 1000.0
            assert len(file["processing/ecephys/unit_names/unit_name"]) == data.shape[1]
            assert "units" not in file
        with NWBHDF5IO(path, "r") as file:
            nwb = file.read()
            raster = nwb.processing["ecephys"]["rasters"].data[()]
            assert nwb.processing["ecephys"]["unit_names"]["unit_name"][0] == "unit_000"
        assert np.flatnonzero(~raster.any(axis=0)).tolist() == [simulation.SILENT]
        whole = raster[: len(raster) // 500 * 500].reshape(-1, 500, raster.shape[1]).sum(axis=0)
        half = raster.shape[1] // 2
        around, away = slice(70, 130), slice(300, 360)  # ms after the stimulus
        assert whole[around, half:].sum() > 4 * whole[away, half:].sum()
        assert whole[around, :half].sum() < 1.2 * whole[away, :half].sum()


def test_download_gives_the_same_spikes_again(raw, tmp_path):
    folder, _ = raw["simulated-motor"]
    again = download("simulated-motor", tmp_path / "again")
    assert again.returncode == 0
    for path in files(folder):
        with h5py.File(path) as one, h5py.File(tmp_path / "again" / path.relative_to(folder)) as two:
            for key in ("units/spike_times", "units/spike_times_index"):
                assert np.array_equal(one[key], two[key])


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_ends_a_download_in_one_line(name, tmp_path):
    # A limit on the size of a file fails a write as a full disk does, on any machine and for any user.
    command = [sys.executable, catalog.DATA / name / "download.py", "--data_dir", tmp_path / "raw"]
    environment = os.environ | {"PYTHONPATH": str(catalog.ROOT)}
    limit = (100_000, 100_000)  # bytes
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert run.returncode == 2
    assert re.match(r"error: \S+\.nwb: expected room to write it, found File too large; make", run.stderr)
    assert run.stderr.count("\n") == 1
    assert files(tmp_path) == []


def test_negative_seed_is_refused(tmp_path):
    run = download("simulated-motor", tmp_path / "raw", "--seed", "-1")
    assert run.returncode == 2
    assert "--seed: expected a whole number from 0, found '-1'" in run.stderr
