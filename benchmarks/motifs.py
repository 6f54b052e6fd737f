"""How fast motifs are counted, beside a Python loop with a Counter and numpy.unique, in one run.

The results of all are checked to be equal; the plain ways count a part of the rows, and the rates are compared.

    python benchmarks/motifs.py --tokens 100_000_000
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from neuralpile import motifs, simulation

UNITS, BINS, BIN = 100, 100_000, 0.02
SHAPES = [(1, 8), (1, 10), (1, 15), (15, 1), (4, 4), (1, 32)]


def simulated_rows(n_tokens: int, mean_rate: float) -> list[np.ndarray]:
    """Rows of Poisson counts, lognormal rates around `mean_rate` Hz."""
    rng = np.random.default_rng(0)
    rates = [simulation.lognormal_rates(UNITS, rng, mean_rate) for _ in range(n_tokens // (UNITS * BINS))]
    return [rng.poisson(rate[:, None] * BIN, (UNITS, BINS)).astype(np.uint8) for rate in rates]


def counter_loop(rows: list[np.ndarray], p_n: int, p_t: int) -> dict[bytes, int]:
    """The plain way: a Counter over the bytes of each patch."""
    counter: Counter[bytes] = Counter()
    for counts in rows:
        n_units, n_bins = counts.shape
        for unit in range(0, n_units, p_n):
            for b in range(0, n_bins, p_t):
                patch = counts[unit : unit + p_n, b : b + p_t]
                if patch.shape != (p_n, p_t):
                    patch = np.pad(patch, ((0, p_n - patch.shape[0]), (0, p_t - patch.shape[1])))
                counter[patch.tobytes()] += 1
    return counter


def numpy_unique(rows: list[np.ndarray], p_n: int, p_t: int) -> dict[bytes, int]:
    """numpy.unique over the patches of all rows."""
    patches = np.concatenate([motifs.patch_words(counts, p_n, p_t) for counts in rows])
    keys, frequencies = np.unique(patches, axis=0 if patches.shape[1] > 1 else None, return_counts=True)
    keys = keys.reshape(len(frequencies), -1).view(np.uint8)[:, : p_n * p_t]
    return {key.tobytes(): int(n) for key, n in zip(keys, frequencies, strict=True)}


def ours(rows: list[np.ndarray], p_n: int, p_t: int) -> dict[bytes, int]:
    """The library's count, as a dictionary."""
    counted = motifs.count(rows, p_n, p_t)
    return {key.tobytes(): int(n) for key, n in zip(counted.patches, counted.frequencies, strict=True)}


def seconds(work: Callable[[], object], runs: int) -> float:
    """Median time of a call."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=100_000_000, help="what ours counts")
    parser.add_argument("--plain_tokens", type=int, default=10_000_000, help="what the plain ways count")
    given = parser.parse_args()
    print("| data | patch | unique | Counter, M/s | numpy.unique, M/s | ours, M/s | times the Counter |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for data, mean_rate in [("5 Hz", 5.0), ("dense", 60.0)]:
        rows = simulated_rows(given.tokens, mean_rate)
        few = rows[: max(1, given.plain_tokens // (UNITS * BINS))]
        for shape in SHAPES:
            motifs.count([few[0][:15, :32]], *shape)  # compiles
            assert counter_loop(few, *shape) == numpy_unique(few, *shape) == ours(few, *shape)
            plain = seconds(lambda few=few, shape=shape: counter_loop(few, *shape), 1) / len(few)
            unique = seconds(lambda few=few, shape=shape: numpy_unique(few, *shape), 1) / len(few)
            fast = seconds(lambda rows=rows, shape=shape: motifs.count(rows, *shape), 3) / len(rows)
            counted = motifs.count(rows, *shape)
            patches = counted.total / len(rows) / 1e6
            rates = " | ".join(f"{patches / t:,.1f}" for t in (plain, unique, fast))
            print(
                f"| {data} | {shape[0]} × {shape[1]} | {len(counted.frequencies):,} | {rates} | {plain / fast:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
