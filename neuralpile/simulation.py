"""Simulate populations of neurons, and write their recordings as NWB files.

Simulated recordings stand in for real ones in the demo and the tests, because everything that their spike counts must
show is known. A number without a source in its docstring is our own choice.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neuralpile import catalog, cli
from neuralpile.cli import plural
from neuralpile.errors import BadInput
from neuralpile.files import whole_file

if TYPE_CHECKING:
    from pynwb import NWBFile

# h5py and pynwb are imported where they are used: they take a second, and `--help` must not.

STEP = 0.005  # seconds: rates are constant within a step
REFRACTORY = 0.002  # seconds, absolute
SILENT = 3  # the unit without spikes, counted from 0
FASTEST = 30.0  # Hz: the highest mean rate of a unit
RASTER_RATE = 1000.0  # Hz: rows of a raster per second
AREAS = ("M1", "PMd")  # an array in each
WIRED = 96  # electrodes of an array

SESSION_START = datetime(2000, 1, 1, tzinfo=UTC)

Modulation = Callable[[np.ndarray], np.ndarray]  # times in seconds -> factors of the firing rate


@dataclass(frozen=True)
class Population:
    """One simulated recording."""

    trains: list[np.ndarray]  # spike times of every unit in seconds, float64, ascending, in [0, seconds)
    rates: np.ndarray  # (units,) float64, Hz: the mean firing rate of every unit while the recording ran
    modulated: np.ndarray  # the units that follow the modulation, counted from 0
    seconds: float
    observed: np.ndarray  # (intervals, 2) float64, seconds: when the recording ran


def lognormal_rates(n_units: int, rng: np.random.Generator, mean: float = 5.0, sigma: float = 1.0) -> np.ndarray:
    """Draw mean firing rates from a lognormal distribution: most units fire slowly, a few fire fast.

    Cortical populations have this shape (Buzsáki & Mizuseki 2014, Nat Rev Neurosci 15:264). Rates above `FASTEST`
    become `FASTEST`.

    Parameters:
        n_units: number of units.
        rng: source of randomness.
        mean: mean of the distribution in Hz.
        sigma: standard deviation of the logarithm of the rates.

    Returns:
        (units,) float64, Hz.

    >>> lognormal_rates(3, np.random.default_rng(0)).round(1).tolist()
    [3.4, 2.7, 5.8]
    """
    rates: np.ndarray = np.minimum(rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, n_units), FASTEST)
    return rates


def shared_gain(times: np.ndarray, rng: np.random.Generator, period: float = 10.0, sigma: float = 0.3) -> np.ndarray:
    """Compute the slow gain that all units share.

    The gain multiplies the rates, as in Lin, Okun, Carandini & Harris 2015, Neuron 87:644. It is the exponential of a
    level that is drawn every `period` seconds and interpolated in between.

    Parameters:
        times: (times,) float64, seconds, ascending.
        rng: source of randomness.
        period: seconds between two drawn levels.
        sigma: standard deviation of the level.

    Returns:
        (times,) float64, a factor.
    """
    knots = np.arange(0.0, times[-1] + 2 * period, period)
    gain: np.ndarray = np.exp(sigma * np.interp(times, knots, rng.standard_normal(len(knots))))
    return gain


def rhythm(times: np.ndarray, frequency: float = 2.0) -> np.ndarray:
    """Compute a sinusoidal rhythm: a factor from 0 to 2 with mean 1, which starts at its minimum.

    Parameters:
        times: float64, seconds.
        frequency: in Hz.

    >>> rhythm(np.array([0.0, 0.25])).tolist()
    [0.0, 2.0]
    """
    factor: np.ndarray = 1.0 - np.cos(2 * np.pi * frequency * times)
    return factor


def bursts(
    times: np.ndarray, every: float = 0.5, latency: float = 0.1, width: float = 0.03, baseline: float = 0.5
) -> np.ndarray:
    """Compute responses to a stimulus that is shown at 0 s and then every `every` seconds: a factor with mean 1.

    Each response is a Gaussian bump on top of the baseline.

    Parameters:
        times: float64, seconds.
        every: seconds from one stimulus to the next.
        latency: seconds from a stimulus to the peak of its response.
        width: standard deviation of the bump in seconds.
        baseline: the factor between responses.
    """
    since_peak = (times - latency + every / 2) % every - every / 2
    height = (1.0 - baseline) * every / (width * np.sqrt(2 * np.pi))
    factor: np.ndarray = baseline + height * np.exp(-0.5 * (since_peak / width) ** 2)
    return factor


def spike_train(
    rate: np.ndarray, edges: np.ndarray, rng: np.random.Generator, refractory: float = REFRACTORY
) -> np.ndarray:
    """Draw the spike times of one unit from a Poisson process with dead time whose mean rate is `rate`.

    A unit with a refractory period d fires at r on average if it fires at r / (1 - r d) outside that period (Deger,
    Helias, Boucsein & Rotter 2012, J Comput Neurosci 32:443). So the function draws candidates at this higher rate, by
    time rescaling (Brown, Barbieri, Ventura, Kass & Frank 2002, Neural Comput 14:325), and drops those within d of the
    last spike that it kept. The formula assumes a constant rate over d; here rates change over tens of milliseconds.

    Parameters:
        rate: (steps,) float64, Hz.
        edges: (steps + 1,) float64, seconds: where the steps begin and end.
        rng: source of randomness.
        refractory: absolute refractory period in seconds.

    Returns:
        (spikes,) float64, seconds, ascending.

    Raises:
        ValueError: the refractory period does not allow this rate.
    """
    if rate.max() * refractory >= 1:
        raise ValueError(f"a unit that is refractory for {refractory} s cannot fire at {rate.max():.0f} Hz")
    expected = np.concatenate(([0.0], np.cumsum(rate / (1 - rate * refractory) * np.diff(edges))))
    candidates = np.sort(rng.uniform(0.0, expected[-1], rng.poisson(expected[-1])))
    return drop_refractory(np.interp(candidates, expected, edges), refractory)


def drop_refractory(times: np.ndarray, refractory: float) -> np.ndarray:
    """Drop every spike that follows the last one kept by less than `refractory` seconds.

    >>> drop_refractory(np.array([0.0, 0.0015, 0.003]), 0.002).tolist()
    [0.0, 0.003]
    """
    while (close := np.diff(times, prepend=-np.inf) < refractory).any():
        # In every cluster of close spikes the first one stays, so the second goes. The next round checks the spikes
        # that come after it.
        times = times[~(close & ~np.roll(close, 1))]
    return times


def population(
    n_units: int,
    seconds: float,
    seed: int | Sequence[int],
    *,
    mean_rate: float = 5.0,
    modulation: Modulation = rhythm,
    modulated: np.ndarray | None = None,
    gap: tuple[float, float] | None = None,
) -> Population:
    """Simulate a population. The same arguments give the same spikes.

    Parameters:
        n_units: number of units, more than `SILENT`; unit `SILENT` never fires.
        seconds: length of the recording.
        seed: a seed for `numpy.random.default_rng`.
        mean_rate: mean firing rate over the population in Hz.
        modulation: how the rate of the modulated units changes: times in seconds -> factors.
        modulated: which units follow it, counted from 0; the second half by default.
        gap: when the recording was interrupted, as (begin, end) in seconds; no unit has spikes then.

    >>> simulated = population(4, 10.0, seed=0)
    >>> len(simulated.trains), len(simulated.trains[SILENT])
    (4, 0)
    """
    rng = np.random.default_rng(seed)
    modulated = np.arange(n_units // 2, n_units) if modulated is None else modulated
    observed = np.array([[0.0, seconds]] if gap is None else [[0.0, gap[0]], [gap[1], seconds]])
    edges = np.union1d(np.arange(0.0, seconds, STEP), observed)
    times, widths = (edges[:-1] + edges[1:]) / 2, np.diff(edges)

    runs = ((observed[:, :1] <= times) & (times < observed[:, 1:])).any(axis=0)
    shared = shared_gain(times, rng) * runs
    gains = np.array([shared, shared * modulation(times)])
    gains *= widths[runs].sum() / (gains * widths).sum(axis=1, keepdims=True)  # mean 1 while the recording runs

    rates = lognormal_rates(n_units, rng, mean_rate)
    rates[SILENT] = 0.0
    follows = np.isin(np.arange(n_units), modulated).astype(int)
    trains = [spike_train(rate * gains[i], edges, rng) for rate, i in zip(rates, follows, strict=True)]
    return Population(trains, rates, modulated, seconds, observed)


def raster(simulated: Population) -> np.ndarray:
    """Count spikes in bins of 1 ms, in the layout of stored rasters: (time, units) uint8."""
    rows = round(simulated.seconds * RASTER_RATE)
    counts = np.empty((rows, len(simulated.trains)), np.uint8)
    for unit, train in enumerate(simulated.trains):
        counts[:, unit] = np.bincount((train * RASTER_RATE).astype(np.int64), minlength=rows)
    return counts


def write_units_nwb(path: Path, simulated: Population, identifier: str, description: str) -> None:
    """Write spike times as an NWB units table: /units/{spike_times, obs_intervals, electrodes}, in seconds.

    Each unit is on an electrode of one of two arrays, as `electrodes` places it.

    The file's name, `sub-<subject>_ses-<session>.nwb`, gives the subject and the session. The same population gives
    the same spikes but not the same bytes, because pynwb gives every object a random id.
    """
    nwb = _nwb_file(path, identifier, description)
    _add_arrays(nwb)
    for train, electrode in zip(simulated.trains, electrodes(len(simulated.trains)), strict=True):
        nwb.add_unit(spike_times=train, obs_intervals=simulated.observed, electrodes=[int(electrode)])
    _write(path, nwb)


def electrodes(n_units: int) -> np.ndarray:
    """Place units on the electrodes of two arrays: the first half on that of M1, the others on that of PMd.

    The units of an array are scattered over it, the same way in every recording, and every eighth shares the electrode
    of the one before.

    Parameters:
        n_units: number of units, at most 200.

    Returns:
        (units,) int64: lines of the table of electrodes, counted from 0.
    """
    order = np.random.default_rng(0).permutation(WIRED)
    halves = [np.arange(n_units // 2), np.arange(n_units - n_units // 2)]
    placed: np.ndarray = np.concatenate([WIRED * i + order[unit - unit // 8] for i, unit in enumerate(halves)])
    return placed


def _add_arrays(nwb: "NWBFile") -> None:
    """Add two arrays of 10 × 10 electrodes, 0.4 mm apart, whose corners are not wired.

    These are the measures of the Utah array (Maynard, Nordhausen & Normann 1997, Electroencephalogr Clin Neurophysiol
    102:228). Positions are on the array, in micrometres, as NWB has them.
    """
    device = nwb.create_device("simulation")
    wired = [(x, y) for y in range(10) for x in range(10) if not (x in (0, 9) and y in (0, 9))]
    for name, text in (
        ("rel_x", "micrometres along a side of the array"),
        ("rel_y", "micrometres along the other side"),
    ):
        nwb.add_electrode_column(name, text)
    for area in AREAS:
        group = nwb.create_electrode_group(f"array_{area}", "a simulated array", area, device)
        for x, y in wired:
            nwb.add_electrode(group=group, location=area, rel_x=400.0 * x, rel_y=400.0 * y)


def write_raster_nwb(path: Path, simulated: Population, identifier: str, description: str) -> None:
    """Write 1 ms rasters in the layout of Xiao et al. (DANDI 000628).

    /processing/ecephys/rasters/data is (time, units) uint8, gzip compressed, at 1000 Hz;
    /processing/ecephys/unit_names/unit_name names its columns. File names work as in `write_units_nwb`.
    """
    from hdmf.backends.hdf5 import H5DataIO
    from hdmf.common import DynamicTable, VectorData
    from pynwb import TimeSeries

    counts = raster(simulated)
    compressed = H5DataIO(counts, compression="gzip", chunks=(min(10_000, len(counts)), counts.shape[1]))
    nwb = _nwb_file(path, identifier, description)
    ecephys = nwb.create_processing_module("ecephys", "spikes of the simulated population")
    ecephys.add(TimeSeries(name="rasters", data=compressed, unit="spikes", rate=RASTER_RATE, starting_time=0.0))
    unit_names = [f"unit_{unit:03d}" for unit in range(counts.shape[1])]
    column = VectorData(name="unit_name", description="names of the columns of the rasters", data=unit_names)
    ecephys.add(DynamicTable(name="unit_names", description="the units", columns=[column]))
    _write(path, nwb)


def _nwb_file(path: Path, identifier: str, description: str) -> "NWBFile":
    from pynwb import NWBFile
    from pynwb.file import Subject

    subject, session = path.stem.split("_")
    return NWBFile(
        session_description=description,
        identifier=identifier,
        session_start_time=SESSION_START,
        file_create_date=SESSION_START,
        session_id=session.removeprefix("ses-"),
        subject=Subject(
            subject_id=subject.removeprefix("sub-"), species="simulated", description="Simulated; not an animal."
        ),
    )


def _write(path: Path, nwb: "NWBFile") -> None:
    import h5py
    from pynwb import NWBHDF5IO

    # Through memory: where the disk is full, HDF5 crashes the process when it closes a file on that disk.
    content = io.BytesIO()
    with h5py.File(content, "w") as file, NWBHDF5IO(file=file, mode="w") as writer:
        writer.write(nwb)
    with whole_file(path) as partial:
        partial.write_bytes(content.getbuffer())


def is_written(path: Path, identifier: str) -> bool:
    """Report whether the file is there. A file that has its final name is complete.

    Raises:
        BadInput: a file of this name holds something else.
    """
    import h5py

    if not path.exists():
        return False
    try:
        with h5py.File(path) as file:
            found = file["identifier"].asstr()[()]
    except (OSError, KeyError, AttributeError, TypeError):
        found = "a file that is not NWB"
    if found != identifier:
        raise BadInput(path, f"{identifier!r}", f"{found!r}", "remove the file, or give another --data_dir")
    return True


def main(script: str, sessions: Mapping[str, tuple[int, float]], simulate: Callable[..., None]) -> None:
    """Run the command line of a simulated data set's download.py.

    Parameters:
        script: path of the script, in the data set's folder.
        sessions: path of every file below the data folder -> its number of units and its length in seconds.
        simulate: writes one file; called with its path, number of units, length, seed and NWB identifier.
    """
    cli.run(partial(_main, Path(script).resolve().parent, sessions, simulate))


def _main(folder: Path, sessions: Mapping[str, tuple[int, float]], simulate: Callable[..., None]) -> int:
    name = folder.name
    parser = cli.parser(
        f"Simulate the recordings of {name}. Nothing is downloaded, and files that exist are kept.",
        f"python data/{name}/download.py --data_dir /scratch/{name} --seed 1",
    )
    parser.add_argument("--data_dir", type=Path, default=folder / "raw", help="where the files go")
    parser.add_argument("--seed", type=cli.seed, metavar="N", default=0, help="of the spikes")
    given = parser.parse_args()

    written, size = 0, 0
    for file, (n_units, seconds) in sessions.items():
        path = given.data_dir / file
        identifier = f"{name} {path.stem} seed {given.seed}"
        kept = is_written(path, identifier)
        if not kept:
            simulate(path, n_units, seconds, [given.seed, *f"{name} {path.stem}".encode()], identifier)
            written += 1
        n_bytes = path.stat().st_size
        size += n_bytes
        print(f"{'kept ' if kept else 'wrote'} {file}: {plural(n_units, 'unit')}, {seconds:g} s, {n_bytes:,} bytes")

    counts = f"{written} written, {len(sessions) - written} kept"
    print(f"{plural(len(sessions), 'file')}, {size:,} bytes ({counts}): {given.data_dir}")
    elsewhere = "" if given.data_dir == folder / "raw" else f" --data_dir {given.data_dir}"
    print(f"next: python {catalog.from_root(folder / 'preprocess.py')}{elsewhere}")
    return 0
