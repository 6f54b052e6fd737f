"""How fast data sets are tokenized, beside a dictionary of bytes, in one run; and how fast nearest motifs are found.

Rates of one thread are those of processor time, which other programs of the machine disturb less.

The dictionary cuts each patch out and looks its bytes up. Both give the same ids wherever the vocabulary has the patch.

    python benchmarks/tokens.py --tokens 1_000_000_000
    python benchmarks/tokens.py --measures simulated-pile --p_n 1 --p_t 8 --vocabulary 256
    python benchmarks/tokens.py --tokens 300_000_000 --figure docs/images/coverage.png
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from scipy.spatial import distance

from neuralpile import cli, files, simulation
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.motifs import extract
from neuralpile.open import open_data_set
from neuralpile.training.nearest import Nearest
from neuralpile.training.tokens import Tokenizer
from neuralpile.training.vocabulary import FIRST_MOTIF, UNK, fit_rows

UNITS, BINS, BIN = 100, 100_003, 0.02
MOTIFS = 32_000
ROUNDS = 3
QUERIES = 20_000  # unique patches outside of the vocabulary whose nearest motif is looked for


def simulated(rng: np.random.Generator, mean_rate: float) -> np.ndarray:
    """A row of Poisson counts, lognormal rates around `mean_rate` Hz."""
    rates = simulation.lognormal_rates(UNITS, rng, mean_rate)
    return rng.poisson(rates[:, None] * BIN, (UNITS, BINS)).astype(np.uint8)


def dictionary(counts: np.ndarray, ids: dict[bytes, int], p_n: int, p_t: int) -> np.ndarray:
    """The id of each patch by its bytes, or -1."""
    counts = np.pad(counts, ((0, -counts.shape[0] % p_n), (0, -counts.shape[1] % p_t)))
    if p_n == 1:
        groups = [[unit[b : b + p_t].tobytes() for b in range(0, len(unit), p_t)] for unit in counts]
    else:
        groups = [
            [counts[top : top + p_n, b : b + p_t].tobytes() for b in range(0, counts.shape[1], p_t)]
            for top in range(0, len(counts), p_n)
        ]
    return np.array([[ids.get(patch, -1) for patch in group] for group in groups], np.int64)


def timed(tokenizer: Tokenizer, counts: np.ndarray) -> float:
    """Processor time of a thread that encodes a row."""
    start = time.thread_time()
    tokenizer.encode(counts)
    return time.thread_time() - start


def mixed(folder: Path, tokens: int) -> None:
    """Write a corpus of three components whose rates are 2, 8 and 30 Hz, mean, and vary with time."""
    rng = np.random.default_rng(0)

    def made(n: int) -> Iterator[Row]:
        for i in range(n):
            mean_rate = (2.0, 8.0, 30.0)[i % 3]
            rates = simulation.lognormal_rates(UNITS, rng, mean_rate)
            slow = np.repeat(np.exp(0.4 * rng.standard_normal(BINS // 100 + 1) - 0.08), 100)[:BINS]
            counts = rng.poisson(rates[:, None] * slow * BIN).astype(np.uint8)
            yield Row(counts, "s", f"{i}", "segment_0", f"{mean_rate:g} Hz")

    for split, share in (("train", 0.8), ("test", 0.2)):
        path = folder / split / "a.arrow"
        arrow.write_rows(path, made(max(3, int(share * tokens) // (UNITS * BINS))), rows.MERGED_SCHEMA)
        arrow.finish(folder / split, [path], rows.MERGED_SCHEMA, "0" * 64, split)
    files.write_text(folder / arrow.SPLITS, json.dumps({"splits": ["train", "test"]}))


def figure(path: Path, tokens: int) -> None:
    """Tokenize a mixed corpus in patches of 1 × 10, print what is lost, and keep the figure of the coverage."""
    with tempfile.TemporaryDirectory() as made:
        mixed(Path(made) / "simulated", tokens)
        line = [sys.executable, "tokenize_dataset.py", "--p_n", "1", "--p_t", "10"]
        line += ["--repo_name", f"{made}/simulated", "--out_dir", f"{made}/out"]
        subprocess.run(line, check=True)
        shutil.copy(f"{made}/out/coverage.png", path)


def encoding(tokenizer: Tokenizer, some: list[np.ndarray], mean_rate: float) -> None:
    """Print how fast rows are encoded in one thread and in two at once, by their processor times, the best of several.

    Without the nearest motifs, only what the dictionary does is timed.
    """
    its = tokenizer.vocabulary
    ids = {motif.tobytes(): FIRST_MOTIF + i for i, motif in enumerate(its.motifs.patches)}
    start = time.thread_time()
    expected = dictionary(some[0], ids, its.p_n, its.p_t)
    plain = time.thread_time() - start
    found = tokenizer.encode(some[0])  # compiles
    assert (found[expected >= 0] == expected[expected >= 0]).all()
    exactly = tokenizer.lookup.find(some[0], nearest=False)[0]
    assert ((exactly == UNK) == (expected < 0)).all()
    one, bare, two = [], [], []
    with ThreadPoolExecutor(2) as pool:
        for _ in range(ROUNDS):
            start = time.thread_time()
            for counts in some:
                tokenizer.encode(counts)
            one.append((time.thread_time() - start) / len(some))
            start = time.thread_time()
            for counts in some:
                tokenizer.lookup.find(counts, nearest=False)
            bare.append((time.thread_time() - start) / len(some))
            two.append(sum(pool.map(timed, [tokenizer] * 2 * len(some), [*some, *some])) / len(some) / 4)
    rate = some[0].size / 1e6
    cells = [f"{rate / seconds:,.0f} | {plain / seconds:.0f}" for seconds in (min(bare), min(one), min(two))]
    shape = f"{its.p_n} × {its.p_t}"
    exact = (expected >= 0).mean()
    print(f"| {mean_rate:g} Hz | {shape} | {exact:.2%} | {rate / plain:.1f} | {' | '.join(cells)} |", flush=True)


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


def by_cosine(patches: np.ndarray, motifs: np.ndarray) -> np.ndarray:
    """The motif of the highest cosine, as the published tokenizer takes it."""
    norms = np.linalg.norm(motifs, axis=1)
    return np.argmax(patches @ (motifs / np.maximum(norms, 1)[:, None]).T, axis=1)


def by_difference(patches: np.ndarray, motifs: np.ndarray) -> np.ndarray:
    """The motif of the smallest sum of absolute differences of counts."""
    return np.argmin(distance.cdist(patches, motifs, "cityblock"), axis=1)


def by_deviance(patches: np.ndarray, motifs: np.ndarray) -> np.ndarray:
    """The motif of the smallest Poisson deviance (McCullagh & Nelder 1989, 2.3); a count of 0 stands for a mean of 0.1.

    What depends on the patch alone is left out.
    """
    means = np.maximum(motifs, 0.1)
    return np.argmin(means.sum(axis=1) - patches @ np.log(means).T, axis=1)


def measures(reference: str, p_n: int, p_t: int, size: int) -> None:
    """Print what ways to choose a motif change, where half of the bins of each row is fitted and the other encoded."""
    counted = [row.counts for row in open_data_set(reference)]
    tokenizer = Tokenizer(fit_rows([counts[:, : counts.shape[1] // 2] for counts in counted], p_n, p_t, size))
    motifs = tokenizer.vocabulary.motifs.patches
    halves = [counts[:, counts.shape[1] // 2 :] for counts in counted]
    held = [tokenizer.lookup.find(half, nearest=False) for half in halves]
    rates = np.concatenate([_by_group(half, p_n) for half in halves])
    ways = {"cosine": by_cosine, "sum of differences": by_difference, "Poisson deviance": by_deviance}
    for name in ["spikes, then time", *ways]:
        gained = lost = error = shift = moved = n = 0.0
        net_of_groups, first = np.zeros(len(rates)), 0
        for ids, other in held:
            if len(other.places):
                patches = other.counts(p_n * p_t)
                if name in ways:
                    flat = motifs.reshape(len(motifs), -1).astype(np.float32)
                    parts = np.array_split(patches.astype(np.float32), len(patches) // 500 + 1)
                    chosen = np.concatenate([ways[name](part, flat) for part in parts])
                else:
                    chosen = tokenizer.lookup._nearest.find(patches.reshape(-1, p_n, p_t))
                new, old = (x.reshape(-1, p_n, p_t).astype(float) for x in (motifs[chosen], patches))
                times = other.table.frequencies
                net = (new - old).sum(axis=2)
                gained += np.maximum(net, 0).sum(axis=1) @ times
                lost += np.maximum(-net, 0).sum(axis=1) @ times
                error += np.abs(new - old).sum(axis=(1, 2)) @ times
                n += times.sum()
                both = new.any(axis=2) & old.any(axis=2)
                shares = [np.cumsum(x / np.maximum(x.sum(axis=2, keepdims=True), 1), axis=2) for x in (new, old)]
                shift += (np.abs(shares[0] - shares[1]).sum(axis=2) * both).sum(axis=1) @ times
                moved += both.sum(axis=1) @ times
                np.add.at(net_of_groups, first + other.places // ids.shape[1], net.sum(axis=1)[other.which])
            first += len(ids)
        rate_error = np.abs(net_of_groups).sum() / rates.sum()
        figures = f"{gained / n:.3f} | {lost / n:.3f} | {error / n / p_n / p_t:.3f} | {rate_error:.3%}"
        print(f"| {name} | {n:,.0f} | {figures} | {shift / max(1, moved):.2f} |", flush=True)


def _by_group(counts: np.ndarray, p_n: int) -> np.ndarray:
    """The spikes of each group of units."""
    return np.add.reduceat(counts.sum(axis=1, dtype=np.int64), np.arange(0, len(counts), p_n))


def main() -> None:
    """Print the tables."""
    parser = cli.parser(__doc__ or "", "python benchmarks/tokens.py --tokens 500_000_000")
    parser.add_argument("--tokens", type=int, default=1_000_000_000, help="of the corpus that the command tokenizes")
    parser.add_argument("--measures", metavar="REF", help="compare measures of the nearest motif on a data set instead")
    parser.add_argument("--p_n", type=int, default=1, help="units of a patch, with --measures")
    parser.add_argument("--p_t", type=int, default=8, help="bins of a patch, with --measures")
    parser.add_argument("--vocabulary", type=int, default=256, help="motifs, with --measures")
    parser.add_argument("--figure", type=Path, help="draw the coverage of 1 × 10 on a mixed corpus instead")
    given = parser.parse_args()
    if given.figure:
        figure(given.figure, given.tokens)
        return
    if given.measures:
        print("| measure | patches | gained | lost | count error | change of rates | shift, bins |")
        print("|---|--:|--:|--:|--:|--:|--:|")
        measures(given.measures, given.p_n, given.p_t, given.vocabulary)
        return
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
        titles = ["data", "patch", "exact", "dictionary, M tokens/s", "without nearest", "times"]
        titles += ["one thread", "times", "two threads", "times"]
        print(f"\n| {' | '.join(titles)} |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
        for mean_rate, some in few.items():
            encoding(Tokenizer.from_pretrained(Path(made) / f"{mean_rate:g}-out"), some, mean_rate)
            for shape in [(1, 10), (1, 15), (4, 4)]:
                encoding(Tokenizer(fit_rows(some[1:], *shape, MOTIFS)), some[:1], mean_rate)
        print("\n| data | patch | unique | thousand/s and core | 20 million on 2 cores, min |\n|---|---|--:|--:|--:|")
        for mean_rate, some in few.items():
            nearest(some, mean_rate)


if __name__ == "__main__":
    main()
