"""Count spikes: spike times into bins, and fine bins into coarse ones.

Counts are matrices (units, bins) of uint8, the type of the published corpus. Every function reports how many spikes it
left out.
"""

from dataclasses import dataclass

import numpy as np

from neuralpile.cli import plural
from neuralpile.compile import compiled
from neuralpile.errors import Mismatch
from neuralpile.spikes import clock

LARGEST = 255  # of a uint8
LARGEST_WHOLE = 2**53  # of the whole numbers that float64 holds exactly


@dataclass(frozen=True)
class Binned:
    """Counts, and the spikes that are not in them.

    Attributes:
        counts: (units, bins), uint8.
        before_start: spikes before the first bin, mostly at negative times.
        not_finite: spike times that are NaN or infinite.
        after_end: spikes after the last edge; only with `as_published`.
        in_tail: spikes in fine bins at the end that do not fill a bin.
        above_largest: spikes above 255 in a bin; with `as_published`, how often a bin wrapped to 0.
    """

    counts: np.ndarray
    before_start: int = 0
    not_finite: int = 0
    after_end: int = 0
    in_tail: int = 0
    above_largest: int = 0

    def notes(self, as_published: bool = False) -> list[str]:
        """What a user should know about these counts, one sentence each."""
        above = ("time", "a bin passed 255 and wrapped to 0, as published")
        if not as_published:
            above = ("spike", "above 255 in a bin left out: the bin stays at 255")
        counted = [
            (self.before_start, "spike", "before the first bin left out"),
            (self.not_finite, "NaN or infinite spike time", "left out"),
            (self.after_end, "spike", "after the last published bin edge left out"),
            (self.in_tail, "spike", "in fine bins at the end, which fill no bin, left out"),
            (self.above_largest, *above),
        ]
        return [f"{plural(n, noun)} {what}" for n, noun, what in counted if n]


def bin_edges(t_max: float, bin_size: float, as_published: bool = False) -> np.ndarray:
    """Edges of the bins of a session whose last spike is at `t_max` seconds: (bins + 1,), float64.

    They are those of the published corpus, `arange(0, t_max + bin_size, bin_size)`, and the last bin is closed.
    Rounding can leave the last edge just below `t_max`, and the last spike would be lost: that edge is moved to
    `t_max`, except with `as_published`.

    Example:
        >>> bin_edges(0.05, 0.02).tolist()
        [0.0, 0.02, 0.04, 0.06]
    """
    edges = np.arange(0.0, t_max + bin_size, bin_size)
    if len(edges) == 1:  # all spikes at 0 s
        edges = np.array([0.0, bin_size])
    if not as_published:
        edges[-1] = max(edges[-1], t_max)
    return edges


def bin_spikes(times: np.ndarray, ends: np.ndarray, bin_size: float, as_published: bool = False) -> Binned:
    """Count the spikes of every unit in bins of `bin_size` seconds, from 0 s to the session's last spike.

    Equal to `numpy.histogram` of every unit's spike train with the edges of `bin_edges`, in one pass over all spikes.

    Parameters:
        times: spike times in seconds, float64 (spikes,): the spike trains of all units, one after the other. A
            train need not be sorted.
        ends: int64 (units,): where each unit's train ends in `times`; the first begins at 0.
        bin_size: width of a bin in seconds.
        as_published: reproduce the published values: counts wrap modulo 256 instead of staying at 255, and a unit
            with a NaN does not count when the end of the session is determined.

    Returns:
        Binned, with counts (units, bins). There are no bins if no spike is at or after 0 s.

    Raises:
        Mismatch: the last spike is after `clock.LONGEST` seconds, or the ends do not fit the times.

    Example:
        >>> bin_spikes(np.array([0.01, 0.03, 0.02]), np.array([2, 3]), 0.02).counts.tolist()
        [[1, 1], [0, 1]]
    """
    clock.check_ends(ends, times.size)
    t_max = _last_spike(times, ends, as_published)
    if t_max > clock.LONGEST:
        expected = f"spike times in seconds, at most {clock.LONGEST:,.0f} s (7 days)"
        raise Mismatch(expected, f"a spike at {clock.shown(t_max)}")
    edges = bin_edges(t_max, bin_size, as_published) if t_max >= 0 else np.array([0.0])
    return count_between(times, ends, edges, as_published)


def count_between(times: np.ndarray, ends: np.ndarray, edges: np.ndarray, as_published: bool = False) -> Binned:
    """Count the spikes of every unit between edges in seconds, ascending and evenly spaced; the last bin is closed.

    The other parameters, the result and the errors are those of `bin_spikes`.
    """
    clock.check_ends(ends, times.size)
    counts = np.zeros((len(ends), len(edges) - 1), np.uint8)
    per_second = 1.0 / (edges[1] - edges[0]) if len(edges) > 1 else 1.0
    before, not_finite, after, above = _count(times, ends, edges, per_second, not as_published, counts)
    return Binned(counts, int(before), int(not_finite), int(after), above_largest=int(above))


def _last_spike(times: np.ndarray, ends: np.ndarray, as_published: bool) -> float:
    """The largest finite spike time in seconds; -inf if there is none."""
    t_max = float(times.max(initial=-np.inf))
    if np.isfinite(t_max):
        return t_max
    wrong = ~np.isfinite(times)
    if as_published:
        wrong = np.isin(_unit_of_spike(ends), _unit_of_spike(ends)[wrong])
    return float(times[~wrong].max(initial=-np.inf))


def _unit_of_spike(ends: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))


@compiled
def _count(times, ends, edges, per_second, saturate, counts):  # type: ignore[no-untyped-def]
    """Add every spike to its bin. Return the numbers of spikes before the bins, not finite, after them, above 255."""
    n_bins = len(edges) - 1
    first_edge, last_edge = edges[0], edges[n_bins]
    before = not_finite = after = above = 0
    start = 0
    for unit in range(len(ends)):
        train = counts[unit]
        for spike in range(start, ends[unit]):
            t = times[spike]
            if n_bins == 0 or not first_edge <= t <= last_edge:
                if not np.isfinite(t):
                    not_finite += 1
                elif t < first_edge:
                    before += 1
                else:
                    after += 1
                continue
            # The quotient is at most one bin off, because 0.02 is no binary number; the edges decide, for many
            # recordings have spikes exactly on edges. The last bin is closed.
            i = min(int((t - first_edge) * per_second), n_bins - 1)
            if t < edges[i]:
                i -= 1
            elif i + 1 < n_bins and t >= edges[i + 1]:
                i += 1
            if train[i] == 255:
                above += 1
                if saturate:
                    continue
            train[i] += 1
        start = ends[unit]
    return before, not_finite, after, above


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """Counts that are stored as floating point numbers, as int64; integers as they are, in the machine's byte order.

    Raises:
        Mismatch: a value is not a whole number, or larger than float64 holds exactly (2**53).

    Example:
        >>> whole_numbers(np.array([0.0, 3.0]))
        array([0, 3])
    """
    if values.dtype.kind != "f":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.itemsize == 2:
        values = values.astype(np.float32)  # float16 holds no number as large as the limit
    wrong = values[~((values == np.rint(values)) & (np.abs(values) <= LARGEST_WHOLE))]
    if wrong.size:
        raise Mismatch("counts, whole numbers", "infinity" if np.isinf(wrong[0]) else f"{wrong[0]:.4g}")
    return values.astype(np.int64)


def observed_bins(n_bins: int, bin_size: float, intervals: np.ndarray) -> np.ndarray:
    """Which bins lie wholly within the observed intervals: boolean (bins,).

    Parameters:
        n_bins: number of bins; the first begins at 0 s.
        bin_size: width of a bin in seconds.
        intervals: (intervals, 2), start and end in seconds; they may overlap. Ends are compared with a tolerance of a
            thousandth of a bin.

    Example:
        >>> observed_bins(4, 0.5, np.array([[0.0, 1.0], [1.4, 2.0]]))
        array([ True,  True, False,  True])
    """
    if not len(intervals):
        return np.zeros(n_bins, bool)
    slack = bin_size / 1000
    starts, stops = intervals[np.argsort(intervals[:, 0])].T
    stops = np.maximum.accumulate(stops)
    # A new stretch begins where an interval starts after all before it have ended.
    first = np.flatnonzero(np.concatenate([[True], starts[1:] > stops[:-1] + slack]))
    starts, stops = starts[first], stops[np.append(first[1:], len(starts)) - 1]
    begin = np.arange(n_bins) * bin_size
    stretch = np.searchsorted(starts, begin + slack, side="right") - 1
    return (stretch >= 0) & (begin + bin_size <= np.append(stops, -np.inf)[stretch] + slack)


def gaps(observed: np.ndarray) -> np.ndarray:
    """The runs of bins that were not observed: (gaps, 2) int64, the first bin of each and the one after its last.

    Parameters:
        observed: (bins,) bool.

    Example:
        >>> gaps(np.array([True, False, False, True, False])).tolist()
        [[1, 3], [4, 5]]
    """
    changes = np.diff(np.concatenate([[True], observed, [True]]).astype(np.int8))
    return np.stack([np.flatnonzero(changes == -1), np.flatnonzero(changes == 1)], axis=1)


def rebin(raster: np.ndarray, factor: int, as_published: bool = False) -> Binned:
    """Sum every `factor` fine bins to a coarse one; fine bins at the end that do not fill a coarse one are left out.

    Parameters:
        raster: counts (fine bins, units), as recordings store them; any integer or boolean type, none negative.
        factor: fine bins in a coarse one.
        as_published: wrap modulo 256 instead of staying at 255.

    Returns:
        Binned, with counts (units, fine bins // factor).

    Raises:
        Mismatch: the raster does not hold counts.

    Example:
        >>> rebin(np.array([[1, 0], [2, 1], [0, 0], [0, 4]]), 2).counts.tolist()
        [[3, 0], [1, 4]]
    """
    if raster.ndim != 2 or raster.dtype.kind not in "biu":
        raise Mismatch("counts (bins, units) of an integer type", f"{raster.dtype} of shape {raster.shape}")
    raster = raster.astype(raster.dtype.newbyteorder("="), copy=False)  # numba reads no other byte order
    if raster.dtype.kind == "i" and raster.min(initial=0) < 0:
        raise Mismatch("counts, none negative", f"{raster.min()}")
    if raster.dtype.itemsize == 8 and int(raster.max(initial=0)) > LARGEST_WHOLE // factor:
        raise Mismatch("spike counts", f"{raster.max():,} in a bin")  # sums of such numbers would wrap
    # The narrowest type that holds the largest possible sum is added up fastest.
    largest = factor * (1 if raster.dtype.kind == "b" else int(np.iinfo(raster.dtype).max))
    total = np.empty(raster.shape[1], np.uint16 if largest < 2**16 else np.int64)
    counts = np.empty((raster.shape[1], raster.shape[0] // factor), np.uint8)
    above = _rebin(np.ascontiguousarray(raster), factor, not as_published, total, counts)
    in_tail = int(raster[counts.shape[1] * factor :].sum(dtype=np.int64))
    return Binned(counts, in_tail=in_tail, above_largest=int(above))


@compiled
def _rebin(raster, factor, saturate, total, counts):  # type: ignore[no-untyped-def]
    """Fill `counts` (units, bins) with sums of bins of the raster, using `total` (units,) as working memory.

    Bins are summed along memory, in blocks that are transposed while they are in the processor's cache. Returns the
    spikes above 255, or how often a bin wrapped.
    """
    n_units, n_bins = counts.shape
    block = np.empty((512, n_units), np.uint8)
    above = 0
    for start in range(0, n_bins, len(block)):
        size = min(len(block), n_bins - start)
        for b in range(size):
            total[:] = 0
            for fine in range((start + b) * factor, (start + b + 1) * factor):
                row = raster[fine]
                for unit in range(n_units):
                    total[unit] += row[unit]
            for unit in range(n_units):
                n = int(total[unit])
                if n > 255:
                    above += n - 255 if saturate else n // 256
                    n = 255 if saturate else n % 256
                block[b, unit] = n
        for unit in range(n_units):
            train = counts[unit, start : start + size]
            for b in range(size):
                train[b] = block[b, unit]
    return above
