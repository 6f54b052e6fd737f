"""Two data sets merged, shuffled, split and written as Parquet: as `datasets` does it, and as we do, in one run.

Plain: concatenate_datasets, train_test_split and the writer of push_to_hub. Ours: merge_datasets.py and the shards that
`--hf_repo_name` sends. Each in a process of its own; the rows of both must be the same. Memory is what a process itself
holds at most (RssAnon). What is written is on the disk at the end.
"""

import argparse
import itertools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import datasets
import numpy as np
import publish as writing

from neuralpile import cli
from neuralpile.corpus import arrow, merge, rows
from neuralpile.corpus.split import SplitOptions
from neuralpile.hub import publish
from neuralpile.open import open_data_set

RUNS = 3  # the median is shown
NAMES = ("one", "two")


def plainly(folder: Path, out: Path) -> None:
    """With the functions of `datasets`; a shard for 500 MB of counts."""
    parts = []
    for name in NAMES:
        part = datasets.load_from_disk(str(folder / name))
        parts.append(part.add_column("source_dataset", [name] * len(part)))
    for split, part in datasets.concatenate_datasets(parts).train_test_split(0.01, seed=0).items():
        n = max(1, -(-part.data.nbytes // 500_000_000))
        for i in range(n):
            part.shard(n, i, contiguous=True).to_parquet(out / f"{split}-{i:05d}.parquet")


def by_us(folder: Path, out: Path) -> None:
    """Merged on the disk, then as shards."""
    merge.merge(
        [open_data_set(str(folder / name)) for name in NAMES], out.with_suffix(".merged"), SplitOptions(0.01, 0)
    )
    corpus = open_data_set(str(out.with_suffix(".merged")))
    publish.write_splits(corpus, rows.MERGED_SCHEMA, out, "write")


writing.WAYS = {"concatenate, split, to_parquet": plainly, "ours": by_us}


def digests(out: Path) -> list[str]:
    """Of each row, sorted: the two ways shuffle differently."""
    return sorted(rows.digest([row]) for row in writing.read_again(out))


def main() -> int:
    """Compare, and print a table."""
    parser = cli.parser(__doc__ or "", "python benchmarks/merge.py --tokens 500_000_000")
    parser.add_argument("--tokens", type=cli.positive_int, metavar="N", default=500_000_000, help="in the rows")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # way, folder, out: a run in a process of its own
    given = parser.parse_args()
    if given.one:
        way, folder, out = given.one
        print(*writing.measured(way, Path(folder), Path(out)))
        return 0
    with tempfile.TemporaryDirectory() as made:
        folder, expected = Path(made), None
        simulated = writing.simulated(given.tokens)
        half = given.tokens // (2 * writing.UNITS * writing.BINS)
        for name, part in zip(NAMES, (itertools.islice(simulated, half), simulated), strict=True):
            arrow.write_rows(folder / name / "rows.arrow", part, rows.SCHEMA)
            arrow.finish(folder / name, [folder / name / "rows.arrow"], rows.SCHEMA, name * 8)
        tokens = sum(sum(open_data_set(str(folder / name)).tokens()) for name in NAMES)
        print("| way | M tokens/s | times | bytes a token | peak memory, MB |\n|---|--:|--:|--:|--:|")
        plain = 0.0
        for number, way in enumerate(writing.WAYS):
            runs = []
            for run in range(RUNS):
                out = folder / f"{number}-{run}"
                out.mkdir()
                command = [sys.executable, __file__, "--one", way, str(folder), str(out)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                runs.append([float(figure) for figure in done.stdout.split()])
                shutil.rmtree(out.with_suffix(".merged"), ignore_errors=True)
            expected = expected or digests(out)
            assert digests(out) == expected, way
            n_bytes = sum(path.stat().st_size for path in out.iterdir())
            seconds, memory = np.median(runs, axis=0)
            plain = plain or seconds
            figures = f"{tokens / seconds / 1e6:,.0f} | {plain / seconds:.1f} | {n_bytes / tokens:.4f} | {memory:,.0f}"
            print(f"| {way} | {figures} |", flush=True)
    return 0


if __name__ == "__main__":
    cli.run(main)
