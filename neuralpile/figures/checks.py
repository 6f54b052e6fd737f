"""A data set at a glance: rates, counts, silences; and in words what looks wrong in them.

What is looked at are rows drawn at random, at most `ROWS` of them, one in memory at a time.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import matplotlib.style
import numba
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from tqdm import tqdm

from neuralpile.corpus.rows import Row, RowSource
from neuralpile.figures.palette import ACCENT, BASE, GREY, WARNING
from neuralpile.figures.rasters import bin_width

ROWS = 60  # that are looked at
CURVES = 5  # rows whose population rate is drawn
POINTS = 400  # of such a curve
BLOCK = 64  # units that are looked at together

# What looks wrong. Thresholds are where one begins to wonder, not where something must be wrong.
LEAD_IN = 10.0  # seconds before the first spike of any unit, in a session's first row; or of a row without spikes
GAP = 1.0  # seconds in which no unit spikes, after the lead-in and to the end of the row,
EXPECTED = 100  # while so many spikes were to be expected of the row's mean rate
SILENT = 0.2  # share of units without a spike
FAST = 100.0  # Hz: median rate of units that spike
TOGETHER, OFTEN = 0.9, 0.001  # share of at least 10 units that spike in one bin, in such a share of the bins


@dataclass
class Curve:
    """The population rate of a row: Hz, mean of its units, over `seconds` of equal length."""

    name: str
    rate: np.ndarray  # (points,), float64
    seconds: float
    silences: list[tuple[float, float]] = field(default_factory=list)  # start and end of those that are flagged


@dataclass
class Glance:
    """What was seen of a data set."""

    name: str
    rows: int
    looked_at: int
    bin_width: float | None  # seconds; where it is not known, times are in bins, and rates in spikes per bin
    rates: np.ndarray = field(default_factory=lambda: np.empty(0))  # of all units, (units,), Hz
    counts: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))  # bins with so many spikes
    curves: list[Curve] = field(default_factory=list)  # at most CURVES: rows with what looks wrong first
    flags: list[str] = field(default_factory=list)

    @property
    def silent(self) -> float:
        """Share of units without a spike in the row."""
        return float(np.mean(self.rates == 0)) if len(self.rates) else 0.0


def look(data_set: RowSource, seed: int = 0) -> Glance:
    """Look at random rows of a data set. Raises BadInput where one cannot be read."""
    n = min(ROWS, len(data_set))
    chosen = np.sort(np.random.default_rng(seed).choice(len(data_set), n, replace=False))
    width = bin_width(data_set, data_set.row(int(chosen[0]))) if n else None
    seen, found = Glance(data_set.name, len(data_set), n, width), _Found()
    rates, curves = [], []
    for i in tqdm(chosen, unit="row", desc=f"look at {data_set.name}", disable=None, leave=False):
        row = data_set.row(int(i))
        name = f"{row.subject_id} {row.session_id} {row.segment_id}"
        if not row.counts.size:
            continue
        # a merged corpus can have rows of several widths
        step = (bin_width(data_set, row) or width) if width else 1.0
        sums = _sums(row.counts)
        rates.append(sums.units / (row.counts.shape[1] * step))
        seen.counts += sums.counts
        curves.append(_curve(name, sums.bins / len(row.counts), step))
        _search(row, name, sums, step, found)
    seen.rates = np.concatenate(rates) if rates else seen.rates
    odd = [_worst(kind)[0] for kind in (found.empty, found.gaps, found.lead_in, found.together, found.repeated) if kind]
    seen.curves = sorted(curves, key=lambda curve: curve.name not in odd)[:CURVES]
    for curve in seen.curves:
        begins = found.empty + found.lead_in
        curve.silences += [(0.0, length) for name, length in begins if name == curve.name]
        curve.silences += [(start, start + length) for name, start, length in found.gaps if name == curve.name]
    seen.flags = _flags(seen, found, "s" if width else "bins")
    return seen


@dataclass
class _Sums:
    """What is counted in a row."""

    units: np.ndarray  # (units,), int64: spikes of each
    bins: np.ndarray  # (bins,), int64: spikes in each
    spiking: np.ndarray  # (bins,), int64: units with a spike in each
    counts: np.ndarray  # (256,), int64: bins with so many spikes


def _sums(counts: np.ndarray) -> _Sums:
    """Count in blocks of units: next to nothing of the size of `counts` (units, bins) is allocated."""
    n_units, n_bins = counts.shape
    sums = _Sums(*(np.zeros(n, np.int64) for n in (n_units, n_bins, n_bins)), np.zeros(256, np.int64))
    for start in range(0, n_units, BLOCK):
        block = counts[start : start + BLOCK]
        sums.units[start : start + BLOCK] = block.sum(axis=1, dtype=np.int64)
        sums.bins += block.sum(axis=0, dtype=np.uint32)
        sums.spiking += np.count_nonzero(block, axis=0)
        for unit in block:
            sums.counts += _histogram(unit)
    return sums


@numba.njit(cache=True, nogil=True)
def _histogram(unit: np.ndarray) -> np.ndarray:
    """How many bins have each count: (256,), int64. As `numpy.bincount`, which copies to int64, five times as fast."""
    parts = np.zeros((4, 256), np.int64)  # four: the next count need not wait for the last one's to be written
    for i in range(len(unit)):
        parts[i & 3, unit[i]] += 1
    return parts.sum(axis=0)


def _repeated(counts: np.ndarray, spikes: np.ndarray) -> int:
    """Units that spike and have the very same counts as one before. Only units with as many spikes are compared."""
    _, which, how_many = np.unique(spikes, return_inverse=True, return_counts=True)
    alike = np.flatnonzero((how_many[which] > 1) & (spikes > 0))
    return len(alike) - len({hashlib.sha256(np.ascontiguousarray(counts[unit])).digest() for unit in alike})


@dataclass
class _Found:
    """What was found in single rows: where, and how much."""

    empty: list[tuple[str, float]] = field(default_factory=list)
    lead_in: list[tuple[str, float]] = field(default_factory=list)
    gaps: list[tuple[str, float, float]] = field(default_factory=list)  # row, start, length
    together: list[tuple[str, float]] = field(default_factory=list)
    repeated: list[tuple[str, int]] = field(default_factory=list)


def _curve(name: str, per_unit: np.ndarray, step: float) -> Curve:
    """Mean rate over stretches of equal length; what is left at the end is left out."""
    length = -(-len(per_unit) // POINTS)
    n = len(per_unit) // length
    rate = per_unit[: n * length].reshape(n, length).mean(axis=1) / step
    return Curve(name, rate, n * length * step)


def _search(row: Row, name: str, sums: _Sums, step: float, found: _Found) -> None:
    """Look for silences and for what units have in common."""
    at = np.flatnonzero(sums.bins)
    n_bins, begins = len(sums.bins), row.segment_id.endswith("_0")
    if not len(at):
        if n_bins * step > LEAD_IN:
            found.empty.append((name, n_bins * step))
        return
    if at[0] * step > LEAD_IN and begins:
        found.lead_in.append((name, at[0] * step))
    n_spikes, n_active = sums.units.sum(), np.count_nonzero(sums.units)
    rate = n_spikes / ((at[-1] - at[0] + 1) * step)
    # A session is cut into rows wherever it may be: a gap can reach to the edges of a row.
    borders = np.concatenate([[at[0] if begins else -1], at, [n_bins]])
    silences = np.diff(borders) - 1
    longest = int(silences.argmax())
    if silences[longest] * step > GAP and silences[longest] * step * rate > EXPECTED:
        found.gaps.append((name, (borders[longest] + 1) * step, silences[longest] * step))
    if n_active >= 10:
        together = np.mean(sums.spiking > TOGETHER * n_active)
        if together > OFTEN:
            found.together.append((name, float(together)))
    if n_spikes > 10 * n_active and (repeated := _repeated(row.counts, sums.units)):
        found.repeated.append((name, repeated))


def _worst(items: Sequence[tuple]) -> tuple:
    """Of what was found in rows the one where it is most: what is last in it."""
    return max(items, key=itemgetter(-1))


def _flags(seen: Glance, found: _Found, unit: str) -> list[str]:
    """What looks wrong, in words, each with its threshold."""
    said = []
    if found.empty:
        name, longest = _worst(found.empty)
        said.append(
            f"{len(found.empty)} of {seen.looked_at} rows of more than {LEAD_IN:g} {unit} have no spike at all "
            f"(up to {longest:,.1f} {unit}: {name}): was nothing recorded there?"
        )
    if found.lead_in:
        name, longest = _worst(found.lead_in)
        said.append(
            f"{len(found.lead_in)} of {seen.looked_at} rows begin with more than {LEAD_IN:g} {unit} without any spike "
            f"(up to {longest:,.1f} {unit}: {name}): does the clock begin before the recording? --trim cuts it off"
        )
    if found.gaps:
        name, start, length = _worst(found.gaps)
        said.append(
            f"{len(found.gaps)} of {seen.looked_at} rows have more than {GAP:g} {unit} in which no unit spikes, where "
            f"{EXPECTED} spikes or more were to be expected (longest: {length:,.1f} {unit}, "
            f"from {start:,.1f} on in {name}): was nothing recorded there?"
        )
    if saturated := int(seen.counts[255]):
        said.append(f"bins with 255 spikes, the most that a byte can hold: {saturated:,}; there may have been more")
    if seen.silent > SILENT:
        said.append(
            f"{seen.silent:.0%} of the units have no spike in their row (more than {SILENT:.0%}): dead channels?"
        )
    spiking = seen.rates[seen.rates > 0]
    if seen.bin_width and len(spiking) and np.median(spiking) > FAST:
        median = np.median(spiking)
        said.append(
            f"half of the units spike faster than {median:,.0f} Hz (more than {FAST:g}): is the bin width right?"
        )
    if found.together:
        name, share = _worst(found.together)
        said.append(
            f"in {len(found.together)} of {seen.looked_at} rows more than {TOGETHER:.0%} of the units spike together "
            f"in more than {OFTEN:.1%} of the bins (up to {share:.1%}: {name}): artefacts, or very dense counts"
        )
    if found.repeated:
        name, n = _worst(found.repeated)
        said.append(
            f"in {len(found.repeated)} of {seen.looked_at} rows units have the very same counts as another "
            f"(up to {n}: {name}): one channel twice?"
        )
    return said


def draw(seen: Glance) -> Figure:
    """Population rates over the session, the distributions of rates and of counts, and what looks wrong."""
    known = seen.bin_width is not None
    rate_unit, time_unit = ("Hz", "seconds") if known else ("spikes per bin", "bins")
    strips = [f"curve {i}" for i in range(max(1, len(seen.curves)))]
    with matplotlib.style.context("default"):
        figure = Figure((11, 4.6 + 0.85 * len(strips) + 0.22 * len(seen.flags)), dpi=128, layout="constrained")
        figure.suptitle(f"{seen.name}: {seen.looked_at:,} of {seen.rows:,} rows looked at", fontsize=12)
        places = figure.subplot_mosaic(
            [*([strip, strip] for strip in strips), ["rates", "counts"], ["words", "words"]],
            height_ratios=[*(1 for _ in strips), 4, 0.6 + 0.45 * max(1, len(seen.flags))],
        )
        _draw_curves(seen.curves, [places[strip] for strip in strips])
        places[strips[-1]].set_xlabel(f"{time_unit} from the beginning of the row")
        label = f"population rate, {rate_unit} per unit"
        places[strips[0]].set_title(label, fontsize=9, loc="right", pad=2)
        axes = places["rates"]
        spiking = seen.rates[seen.rates > 0]
        if len(spiking):
            edges = np.geomspace(spiking.min(), spiking.max() * 1.001, 41) if spiking.min() < spiking.max() else 10
            axes.hist(spiking, edges, color=BASE)
            axes.axvline(np.median(spiking), color=ACCENT, lw=1.5)
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter("{x:g}")
            axes.tick_params(axis="x", which="minor", labelsize=7)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel=f"rate of a unit, {rate_unit} (line: median)", ylabel="units")
        axes.set_title(f"{len(seen.rates):,} units in rows, {seen.silent:.1%} of them silent", fontsize=9)
        axes = places["counts"]
        present = np.flatnonzero(seen.counts)
        axes.bar(present, seen.counts[present], width=1.0, color=[WARNING if n == 255 else BASE for n in present])
        axes.set(yscale="log", xlabel="spikes in a bin", ylabel="bins")
        axes.set_ylim(0.5, 2 * max(1, seen.counts.max()))  # from below one bin: the rarest count has a height, too
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        share = seen.counts[0] / max(1, seen.counts.sum())
        axes.set_title(
            f"{share:.1%} of the bins are empty; the fullest has {present.max(initial=0)} spikes", fontsize=9
        )
        axes = places["words"]
        axes.set_axis_off()
        words = [f"⚠ {flag}" for flag in seen.flags] or [
            "Nothing looks wrong by the thresholds of neuralpile/glance.py."
        ]
        axes.text(
            0,
            1,
            "\n".join(words),
            va="top",
            fontsize=7.5,
            color=WARNING if seen.flags else GREY,
            wrap=True,
            parse_math=False,
        )
    return figure


def _draw_curves(curves: Sequence[Curve], strips: Sequence[Axes]) -> None:
    """One strip for each row, on the same scales: between curves over one another a silence would not be seen."""
    highest = max((curve.rate.max(initial=0) for curve in curves), default=0) or 1
    longest = max((curve.seconds for curve in curves), default=0) or 1
    for axes in strips:
        axes.set(xlim=(0, longest), ylim=(0, highest * 1.05))
        axes.tick_params(labelbottom=axes is strips[-1], labelsize=8)
        axes.yaxis.set_major_locator(MaxNLocator(3))
    for curve, axes in zip(curves, strips, strict=False):  # without curves one strip is empty
        edges = np.linspace(0, curve.seconds, len(curve.rate) + 1)
        axes.stairs(curve.rate, edges, fill=True, color=BASE)
        for start, end in curve.silences:
            axes.axvspan(start, end, color=WARNING, alpha=0.35, lw=0)
        axes.set_title(curve.name, fontsize=7.5, loc="left", pad=2, parse_math=False)
