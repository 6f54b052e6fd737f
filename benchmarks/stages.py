"""How long each stage takes beside the plain way of doing it: read, bin, rebin, write, view, merge, in one run.

Each pair is checked to give equal results, and what is written is on the disk at the end. Ratios are what to quote:
machines differ, and are noisy.
"""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import h5py
import numpy as np
from pynwb import NWBHDF5IO, NWBFile

from neuralpile import cli, simulation
from neuralpile.corpus import arrow, merge, rows, store
from neuralpile.corpus.rows import Row
from neuralpile.corpus.split import SplitOptions
from neuralpile.open import open_data_set
from neuralpile.recordings import nwb
from neuralpile.spikes import binning

RUNS = 3  # the median is shown
UNITS, SECONDS, BIN = 300, 5400.0, 0.02
SLOW = 120_000_000  # tokens: what the plain ways of writing and merging are given


def timed(work: Callable[[], object], runs: int = RUNS) -> tuple[float, object]:
    """Median seconds of a call, and what it gave."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)), result


def show(stage: str, amount: float, unit: str, plain: tuple[str, float], ours: float) -> None:
    """One line of the table."""
    name, seconds = plain
    rates = f"{amount / seconds:,.1f} {unit}/s | {amount / ours:,.1f} {unit}/s"
    print(f"| {stage} | {name} | {rates} | {seconds / ours:,.1f} |", flush=True)


def to_disk(folder: Path) -> None:
    """Wait until all files of a folder are on the disk, as ours are when they are written."""
    for path in folder.rglob("*"):
        with path.open() if path.is_file() else contextlib.nullcontext() as file:
            if file is not None:
                os.fsync(file.fileno())


def spikes() -> tuple[np.ndarray, np.ndarray]:
    """About 10 million spike times on a 30 kHz clock, lognormal rates, and where each unit's train ends."""
    rng = np.random.default_rng(0)
    rates = simulation.lognormal_rates(UNITS, rng, mean=6.2)
    trains = [np.sort(np.round(rng.uniform(0, SECONDS, int(rate * SECONDS)) * 30_000) / 30_000) for rate in rates]
    return np.concatenate(trains), np.cumsum([len(train) for train in trains])


def bench_read(folder: Path, times: np.ndarray, ends: np.ndarray) -> None:
    """A units table as pynwb writes it, beside pynwb's DataFrame."""
    path = folder / "units.nwb"
    file = NWBFile("benchmark", "benchmark", simulation.SESSION_START)
    for train in np.split(times, ends[:-1]):
        file.add_unit(spike_times=train)
    with NWBHDF5IO(path, "w") as io:
        io.write(file)

    def plain() -> list[np.ndarray]:
        with NWBHDF5IO(path, "r") as io:
            return list(io.read().units.to_dataframe()["spike_times"])

    slow, expected = timed(plain)
    fast, trains = timed(lambda: nwb.read_spike_trains(path))
    assert all(map(np.array_equal, expected, np.split(trains.times, trains.ends[:-1])))
    show("read a units table", times.size / 1e6, "M spikes", ("pynwb, to_dataframe", slow), fast)


def bench_bin(times: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Spike times to counts, beside numpy.histogram for each unit."""

    def plain() -> np.ndarray:
        edges = np.arange(0, times.max() + BIN, BIN)
        return np.stack([np.histogram(train, edges)[0] for train in np.split(times, ends[:-1])]).astype(np.uint8)

    slow, expected = timed(plain)
    fast, binned = timed(lambda: binning.bin_spikes(times, ends, BIN))
    assert np.array_equal(expected, binned.counts)
    show("bin spike times", times.size / 1e6, "M spikes", ("numpy.histogram a unit", slow), fast)
    return binned.counts


def bench_rebin() -> None:
    """1 ms rasters to 20 ms counts, beside a sum for each bin."""
    raster = (np.random.default_rng(0).random((1_800_000, 200), dtype=np.float32) < 0.005).astype(np.uint8)

    def plain() -> np.ndarray:
        sums = [raster[b * 20 : (b + 1) * 20].sum(axis=0) for b in range(len(raster) // 20)]
        return np.ascontiguousarray(np.array(sums).T, dtype=np.uint8)

    slow, expected = timed(plain)
    fast, binned = timed(lambda: binning.rebin(raster, 20))
    assert np.array_equal(expected, binned.counts)
    show("rebin a 1 ms raster", raster.nbytes / 1e6, "MB", ("a sum a bin", slow), fast)


def session_rows(matrix: np.ndarray, n_tokens: int) -> list[Row]:
    """Rows of at most 10 million tokens, views of one matrix, `n_tokens` in all."""
    cut = list(rows.segments(matrix, 10_000_000))
    return [Row(cut[i % len(cut)], "sub-A", f"ses-{i}", "segment_0") for i in range(n_tokens // cut[0].size)]


def bench_write_and_view(folder: Path, matrix: np.ndarray) -> None:
    """Rows to Arrow and back, beside `datasets` with Python lists and with its numpy format."""
    few = session_rows(matrix, SLOW // 4)
    n_tokens = sum(row.counts.size for row in few)

    def plain() -> datasets.Dataset:
        def generate() -> Iterator[dict[str, object]]:
            for row in few:
                yield dict(zip(rows.SCHEMA.names, (row.counts.tolist(), *row[1:4]), strict=True))

        features = datasets.Features.from_arrow_schema(rows.SCHEMA)
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            made = datasets.Dataset.from_generator(generate, features=features, cache_dir=cache)
            made.save_to_disk(str(folder / "plain"))
        to_disk(folder / "plain")
        return datasets.load_from_disk(str(folder / "plain"))

    def ours() -> store.LocalRows:
        arrow.write_rows(folder / "ours" / "a.arrow", few, rows.SCHEMA)
        arrow.finish(folder / "ours", [folder / "ours" / "a.arrow"], rows.SCHEMA, "0" * 64)
        return open_data_set(str(folder / "ours"))

    slow, expected = timed(plain, 1)
    fast, written = timed(ours)
    show("write rows", n_tokens / 1e6, "M tokens", ("datasets, from lists", slow), fast)

    def as_lists() -> int:
        return sum(int(np.array(row["spike_counts"], np.uint8).sum()) for row in expected)

    def as_views() -> int:
        return sum(int(row.counts.sum(dtype=np.int64)) for row in written)

    slow, spikes_in_lists = timed(as_lists, 1)
    fast, spikes_in_views = timed(as_views)
    assert spikes_in_lists == spikes_in_views == sum(int(row.counts.sum(dtype=np.int64)) for row in few)
    show("read and sum rows", n_tokens / 1e6, "M tokens", ("datasets, as lists", slow), fast)


def bench_merge(folder: Path, matrix: np.ndarray) -> None:
    """Two components merged, beside concatenate_datasets + train_test_split + save_to_disk."""
    made = session_rows(matrix, SLOW)
    components = []
    for i, name in enumerate("ab"):
        arrow.write_rows(folder / name / "a.arrow", made[i::2], rows.SCHEMA)
        arrow.finish(folder / name, [folder / name / "a.arrow"], rows.SCHEMA, str(i) * 64)
        components.append(open_data_set(str(folder / name)))

    def plain() -> store.LocalRows:
        parts = [
            datasets.load_from_disk(str(component.folder)).add_column(
                "source_dataset", [component.name] * len(component)
            )
            for component in components
        ]
        together = datasets.concatenate_datasets(parts).train_test_split(test_size=0.01, seed=0)
        together.save_to_disk(str(folder / "plain-merge"))
        to_disk(folder / "plain-merge")
        return open_data_set(str(folder / "plain-merge"))

    def ours() -> store.LocalRows:
        merge.merge(components, folder / "our-merge", SplitOptions(0.01, 0))
        return open_data_set(str(folder / "our-merge"))

    def content(data_set: store.LocalRows) -> list[tuple[object, ...]]:
        return sorted((*row[1:], rows.digest([row])) for row in data_set)

    slow, expected = timed(plain)
    fast, merged = timed(ours)
    assert content(expected) == content(merged)
    show("merge", sum(row.counts.size for row in made) / 1e6, "M tokens", ("concatenate, split, save", slow), fast)


def main() -> int:
    """Print the table."""
    cli.parser(__doc__ or "", "python benchmarks/stages.py").parse_args()
    datasets.disable_progress_bars()
    print(
        f"numpy {np.__version__}, h5py {h5py.__version__}, datasets {datasets.__version__}, Python {sys.version[:6]}\n"
    )
    print("| stage | plain way | plain | ours | times faster |\n|---|---|--:|--:|--:|", flush=True)
    binning.bin_spikes(np.array([0.0]), np.array([1]), BIN)  # compiles
    binning.rebin(np.zeros((1, 1), np.uint8), 20)
    times, ends = spikes()
    with tempfile.TemporaryDirectory() as name:
        bench_read(Path(name), times, ends)
        matrix = bench_bin(times, ends)
        bench_rebin()
        bench_write_and_view(Path(name), matrix)
        bench_merge(Path(name), matrix)
    return 0


if __name__ == "__main__":
    cli.run(main)
