"""motifs.figures: split from motifs."""

import math
from pathlib import Path

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from neuralpile import catalog
from neuralpile.files import whole_file
from neuralpile.motifs.extract import Motifs, Summary

# 0 is blue and 1 red, as in the published figures; more spikes have lighter colours.
COLOURS = ("#2b5c9e", "#d7301f", "#fc8d3c", "#fed45a", "#8fd1c5")
MANY = "#3a1152"
LARGEST_SHOWN = len(COLOURS)  # this count and all above share a colour; the number stands in the cell


def draw(motifs: Motifs, summary: Summary) -> Figure:
    """Draw motifs, bins along x and units along y, each with its rank and its share in all patches."""
    shown, p_n, p_t = motifs.patches.shape
    cell = 0.26 if max(p_n, p_t) <= 16 else 4.2 / max(p_n, p_t)  # inches
    width, height = max(0.95, cell * p_t + 0.35), cell * p_n + 0.45  # with the line above a motif
    columns = _columns(shown, width / height)
    lines = -(-shown // columns)
    fig_width = max(columns * width + 0.4, 5.2)  # the heading needs that
    figure = Figure((fig_width, lines * height + 1.35), dpi=150)
    figure.suptitle(
        f"{summary.data_set}: {p_n} × {p_t} motifs", y=1 - 0.12 / figure.get_figheight(), fontsize=12, va="top"
    )
    facts = f"{summary.patches:,} patches, {summary.unique:,} unique; the most frequent {shown}: bins →, units ↓"
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
        axes.set_title(f"{i + 1}.  {share(motifs.frequencies[i] / summary.patches)}", fontsize=7, pad=2)
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


def draw_ranks(spectrum: np.ndarray, summary: Summary) -> Figure:
    """Plot the share of each motif in all patches over its rank, both on logarithmic axes.

    `spectrum` has the frequencies and how many motifs have each, the highest first: (n, 2), int64.
    """
    last = np.cumsum(spectrum[:, 1])
    ranks = np.stack([last - spectrum[:, 1] + 1, last], axis=1).reshape(-1)  # the first and last rank of a frequency
    figure = Figure((6, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.loglog(ranks, np.repeat(spectrum[:, 0], 2) / summary.patches, color=COLOURS[0], lw=1.5, marker=".", ms=3)
    axes.set_title(f"{summary.data_set}: {summary.p_n} × {summary.p_t} motifs", fontsize=11)
    axes.set_xlabel(f"rank of the motif, of {summary.unique:,}")
    axes.set_ylabel(f"share in the {summary.patches:,} patches")
    axes.grid(alpha=0.3)
    entropy = f"entropy {summary.entropy_per_patch:.3g} bits a patch, {summary.entropy_per_token:.3g} bits a token"
    axes.text(0.97, 0.95, entropy, transform=axes.transAxes, ha="right", va="top", fontsize=8)
    return figure


def share(value: float) -> str:
    """A share as a percentage of three digits that count, however small."""
    digits = max(0, 2 - math.floor(math.log10(100 * value))) if value else 0
    return f"{100 * value:.{digits}f} %"


def _columns(n: int, aspect: float) -> int:
    """In how many columns n pictures, `aspect` times as wide as high, fill a page half as wide again as high best."""

    def misfit(columns: int) -> float:
        lines = -(-n // columns)
        return abs(np.log(columns * aspect / lines / 1.5)) + 4 * (columns * lines - n) / n

    return min(range(1, n + 1), key=misfit)


def file_stem(name: str, p_n: int, p_t: int) -> str:
    """Name of the files of a data set's motifs, without suffix; the whole corpus is "primate", as published."""
    data_set = "primate" if name.rpartition("/")[2] == catalog.PILE else name.replace("/", "--")
    return f"{data_set}_({p_n}x{p_t})_motifs"


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as JPEG."""
    with whole_file(path) as partial:
        figure.savefig(partial, format="jpeg", pil_kwargs={"quality": 92})
