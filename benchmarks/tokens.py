"""How fast data sets are tokenized, beside a dictionary of bytes, in one run; and how fast nearest motifs are found.

Rates of one thread are those of processor time, which other programs of the machine disturb less.

The dictionary cuts each patch out and looks its bytes up. Both give the same ids wherever the vocabulary has the patch.

    python benchmarks/tokens.py --tokens 1_000_000_000
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from neuralpile import cli, simulation
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.motifs import extract
from neuralpile.training.nearest import Nearest
from neuralpile.training.tokens import Tokenizer
from neuralpile.training.vocabulary import FIRST_MOTIF

UNITS, BINS, BIN = 100, 100_003, 0.02
MOTIFS = 32_000
QUERIES = 20_000  # unique patches outside of the vocabulary whose nearest motif is looked for


def simulated(rng: np.random.Generator, mean_rate: float) -> np.ndarray:
    """A row of Poisson counts, lognormal rates around `mean_rate` Hz."""
    rates = simulation.lognormal_rates(UNITS, rng, mean_rate)
    return rng.poisson(rates[:, None] * BIN, (UNITS, BINS)).astype(np.uint8)


def dictionary(counts: np.ndarray, ids: dict[bytes, int], p_t: int) -> np.ndarray:
    """The id of each patch of one unit by its bytes, or -1."""
    counts = np.pad(counts, ((0, 0), (0, -counts.shape[1] % p_t)))
    return np.array(
        [[ids.get(unit[b : b + p_t].tobytes(), -1) for b in range(0, len(unit), p_t)] for unit in counts], np.int64
    )


def encoding(folder: Path, counts: np.ndarray, mean_rate: float) -> None:
    """Print how fast a row is encoded in one thread, with the vocabulary in a folder."""
    tokenizer = Tokenizer.from_pretrained(folder)
    patches = tokenizer.vocabulary.motifs.patches
    ids = {motif.tobytes(): FIRST_MOTIF + i for i, motif in enumerate(patches)}
    start = time.thread_time()
    expected = dictionary(counts, ids, 8)
    plain = time.thread_time() - start
    tokenizer.encode(counts[:, :100])
    start = time.thread_time()
    found = tokenizer.encode(counts)
    ours = time.thread_time() - start
    assert (found[expected >= 0] == expected[expected >= 0]).all()
    rate = counts.size / 1e6
    print(f"| {mean_rate:g} Hz | {rate / plain:.1f} | {rate / ours:,.0f} | {plain / ours:.0f} |", flush=True)


def command(folder: Path, mean_rate: float) -> None:
    """Print how fast the whole command is."""
    line = [sys.executable, "tokenize_dataset.py", "--p_n", "1", "--p_t", "8", "--repo_name", str(folder)]
    out = folder.with_name(f"{mean_rate:g}-out")
    start = time.perf_counter()
    process = subprocess.Popen([*line, "--out_dir", str(out)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - start
    assert status == 0
    facts = json.loads((out / "report.json").read_text())["all"]
    used = usage.ru_utime + usage.ru_stime
    rates = f"{facts['tokens'] / elapsed / 1e6:,.0f} | {used:.1f} | {facts['tokens'] / used / 1e6:,.0f}"
    print(f"| {mean_rate:g} Hz | {facts['exact']:.4%} | {elapsed:.1f} | {rates} |", flush=True)


def nearest(few: list[np.ndarray], mean_rate: float) -> None:
    """Print how many nearest motifs are found a second, in processor time of one core."""
    for shape in [(1, 10), (1, 15), (4, 4), (15, 1)]:
        counted = extract.count(few, *shape)
        others = counted.patches[MOTIFS:]
        if not len(others):
            continue
        tree = Nearest.of(counted.patches[:MOTIFS])
        tree.find(others[:1])
        chosen = others[:: max(1, len(others) // QUERIES)]
        start = time.thread_time()
        tree.find(chosen)
        rate = len(chosen) / (time.thread_time() - start)
        name = f"{mean_rate:g} Hz | {shape[0]} × {shape[1]} | {len(counted.patches):,}"
        print(f"| {name} | {rate / 1e3:,.0f} | {2e7 / rate / 120:.1f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = cli.parser(__doc__ or "", "python benchmarks/tokens.py --tokens 500_000_000")
    parser.add_argument("--tokens", type=int, default=1_000_000_000, help="of the corpus that the command tokenizes")
    given = parser.parse_args()
    n_rows = max(1, given.tokens // (UNITS * BINS))
    few: dict[float, list[np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as made:
        print("| data | exact | whole command, s | M tokens/s | processor, s | M tokens/s and core |")
        print("|---|--:|--:|--:|--:|--:|")
        for mean_rate in (5.0, 50.0):
            rng = np.random.default_rng(0)
            folder = Path(made) / f"{mean_rate:g}"

            made_rows = (Row(simulated(rng, mean_rate), "s", f"{i}", "segment_0") for i in range(n_rows))
            arrow.write_rows(folder / "a.arrow", made_rows, rows.SCHEMA)
            arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
            few[mean_rate] = [simulated(rng, mean_rate) for _ in range(5)]
            command(folder, mean_rate)
        print("\n| data | dictionary, M tokens/s | Tokenizer, one thread | times |\n|---|--:|--:|--:|")
        for mean_rate, some in few.items():
            encoding(Path(made) / f"{mean_rate:g}-out", some[0], mean_rate)
        print("\n| data | patch | unique | thousand/s and core | 20 million on 2 cores, min |\n|---|---|--:|--:|--:|")
        for mean_rate, some in few.items():
            nearest(some, mean_rate)


if __name__ == "__main__":
    main()
