"""What a data set of many small sessions costs, each in an Arrow file of its own: processor time of whole commands.

Every command runs in a process of its own, and its time includes imports. It should grow as the number of sessions.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from neuralpile import cli
from neuralpile.catalog import ROOT
from neuralpile.corpus import arrow, rows, tables
from neuralpile.corpus.rows import Row

NAME = "m1-a"  # which the page knows
SUBJECTS, SHAPE = 100, (2, 50)
WARM = 10  # sessions, of which each command runs first: numba compiles


def build(folder: Path, n: int) -> None:
    """A data set of n sessions of Poisson counts with tables, as its preprocess.py would leave it."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.3, (n, *SHAPE)).astype(np.uint8)
    made = [Row(counts[i], f"sub-{i % SUBJECTS}", f"ses-{i}", "segment_0") for i in range(n)]
    (folder / "rows").mkdir(parents=True)
    files = [folder / "rows" / f"{i}.arrow" for i in range(n)]
    for path, row in zip(files, made, strict=True):
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, rows.SCHEMA) as writer:
            writer.write_batch(rows.to_record_batch(row))
    tables.write(folder, _table(tables.SESSIONS, map(_session, made)), _table(tables.UNITS, _units(made)))
    arrow.finish(folder, files, rows.SCHEMA, NAME * 16)


def _table(schema: pa.Schema, lines: Iterator[Mapping[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(list(lines), schema)


def _session(row: Row) -> dict[str, object]:
    n_units, n_bins = row.counts.shape
    size = {"n_units": n_units, "n_bins": n_bins, "tokens": row.counts.size, "segments": 1, "bin_size": 0.02}
    return {**_names(row), **size, "spikes": int(row.counts.sum())}


def _units(made: list[Row]) -> Iterator[Mapping[str, object]]:
    for row in made:
        for unit, spikes in enumerate(row.counts.sum(axis=1)):
            yield {**_names(row), "unit": unit, "n_spikes": int(spikes)}


def _names(row: Row) -> dict[str, object]:
    return {"source_dataset": NAME, "subject_id": row.subject_id, "session_id": row.session_id}


def processor_time(folder: Path, *command: str) -> float:
    """Seconds that a script of ours takes; the local builds are in `folder`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "NEURALPILE_BUILD": str(folder)}
    done = subprocess.run(
        [sys.executable, str(ROOT / command[0]), *command[1:]], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Measure, and print a table."""
    parser = cli.parser(__doc__ or "", "python benchmarks/many_sessions.py --sessions 5000 20000")
    parser.add_argument("--sessions", type=cli.positive_int, nargs=2, metavar="N", default=[500, 2000], help="numbers")
    given = parser.parse_args()
    few, many = sorted(given.sessions)
    with tempfile.TemporaryDirectory() as made:
        folders = {n: Path(made, str(n)) for n in (WARM, few, many)}
        for n, folder in folders.items():
            build(folder / NAME, n)
        load = os.getloadavg()[0]
        print(
            f"load {load:.0f}\n\n| command | {few:,} sessions, s | {many:,}, s | times |\n|---|--:|--:|--:|", flush=True
        )
        out = str(Path(made, "out"))
        for title, command in {
            "merge": ("merge_datasets.py", "--components", NAME, "--out_dir", f"{out}-merged"),
            "merge --check": ("merge_datasets.py", "--check", "--out_dir", f"{out}-merged"),
            "page": ("visualize_dataset.py", "--report", "--out_dir", out),
            "summary": ("visualize_dataset.py", "--summary", "--repo_name", NAME, "--out_dir", out),
            "motifs, 1 × 8": ("extract_motifs.py", "--p_n", "1", "--p_t", "8", "--repo_name", NAME, "--out_dir", out),
        }.items():
            mine = {n: [part.replace(out, str(folder / "out")) for part in command] for n, folder in folders.items()}
            _, a, b = (processor_time(folder, *mine[n]) for n, folder in folders.items())
            print(f"| {title} | {a:.1f} | {b:.1f} | {b / a:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    cli.run(main)
