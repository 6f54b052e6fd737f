"""Spike counts: spike times into bins, fine bins into coarse ones.

Counts are matrices (units, bins) of uint8, the type of the published corpus. What does not fit is never lost
unnoticed: every function says how much it left out.
"""

from dataclasses import dataclass

import numba
import numpy as np

LARGEST = 255  # of a uint8

# Our own bound against times in the wrong unit (samples, milliseconds): the longest session of the published corpus
# lasts some hours.
LONGEST = 7 * 24 * 3600.0  # seconds


@dataclass(frozen=True)
class Binned:
    """Counts, and the spikes that are not in them."""

    counts: np.ndarray  # (units, bins), uint8
    before_zero: int = 0  # spikes at negative times
    not_finite: int = 0  # spike times that are NaN or infinite
    after_end: int = 0  # spikes after the last edge: only with as_published
    above_largest: int = 0  # spikes above 255 in a bin; with as_published, how often a bin wrapped to 0

    def notes(self, as_published: bool = False) -> list[str]:
        """What a user should know of these counts, a sentence each."""
        above = "times a bin passed 255 and wrapped to 0, as published"
        if not as_published:
            above = "spikes above 255 in a bin left out: the bin stays at 255"
        said = [
            (self.before_zero, "spikes before 0 s left out"),
            (self.not_finite, "spike times that are NaN or infinite left out"),
            (self.after_end, "spikes after the last published bin edge left out"),
            (self.above_largest, above),
        ]
        return [f"{n:,} {what}" for n, what in said if n]


def bin_edges(t_max: float, bin_size: float, as_published: bool = False) -> np.ndarray:
    """Edges of the bins of a session whose last spike is at `t_max` seconds: float64, one more than there are bins.

    They are those of the published corpus, `arange(0, t_max + bin_size, bin_size)`, and the last bin is closed.
    Where rounding leaves the last edge just below `t_max`, the last spike would fall out; it is then moved to
    `t_max`, except with `as_published`.
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

    Args:
        times: spike times in seconds, float64 (spikes,): the spike trains of all units, one after the other. A
            train need not be sorted.
        ends: int64 (units,): where each unit's train ends in `times`; the first begins at 0.
        bin_size: width of a bin in seconds.
        as_published: reproduce the published values: counts wrap modulo 256 instead of staying at 255, and a unit
            with a NaN has no say in where the session ends.

    Returns:
        Binned, with counts (units, bins). No bins where no spike is left at or after 0 s.

    Raises:
        ValueError: the last spike is after `LONGEST` seconds.
    """
    finite = np.isfinite(times)
    not_finite = times.size - int(np.count_nonzero(finite))
    considered = times
    if not_finite and as_published:
        considered = times[~np.isin(_unit_of_spike(ends), _unit_of_spike(ends)[~finite])]
    elif not_finite:
        considered = times[finite]
    t_max = float(considered.max(initial=-np.inf))
    if t_max < 0:
        before_zero = int(np.count_nonzero(times[finite] < 0))
        return Binned(np.zeros((len(ends), 0), np.uint8), before_zero, not_finite)
    if t_max > LONGEST:
        raise ValueError(f"spike times in seconds, at most {LONGEST:,.0f} s (7 days)", f"a spike at {t_max:,.0f}")
    edges = bin_edges(t_max, bin_size, as_published)
    counts = np.zeros((len(ends), len(edges) - 1), np.uint8)
    before_zero, after_end, above = _count(times, ends, edges, 1.0 / bin_size, not as_published, counts)
    return Binned(counts, int(before_zero), not_finite, int(after_end), int(above))


def _unit_of_spike(ends: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))


@numba.njit(cache=True)
def _count(times, ends, edges, per_second, saturate, counts):  # type: ignore[no-untyped-def]
    """Add every spike to its bin of `counts`; give the numbers of spikes before, after, and above 255 in a bin."""
    n_bins = len(edges) - 1
    before = after = above = 0
    start = 0
    for unit in range(len(ends)):
        for spike in range(start, ends[unit]):
            t = times[spike]
            if not np.isfinite(t):
                continue
            if t < 0.0:
                before += 1
                continue
            if t > edges[n_bins]:
                after += 1
                continue
            # The nearest edge is surely one of the two around t; the edges themselves, not the quotient, decide on
            # which side of it t lies: 0.02 is no binary number, and many recordings have spikes exactly on edges.
            i = int(t * per_second + 0.5)
            if i >= n_bins:  # the last bin is closed
                i = n_bins - 1
            elif t < edges[i]:
                i -= 1
            if counts[unit, i] == 255:
                above += 1
                if saturate:
                    continue
            counts[unit, i] += 1
        start = ends[unit]
    return before, after, above


def rebin(raster: np.ndarray, factor: int, as_published: bool = False) -> Binned:
    """Sum `factor` fine bins each into a coarse one; fine bins at the end that fill no coarse one are left out.

    Args:
        raster: counts (fine bins, units), as recordings store them; any integer or boolean type, none negative.
        factor: fine bins in a coarse one.
        as_published: wrap modulo 256 instead of staying at 255.

    Returns:
        Binned, with counts (units, fine bins // factor).

    Raises:
        ValueError: the raster does not hold counts.
    """
    if raster.ndim != 2 or raster.dtype.kind not in "biu":
        raise ValueError("counts (bins, units) of an integer type", f"{raster.dtype} of shape {raster.shape}")
    if raster.dtype.kind == "i" and raster.min(initial=0) < 0:
        raise ValueError("counts, none negative", f"{raster.min()}")
    n_bins = raster.shape[0] // factor
    counts = np.empty((raster.shape[1], n_bins), np.uint8)
    above = _rebin(np.ascontiguousarray(raster), factor, not as_published, counts)
    return Binned(counts, above_largest=int(above))


@numba.njit(cache=True)
def _rebin(raster, factor, saturate, counts):  # type: ignore[no-untyped-def]
    """Fill `counts` with the sums; give the number of spikes above 255 in a bin."""
    above = 0
    n_units, n_bins = counts.shape
    total = np.empty(n_units, np.int64)
    for b in range(n_bins):
        total[:] = 0
        for fine in range(b * factor, (b + 1) * factor):
            for unit in range(n_units):
                total[unit] += raster[fine, unit]
        for unit in range(n_units):
            n = total[unit]
            if n > 255:
                above += n - 255 if saturate else n // 256
                n = 255 if saturate else n % 256
            counts[unit, b] = n
    return above
