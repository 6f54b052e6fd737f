"""How fast motifs are counted, beside other ways, in one run: kernels on rows in memory, and the whole command.

A Counter loop (each patch cut out and its bytes counted), numpy.unique, Polars and DuckDB on the patches as binary
keys, and a plain pass over the bytes (numpy.max) for scale. All results are checked to be equal.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from neuralpile import cli, simulation
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.motifs import extract, figures

UNITS, BINS, BIN = 100, 100_003, 0.02
SHAPES = [(1, 8), (1, 10), (1, 15), (15, 1), (4, 4), (1, 32)]
FEW = 10_000_300  # tokens, one row: what the plain ways are given
Counts = dict[bytes, int]


def simulated_rows(n_tokens: int, mean_rate: float) -> list[np.ndarray]:
    """Rows of Poisson counts, lognormal rates around `mean_rate` Hz."""
    rng = np.random.default_rng(0)
    n_rows = max(1, n_tokens // (UNITS * BINS))
    rates = [simulation.lognormal_rates(UNITS, rng, mean_rate) for _ in range(n_rows)]
    return [rng.poisson(rate[:, None] * BIN, (UNITS, BINS)).astype(np.uint8) for rate in rates]


def many_unique_rows(n_rows: int) -> list[np.ndarray]:
    """Rows in which about one in six patches of eight bins is unique: Poisson counts, around one spike a bin."""
    rng = np.random.default_rng(0)
    means = [np.minimum(rng.lognormal(np.log(0.9), 0.8, UNITS), 4) for _ in range(n_rows)]
    return [rng.poisson(mean[:, None], (UNITS, BINS)).astype(np.uint8) for mean in means]


def counter_loop(counts: np.ndarray, p_n: int, p_t: int) -> Counts:
    """A Counter over the bytes of each patch."""
    counter: Counter[bytes] = Counter()
    n_units, n_bins = counts.shape
    counts = np.pad(counts, ((0, -n_units % p_n), (0, -n_bins % p_t)))
    for unit in range(0, n_units, p_n):
        for b in range(0, n_bins, p_t):
            counter[counts[unit : unit + p_n, b : b + p_t].tobytes()] += 1
    return counter


def cut(counts: np.ndarray, p_n: int, p_t: int) -> np.ndarray:
    """All patches of a row: (patches, p_n * p_t), uint8."""
    counts = np.pad(counts, ((0, -counts.shape[0] % p_n), (0, -counts.shape[1] % p_t)))
    blocks = counts.reshape(counts.shape[0] // p_n, p_n, counts.shape[1] // p_t, p_t).swapaxes(1, 2)
    return np.ascontiguousarray(blocks).reshape(-1, p_n * p_t)


def numpy_unique(counts: np.ndarray, p_n: int, p_t: int) -> Counts:
    """numpy.unique over the patches, as words where one word holds a patch."""
    patches = cut(counts, p_n, p_t)
    if patches.shape[1] <= 8:
        words = np.zeros((len(patches), 8), np.uint8)
        words[:, : patches.shape[1]] = patches
        keys, n = np.unique(words.view(np.uint64)[:, 0], return_counts=True)
        keys = keys.view(np.uint8).reshape(-1, 8)[:, : patches.shape[1]]
    else:
        keys, n = np.unique(patches, axis=0, return_counts=True)
    return {key.tobytes(): int(m) for key, m in zip(keys, n, strict=True)}


def binary(counts: np.ndarray, p_n: int, p_t: int) -> pa.Array:
    """The patches as an Arrow array of bytes, without a copy."""
    patches = cut(counts, p_n, p_t)
    kind = pa.binary(patches.shape[1])
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(patches), [None, pa.py_buffer(patches)])


def with_polars(counts: np.ndarray, p_n: int, p_t: int) -> Counts:
    """Polars' value_counts."""
    import polars as pl

    series = pl.Series("patch", binary(counts, p_n, p_t).cast(pa.large_binary()))
    return dict(series.value_counts().iter_rows())


def with_duckdb(counts: np.ndarray, p_n: int, p_t: int) -> Counts:
    """DuckDB's GROUP BY."""
    patches = pa.table({"patch": binary(counts, p_n, p_t).cast(pa.binary())})  # noqa: F841  (DuckDB finds it by name)
    return dict(duckdb.sql("select patch, count(*) from patches group by patch").fetchall())


def ours(counts: np.ndarray, p_n: int, p_t: int) -> Counts:
    """The library's count, as a dictionary."""
    counted = extract.count([counts], p_n, p_t)
    return {key.tobytes(): int(n) for key, n in zip(counted.patches, counted.frequencies, strict=True)}


def seconds(work: Callable[[], object], runs: int = 1) -> float:
    """Median time of a call."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def command(folder: Path, out: Path, p_n: int, p_t: int, *options: str) -> tuple[float, float, dict]:
    """Seconds of the whole command, its largest resident memory in MB (mapped rows included), and its summary."""
    line = [sys.executable, "extract_motifs.py", "--p_n", str(p_n), "--p_t", str(p_t), "--repo_name", str(folder)]
    start = time.perf_counter()
    process = subprocess.Popen([*line, "--out_dir", str(out), *options], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    elapsed = time.perf_counter() - start
    summary = json.loads((out / f"{figures.file_stem(folder.name, p_n, p_t)}_summary.json").read_text())
    return elapsed, usage.ru_maxrss / 1000, summary


def kernels(few: list[np.ndarray], data: str, shapes: list[tuple[int, int]]) -> dict[tuple[int, int], float]:
    """Print how many patches a second each way counts; give those of the Counter loop."""
    import polars as pl

    plain: dict[tuple[int, int], float] = {}
    for shape in shapes:
        extract.count([few[0][:, :1000]], *shape)  # compiles
        expected = counter_loop(few[0], *shape)
        for way in (numpy_unique, with_polars, with_duckdb, ours):
            assert way(few[0], *shape) == expected, way
        n = extract.n_patches(few[0].shape, *shape)
        patches = binary(few[0], *shape)
        series, table = pl.Series("patch", patches.cast(pa.large_binary())), pa.table({"p": patches.cast(pa.binary())})
        plain[shape] = n / seconds(lambda shape=shape: counter_loop(few[0], *shape))
        rates = [
            plain[shape],
            n / seconds(lambda shape=shape: numpy_unique(few[0], *shape)),
            n / seconds(lambda series=series: series.value_counts(), 3),
            n / seconds(lambda table=table: duckdb.from_arrow(table).aggregate("p, count(*)").to_arrow_table(), 3),
            n * len(few) / seconds(lambda shape=shape: extract.count(few, *shape), 3),
        ]
        cells = " | ".join(f"{rate / 1e6:,.1f}" for rate in rates)
        name = f"{data} | {shape[0]} × {shape[1]} | {len(expected):,}"
        print(f"| {name} | {cells} | {rates[-1] / rates[0]:.0f} |", flush=True)
    return plain


def in_two_threads(few: list[np.ndarray], top: float) -> None:
    """Print how many patches of 1 × 8 two threads count, and for scale the bytes a second that numpy.max reads."""
    with ThreadPoolExecutor(2) as pool:
        took = seconds(lambda: list(pool.map(lambda half: extract.count(half, 1, 8), (few[::2], few[1::2]))), 3)
    n = sum(extract.n_patches(counts.shape, 1, 8) for counts in few)
    scale = f"numpy.max is {took * top / (8 * n):.1f} × as fast"
    print(f"| 5 Hz, 2 threads | 1 × 8 | | | | | | {n / took / 1e6:.1f} | {scale} |", flush=True)


def many_unique() -> None:
    """Print what the Counter loop and ours count of a hundred million tokens with many unique patches."""
    few = many_unique_rows(10)
    n = sum(extract.n_patches(counts.shape, 1, 8) for counts in few)
    start = time.perf_counter()
    expected: Counter[bytes] = Counter()
    for counts in few:
        expected.update(counter_loop(counts, 1, 8))
    plain = n / (time.perf_counter() - start)
    counted = extract.count(few, 1, 8)
    found = zip(counted.patches, counted.frequencies, strict=True)
    assert {key.tobytes(): int(m) for key, m in found} == expected
    rate = n / seconds(lambda: extract.count(few, 1, 8), 3)
    name = f"45 Hz, all {n:,} | 1 × 8 | {len(expected):,}"
    print(f"| {name} | {plain / 1e6:.1f} | | | | {rate / 1e6:.1f} | {rate / plain:.0f} |", flush=True)


def main() -> int:
    """Print the tables."""
    parser = cli.parser(__doc__ or "", "python benchmarks/motifs.py --tokens 500_000_000")
    parser.add_argument(
        "--tokens",
        type=cli.positive_int,
        metavar="N",
        default=500_000_000,
        help="in the corpus",
    )
    given = parser.parse_args()
    cli.need("polars", "bench", "benchmarks/motifs.py")
    print("| data | patch | unique | Counter, M/s | numpy.unique | Polars | DuckDB | ours | times the Counter |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    loops = {}
    for data, mean_rate in [("5 Hz", 5.0), ("dense, 50 Hz", 50.0)]:
        few = simulated_rows(10 * FEW, mean_rate)
        loops[data] = kernels(few, data, SHAPES)
        top = sum(counts.size for counts in few) / seconds(lambda few=few: [counts.max() for counts in few], 3)
        print(f"| {data} | numpy.max | | | | | | {top / 1e9:.1f} GB/s | |", flush=True)
        if data == "5 Hz":
            in_two_threads(few, top)
        del few
    many_unique()
    print("\n| data | patch | jobs | whole command, s | M tokens/s | MB | times the Counter |")
    print("|---|---|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as made:
        for data, mean_rate in [("5 Hz", 5.0), ("dense, 50 Hz", 50.0)]:
            folder = Path(made) / data[:5].replace(" ", "")
            some = [Row(c, "s", f"{i}", "segment_0") for i, c in enumerate(simulated_rows(given.tokens, mean_rate))]
            arrow.write_rows(folder / "a.arrow", some, rows.SCHEMA)
            arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
            del some
            for shape in [(1, 8), (1, 15), (4, 4)]:
                for jobs in ("1", "2"):
                    elapsed, most, printed = command(folder, Path(made) / "out", *shape, "--jobs", jobs)
                    times = printed["patches"] / elapsed / loops[data][shape]
                    cells = f"{elapsed:.2f} | {printed['tokens'] / elapsed / 1e6:,.0f} | {most:,.0f} | {times:.0f}"
                    print(f"| {data} | {shape[0]} × {shape[1]} | {jobs} | {cells} |", flush=True)
    return 0


if __name__ == "__main__":
    cli.run(main)
