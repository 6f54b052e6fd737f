"""Figures of motifs: the most frequent ones, and how frequencies fall with rank."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from neuralpile import catalog, figure_files
from neuralpile.cli import percent, plural
from neuralpile.motifs.extract import Motifs
from neuralpile.motifs.summary import Summary

# Blue for 0 and red for 1, as in the published figures; more spikes have lighter colours, and many are dark.
COLOURS = ("#2b5c9e", "#d7301f", "#fc8d3c", "#fed45a", "#8fd1c5")
MANY = "#3a1152"
LARGEST_SHOWN = len(COLOURS)  # this count and all above share a colour; the number stands in the cell


def colour(count: int) -> str:
    """Return the colour of a cell with so many spikes, as #rrggbb."""
    return COLOURS[count] if count < LARGEST_SHOWN else MANY


def draw(motifs: Motifs, summary: Summary, chosen: str = "most frequent", notes: Sequence[str] = ()) -> Figure:
    """Draw motifs, bins along x and units along y, each with its rank and its share of all patches.

    Parameters:
        motifs: those to draw, at least one.
        summary: what they are motifs of.
        chosen: which they are: "most frequent".
        notes: a few characters to add to the title of each.
    """
    shown, p_n, p_t = motifs.patches.shape
    cell = 0.26 if max(p_n, p_t) <= 16 else 4.2 / max(p_n, p_t)  # inches
    least = 1.35 if any(notes) else 0.95
    width, height = max(least, cell * p_t + 0.35), cell * p_n + 0.45  # with the title above a motif
    columns = _columns(shown, width / height)
    lines = -(-shown // columns)
    name = f"{summary.title}: {p_n} × {p_t} motifs"
    facts = f"{plural(summary.patches, 'patch', 'patches')}, {summary.unique:,} unique; "
    facts += f"the {shown} {chosen}: bins →, units ↓"
    heading = 0.6 / 72 * max(12 * len(name), 8 * len(facts))  # inches: a character is about 0.5 of its size wide
    fig_width = max(columns * width + 0.4, heading, 5.2)
    figure = Figure((fig_width, lines * height + 1.35), dpi=150)
    figure.suptitle(name, y=1 - 0.12 / figure.get_figheight(), fontsize=12, va="top", parse_math=False)
    figure.text(0.5, 1 - 0.42 / figure.get_figheight(), facts, ha="center", va="top", fontsize=8)
    colours = ListedColormap([*COLOURS, MANY])
    left = (fig_width - columns * width) / 2
    for i in range(shown):
        line, column = divmod(i, columns)
        x = left + column * width + (width - cell * p_t) / 2
        y = figure.get_figheight() - 0.75 - line * height - 0.25 - cell * p_n
        box = (x / fig_width, y / figure.get_figheight(), cell * p_t / fig_width, cell * p_n / figure.get_figheight())
        axes = figure.add_axes(box)
        patch = motifs.patches[i]
        axes.pcolormesh(
            np.minimum(patch, LARGEST_SHOWN),
            cmap=colours,
            vmin=-0.5,
            vmax=LARGEST_SHOWN + 0.5,
            edgecolors="white",
            lw=0.5,
        )
        axes.invert_yaxis()
        axes.set_axis_off()
        note = f", {notes[i]}" if notes else ""
        axes.set_title(f"{i + 1}.  {percent(int(motifs.frequencies[i]), summary.patches)}{note}", fontsize=7, pad=2)
        if cell > 0.12:
            for unit, b in np.argwhere(patch >= LARGEST_SHOWN):
                axes.text(b + 0.5, unit + 0.5, patch[unit, b], color="white", ha="center", va="center", fontsize=5)
    values = np.unique(np.minimum(motifs.patches, LARGEST_SHOWN))
    labels = [f"≥ {v}" if v == LARGEST_SHOWN else f"{v}" for v in values]
    handles = [Patch(facecolor=colours(int(v)), edgecolor="grey", label=t) for v, t in zip(values, labels, strict=True)]
    legend = figure.legend(
        handles=handles, loc="lower center", ncols=len(handles), fontsize=7, frameon=False, title="spikes in a bin"
    )
    legend.get_title().set_fontsize(7)
    return figure


def draw_ranks(spectrum: NDArray[np.int64], summary: Summary) -> Figure:
    """Plot the share of each motif over its rank, both on logarithmic axes.

    Parameters:
        spectrum: each frequency and the number of motifs that have it, the highest first: (frequencies, 2), int64.
        summary: what they are motifs of.
    """
    last = np.cumsum(spectrum[:, 1])
    ranks = np.stack([last - spectrum[:, 1] + 1, last], axis=1).reshape(-1)  # the first and last rank of a frequency
    figure = Figure((6, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.loglog(ranks, np.repeat(spectrum[:, 0], 2) / summary.patches, color=COLOURS[0], lw=1.5, marker=".", ms=3)
    axes.set_title(f"{summary.title}: {summary.p_n} × {summary.p_t} motifs", fontsize=11, parse_math=False)
    axes.set_xlabel(f"rank of the motif, of {summary.unique:,}")
    axes.set_ylabel(f"share of {summary.patches:,} patches")
    axes.grid(alpha=0.3)
    entropies = [
        f"entropy of the sample {summary.entropy_per_token:.3g} bits a token",
        f"corrected for its size {summary.entropy_corrected_per_token:.3g}",
        f"independent units {summary.entropy_independent_per_token:.3g}",
    ]
    axes.text(0.97, 0.96, "\n".join(entropies), transform=axes.transAxes, ha="right", va="top", fontsize=8)
    return figure


def _columns(n: int, aspect: float) -> int:
    """Return the number of columns in which n pictures, `aspect` times as wide as high, best fill a page of 3 : 2."""

    def misfit(columns: int) -> float:
        lines = -(-n // columns)
        return abs(math.log(columns * aspect / lines / 1.5)) + 4 * (columns * lines - n) / n

    return min(range(1, n + 1), key=misfit)


def file_stem(name: str, p_n: int, p_t: int, order: str | None = None) -> str:
    """Return the name of the files of a data set's motifs, without suffix.

    The corpus is "primate", as in the published files. Motifs of units in another order have files of their own.
    """
    data_set = "primate" if name.rpartition("/")[2] == catalog.PILE else figure_files.name(name)
    by = f"-by-{figure_files.name(order)}" if order else ""
    return f"{data_set}{by}_({p_n}x{p_t})_motifs"
