"""Pictures of spike counts: random rows of a data set as images, units × time bins, in which every spike is seen.

Rows have more bins than a screen has pixels. Drawing every nth bin would lose spikes, and averaging would make them
fade; so bins that share a pixel, and units where there are more than pixels, are pooled by maximum. Panels lie on whole
pixels and have as many as their pooled counts or more, so that nothing is resampled away later.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neuralpile import catalog
from neuralpile.errors import BadInput
from neuralpile.files import whole_file
from neuralpile.rows import Row
from neuralpile.store import DataSetOnDisk

MAX_EXAMPLES = 400  # in a figure: 20 × 20 panels at their smallest are 11,320 × 7,924 pixels
DPI = 128  # a power of two: inches are then exact, and so are the pixels of matplotlib
# Pixels. Panels share the width, but do not get narrower than the narrowest: the figure then gets wider.
WIDTH, NARROWEST, ASPECT = 1900, 440, 0.66
LEFT, RIGHT, ABOVE, BELOW = 84, 36, 46, 56  # around each panel, for its titles and labels
HEAD, BAR, MARGIN = 84, 120, 20  # of the figure: its titles; the colour bar on the right
SMALL, MIDDLE, LARGE, GREY = 7, 8, 12, "0.35"  # points; the colour of small print
FRAME = 2 * 72 / DPI  # points, which are 2 pixels


def pool_max(counts: np.ndarray, width: int) -> np.ndarray:
    """Pool counts (units, bins) along time by maximum to (units, `width`), of the same dtype.

    Each of the `width` groups has floor(bins / width) or ceil(bins / width) bins. Counts of no more than `width` bins
    come back as they are. Nothing of the size of `counts` is allocated.
    """
    n_bins = counts.shape[1]
    if n_bins <= width:
        return counts
    return np.maximum.reduceat(counts, np.arange(width) * n_bins // width, axis=1)


def colour_edges(largest: int) -> np.ndarray:
    """The counts at which each colour begins and, last, where the scale ends: int64 (colours + 1,), ascending.

    Up to 9 spikes every count has its own colour. Beyond, classes double (0, 1, 2, 3–4, 5–8, …, 129–255): a few large
    counts leave single spikes as visible as ever, and no count is cut off.
    """
    if largest <= 9:
        return np.arange(max(largest, 1) + 2)
    doubling = [0, 1, *(2**k + 1 for k in range(8)), 256]
    return np.array(doubling[: np.searchsorted(doubling, largest, side="right") + 1])


def palette(n_colours: int) -> ListedColormap:
    """White for no spikes, then red to black in steps that look equal; lighter is always fewer, also without hue."""
    steps = matplotlib.colormaps["magma_r"](np.linspace(0.35, 1, n_colours - 1))
    return ListedColormap([(1.0, 1.0, 1.0, 1.0), *steps])


def draw(data_set: DataSetOnDisk, n_examples: int, seed: int, out_dir: Path) -> tuple[Path, int]:
    """Draw random rows of a data set to `<out_dir>/<its name>.jpg`, whole or not at all.

    The rows are drawn without replacement from all splits, all of them where there are no more than `n_examples`, and
    shown in the order of the data set. The same data set, number and seed give the same bytes.

    Returns:
        The file, and how many rows it shows.

    Raises:
        BadInput: no rows, more examples than fit in a figure, a row that cannot be read, no folder to write to.
    """
    if not len(data_set):
        raise BadInput(data_set.name, "a data set with rows", "none", "build it again")
    n_shown = min(n_examples, len(data_set))
    if n_shown > MAX_EXAMPLES:
        raise BadInput("--n_examples", f"at most {MAX_EXAMPLES} in a figure", f"{n_shown:,}", "ask for fewer")
    at = np.sort(np.random.default_rng(seed).choice(len(data_set), n_shown, replace=False))
    drawn = f"all {n_shown:,} rows"
    if n_shown < len(data_set):
        drawn = f"{n_shown:,} of {len(data_set):,} rows, drawn with seed {seed}"
    path = out_dir / f"{data_set.name.replace('/', '--')}.jpg"  # the name of a Hub repository has a slash
    with matplotlib.style.context("default"):  # not the user's own style: it could crop or scale the figure
        figure = draw_rows([data_set.row(int(i)) for i in at], data_set.name, f"{drawn}, in the order of the data set")
        try:
            with whole_file(path) as partial:
                # No chroma subsampling: it smears single pixels. Nothing in the file says when it was made.
                figure.savefig(partial, format="jpg", pil_kwargs={"quality": 95, "subsampling": 0})
        except OSError as error:
            raise BadInput(path, "a file that can be written", str(error), "give another --out_dir") from None
    return path, n_shown


def draw_rows(rows: Sequence[Row], name: str, chosen: str) -> Figure:
    """The figure of some rows of the data set `name`: a panel each, one colour scale for all.

    `chosen` says how the rows were chosen. Each panel holds one AxesImage: its counts, pooled as its labels say.
    """
    n_columns = math.ceil(math.sqrt(len(rows)))
    n_lines = math.ceil(len(rows) / n_columns)
    width = max(NARROWEST, WIDTH // n_columns - LEFT - RIGHT)
    height = round(ASPECT * width)
    column, line = LEFT + width + RIGHT, ABOVE + height + BELOW
    wide, high = n_columns * column + BAR, HEAD + n_lines * line
    figure = Figure((wide / DPI, high / DPI), dpi=DPI)
    renderer = FigureCanvasAgg(figure).get_renderer()

    def axes(x: int, y: int, width: int, height: int) -> Axes:
        return figure.add_axes((x / wide, 1 - (y + height) / high, width / wide, height / high))

    def write(x: int, y: int, parts: list[str], room: int, **style: object) -> None:
        """Write what fits in `room` pixels below (x, y); as ids may hold anything, dollars are no mathematics."""
        text = figure.text(x / wide, 1 - y / high, "", va="top", parse_math=False, **style)

        def fits(title: str) -> bool:
            text.set_text(title)
            return text.get_window_extent(renderer).width <= room

        text.set_text(shorten(parts, fits))

    # Bins first, that makes few of many; then the same for units.
    images = [pool_max(pool_max(row.counts, width).T, height).T for row in rows]
    edges = colour_edges(max(int(image.max(initial=0)) for image in images))
    colours = ScalarMappable(BoundaryNorm(edges, len(edges) - 1), palette(len(edges) - 1))
    for i, (row, image) in enumerate(zip(rows, images, strict=True)):
        x, y = i % n_columns * column + LEFT, HEAD + i // n_columns * line + ABOVE
        _panel(axes(x, y, width, height), row.counts.shape, image, colours)
        write(x, y - 38, [row.subject_id, row.session_id, row.segment_id], width + RIGHT, fontsize=SMALL)
        shape = "{:,} units × {:,} bins".format(*row.counts.shape)
        source = [] if row.source_dataset is None else [row.source_dataset]
        write(x, y - 20, [shape, *source], width + RIGHT, fontsize=SMALL, color=GREY)

    bar = figure.colorbar(colours, axes(n_columns * column, HEAD + ABOVE, 18, min(height, 400)), spacing="uniform")
    classes = zip(edges[:-1], edges[1:] - 1, strict=True)
    labels = [f"{first}" if first == last else f"{first}–{last}" for first, last in classes]
    bar.set_ticks((edges[:-1] + edges[1:]) / 2, labels=labels, fontsize=SMALL)
    bar.ax.tick_params(which="both", length=0)
    bar.set_label("spikes per bin", fontsize=SMALL)
    write(MARGIN, 16, [_title(name, rows)], wide - 2 * MARGIN, fontsize=LARGE)
    write(MARGIN, 46, [chosen], wide - 2 * MARGIN, fontsize=MIDDLE, color=GREY)
    return figure


def _panel(axes: Axes, shape: tuple[int, int], image: np.ndarray, colours: ScalarMappable) -> None:
    """One row's image (units or fewer, bins or fewer); its labels are about the row, whose `shape` is given."""
    n_units, n_bins = shape
    shown = image if image.size else np.zeros((1, 1), np.uint8)
    extent = (0, max(n_bins, 1), max(n_units, 1), 0)
    axes.imshow(shown, colours.cmap, colours.norm, aspect="auto", interpolation="nearest", extent=extent)
    # All pixels of the image are counts: the frame is what is seen of a line under it, and ticks begin outside of that.
    axes.patch.set(edgecolor="0.6", linewidth=2 * FRAME)
    axes.spines[:].set(position=("outward", FRAME), visible=False)
    for axis, n, n_pooled, n_ticks, label in (
        (axes.xaxis, n_bins, image.shape[1], 4, "time bins"),
        (axes.yaxis, n_units, image.shape[0], 6, "units"),
    ):
        places = ticks(n, n_ticks)
        axis.set_ticks(places, labels=[f"{place:,}" for place in places], fontsize=SMALL)
        if n > n_pooled:
            fewest, most = n // n_pooled, -(-n // n_pooled)
            label += f" (max of {fewest:,}{'' if fewest == most else f'–{most:,}'} {label.split()[-1]} a pixel)"
        axis.set_label_text(label, fontsize=SMALL)


def ticks(n: int, most: int) -> list[int]:
    """Round numbers from 0 to `n`, `most` steps of them at most, and `n` itself, well apart from the one before."""
    places = MaxNLocator(most, integer=True, steps=[1, 2, 2.5, 5, 10]).tick_values(0, max(n, 1))
    return [*(int(place) for place in places if place <= n - n / (1.5 * most) and place < n), n]


def shorten(parts: Sequence[str], fits: Callable[[str], bool]) -> str:
    """Join parts to a title, the longest ones shortened in their middle as far as the title must be to fit.

    >>> shorten(["monkey-N", "2015-07-23_recording_2"], lambda title: len(title) <= 25)
    'monkey-N · 2015-0…rding_2'
    """
    parts = [" ".join(str(part).split()) for part in parts]

    def title(longest: int) -> str:
        head, tail = longest // 2, (longest - 1) // 2
        return " · ".join(part if len(part) <= longest else f"{part[:head]}…{part[-tail:]}" for part in parts)

    whole = max(3, *map(len, parts))
    n_cut = bisect_left(range(whole - 3), True, key=lambda n_cut: fits(title(whole - n_cut)))
    return title(whole - n_cut)


def _title(name: str, rows: Sequence[Row]) -> str:
    """Name, title and whether it is simulated, as the catalog knows them by the name, or the rows' source data sets."""
    known = set(catalog.names())
    own = name.rpartition("/")[2]  # of a Hub repository, someone/name
    title = f"{name}: {catalog.load(own).title}" if own in known else name
    sources = [(row.source_dataset or own).rpartition("/")[2] for row in rows]
    simulated = [source in known and catalog.load(source).simulated for source in sources]
    return title + (" (simulated)" if all(simulated) else " (partly simulated)" if any(simulated) else "")
