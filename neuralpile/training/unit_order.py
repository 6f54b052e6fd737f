"""Orders of the units of a session: by similarity of their activity, by rate, and by brain area.

Similarity is the correlation of smoothed counts. Of a long session, stretches that are spread evenly over it are
compared, so its length does not matter. Units that do not spike, or always alike, come last, in the order of the file.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuralpile.compile import compiled

STRETCHES = 4_000  # of time in which units are compared
LONGEST = 25  # bins of a stretch: half a second of bins of 20 ms. What is longer is not compared as a whole:
WINDOWS = 40  # parts of it are, of STRETCHES / WINDOWS stretches each
SMOOTH = 3.0  # bins: standard deviation of a Gaussian. With 2 to 5, 20 s are enough to separate units that share a 1 Hz
# rhythm, at mean rates of 3 Hz, from others; without smoothing it takes 80 s
NEIGHBOURS = 10  # most similar units of each that are tried as its neighbours
MOVED = 3  # units that are moved together, at most
ROUNDS = 1_000  # of improvements, at most; 8 are usual
LEAST = 1e-9  # of an improvement: more than rounding errors


class Activity(NamedTuple):
    """Spikes of units in stretches of time.

    Attributes:
        summed: spikes (units, stretches), int64.
        lengths: bins of each stretch, (stretches,); they can differ by one.
    """

    summed: NDArray[np.int64]
    lengths: NDArray[np.int64]


def sums(counts: NDArray[np.uint8], n: int) -> NDArray[np.int64]:
    """Sum counts (units, bins) over at most `n` stretches of time of about equal length: (units, stretches), int64.

    Nothing of the size of `counts` is allocated.
    """
    n_units, n_bins = counts.shape
    edges = _edges(n_bins, n)
    summed = np.zeros((n_units, len(edges) - 1), np.int64)
    _add(counts, edges, summed)
    return summed


def _edges(n_bins: int, n: int) -> NDArray[np.int64]:
    n = min(n, n_bins)
    return np.arange(n + 1) * n_bins // max(1, n)


@compiled
def _add(counts: NDArray[np.uint8], edges: NDArray[np.int64], summed: NDArray[np.int64]) -> None:
    """Add the counts between edges. `numpy.add.reduceat` takes four times as long, because it converts each count."""
    for unit in range(len(counts)):
        for i in range(len(edges) - 1):
            total = 0
            for place in range(edges[i], edges[i + 1]):
                total += counts[unit, place]
            summed[unit, i] = total


def activity(parts: Sequence[NDArray[np.uint8]]) -> Activity:
    """Add up the spikes of a session in at most `STRETCHES` stretches of time, and a few more.

    Of more than `STRETCHES` × `LONGEST` bins, windows that are spread evenly over them are read, and no others.

    Parameters:
        parts: counts (units, bins), uint8, of the same units; at least one.
    """
    n_bins = sum(part.shape[1] for part in parts)
    window = n_bins if n_bins <= STRETCHES * LONGEST else STRETCHES * LONGEST // WINDOWS
    found = []
    for part in parts:
        width = part.shape[1]
        n_windows = 1 if window >= width else max(1, round(WINDOWS * width / n_bins))
        for start in np.linspace(0, max(0, width - window), n_windows).astype(int).tolist():
            read = part[:, start : start + window]
            share = read.shape[1] / max(1, min(n_bins, STRETCHES * LONGEST))
            n = max(1, round(STRETCHES * share))
            found.append(Activity(sums(read, n), np.diff(_edges(read.shape[1], n))))
    if len(found) == 1:
        return found[0]
    return Activity(np.concatenate([its.summed for its in found], 1), np.concatenate([its.lengths for its in found]))


def by_rate(spikes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order of units (units,) in which the most active comes first.

    Example:
        >>> by_rate(np.array([2, 0, 7])).tolist()
        [2, 0, 1]
    """
    return np.argsort(-spikes, kind="stable")


def by_area(areas: Sequence[str | None]) -> NDArray[np.int64]:
    """Return the order of units (units,) by the name of their area; units without an area come last.

    Units of one area keep the order of the file.

    Example:
        >>> by_area(["V4", None, "V1", "V4"]).tolist()
        [2, 0, 3, 1]
    """
    keys = sorted(range(len(areas)), key=lambda unit: ((area := areas[unit]) is None, area or ""))
    return np.array(keys, np.int64)


def smoothed(active: Activity, bins: float = SMOOTH) -> NDArray[np.float32]:
    """Smooth spikes a bin with a Gaussian of this standard deviation, where stretches are short: (units, stretches)."""
    from scipy.ndimage import gaussian_filter1d  # takes a third of a second to import

    # Sums over stretches of 2 and of 3 bins would be similar for all units that spike a lot.
    rates = np.divide(active.summed, active.lengths, dtype=np.float32)
    return gaussian_filter1d(rates, bins / active.lengths.mean(), axis=1, output=rates, mode="nearest")


def correlations(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the correlations of the rows of `values`, none of which is constant: (rows, rows).

    They are exact to about 1e-6: numpy.corrcoef, in double precision, takes twice the time and the memory.
    """
    centred = values - values.mean(axis=1, keepdims=True)
    centred /= np.sqrt(np.einsum("ij,ij->i", centred, centred))[:, None]
    found: NDArray[np.float32] = centred @ centred.T
    return found.astype(np.float64)


def by_similarity(active: Activity) -> NDArray[np.int64]:
    """Return an order of units (units,) in which those with similar activity are neighbours; silent ones come last.

    Similarity is the correlation of activity, smoothed over `SMOOTH` bins. Of the measures in benchmarks/unit_order.py,
    whose orders of the first half of a session are compared in the second half, it makes neighbours most similar in
    simulated populations and in macaque motor cortex (0.124 and 0.121). Smoothing over 1 or 10 bins gives 0.114 to
    0.117 and 0.116 to 0.100, the cosine 0.119 and 0.119, and Ward's tree with optimal leaves 0.122 and 0.117.
    """
    if not active.summed.size:
        return np.arange(len(active.summed))
    smooth = smoothed(active)
    varies = np.ptp(smooth, axis=1) > 1e-6 * smooth.max(axis=1)  # more than rounding errors
    alive, silent = np.flatnonzero(varies), np.flatnonzero(~varies)
    if len(alive) > 2:
        alive = alive[path(correlations(smooth[alive]))]
    return np.concatenate([alive, silent])


def path(similarity: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return an order in which the sum of the similarities of neighbours is large.

    It begins with the leaves of a tree of average linkage and is improved as a tour of a travelling salesman is: parts
    of it are turned round (2-opt; Croes 1958, Oper Res 6:791), and up to `MOVED` units move to another place (Or-opt;
    Or 1976), while that makes the sum larger. Neighbours are sought among the `NEIGHBOURS` most similar units (Johnson
    & McGeoch 1997, in Aarts & Lenstra, Local Search in Combinatorial Optimization). An optimal order of the leaves
    (Bar-Joseph, Gifford & Jaakkola 2001, Bioinformatics 17:S22) takes a thousand times as long for a thousand units,
    and its sum is smaller, because it keeps to the tree.

    Parameters:
        similarity: (units, units) float64, symmetric; at least two units.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distances = squareform(similarity.max() - similarity, checks=False)
    order = leaves_list(linkage(distances, "average")).astype(np.int64)
    pairs = np.array(similarity, np.float64, order="C")
    np.fill_diagonal(pairs, -np.inf)
    n = min(NEIGHBOURS, len(pairs) - 1)
    near = np.argpartition(-pairs, n - 1, axis=1)[:, :n].astype(np.int64)
    nearest_first = np.argsort(-np.take_along_axis(pairs, near, axis=1), axis=1, kind="stable")
    near = np.take_along_axis(near, nearest_first, axis=1)
    place = np.argsort(order)
    for _ in range(ROUNDS):
        if not (_turn(pairs, order, place, near) | _move(pairs, order, place, near)):
            break
    return order


@compiled
def _turn(
    similarity: NDArray[np.float64], order: NDArray[np.int64], place: NDArray[np.int64], near: NDArray[np.int64]
) -> bool:
    """Turn parts of an order round, wherever that makes a unit the neighbour of a similar one, and the sum larger."""
    n, improved = len(order), False
    for a in range(n):
        for b in near[a]:
            for step in (1, -1):  # what follows a and b, or what precedes them, become neighbours too
                i, j = place[a], place[b]
                after_a, after_b = i + step, j + step
                if after_a == j or after_b == i:
                    continue
                gain = similarity[a, b]
                if 0 <= after_a < n:
                    gain -= similarity[a, order[after_a]]
                if 0 <= after_b < n:
                    gain -= similarity[b, order[after_b]]
                if 0 <= after_a < n and 0 <= after_b < n:
                    gain += similarity[order[after_a], order[after_b]]
                if gain > LEAST:
                    low, high = min(i, j), max(i, j)
                    if step == 1:
                        low += 1
                    else:
                        high -= 1
                    order[low : high + 1] = order[low : high + 1][::-1].copy()
                    for k in range(low, high + 1):
                        place[order[k]] = k
                    improved = True
    return improved


@compiled
def _move(
    similarity: NDArray[np.float64], order: NDArray[np.int64], place: NDArray[np.int64], near: NDArray[np.int64]
) -> bool:
    """Move units, alone or with the next ones, beside a similar unit, wherever that makes the sum larger."""
    n, improved = len(order), False
    for length in range(1, min(MOVED, n - 1) + 1):
        for start in range(n - length + 1):
            moved = order[start : start + length].copy()
            rest = np.append(order[:start], order[start + length :])
            gap = 0.0  # what the sum gains where they were
            if start > 0:
                gap -= similarity[rest[start - 1], moved[0]]
            if start < len(rest):
                gap -= similarity[moved[-1], rest[start]]
            if 0 < start < len(rest):
                gap += similarity[rest[start - 1], rest[start]]
            best, best_to, best_turned = LEAST, -1, False
            for end in (0, length - 1):
                for c in near[moved[end]]:
                    at = place[c]
                    if start <= at < start + length:
                        continue
                    at -= length * (at > start)  # in the rest
                    for to in (at, at + 1):  # before it, and after it: the end that is beside it is given
                        other = rest[to - 1] if to == at and to > 0 else rest[to] if to > at and to < len(rest) else -1
                        gain = gap + similarity[moved[end], c]
                        if other >= 0:
                            gain += similarity[moved[length - 1 - end], other] - similarity[c, other]
                        if gain > best:
                            best, best_to, best_turned = gain, to, (end == 0) == (to == at) and length > 1
            if best_to >= 0:
                if best_turned:
                    moved = moved[::-1].copy()
                order[:best_to] = rest[:best_to]
                order[best_to : best_to + length] = moved
                order[best_to + length :] = rest[best_to:]
                for k in range(n):
                    place[order[k]] = k
                improved = True
    return improved
