"""Draw what `checks` found in a data set: population rates, distributions of rates and of counts, and the flags.

Below, it is said what is in the data set: areas, animals, evaluation data of benchmarks.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from neuralpile.cli import percent, plural
from neuralpile.figures.checks import Checked, Curve

# Colours that people who see colours differently can distinguish: Okabe & Ito 2008, "Color Universal Design",
# https://jfly.uni-koeln.de/color/
BASE, ACCENT, WARNING, GREY = "#0072B2", "#E69F00", "#B23A00", "#595959"


STYLE = {"font.size": 8, "axes.titlesize": 9, "figure.titlesize": 12}
WIDTH, TITLE, STRIP, DISTRIBUTIONS = 11.0, 0.3, 0.85, 4.0  # inches
LINE = 0.14  # inches from one line of text of 8 points to the next
CHARACTERS = 175  # of a line of text


def draw(checked: Checked, about: Mapping[str, str] | None = None) -> Figure:
    """Draw a data set on one page.

    Parameters:
        checked: what was found in its rows.
        about: what is in it, in words, by title; see `words`.
    """
    rate_unit, time_unit = ("Hz", "seconds") if checked.bin_width else ("spikes per bin", "bins")
    strips = [f"curve {i}" for i in range(len(checked.curves))]
    words, known = _words(checked), _lines([f"{title}: {text}" for title, text in (about or {}).items()])
    above = TITLE + STRIP * len(strips) + DISTRIBUTIONS
    height = above + LINE * (len(known) + len(words) + 1)
    with matplotlib.style.context(["default", STYLE]):
        layout = ConstrainedLayoutEngine(rect=(0, 1 - above / height, 1, above / height))  # the words stand below it
        figure = Figure((WIDTH, height), dpi=128, layout=layout)
        title = f"{checked.name}: {checked.checked:,} of {plural(checked.rows, 'row')} checked"
        figure.suptitle(title, parse_math=False)
        mosaic = [*([strip, strip] for strip in strips), ["rates", "counts"]]
        ratios = [*(STRIP for _ in strips), DISTRIBUTIONS]
        places = figure.subplot_mosaic(mosaic, height_ratios=ratios)  # type: ignore[arg-type]  # lists are hashed by id
        if strips:
            _draw_curves(checked.curves, [places[strip] for strip in strips])
            places[strips[-1]].set_xlabel(f"{time_unit} from the beginning of the row")
            places[strips[0]].set_title(f"population rate, {rate_unit} per unit", loc="right", pad=3)
        _draw_rates(checked, places["rates"], rate_unit)
        _draw_counts(checked.counts, places["counts"])
        for lines, below, colour in ((words, 0, WARNING if checked.flags else GREY), (known, len(words), GREY)):
            place = 0.5 / WIDTH, LINE * (0.5 + below) / height
            figure.text(*place, "\n".join(lines), color=colour, parse_math=False)
    return figure


def _words(checked: Checked) -> list[str]:
    """Say what looks wrong, in lines."""
    if not checked.flags:
        return [f"Nothing looks wrong in {checked.where}, by the thresholds of neuralpile/figures/checks.py."]
    return _lines([f"⚠ {flag}" for flag in checked.flags])


def _lines(sentences: Sequence[str]) -> list[str]:
    """Wrap sentences."""
    return [line for text in sentences for line in textwrap.wrap(text, CHARACTERS, subsequent_indent="    ")]


def _draw_curves(curves: Sequence[Curve], strips: Sequence[Axes]) -> None:
    """Draw one strip for each row, on the same scales: in curves that overlap, silences are not visible."""
    highest = max(float(curve.rate.max(initial=0)) for curve in curves) or 1.0
    longest = max(curve.seconds for curve in curves) or 1.0
    for curve, axes in zip(curves, strips, strict=True):
        axes.set(xlim=(0, longest), ylim=(0, highest * 1.05))
        axes.tick_params(labelbottom=axes is strips[-1])
        axes.yaxis.set_major_locator(MaxNLocator(3))
        edges = np.linspace(0, curve.seconds, len(curve.rate) + 1)
        axes.stairs(curve.rate, edges, fill=True, color=BASE)
        for start, end in curve.silences:
            axes.axvspan(start, end, color=WARNING, alpha=0.35, lw=0)
        axes.set_title(curve.name, loc="left", pad=3, parse_math=False)


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
        axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)) if decades < 2.5 else LogLocator(subs="auto", numticks=7))
        axes.xaxis.set_minor_formatter("{x:g}" if decades < 2.5 else NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=f"rate of a unit, {unit} (line: median)", ylabel="units")
    axes.set_title(f"{plural(len(checked.rates), 'unit')} in rows, {percent(checked.silent)} of them silent")


def _draw_counts(counts: NDArray[np.int64], axes: Axes) -> None:
    """Draw how many bins have each count."""
    present = np.flatnonzero(counts)
    axes.bar(present, counts[present], width=1.0, color=[WARNING if n == 255 else BASE for n in present])
    axes.set(yscale="log", xlabel="spikes in a bin", ylabel="bins")
    axes.set_ylim(0.5, 2 * max(1, int(counts.max())))  # from below one bin: the rarest count has a height
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    fullest = plural(int(present.max(initial=0)), "spike")
    empty = percent(int(counts[0]), int(counts.sum()))
    axes.set_title(f"{empty} of the bins are empty; the fullest has {fullest}")
