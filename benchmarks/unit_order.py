"""How fast units are ordered by similarity, beside scipy's optimal order of leaves, in one run; which measure to use.

Both ways get the same counts of a session and the same measure, the correlation of smoothed counts. Optimal leaves:
a tree of average linkage, and `optimal_leaf_ordering` (Bar-Joseph et al. 2001). Each runs in a process of its own; its
order is checked to have a sum of neighbours' similarities that is not larger than ours.

The second table compares measures, trees and ways from a tree to an order on the first half of a session, by the
second half: the mean correlation of neighbours, and the entropy of 15 × 1 motifs.

    python benchmarks/unit_order.py --recordings session.nwb
"""

import multiprocessing
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from neuralpile import cli, simulation
from neuralpile.motifs import extract, summary
from neuralpile.recordings import nwb
from neuralpile.spikes.session import Options
from neuralpile.training import unit_order

UNITS = (96, 256, 1_024, 1_734)  # median, 95 %, 99 % and largest of the rows of the real corpus, about
TOKENS, BIN = 10_000_000, 0.02
LATENTS = 8  # rhythms that units share
Order = NDArray[np.int64]
Values = NDArray[np.float64]


def simulated(n_units: int, n_bins: int, seed: int = 0) -> NDArray[np.uint8]:
    """Poisson counts of units with lognormal rates around 5 Hz, each of which follows some of a few slow processes."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((LATENTS, n_bins // 10 + 2))
    latent = np.stack([np.interp(np.arange(n_bins) / 10, np.arange(len(step)), step) for step in steps])
    weights = rng.standard_normal((n_units, LATENTS)) * (rng.random((n_units, LATENTS)) < 0.25) * 0.7
    rates = simulation.lognormal_rates(n_units, rng) * BIN
    counts = np.empty((n_units, n_bins), np.uint8)
    for unit, weight, rate in zip(counts, weights, rates, strict=True):
        unit[:] = rng.poisson(rate * np.exp(weight @ latent - (weight**2).sum() / 2))
    return counts


def similarity(counts: NDArray[np.uint8], smooth: float = unit_order.SMOOTH) -> Values:
    """The correlation of smoothed counts; 0 for units that do not vary."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(unit_order.correlations(unit_order.smoothed(unit_order.activity([counts]), smooth)))


def ours(counts: NDArray[np.uint8]) -> Order:
    """The order of `--by similarity`."""
    return unit_order.by_similarity(unit_order.activity([counts]))


def optimal_leaves(counts: NDArray[np.uint8]) -> Order:
    """The plain way."""
    pairs = similarity(counts)
    distances = squareform(pairs.max() - pairs, checks=False)
    return leaves_list(optimal_leaf_ordering(linkage(distances, "average"), distances)).astype(np.int64)


def neighbours(pairs: Values, order: Order) -> float:
    """The sum of the similarities of neighbours."""
    return float(pairs[order[:-1], order[1:]].sum())


def measured(way: Callable[[NDArray[np.uint8]], Order], n_units: int) -> tuple[Order, float, float]:
    """In a process of its own: the order of a way, its processor time, and the MB that it needs beyond the counts."""
    counts = simulated(n_units, TOKENS // n_units)
    way(np.ascontiguousarray(counts[:40, :2_000]))  # imports and compiles
    peak()
    before = peak()
    start = time.process_time()
    order = way(counts)
    return order, time.process_time() - start, peak() - before


def peak() -> float:
    """The most memory of this process since the last call, in MB (Linux: `clear_refs` and `VmHWM` of proc(5))."""
    found = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1e3  # type: ignore[index]
    Path("/proc/self/clear_refs").write_text("5")
    return found


def speed() -> None:
    """Print the table of seconds, memory and sums."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of the processes that measure: waiting threads count as processor time
    print("| units | optimal leaves, s | MB | sum | ours, s | MB | sum | times faster |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for n_units in UNITS:
        pairs = similarity(simulated(n_units, TOKENS // n_units))
        cells, sums, seconds = [], [], []
        for way in (optimal_leaves, ours):
            spawn = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=spawn) as alone:
                order, elapsed, memory = alone.submit(measured, way, n_units).result()
            assert sorted(order) == list(range(n_units))
            sums.append(neighbours(pairs, order))
            seconds.append(elapsed)
            cells += [f"{elapsed:.3f}", f"{memory:.0f}", f"{sums[-1]:.2f}"]
        assert sums[1] >= sums[0], "ours has the larger sum"
        print(f"| {n_units:,} | {' | '.join(cells)} | {seconds[0] / seconds[1]:.0f} |", flush=True)


def entropy(frequencies: NDArray[np.int64]) -> float:
    """Entropy of a patch, in bits, from how often each motif occurs: (motifs,)."""
    return summary.entropy(np.stack(np.unique(frequencies, return_counts=True), axis=1))


def bits(counts: NDArray[np.uint8]) -> float:
    """Entropy of 15 × 1 motifs, bits a token."""
    return entropy(extract.count([np.ascontiguousarray(counts)], 15, 1).frequencies) / 15


def correlated(smooth: float) -> Callable[[NDArray[np.uint8]], Values]:
    """The correlation of counts smoothed over so many bins."""
    return lambda counts: similarity(counts, smooth)


def cosine(counts: NDArray[np.uint8]) -> Values:
    """The cosine of smoothed counts, whose mean is not subtracted."""
    smooth = unit_order.smoothed(unit_order.activity([counts]))
    norm = np.sqrt((smooth**2).sum(axis=1))
    return smooth @ smooth.T / np.maximum(np.outer(norm, norm), 1e-12)


def leaves(method: str, optimal: bool) -> Callable[[Values], Order]:
    """The leaves of a tree, as they are or in their optimal order."""

    def order(pairs: Values) -> Order:
        distances = squareform(pairs.max() - pairs, checks=False)
        tree = linkage(distances, method)
        return leaves_list(optimal_leaf_ordering(tree, distances) if optimal else tree).astype(np.int64)

    return order


CHOICES: dict[str, tuple[Callable[..., Any] | None, Callable[..., Order] | None]] = {
    "as in the file": (None, None),
    "rate": (lambda counts: counts.sum(axis=1, dtype=np.int64), unit_order.by_rate),
    "correlation, 3 bins; ours": (correlated(3), unit_order.path),
    "correlation, no smoothing; ours": (correlated(0.01), unit_order.path),
    "correlation, 1 bin; ours": (correlated(1), unit_order.path),
    "correlation, 10 bins; ours": (correlated(10), unit_order.path),
    "cosine, 3 bins; ours": (cosine, unit_order.path),
    "correlation, 3 bins; average, optimal leaves": (correlated(3), leaves("average", True)),
    "correlation, 3 bins; Ward, optimal leaves": (correlated(3), leaves("ward", True)),
    "correlation, 3 bins; average": (correlated(3), leaves("average", False)),
    "correlation, 3 bins; Ward": (correlated(3), leaves("ward", False)),
}


def choices(sessions: dict[str, list[NDArray[np.uint8]]]) -> None:
    """Print how good the orders of the first halves of sessions are for the second halves, means over sessions."""
    print(f"\n| order | {' | '.join(f'{name}: neighbours | bits' for name in sessions)} |")
    print("|---|" + "--:|--:|" * len(sessions))
    for name, (measure, way) in CHOICES.items():
        cells = []
        for its in sessions.values():
            found = []
            for counts in its:
                half = counts.shape[1] // 2
                first, second = np.ascontiguousarray(counts[:, :half]), np.ascontiguousarray(counts[:, half:])
                silent = ~first.any(axis=1)
                order = np.arange(len(counts))
                if measure and way:
                    alive = np.flatnonzero(~silent)
                    order = np.append(alive[way(measure(first[alive]))], np.flatnonzero(silent))
                found.append((neighbours(similarity(second), order) / (len(order) - 1), bits(second[order])))
            cells += [f"{value:.4f}" for value in np.mean(found, axis=0)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = cli.parser(__doc__ or "", "python benchmarks/unit_order.py")
    what = "NWB files for a column of the second table; can be given several times"
    parser.add_argument("--recordings", type=Path, nargs="+", action="append", default=[], help=what)
    given = parser.parse_args()
    speed()
    sessions = {"simulated": [simulated(n_units, 2_000_000 // n_units, seed) for seed, n_units in enumerate((96, 256))]}
    for paths in given.recordings:
        sessions[paths[0].stem] = [nwb.count_units(path, Options()).counts for path in paths]
    choices(sessions)


if __name__ == "__main__":
    main()
