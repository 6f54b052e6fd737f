"""Miniatures of the data sets that come as NWB files: real file names, each data set's own layout and oddities.

Every writer takes the folder for the raw files, writes the session files and what lies beside them in the archive, and
gives what is in the sessions, in the order of the published rows: {path: spike trains, or a matrix (bins, units)}.
In every units table a unit is silent (the second) and one bin of another (the first) holds more than 255 spikes.
"""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.ecephys import ElectricalSeries
from pynwb.epoch import TimeIntervals
from pynwb.misc import Units

BURST, SILENT = 0, 1  # the units that are so in every miniature
BIN = 0.02  # seconds
BINNED = ("xiao", "temmar", "h2", "athalye")  # come as counts in bins, not as spike times
Sessions = dict[Path, object]

FALCON = ("held-in-calib", "held-in-minival", "held-out-calib")


def new(path: Path, description: str = "miniature") -> NWBFile:
    return NWBFile(description, path.stem, datetime(2020, 1, 1, tzinfo=UTC))


def save(nwb: NWBFile, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)


def spike_trains(seed: int, n_units: int, stop: float, start: float = 0.3, decimals: int = 15) -> list[np.ndarray]:
    """Sorted spike times in seconds between `start` and `stop`."""
    rng = np.random.default_rng(seed)
    trains = [np.sort(rng.uniform(start, stop, rng.integers(20, 60)).round(decimals)) for _ in range(n_units)]
    burst = np.floor(start / 0.02 + 10) * 0.02 + np.linspace(0.001, 0.019, 300)
    trains[BURST] = np.sort(np.concatenate([trains[BURST], burst]))
    trains[SILENT] = np.array([])
    return trains


def add_units(table: NWBFile | Units, trains: list, **columns: list) -> None:
    """Rows of a units table. `obs_intervals` and the like come as other columns do, one value for each unit."""
    if isinstance(table, NWBFile):
        add_row, add_column = table.add_unit, table.add_unit_column
    else:
        add_row, add_column = table.add_unit, table.add_column
    for name in columns:
        if name not in ("obs_intervals", "electrodes", "waveforms"):
            add_column(name, name)
    for unit, train in enumerate(trains):
        add_row(spike_times=train, **{name: values[unit] for name, values in columns.items()})


def add_electrodes(nwb: NWBFile, n: int) -> None:
    device = nwb.create_device("array")
    group = nwb.create_electrode_group("group", "g", "cortex", device)
    for _ in range(n):
        nwb.add_electrode(group=group, location="cortex")


def write_raw_voltage(path: Path) -> None:
    """An `*_ecephys.nwb` file: voltage, and no units table."""
    nwb = new(path)
    add_electrodes(nwb, 4)
    region = nwb.create_electrode_table_region(list(range(4)), "all")
    for band in ("AP", "LF"):
        data = np.zeros((20, 4), np.int16)
        series = ElectricalSeries(name=f"ElectricalSeries{band}", data=data, electrodes=region, rate=30_000.0)
        nwb.add_acquisition(series)
    save(nwb, path)


def xiao(raw: Path) -> Sessions:
    """1 ms rasters, some rows too many for a whole bin; two other files beside each session's."""
    sessions = {}
    for i, (subject, session) in enumerate([("An", "20220105T173929"), ("Ye", "20200807T124619")]):
        path = raw / "000628" / f"sub-{subject}" / f"sub-{subject}_ses-{session}.nwb"
        raster = (np.random.default_rng(i).random((1513 + 20 * i, 4 + i)) < 0.2).astype(np.uint8)
        raster[40:60, 0] = 15  # 300 in one bin
        nwb = new(path)
        ecephys = nwb.create_processing_module("ecephys", "rasters")
        ecephys.add(TimeSeries(name="rasters", data=raster, unit="spikes", rate=1000.0))
        names = VectorData(name="unit_name", description="names", data=[f"u{u}" for u in range(4 + i)])
        ecephys.add(DynamicTable(name="unit_names", description="names", columns=[names]))
        nwb.add_trial(start_time=0.0, stop_time=1.5)
        save(nwb, path)
        sessions[path] = raster
        for kind in ("behavior", "image"):
            beside = path.with_name(f"{path.stem}_{kind}.nwb")
            nwb = new(beside)
            nwb.add_acquisition(TimeSeries(name=kind, data=np.zeros((10, 2)), unit="a", rate=1000.0))
            save(nwb, beside)
    return sessions


def neupane(raw: Path, sessions: list[tuple[str, str]], columns) -> Sessions:
    """The units table is a part of a processing module; a raw file lies beside each session's."""
    written = {}
    for i, (subject, date) in enumerate(sessions):
        path = raw / f"sub-{subject}" / f"sub-{subject}_ses-{date}_behavior+ecephys.nwb"
        trains = spike_trains(i, 5 + i, 4)
        nwb = new(path)
        table = Units(name="units", description="units")
        add_units(table, trains, **columns(len(trains)))
        nwb.create_processing_module("ecephys", "units").add(table)
        save(nwb, path)
        written[path] = trains
        write_raw_voltage(path.with_name(f"sub-{subject}_ses-{date}_ecephys.nwb"))
    return written


PPC_LABELS = ["good", "mua", "mua", "good", "mua", "", "good"]


def neupane_ppc(raw: Path) -> Sessions:
    """Kilosort's output; dates MMDDYYYY, so that sorted by path January 2020 comes before June 2019."""

    def columns(n: int) -> dict:
        labels = PPC_LABELS[:n]
        numbers = list(np.arange(n) * 1.5)
        return {
            "KSLabel": labels,
            "KSLabel_repeat": labels,
            "ContamPct": numbers,
            "Amplitude": numbers,
            "original_cluster_id": list(range(n)),
            "unit_name": [str(u) for u in range(n)],
        }

    sessions = [("amadeus", "01042020"), ("amadeus", "06242019"), ("mahler", "03122021")]
    return neupane(raw / "001275", sessions, columns)


EC_LABELS = ["good", "mua", "noise", "good", "noise", "mua"]


def neupane_entorhinal(raw: Path) -> Sessions:
    """Labels of phy, noise among them."""

    def columns(n: int) -> dict:
        return {
            "quality": EC_LABELS[:n],
            "n_spikes": list(range(n)),
            "fr": list(np.ones(n)),
            "ch": list(range(n)),
            "unit_name": [str(u) for u in range(n)],
        }

    return neupane(raw / "000897", [("amadeus", "08152019"), ("mahler", "04122021")], columns)


def chen(raw: Path) -> Sessions:
    """Sessions and raw files in one folder. No listing was seen: one session's name is like that of a raw file."""
    sessions = {}
    for i, name in enumerate(["sub-Lalo_ses-1_behavior+ecephys", "sub-Offenbach_ses-2_ecephys"]):
        path = raw / "001435" / name.split("_")[0] / f"{name}.nwb"
        sessions[path] = spike_trains(i, 4 + i, 4)
        nwb = new(path)
        add_units(nwb, sessions[path])
        save(nwb, path)
    write_raw_voltage(raw / "001435" / "sub-Lalo" / "sub-Lalo_ses-1_ecephys.nwb")
    return sessions


# Trials of three epochs, each on a clock that starts anew: start and stop in seconds. The second restart is one of
# those that the files do not repair; in the third epoch, the clock starts at another time than at first.
CLOCKS = [
    [(0.0, 0.5), (0.7, 1.1), (1.2, 1.9), (2.0, 2.417)],
    [(0.0, 0.4), (0.6, 1.0), (1.3, 1.703)],
    [(0.55, 0.9), (1.0, 1.5), (2.2, 3.011)],
]


def churchland_spikes(seed: int, n_units: int) -> list[list[list[np.ndarray]]]:
    """Spikes of every unit by epoch and trial, on the epoch's clock: trial start + whole milliseconds.

    No trial is without, so that a restart of the clock shows in every train; but one unit is silent.
    """
    rng = np.random.default_rng(seed)
    units = []
    for unit in range(n_units):
        epochs = []
        for trials in CLOCKS:
            ms = [rng.choice(np.arange(1, round((stop - start) * 1000)), 12, replace=False) for start, stop in trials]
            trains = [start + np.sort(m) / 1000 for (start, _), m in zip(trials, ms, strict=True)]
            epochs.append([train[:0] if unit == SILENT else train for train in trains])
        if unit == BURST:
            epochs[0][1] = np.sort(np.append(epochs[0][1], np.full(300, 1.093)))
        units.append(epochs)
    return units


def churchland(raw: Path) -> Sessions:
    """Spikes in trials only, all trials as each unit's observed intervals, and a clock that restarts twice."""
    sessions = {}
    for i, (subject, date) in enumerate([("Jenkins", "20090912"), ("Nitschke", "20090910")]):
        path = raw / "000070" / f"sub-{subject}" / f"sub-{subject}_ses-{date}_behavior+ecephys.nwb"
        trains = [np.concatenate([t for epoch in unit for t in epoch]) for unit in churchland_spikes(i, 4)]
        trials = [trial for clock in CLOCKS for trial in clock]
        nwb = new(path)
        for start, stop in trials:
            nwb.add_trial(start_time=start, stop_time=stop)
        add_units(nwb, trains, obs_intervals=[np.array(trials)] * len(trains))
        save(nwb, path)
        sessions[path] = trains
    return sessions


IS_SUA = [1, 0, 0, 1, 1]


def kim(raw: Path) -> Sessions:
    """Blocks of one penetration on one clock: the second begins late."""
    sessions = {}
    for i, (subject, block, start) in enumerate([("Z08115", "20200101SL", 0.3), ("Z11111", "20200101TX", 80.0)]):
        path = raw / "001357" / f"sub-{subject}" / f"sub-{subject}_ses-{block}.nwb"
        trains = spike_trains(i, 4 + i, start + 4, start)
        nwb = new(path)
        nwb.add_trial(start_time=start, stop_time=start + 4)
        n = len(trains)
        add_units(nwb, trains, is_sua=IS_SUA[:n], best_ch=list(range(n)), pen_ID=[1] * n)
        save(nwb, path)
        sessions[path] = trains
    return sessions


def even_chen(raw: Path) -> Sessions:
    """At most one spike in a millisecond; one interval per unit from the first trial to the last; a file with video."""
    sessions = {}
    names = ["sub-JenkinsC_ses-20151001T150307_behavior+ecephys", "sub-Reggie_ses-20170115T125333_behavior+ecephys"]
    for i, name in enumerate(["sub-JenkinsC_ses-20150924T154125_behavior+ecephys+image", *names]):
        path = raw / "000121" / name.split("_")[0] / f"{name}.nwb"
        trains = [np.unique(train) for train in spike_trains(i, 6, 4, decimals=3)]
        nwb = new(path)
        add_units(nwb, trains, obs_intervals=[np.array([[0.0, 4.0]])] * len(trains))
        if "image" in name:
            nwb.add_acquisition(TimeSeries(name="video", data=np.zeros((3, 2, 2)), unit="a", rate=30.0))
        else:
            sessions[path] = trains
        save(nwb, path)
    return sessions


def temmar(raw: Path) -> Sessions:
    """Threshold crossings in 20 ms bins, at two places; the time stamps jump between trials."""
    sessions = {}
    for i, (place, name) in enumerate([("analysis", "20211015_obj-1bv25yh"), ("ecephys", "20211015_obj-1p8fat9")]):
        path = raw / "001201" / "sub-Monkey-N" / f"sub-Monkey-N_ses-{name}_ecephys.nwb"
        data = np.random.default_rng(i).poisson(2, (60, 5 + i)).astype(np.int64)
        data[7, 0] = 300
        timestamps = np.concatenate([np.arange(40) * 0.02, 30 + np.arange(20) * 0.02])
        nwb = new(path)
        add = nwb.add_analysis if place == "analysis" else nwb.create_processing_module("ecephys", "spikes").add
        add(TimeSeries(name="ThresholdCrossings", data=data, unit="spikes", timestamps=timestamps))
        add(TimeSeries(name="SpikingBandPower", data=data * 0.5, unit="V", timestamps=timestamps))
        save(nwb, path)
        sessions[path] = data
    return sessions


WARNING = "Warning: This session with Monkey C is a miniature."


def perich(raw: Path) -> Sessions:
    """Waveforms beside the spike times (two levels of index), and a session whose description warns."""
    sessions = {}
    for i, (subject, session) in enumerate([("C", "CO-20160909"), ("T", "RT-20130906")]):
        path = raw / "000688" / f"sub-{subject}" / f"sub-{subject}_ses-{session}_behavior+ecephys.nwb"
        trains = spike_trains(i, 4 + i, 4)
        nwb = new(path, WARNING if subject == "C" else "miniature")
        add_electrodes(nwb, len(trains))
        waveforms = [np.zeros((len(train), 1, 8)) for train in trains]
        add_units(nwb, trains, electrodes=[[u] for u in range(len(trains))], waveforms=waveforms)
        save(nwb, path)
        sessions[path] = trains
    return sessions


def falcon(raw: Path, names: list[str], add) -> Sessions:
    """The benchmark's splits; the minival file of a session begins as its calib file does, and is shorter."""
    sessions = {}
    for name in sorted(names):
        path = raw / name.split("_")[0] / f"{name}.nwb"
        nwb = new(path)
        n_bins = 50 if "minival" in name else 200
        sessions[path] = add(nwb, 1 if "held-out" in name else 0, n_bins)
        nwb.add_acquisition(TimeSeries(name="eval_mask", data=np.ones(n_bins, bool), unit="bool", rate=50.0))
        save(nwb, path)
    return sessions


def falcon_units(observed: bool):
    def add(nwb: NWBFile, seed: int, n_bins: int) -> list:
        trains = [train[train < n_bins * 0.02] for train in spike_trains(seed, 6, 4)]
        # One interval for each unit, as in the real files; but it ends before the last spikes do.
        columns = {"obs_intervals": [np.array([[0.4, n_bins * 0.02 - 0.2]])] * 6} if observed else {}
        add_units(nwb, trains, **columns)
        return trains

    return add


def m1_b(raw: Path) -> Sessions:
    days = [("held-in-calib", "20121206"), ("held-in-minival", "20121206"), ("held-out-calib", "20121213")]
    names = [f"sub-MonkeyX-{split}_ses-{day}_behavior+ecephys" for split, day in days]
    return falcon(raw / "001209", names, falcon_units(observed=True))


def m1_a(raw: Path) -> Sessions:
    days = [("held-in-calib", "20120924"), ("held-in-minival", "20120924"), ("held-out-calib", "20121004")]
    names = [f"sub-MonkeyL-{split}_ses-{day}_behavior+ecephys" for split, day in days]
    return falcon(raw / "000941", names, falcon_units(observed=True))


def m2(raw: Path) -> Sessions:
    days = ["2020-10-19-Run1", "2020-10-19-Run1", "2020-11-24-Run2"]
    names = [f"sub-MonkeyN-{s}_ses-{day}_behavior+ecephys" for s, day in zip(FALCON, days, strict=True)]
    return falcon(raw / "000953", names, falcon_units(observed=True))


def h1(raw: Path) -> Sessions:
    """No observed intervals; dates in 1925; the `rate` of the kinematics holds the width of a bin."""
    units = falcon_units(observed=False)

    def add(nwb: NWBFile, seed: int, n_bins: int) -> list:
        nwb.add_acquisition(TimeSeries(name="OpenLoopKinematics", data=np.zeros((n_bins, 7)), unit="a", rate=0.02))
        return units(nwb, seed, n_bins)

    days = ["19250101T111740", "19250101T111740", "19250209T112327"]
    names = [f"sub-HumanPitt-{split}_ses-{day}" for split, day in zip(FALCON, days, strict=True)]
    return falcon(raw / "000954", names, add)


def h2(raw: Path) -> Sessions:
    """Counts in bins of 20 ms; the time stamps put 10 s between trials."""

    def add(nwb: NWBFile, seed: int, n_bins: int) -> np.ndarray:
        data = np.random.default_rng(seed).poisson(2, (200, 6))[:n_bins].astype(np.uint16)
        data[7, 0] = 300
        timestamps = np.arange(n_bins) * 0.02 + 10 * (np.arange(n_bins) // 25)
        nwb.add_acquisition(TimeSeries(name="binned_spikes", data=data, unit="spikes", timestamps=timestamps))
        return data

    names = [f"sub-T5-{s}_ses-{day}" for s, day in zip(FALCON, ["20220518", "20220518", "20230816"], strict=True)]
    return falcon(raw / "000950", names, add)


def athalye(raw: Path) -> Sessions:
    """Counts at 60 Hz (monkey G) and at 200 Hz (monkey J): bytes, whose sums can pass 255."""
    sessions = {}
    for i, (monkey, rate) in enumerate([("g", 60.0), ("j", 200.0)]):
        path = raw / "000404" / f"sub-monk-{monkey}" / f"sub-monk-{monkey}_ses-session0.nwb"
        data = np.random.default_rng(i).poisson(1, (123, 4 + i)).astype(np.uint8)
        data[8:12, 0] = 75
        nwb = new(path)
        behavior = nwb.create_processing_module("behavior", "behavior")
        behavior.add(TimeSeries(name="spike_counts", data=data, unit="spikes", rate=rate))
        behavior.add(TimeSeries(name="update_bmi", data=np.arange(123) % 6 == 0, unit="a", rate=rate))
        save(nwb, path)
        sessions[path] = data
    return sessions


# Start and stop of dropouts in seconds: not in the order of time; two overlap; one begins and ends within bins.
DROPOUTS = [(2.0, 2.2), (0.5, 0.61), (2.1, 2.4), (3.333, 3.334)]
MOORE_QUALITY = ["good", "mua", "noise", "good", "mua", "unsorted"]


def moore(raw: Path) -> Sessions:
    """One file, its name without a session; a table of dropouts."""
    path = raw / "001062" / "sub-MG" / "sub-MG_ecephys.nwb"
    trains = spike_trains(0, 6, 4)
    nwb = new(path)
    numbers = list(np.arange(6) * 0.5)
    add_units(nwb, trains, quality=MOORE_QUALITY, snr=numbers, isi_violations=numbers)
    for name, spans in [("neural_dropout", DROPOUTS), ("video_events_free", [(0.0, 1.0)])]:
        table = TimeIntervals(name=name, description=name)
        for start, stop in spans:
            table.add_interval(start_time=start, stop_time=stop)
        nwb.add_time_intervals(table)
    save(nwb, path)
    return {path: trains}


OBSERVED = [(0.0, 1.0), (1.0, 1.51), (1.99, 3.5)]  # seconds; two touch; one ends within a bin


def nlb(raw: Path, files: dict[str, int]) -> Sessions:
    """The two parts of one session: the test file has only the units that are not held out."""
    sessions = {}
    for i, (name, n_units) in enumerate(files.items()):
        path = raw / name.split("_")[0] / f"{name}.nwb"
        trains = spike_trains(i, n_units, 4)
        nwb = new(path)
        heldout = [unit >= 5 for unit in range(n_units)]
        add_units(nwb, trains, heldout=heldout, obs_intervals=[np.array(OBSERVED)] * n_units)
        save(nwb, path)
        sessions[path] = trains
    return sessions


def dmfc_rsg(raw: Path) -> Sessions:
    return nlb(raw / "000130", {"sub-Haydn_desc-test_ecephys": 5, "sub-Haydn_desc-train_ecephys": 7})


def area2_bump(raw: Path) -> Sessions:
    return nlb(raw / "000127", {"sub-Han_desc-test_ecephys": 5, "sub-Han_desc-train_behavior+ecephys": 7})


WRITERS = {
    "xiao": xiao,
    "neupane-ppc": neupane_ppc,
    "chen": chen,
    "churchland": churchland,
    "neupane-entorhinal": neupane_entorhinal,
    "kim": kim,
    "even-chen": even_chen,
    "temmar": temmar,
    "perich": perich,
    "h2": h2,
    "athalye": athalye,
    "m1-a": m1_a,
    "m1-b": m1_b,
    "h1": h1,
    "moore": moore,
    "dmfc-rsg": dmfc_rsg,
    "m2": m2,
    "area2-bump": area2_bump,
}


def fine_bins(name, path):
    """How many bins of the file make one of 20 ms, where it comes binned."""
    return {"xiao": 20, "athalye": 4 if "monk-j" in path.name else 1}.get(name, 1)


def counted(trains, as_published=False):
    """Histograms (units, bins) of spike trains with the published edges, not yet bytes."""
    last = max(np.max(train, initial=0) for train in trains)
    edges = np.arange(0, last + BIN, BIN)
    if not as_published:
        edges[-1] = max(edges[-1], last)
    return np.stack([np.histogram(train, edges)[0] for train in trains])


def expected_counts(name, path, content, as_published=False):
    """Counts (units, bins) of a miniature's session, not yet bytes."""
    if name not in BINNED:
        return counted(content, as_published)
    n = fine_bins(name, path)
    return np.stack([content[i : i + n].sum(axis=0, dtype=int) for i in range(0, len(content) - n + 1, n)], axis=1)
