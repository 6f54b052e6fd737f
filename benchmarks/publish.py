"""Write rows of a local build as Parquet files: the default writer of `push_to_hub`, and ours.

Poisson counts with lognormal rates around 5 Hz, in rows of 10 million tokens. Each way runs in its own process. The
files are read again and must hold the same rows. Memory is the peak of the process's anonymous memory (RssAnon),
without mapped pages of the build; it includes the libraries. The files are on the disk when the time is taken.
"One session" is how long polars takes to find the rows of one session by name.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq

from neuralpile import cli, simulation
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.hub import publish
from neuralpile.open import open_data_set

UNITS, BINS = 300, 33_333
RUNS = 3  # the median is shown


def simulated(tokens: int) -> Iterator[Row]:
    """Rows of about 10 million tokens."""
    rng = np.random.default_rng(0)
    for i in range(max(1, tokens // (UNITS * BINS))):
        rates = simulation.lognormal_rates(UNITS, rng, mean=5.0)[:, None]
        yield Row(
            rng.poisson(rates * 0.02, (UNITS, BINS)).clip(0, 255).astype(np.uint8), "sub", f"ses-{i}", "segment_0"
        )


def by_push_to_hub(build: Path, out: Path) -> None:
    """What push_to_hub writes, a shard for 500 MB of counts."""
    data_set = datasets.load_from_disk(str(build))
    n = max(1, -(-data_set.data.nbytes // 500_000_000))
    for i in range(n):
        data_set.shard(n, i, contiguous=True).to_parquet(out / f"{i:05d}.parquet")


def by_us(build: Path, out: Path) -> None:
    """What `publish.push` uploads."""
    publish.write_splits(open_data_set(str(build)), rows.SCHEMA, out, "write")


WAYS = {"push_to_hub": by_push_to_hub, "ours": by_us}


def measured(way: str, build: Path, out: Path) -> tuple[float, float]:
    """Seconds of one way, and its peak memory in MB."""
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            status = Path("/proc/self/status").read_text()
            peak = max(peak, int(status.partition("RssAnon:")[2].split()[0]))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start = time.perf_counter()
    WAYS[way](build, out)
    for path in out.iterdir():
        with path.open() as file:
            os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return seconds, peak / 1000


def read_again(out: Path) -> Iterator[Row]:
    """The rows of the files that a way wrote."""
    for path in sorted(out.iterdir()):
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            yield from (rows.from_table(table.slice(i, 1)) for i in range(len(table)))


def one_session(out: Path) -> float:
    """Seconds in which polars finds the rows of the first session."""
    import polars

    start = time.perf_counter()
    found = polars.scan_parquet(out / "*.parquet").filter(polars.col("session_id") == "ses-0").collect()
    assert len(found) == 1
    return time.perf_counter() - start


def main() -> int:
    """Compare, and print a table."""
    parser = cli.parser(__doc__ or "", "python benchmarks/publish.py --tokens 500_000_000")
    parser.add_argument("--tokens", type=cli.positive_int, metavar="N", default=500_000_000, help="in the rows")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # way, build, out: a run in a process of its own
    given = parser.parse_args()
    if given.one:
        way, build, out = given.one
        print(*measured(way, Path(build), Path(out)))
        return 0
    cli.need("polars", "bench", "benchmarks/publish.py")
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder) / "build"
        arrow.write_rows(build / "rows.arrow", simulated(given.tokens), rows.SCHEMA)
        arrow.finish(build, [build / "rows.arrow"], rows.SCHEMA, "0" * 16)
        data_set = open_data_set(str(build))
        tokens = sum(row.counts.size for row in data_set)
        expected = rows.digest(data_set)
        print(f"{tokens:,} tokens, {len(data_set)} rows\n")
        print("| way | tokens, M/s | times push_to_hub | bytes a token | peak memory, MB | one session, s |")
        print("|---|--:|--:|--:|--:|--:|")
        plain = 0.0
        for number, way in enumerate(WAYS):
            runs = []
            for run in range(RUNS):
                out = Path(folder) / f"{number}-{run}"
                out.mkdir()
                command = [sys.executable, __file__, "--one", way, str(build), str(out)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                runs.append([float(figure) for figure in done.stdout.split()])
            assert rows.digest(read_again(out)) == expected, way
            n_bytes = sum(path.stat().st_size for path in out.iterdir())
            seconds, memory = np.median(runs, axis=0)
            plain = plain or seconds
            figures = f"{tokens / seconds / 1e6:,.0f} | {plain / seconds:.1f} | {n_bytes / tokens:.4f} | {memory:,.0f}"
            print(f"| {way} | {figures} | {one_session(out):.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    cli.run(main)
