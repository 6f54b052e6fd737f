"""Pictures of spike counts: random rows of a data set as images, units × time bins, in which every spike is seen.

Rows have more bins than a screen has pixels. Drawing every nth bin would lose spikes, and averaging would make them
fade; so bins that share a pixel, and units where there are more than pixels, are pooled by maximum. Panels lie on whole
pixels and have as many as their pooled counts or more, so that nothing is resampled away later.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.distance import squareform
from tqdm import tqdm

from neuralpile import catalog
from neuralpile.build.record import Report
from neuralpile.corpus.rows import Row, RowSource
from neuralpile.errors import BadInput
from neuralpile.files import whole_file

MAX_EXAMPLES = 400  # in a figure: 20 × 20 panels at their smallest are 11,320 × 7,924 pixels
DPI = 128  # a power of two: inches are then exact, and so are the pixels of matplotlib
# Pixels. Panels share the width, but do not get narrower than the narrowest: the figure then gets wider.
WIDTH, NARROWEST, ASPECT = 1900, 440, 0.66
LEFT, RIGHT, ABOVE, BELOW = 84, 36, 46, 72  # around each panel, for its titles and labels
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


SORTS = ("none", "rate", "similarity")
FORMATS = ("jpg", "png", "svg", "pdf")
COARSE = 4_000  # stretches of time in which units are compared
SMOOTH = 3.0  # bins: standard deviation of a Gaussian, before comparing: with 2 to 5, units that share a 1 Hz rhythm at
# mean rates of 3 Hz were told from others by 20 s of them; without, by 80 s
MOST_ORDERED = 1_000  # units up to which leaves are put in optimal order: the time grows with their square and more
# Nothing in a file says when it was made, or by what: the same figure is the same bytes.
SAVED_AS = {
    "jpg": {"pil_kwargs": {"quality": 95, "subsampling": 0}},  # chroma subsampling smears single pixels
    "png": {"metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}


@dataclass(frozen=True)
class View:
    """What is drawn of a row: from when on, for how long, its units in what order, and the kind of file."""

    start: float = 0.0  # seconds
    seconds: float | None = None  # to the end of the row
    sort: str = "none"
    format: str = "jpg"


class Shown(NamedTuple):
    """A row as it is drawn."""

    row: Row  # its counts are those that are drawn: (units, bins)
    first_bin: int
    bin_width: float | None  # seconds, where it is known
    label: str  # of the units
    order: np.ndarray | None = None  # (units,): which unit is on which line, where that is not their own order


def bin_width(data_set: RowSource, row: Row) -> float | None:
    """Seconds of a bin: as the build says, or its component's; else that of the data set in the catalog."""
    source = row.source_dataset or data_set.name.rpartition("/")[2]
    for folder in (data_set.folder, catalog.BUILD / source):
        if folder and (report := Report.read(folder)):
            return report.options.bin_size
    return catalog.load(source).bin_width if source in catalog.names() else None


def view(data_set: RowSource, row: Row, wanted: View) -> Shown | None:
    """A row as it is to be drawn; None where it ends before. Raises BadInput where seconds are asked for in vain."""
    width = bin_width(data_set, row)
    counts, first, stop = row.counts, 0, row.counts.shape[1]
    if wanted.start or wanted.seconds:
        if width is None:
            do = "draw whole rows, without --start and --seconds"
            raise BadInput(data_set.name, "a data set whose width of bins is known", "none", do)
        first = round(min(wanted.start / width, stop))
        n_bins = stop if wanted.seconds is None else max(1, round(min(wanted.seconds / width, stop)))
        stop = min(stop, first + n_bins)
        if first >= stop:
            return None
        counts = counts[:, first:stop]
    label, order = "units", None
    if wanted.sort == "rate":
        label, order = "units, the most active first", np.argsort(-sums(counts, 1).sum(axis=1), kind="stable")
    elif wanted.sort == "similarity":
        label, order = "units, similar ones together", by_similarity(counts)
    return Shown(row._replace(counts=counts), first, width, label, order)


def sums(counts: np.ndarray, n: int) -> np.ndarray:
    """Sum counts (units, bins) over at most `n` stretches of time of about equal length: (units, stretches), int64.

    Nothing of the size of `counts` is allocated.
    """
    n_units, n_bins = counts.shape
    n = min(n, n_bins)
    starts = np.arange(n) * n_bins // max(1, n)
    summed = np.empty((n_units, n), np.int64)
    for unit, into in zip(counts, summed, strict=True):
        np.add.reduceat(unit, starts, dtype=np.int64, out=into)
    return summed


def by_similarity(counts: np.ndarray) -> np.ndarray:
    """An order of units in which those with similar activity are neighbours; silent ones come last. (units,), int64.

    Activity is summed over at most `COARSE` stretches of time, and smoothed where these are short; distance is 1 − the
    correlation, clusters are joined by average linkage, and leaves put in optimal order (Bar-Joseph, Gifford & Jaakkola
    2001, Bioinformatics 17:S22) up to `MOST_ORDERED` units.
    """
    if not counts.size:
        return np.arange(len(counts))
    coarse = sums(counts, COARSE)
    smooth = gaussian_filter1d(coarse, SMOOTH * coarse.shape[1] / counts.shape[1], axis=1, output=float, mode="nearest")
    varies = np.ptp(smooth, axis=1) > 1e-9  # more than rounding errors
    active, silent = np.flatnonzero(varies), np.flatnonzero(~varies)
    if len(active) > 2:
        distances = squareform(1 - np.corrcoef(smooth[active]).clip(-1, 1), checks=False)
        tree = linkage(distances, "average", optimal_ordering=len(active) <= MOST_ORDERED)
        active = active[leaves_list(tree)]
    return np.concatenate([active, silent])


def draw(data_set: RowSource, n_examples: int, seed: int, out_dir: Path, wanted: View = View()) -> tuple[Path, int]:
    """Draw random rows of a data set to `<out_dir>/<its name>.<format>`, whole or not at all.

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
    bar = tqdm(at, unit="row", desc=f"draw {data_set.name}", disable=None, leave=False)
    shown = [shown for i in bar if (shown := view(data_set, data_set.row(int(i)), wanted))]
    if not shown:
        found = f"rows that end before {wanted.start:g} s"
        raise BadInput("--start", f"a time within the {n_shown} rows", found, "take an earlier one, or another --seed")
    if len(shown) < n_shown:
        drawn += f", of which {n_shown - len(shown)} end before {wanted.start:g} s"
    path = out_dir / f"{data_set.name.replace('/', '--')}.{wanted.format}"  # the name of a Hub repository has a slash
    said = f"{drawn}, in the order of the data set" if len(data_set) > 1 else "its only row"
    save(draw_rows(shown, data_set.name, said), path)
    return path, len(shown)


def draw_overview(data_sets: Sequence[RowSource], seed: int, out_dir: Path, wanted: View = View()) -> Path:
    """Draw one random row of each data set, of those that do not end before, to `<out_dir>/overview.<format>`.

    Raises BadInput where every row of every data set ends before.
    """
    rng = np.random.default_rng(seed)
    shown = []
    for data_set in data_sets:
        rows = (data_set.row(int(i)) for i in rng.permutation(len(data_set)))
        named = (row._replace(source_dataset=row.source_dataset or data_set.name) for row in rows)
        shown += islice((part for row in named if (part := view(data_set, row, wanted))), 1)
    if not shown:
        raise BadInput(
            "--start", "a time within a row", f"rows that end before {wanted.start:g} s", "take an earlier one"
        )
    path = out_dir / f"overview.{wanted.format}"
    save(draw_rows(shown, "overview", f"one row of each data set, drawn with seed {seed}"), path)
    return path


def save(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all. Raises BadInput where it cannot be written."""
    try:
        with whole_file(path) as partial, matplotlib.style.context(["default", {"svg.hashsalt": "neuralpile"}]):
            figure.savefig(partial, format=path.suffix[1:], **SAVED_AS[path.suffix[1:]])
    except OSError as error:
        raise BadInput(path, "a file that can be written", str(error), "give another --out_dir") from None


def draw_rows(shown: Sequence[Shown], name: str, chosen: str, pixels: int = WIDTH) -> Figure:
    """The figure of some rows of the data set `name`: a panel each, one colour scale for all.

    `chosen` says how the rows were chosen, `pixels` how wide the panels are together. Each panel holds one AxesImage:
    its counts, pooled as its labels say.
    """
    with matplotlib.style.context("default"):  # not the user's own style: it could crop or scale the figure
        return _figure(shown, name, chosen, pixels)


def _figure(shown: Sequence[Shown], name: str, chosen: str, pixels: int) -> Figure:
    rows = [part.row for part in shown]
    n_columns = math.ceil(math.sqrt(len(rows)))
    n_lines = math.ceil(len(rows) / n_columns)
    width = max(NARROWEST, pixels // n_columns - LEFT - RIGHT)
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

    # Bins first, that makes few of many; only then units are put in order and pooled.
    images = [pool_max(part.row.counts, width) for part in shown]
    images = [image if part.order is None else image[part.order] for part, image in zip(shown, images, strict=True)]
    images = [pool_max(image.T, height).T for image in images]
    edges = colour_edges(max(int(image.max(initial=0)) for image in images))
    colours = ScalarMappable(BoundaryNorm(edges, len(edges) - 1), palette(len(edges) - 1))
    for i, (part, image) in enumerate(zip(shown, images, strict=True)):
        row = part.row
        x, y = i % n_columns * column + LEFT, HEAD + i // n_columns * line + ABOVE
        _panel(axes(x, y, width, height), part, image, colours)
        write(x, y - 38, [row.subject_id, row.session_id, row.segment_id], width + RIGHT, fontsize=SMALL)
        shape = "{:,} units × {:,} bins".format(*row.counts.shape)
        if part.bin_width:
            shape += f" of {1000 * part.bin_width:g} ms"
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


def _panel(axes: Axes, part: Shown, image: np.ndarray, colours: ScalarMappable) -> None:
    """One row's image (units or fewer, bins or fewer); its labels are about what is shown of the row."""
    n_units, n_bins = part.row.counts.shape
    shown = image if image.size else np.zeros((1, 1), np.uint8)
    extent = (0, max(n_bins, 1), max(n_units, 1), 0)
    axes.imshow(shown, colours.cmap, colours.norm, aspect="auto", interpolation="nearest", extent=extent)
    # All pixels of the image are counts: the frame is what is seen of a line under it, and ticks begin outside of that.
    axes.patch.set(edgecolor="0.6", linewidth=2 * FRAME)
    axes.spines[:].set(position=("outward", FRAME), visible=False)
    for axis, n, n_pooled, n_ticks, label in (
        (axes.xaxis, n_bins, image.shape[1], 4, "time bins"),
        (axes.yaxis, n_units, image.shape[0], 6, part.label),
    ):
        places = ticks(n, n_ticks)
        labels = [f"{place:,}" for place in places]
        what = "units"
        if axis is axes.xaxis:
            labels = [f"{place + part.first_bin:,}" for place in places]
            what = "bins"
            if part.bin_width:
                label = "time bins, and seconds"
                seconds = [(place + part.first_bin) * part.bin_width for place in places]
                labels = [f"{text}\n{second:,.4g} s" for text, second in zip(labels, seconds, strict=True)]
        axis.set_ticks(places, labels=labels, fontsize=SMALL)
        if n > n_pooled:
            fewest, most = n // n_pooled, -(-n // n_pooled)
            label += f" (max of {fewest:,}{'' if fewest == most else f'–{most:,}'} {what} a pixel)"
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
