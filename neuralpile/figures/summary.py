"""Draw what `checks` found in a data set: population rates, distributions of rates and of counts, and the flags."""

import math
from collections.abc import Sequence

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from neuralpile.cli import plural
from neuralpile.figures.checks import Checked, Curve

# Colours that people who see colours differently can distinguish: Okabe & Ito 2008, "Color Universal Design",
# https://jfly.uni-koeln.de/color/
BASE, ACCENT, WARNING, GREY = "#0072B2", "#E69F00", "#B23A00", "#595959"


def draw(checked: Checked) -> Figure:
    """Draw a data set on one page."""
    rate_unit, time_unit = ("Hz", "seconds") if checked.bin_width else ("spikes per bin", "bins")
    strips = [f"curve {i}" for i in range(max(1, len(checked.curves)))]
    with matplotlib.style.context("default"):
        size = (11, 4.6 + 0.85 * len(strips) + 0.22 * len(checked.flags))
        figure = Figure(size, dpi=128, layout="constrained")
        figure.suptitle(f"{checked.name}: {checked.checked:,} of {plural(checked.rows, 'row')} checked", fontsize=12)
        mosaic = [*([strip, strip] for strip in strips), ["rates", "counts"], ["words", "words"]]
        ratios = [*(1.0 for _ in strips), 4.0, 0.6 + 0.45 * max(1, len(checked.flags))]
        places = figure.subplot_mosaic(mosaic, height_ratios=ratios)  # type: ignore[arg-type]  # lists are hashed by id
        _draw_curves(checked.curves, [places[strip] for strip in strips])
        places[strips[-1]].set_xlabel(f"{time_unit} from the beginning of the row")
        places[strips[0]].set_title(f"population rate, {rate_unit} per unit", fontsize=9, loc="right", pad=2)
        _draw_rates(checked, places["rates"], rate_unit)
        _draw_counts(checked.counts, places["counts"])
        _write_flags(checked.flags, places["words"])
    return figure


def _draw_curves(curves: Sequence[Curve], strips: Sequence[Axes]) -> None:
    """Draw one strip for each row, on the same scales: in curves that overlap, silences are not visible."""
    highest = max((float(curve.rate.max(initial=0)) for curve in curves), default=0.0) or 1.0
    longest = max((curve.seconds for curve in curves), default=0.0) or 1.0
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


def _draw_rates(checked: Checked, axes: Axes, unit: str) -> None:
    """Draw the distribution of the rates of units, on a logarithmic axis."""
    spiking = checked.rates[checked.rates > 0]
    if len(spiking):
        low, high = float(spiking.min()), float(spiking.max())
        edges = np.geomspace(low, high * 1.001, 41) if low < high else np.array([0.9, 1.1]) * low
        axes.hist(spiking, edges.tolist(), color=BASE)
        axes.axvline(float(np.median(spiking)), color=ACCENT, lw=1.5)
        axes.set_xscale("log")
        decades = math.log10(high / low)
        axes.xaxis.set_major_locator(LogLocator(numticks=7))
        axes.xaxis.set_major_formatter("{x:g}")
        # between decades, labels have room on a short axis only
        axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)) if decades < 2.5 else NullLocator())
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="x", which="minor", labelsize=7)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=f"rate of a unit, {unit} (line: median)", ylabel="units")
    axes.set_title(f"{plural(len(checked.rates), 'unit')} in rows, {checked.silent:.1%} of them silent", fontsize=9)


def _draw_counts(counts: NDArray[np.int64], axes: Axes) -> None:
    """Draw how many bins have each count."""
    present = np.flatnonzero(counts)
    axes.bar(present, counts[present], width=1.0, color=[WARNING if n == 255 else BASE for n in present])
    axes.set(yscale="log", xlabel="spikes in a bin", ylabel="bins")
    axes.set_ylim(0.5, 2 * max(1, int(counts.max())))  # from below one bin: the rarest count has a height
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    fullest = plural(int(present.max(initial=0)), "spike")
    empty = share_of(int(counts[0]), int(counts.sum()))
    axes.set_title(f"{empty} of the bins are empty; the fullest has {fullest}", fontsize=9)


def share_of(part: int, whole: int) -> str:
    """Return a percentage that is 0 or 100 only if it is exactly that.

    Example:
        >>> share_of(999_999, 1_000_000), share_of(1, 3), share_of(5, 5)
        ('99.9999%', '33.3%', '100%')
    """
    if part in (0, whole):
        return f"{100 * bool(part)}%"
    nearest = min(part, whole - part) / whole
    text = f"{100 * part / whole:.{max(1, -math.floor(math.log10(100 * nearest)))}f}"
    return f"{text.rstrip('0') if '.' in text[:-2] else text}%"


def _write_flags(flags: Sequence[str], axes: Axes) -> None:
    """Write what looks wrong."""
    axes.set_axis_off()
    words = [f"⚠ {flag}" for flag in flags] or [
        "Nothing looks wrong by the thresholds of neuralpile/figures/checks.py."
    ]
    colour = WARNING if flags else GREY
    axes.text(0, 1, "\n".join(words), va="top", fontsize=7.5, color=colour, wrap=True, parse_math=False)
