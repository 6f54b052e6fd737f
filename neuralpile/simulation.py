"""A simulated population of neurons, and the NWB files in which its recordings are published.

It stands in for a recording in the demo and the tests: everything that should be seen in its spike counts is known.
Where a docstring names no source for a number, the number is our own choice.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
from hdmf.backends.hdf5 import H5DataIO
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.file import Subject

from neuralpile import catalog
from neuralpile.errors import BadInput
from neuralpile.files import whole_file

STEP = 0.005  # seconds: within a step, rates are constant
REFRACTORY = 0.002  # seconds, absolute
SILENT = 3  # the unit without spikes, counted from 0
FASTEST = 30.0  # Hz: the highest mean rate of a unit
RASTER_RATE = 1000.0  # Hz: rows of a raster per second

SESSION_START = datetime(2000, 1, 1, tzinfo=UTC)

Modulation = Callable[[np.ndarray], np.ndarray]  # times in seconds -> factors of the firing rate


@dataclass(frozen=True)
class Population:
    """One simulated recording."""

    trains: list[np.ndarray]  # spike times of every unit in seconds, float64, ascending, in [0, seconds)
    rates: np.ndarray  # (units,), Hz: the mean firing rate asked of every unit while the recording ran
    modulated: np.ndarray  # the units that follow the modulation, counted from 0
    seconds: float
    observed: np.ndarray  # (intervals, 2), seconds: when the recording ran


def lognormal_rates(n_units: int, rng: np.random.Generator, mean: float = 5.0, sigma: float = 1.0) -> np.ndarray:
    """Mean firing rates (units,) in Hz, lognormal: most units fire slowly, a few fast.

    The shape is that of cortical populations (Buzsáki & Mizuseki 2014, Nat Rev Neurosci 15:264). `sigma` is the
    standard deviation of the logarithm. Rates above `FASTEST` become `FASTEST`.
    """
    return np.minimum(rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, n_units), FASTEST)


def shared_gain(times: np.ndarray, rng: np.random.Generator, period: float = 10.0, sigma: float = 0.3) -> np.ndarray:
    """The slow gain that all units have in common, at `times` in seconds.

    Multiplicative, as in Lin, Okun, Carandini & Harris 2015, Neuron 87:644: the exponential of a random level that
    is drawn anew every `period` seconds and interpolated between.
    """
    knots = np.arange(0.0, times[-1] + 2 * period, period)
    return np.exp(sigma * np.interp(times, knots, rng.standard_normal(len(knots))))


def rhythm(times: np.ndarray, frequency: float = 2.0) -> np.ndarray:
    """A sinusoidal rhythm of `frequency` Hz, from 0 to 2 with mean 1; it starts in its trough."""
    return 1.0 - np.cos(2 * np.pi * frequency * times)


def bursts(
    times: np.ndarray, every: float = 0.5, latency: float = 0.1, width: float = 0.03, baseline: float = 0.5
) -> np.ndarray:
    """Responses to a stimulus shown at 0 s, `every` seconds, and so on; mean 1.

    Each is a Gaussian bump of standard deviation `width` seconds, `latency` seconds after the stimulus, on top of
    the `baseline`.
    """
    since_peak = (times - latency + every / 2) % every - every / 2
    height = (1.0 - baseline) * every / (width * np.sqrt(2 * np.pi))
    return baseline + height * np.exp(-0.5 * (since_peak / width) ** 2)


def spike_train(
    rate: np.ndarray, edges: np.ndarray, rng: np.random.Generator, refractory: float = REFRACTORY
) -> np.ndarray:
    """Spike times in seconds of one unit: a Poisson process with dead time that fires at `rate`.

    To fire at r in spite of a refractory period d, the unit must fire at r / (1 - r d) whenever it can (Deger,
    Helias, Boucsein & Rotter 2012, J Comput Neurosci 32:443). So candidates are drawn at this higher rate, by time
    rescaling (Brown, Barbieri, Ventura, Kass & Frank 2002, Neural Comput 14:325), and those within d of the last
    spike are left out. That takes r as constant over d; here rates change over tens of milliseconds.

    Args:
        rate: (steps,), Hz.
        edges: (steps + 1,), seconds: where the steps begin and end.
        refractory: absolute refractory period in seconds.
    """
    if rate.max() * refractory >= 1:
        raise ValueError(f"a unit that is refractory for {refractory} s cannot fire at {rate.max():.0f} Hz")
    expected = np.concatenate(([0.0], np.cumsum(rate / (1 - rate * refractory) * np.diff(edges))))
    candidates = np.sort(rng.uniform(0.0, expected[-1], rng.poisson(expected[-1])))
    return drop_refractory(np.interp(candidates, expected, edges), refractory)


def drop_refractory(times: np.ndarray, refractory: float) -> np.ndarray:
    """Leave out the ascending spike times that follow the last one kept by less than `refractory` seconds."""
    while (close := np.diff(times, prepend=-np.inf) < refractory).any():
        # A spike that is close to its predecessor goes, if that one surely stays: the first of every cluster. What
        # it was hiding is looked at in the next round.
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
    """Simulate a population; the same arguments give the same spikes.

    Args:
        n_units: number of units, more than `SILENT`: that unit never fires.
        seconds: length of the recording.
        seed: what `numpy.random.default_rng` takes.
        mean_rate: mean over the population of the units' mean rates, in Hz.
        modulation: what some units follow: factors of their rate at given times.
        modulated: which units these are, counted from 0; the second half, unless said otherwise.
        gap: begin and end in seconds of an interruption of the recording, when no unit has spikes.
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
    """Spike counts per millisecond: uint8 (time, units), as a raster is stored."""
    rows = round(simulated.seconds * RASTER_RATE)
    counts = np.empty((rows, len(simulated.trains)), np.uint8)
    for unit, train in enumerate(simulated.trains):
        counts[:, unit] = np.bincount((train * RASTER_RATE).astype(np.int64), minlength=rows)
    return counts


def write_units_nwb(path: Path, simulated: Population, identifier: str, description: str) -> None:
    """Write spike times as a units table: /units/{spike_times, obs_intervals}, seconds.

    Subject and session are taken from the name of the file, `sub-<subject>_ses-<session>.nwb`. The spikes are the
    same for the same population; the bytes are not, as pynwb gives every object a random id.
    """
    nwb = _nwb_file(path, identifier, description)
    for train in simulated.trains:
        nwb.add_unit(spike_times=train, obs_intervals=simulated.observed)
    _write(path, nwb)


def write_raster_nwb(path: Path, simulated: Population, identifier: str, description: str) -> None:
    """Write 1 ms rasters in the layout of Xiao et al. (DANDI 000628).

    /processing/ecephys/rasters/data is uint8 (time, units), gzip compressed, at 1000 Hz;
    /processing/ecephys/unit_names/unit_name names its columns. Otherwise as `write_units_nwb`.
    """
    counts = raster(simulated)
    compressed = H5DataIO(counts, compression="gzip", chunks=(min(10_000, len(counts)), counts.shape[1]))
    nwb = _nwb_file(path, identifier, description)
    ecephys = nwb.create_processing_module("ecephys", "spikes of the simulated population")
    ecephys.add(TimeSeries(name="rasters", data=compressed, unit="spikes", rate=RASTER_RATE, starting_time=0.0))
    unit_names = [f"unit_{unit:03d}" for unit in range(counts.shape[1])]
    column = VectorData(name="unit_name", description="names of the columns of the rasters", data=unit_names)
    ecephys.add(DynamicTable(name="unit_names", description="the units", columns=[column]))
    _write(path, nwb)


def _nwb_file(path: Path, identifier: str, description: str) -> NWBFile:
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


def _write(path: Path, nwb: NWBFile) -> None:
    # Opened by h5py: given a path, pynwb warns of names that do not end in .nwb, as that of a partial file.
    with whole_file(path) as partial, h5py.File(partial, "w") as file, NWBHDF5IO(file=file, mode="w") as io:
        io.write(nwb)


def is_written(path: Path, identifier: str) -> bool:
    """Whether the file is already there; as files appear whole under their name, it is then finished.

    Raises BadInput where a file of this name holds something else.
    """
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
    """The command line of a simulated data set's download.py.

    Args:
        script: path of the script, in the data set's folder.
        sessions: path of every file below the data folder -> its number of units, and its length in seconds.
        simulate: writes one of them; called with its path, number of units, length, seed and NWB identifier.
    """
    folder = Path(script).resolve().parent
    name = folder.name
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Simulate the recordings of {name} (there is nothing to download). Files that are there are kept.",
        epilog=f"example: python data/{name}/download.py --data_dir /scratch/{name} --seed 1",
    )
    parser.add_argument("--data_dir", type=Path, default=folder / "raw", help="where to write (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other spikes (default: %(default)s)")
    args = parser.parse_args()
    if args.seed < 0:
        parser.error(f"argument --seed: expected 0 or more, found {args.seed}")

    written, size = 0, 0
    try:
        for file, (n_units, seconds) in sessions.items():
            path = args.data_dir / file
            identifier = f"{name} {path.stem} seed {args.seed}"
            kept = is_written(path, identifier)
            if not kept:
                simulate(path, n_units, seconds, [args.seed, *f"{name} {path.stem}".encode()], identifier)
                written += 1
            n_bytes = path.stat().st_size
            size += n_bytes
            print(f"{'kept ' if kept else 'wrote'} {file}: {n_units} units, {seconds:g} s, {n_bytes:,} bytes")
    except (BadInput, OSError) as error:
        sys.exit(f"error: {error}")

    print(f"{len(sessions)} files, {size:,} bytes ({written} written, {len(sessions) - written} kept): {args.data_dir}")
    elsewhere = "" if args.data_dir == folder / "raw" else f" --data_dir {args.data_dir}"
    script_path = folder / "preprocess.py"
    inside = script_path.is_relative_to(catalog.ROOT)
    print(f"next: python {script_path.relative_to(catalog.ROOT) if inside else script_path}{elsewhere}")
