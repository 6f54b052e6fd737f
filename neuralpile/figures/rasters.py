"""Rasters: random rows of a data set as images, units × time bins.

A window of some seconds has a pixel or more for every bin. Rows that are drawn whole have more bins than a screen has
pixels; they are drawn as mean rates. Panels lie on whole pixels: nothing is resampled later.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

import matplotlib.style
import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from tqdm import tqdm

from neuralpile import figure_files
from neuralpile.cli import plural
from neuralpile.corpus import ordered, tables
from neuralpile.corpus.ordered import OrderedRows
from neuralpile.corpus.rows import Row, RowSource
from neuralpile.errors import BadInput
from neuralpile.figures.areas import Areas, blocks, colours, legend
from neuralpile.figures.image import Scale, count_scale, mean_rates, mean_units, pool_max, rate_scale
from neuralpile.figures.session_time import SegmentStarts, bin_width
from neuralpile.figures.session_units import of_row
from neuralpile.figures.sheet import DPI, SMALL, WIDTH, Sheet, title_of
from neuralpile.figures.view import WINDOW, View
from neuralpile.training.unit_order import activity, by_area, by_rate, by_similarity, sums

MAX_EXAMPLES = 400  # in a figure: 20 × 20 panels at their smallest are 12,520 × 9,120 pixels
FRAME = 2 * 72 / DPI  # points, which are 2 pixels
BAR_GAP, BAR_WIDTH = 6, 9  # pixels: from a panel to the bar of its areas, and how wide that is
DEFAULT = View()
Kind = TypeVar("Kind", bound=np.generic)


class Shown(NamedTuple):
    """A row as it is drawn.

    Attributes:
        row: its counts are those that are drawn: (units, bins).
        first_bin: number of the first of these bins, in the session or else in the row.
        bin_width: seconds, where they are known.
        label: of the units.
        order: which unit is on which line, (units,), where that is not their own order.
        in_session: whether `first_bin` counts from the beginning of the session.
        areas: of the units, line by line, where the units are sorted by them.
    """

    row: Row
    first_bin: int
    bin_width: float | None
    label: str
    order: NDArray[np.int64] | None = None
    in_session: bool = True
    areas: Areas | None = None


def view(
    data_set: RowSource,
    row: Row,
    wanted: View,
    starts: SegmentStarts | None = None,
    units: pa.Table | None = None,
    in_order: OrderedRows | None = None,
) -> Shown | None:
    """Return what is drawn of a row; None if the row ends before the window.

    Parameters:
        data_set: where the row is from.
        row: the row.
        wanted: which part of it, in which order.
        starts: where segments of the data set begin; many rows should share one.
        units: the data set's table of units, if it has one; for the order by area.
        in_order: the data set in the orders that reorder_units.py made; for the order by similarity.

    Raises:
        BadInput: a window in seconds is wanted, and the width of bins is not known.
    """
    width = bin_width(data_set, row)
    n_bins = row.counts.shape[1]
    window = wanted.seconds if wanted.seconds is not None else WINDOW if width else math.inf
    first, stop = 0, n_bins
    if wanted.start is not None or window < math.inf:
        if width is None:
            do = "draw whole rows: --seconds all, without --start"
            raise BadInput(data_set.name, "a data set whose width of bins is known", "none", do)
        length = min(n_bins, max(1, round(min(window / width, n_bins))))
        first = (n_bins - length) // 2 if wanted.start is None else round(min(wanted.start / width, n_bins))
        stop = min(n_bins, first + length)
        if first >= stop and wanted.start is not None:
            return None
    counts = row.counts[:, first:stop]
    label, order, areas = "units", None, None
    if wanted.sort == "rate":
        label, order = "units, the most active first", by_rate(sums(counts, 1).sum(axis=1))
    elif wanted.sort == "similarity" and in_order is not None and in_order.has_order(row):
        label, order = "units, similar ones of the session as neighbours", in_order.order(row, len(counts))
    elif wanted.sort == "similarity":
        label, order = "units, similar ones as neighbours", by_similarity(activity([counts]))
    elif wanted.sort == "area":
        label, order, areas = _by_area(of_row(units, row, tables.own_name(data_set)))
    before = (starts or SegmentStarts(data_set)).first_bin(row)
    return Shown(row._replace(counts=counts), (before or 0) + first, width, label, order, before is not None, areas)


def _by_area(units: pa.Table | None) -> tuple[str, NDArray[np.int64] | None, Areas | None]:
    """Return the label of the units, their order by area, and their areas in this order; none if no area is known."""
    areas = [] if units is None else units.column("area").to_pylist()
    if not any(areas):
        return "units, whose areas the recording does not state", None, None
    order = by_area(areas)
    return "units, by area", order, [areas[unit] for unit in order]


def draw(data_set: RowSource, n_examples: int, seed: int, out_dir: Path, wanted: View = DEFAULT) -> tuple[Path, int]:
    """Draw random rows of a data set to `<out_dir>/<its name>.<format>`, whole or not at all.

    The rows are drawn without replacement from all splits, all of them if there are no more than `n_examples`, and
    shown in the order of the data set. The same data set, number and seed give the same bytes.

    Returns:
        The file, and the number of rows that it shows.

    Raises:
        BadInput: there are no rows, or more examples than fit in a figure; a row cannot be read; the folder cannot be
            written.
    """
    if not len(data_set):
        raise BadInput(data_set.name, "a data set with rows", "none", "build it again")
    n_shown = min(n_examples, len(data_set))
    if n_shown > MAX_EXAMPLES:
        raise BadInput("--n_examples", f"at most {MAX_EXAMPLES} in a figure", f"{n_shown:,}", "give a smaller one")
    at = np.sort(np.random.default_rng(seed).choice(len(data_set), n_shown, replace=False))
    drawn = f"all {plural(n_shown, 'row')}"
    if n_shown < len(data_set):
        drawn = f"{n_shown:,} of {plural(len(data_set), 'row')}, drawn with seed {seed}"
    bar = tqdm(at, unit="row", desc=f"draw {data_set.name}", disable=None, leave=False)
    starts, known = SegmentStarts(data_set), _known(data_set, wanted)
    shown = [shown for i in bar if (shown := view(data_set, data_set.row(int(i)), wanted, starts, *known))]
    if not shown:
        found = f"rows that end before {wanted.start:g} s"
        raise BadInput("--start", "a time within a row", found, "take an earlier one, or another --seed")
    if len(shown) < n_shown:
        drawn += f"; {n_shown - len(shown)} of them end before {wanted.start:g} s"
    path = out_dir / figure_files.name(data_set.name, f".{wanted.format}")
    chosen = f"{drawn}, in the order of the data set" if len(data_set) > 1 else "its only row"
    figure_files.save(draw_rows(shown, data_set.name, chosen), path)
    return path, len(shown)


def draw_overview(data_sets: Sequence[RowSource], seed: int, out_dir: Path, wanted: View = DEFAULT) -> Path:
    """Draw one random row of each data set, of those that reach the window, to `<out_dir>/overview.<format>`.

    Raises:
        BadInput: every row of every data set ends before the window.
    """
    rng = np.random.default_rng(seed)
    shown: list[Shown] = []
    for data_set in data_sets:
        known = _known(data_set, wanted)
        rows = (data_set.row(int(i)) for i in rng.permutation(len(data_set)))
        parts = (part for row in rows if (part := view(data_set, row, wanted, None, *known)))
        named = (_with_source(part, data_set.name) for part in parts)
        shown += islice(named, 1)
    if not shown:
        found = f"rows that end before {wanted.start:g} s" if wanted.start else "no rows"
        raise BadInput("--start", "a time within a row", found, "take an earlier one")
    path = out_dir / f"overview.{wanted.format}"
    figure_files.save(draw_rows(shown, "overview", f"one row of each data set, drawn with seed {seed}"), path)
    return path


def _known(data_set: RowSource, wanted: View) -> tuple[pa.Table | None, OrderedRows | None]:
    """Return the data set's table of units and its rows in order, if what is wanted needs them and they are there."""
    orders = ordered.made(data_set, wanted.sort) if wanted.sort == "similarity" else None
    units = data_set.units() if wanted.sort == "area" else None
    return units, None if orders is None else OrderedRows(data_set, orders)


def _with_source(part: Shown, name: str) -> Shown:
    return part._replace(row=part.row._replace(source_dataset=part.row.source_dataset or name))


def draw_rows(shown: Sequence[Shown], name: str, chosen: str, pixels: int = WIDTH) -> Figure:
    """Draw rows of the data set `name`: a panel each, one colour scale for all.

    Each panel holds one AxesImage: its counts, or its mean rates if the bins of any panel share pixels.

    Parameters:
        shown: at least one row.
        name: of the data set.
        chosen: how the rows were chosen, in words.
        pixels: how wide the panels are together.
    """
    with matplotlib.style.context("default"):  # not the user's own style, which could crop or scale the figure
        return _figure(shown, name, chosen, pixels)


def _figure(shown: Sequence[Shown], name: str, chosen: str, pixels: int) -> Figure:
    rows = [part.row for part in shown]
    sheet = Sheet(len(rows), pixels)
    images, scale = _images(shown, sheet.width, sheet.height)
    colour_of = colours(part.areas for part in shown if part.areas is not None)
    for i, (part, image) in enumerate(zip(shown, images, strict=True)):
        row = part.row
        n_units, n_bins = row.counts.shape
        shape = f"{plural(n_units, 'unit')} × {plural(n_bins, 'bin')}"
        if part.bin_width:
            shape += f" of {1000 * part.bin_width:g} ms"
        source = [] if row.source_dataset is None else [row.source_dataset]
        axes = sheet.panel(i, [row.subject_id, row.session_id, row.segment_id], [shape, *source])
        _panel(axes, part, image, scale)
        if part.areas is not None:
            _area_bar(sheet, i, part.areas, colour_of)
    sheet.colour_bar(scale, scale.title + (", in all panels" if len(shown) > 1 else ""))
    sheet.heading(title_of(name, [row.source_dataset for row in rows]), chosen)
    sheet.legend(legend(colour_of))
    return sheet.figure


def _area_bar(sheet: Sheet, i: int, areas: Areas, colour_of: Mapping[str | None, str]) -> None:
    """Draw a thin bar beside a panel, with a piece for each area and its name where there is room."""
    x, y = sheet.place(i)
    x += sheet.width + BAR_GAP
    axes = sheet.axes(x, y, BAR_WIDTH, sheet.height)
    axes.set(xlim=(0, 1), ylim=(len(areas), 0))
    axes.set_axis_off()
    for block in blocks(areas):
        place, size = (0, block.start), block.stop - block.start
        axes.add_patch(
            Rectangle(place, 1, size, facecolor=colour_of[block.area], edgecolor="white", linewidth=FRAME / 2)
        )
        top, high = y + block.start / len(areas) * sheet.height, size / len(areas) * sheet.height
        if block.area is not None:
            sheet.write_down(x + BAR_WIDTH + 2, top, block.area, high)


def _images(shown: Sequence[Shown], width: int, height: int) -> tuple[list[NDArray[np.generic]], Scale]:
    """Return the image of each row, (units or fewer, bins or fewer), and the scale of their colours."""
    if all(part.row.counts.shape[1] <= width for part in shown):
        counts = [_in_order(part.row.counts, part.order) for part in shown]
        pooled = [pool_max(image.T, height).T for image in counts]
        return list(pooled), count_scale(max(int(image.max(initial=0)) for image in pooled))
    in_hz = all(part.bin_width for part in shown)
    steps = [cast(float, part.bin_width) if in_hz else 1.0 for part in shown]
    # Bins first, which makes few of many; only then are units sorted and pooled.
    rates = [mean_rates(part.row.counts, width, step) for part, step in zip(shown, steps, strict=True)]
    rates = [_in_order(image, part.order) for image, part in zip(rates, shown, strict=True)]
    rates = [mean_units(image, height) for image in rates]
    return list(rates), rate_scale(max(float(image.max(initial=0)) for image in rates), in_hz)


def _in_order(image: NDArray[Kind], order: NDArray[np.int64] | None) -> NDArray[Kind]:
    return image if order is None else image[order]


def _panel(axes: Axes, part: Shown, image: NDArray[np.generic], scale: Scale) -> None:
    """Draw one row's image. The labels of its axes are about what is shown of the row."""
    n_units, n_bins = part.row.counts.shape
    drawn = image if image.size else np.zeros((1, 1), np.uint8)
    extent = (0.0, float(max(n_bins, 1)), float(max(n_units, 1)), 0.0)
    axes.imshow(drawn, scale.colours, scale.norm, aspect="auto", interpolation="nearest", extent=extent)
    # All pixels of the image are data: a line under it is its frame, and ticks begin outside of that.
    axes.patch.set(edgecolor="0.6", linewidth=2 * FRAME)
    axes.spines[:].set(position=("outward", FRAME), visible=False)
    how = "max" if image.dtype == np.uint8 else "mean"

    places = ticks(n_bins, 4, part.first_bin)
    labels = [f"{place + part.first_bin:,}" for place in places]
    label = "time bins"
    if part.bin_width:
        label = "time bins, and seconds"
        seconds = [_seconds((place + part.first_bin) * part.bin_width, n_bins * part.bin_width) for place in places]
        labels = [f"{text}\n{second}" for text, second in zip(labels, seconds, strict=True)]
    label += "" if part.in_session else " of the segment"
    axes.xaxis.set_ticks(places, labels=labels, fontsize=SMALL)
    axes.xaxis.set_label_text(label + _pooled(how, n_bins, image.shape[1], "bins"), fontsize=SMALL)

    if part.order is None:
        lines = [float(place) for place in ticks(n_units, 6)]
        numbers = [f"{line:,.0f}" for line in lines]
    else:  # the numbers of the units themselves, in the middle of their lines
        shown = ticks(n_units, 6)[:-1]
        lines = [line + 0.5 for line in shown]
        numbers = [f"{part.order[line]:,}" for line in shown] if len(part.order) else [""] * len(shown)
    axes.yaxis.set_ticks(lines, labels=numbers, fontsize=SMALL)
    axes.yaxis.set_label_text(part.label + _pooled(how, n_units, image.shape[0], "units"), fontsize=SMALL)


def _seconds(time: float, window: float) -> str:
    """Return a time in seconds, as exactly as a tick of a window of so many seconds needs."""
    digits = max(0, 2 - math.floor(math.log10(window))) if window else 0
    text = f"{time:,.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + " s"


def _pooled(how: str, n: int, n_pooled: int, what: str) -> str:
    """Say how many units or bins a pixel stands for, where that is more than one."""
    if n <= n_pooled:
        return ""
    fewest, most = n // n_pooled, -(-n // n_pooled)
    return f" ({how} of {fewest:,}{'' if fewest == most else f'–{most:,}'} {what} a pixel)"


def ticks(n: int, most: int, first: int = 0) -> list[int]:
    """Return places on an axis from 0 to `n` whose numbers, counted from `first`, are round; and both ends.

    There are at most `most` steps between round numbers, and those too near to an end are left out.
    """
    locator = MaxNLocator(most, integer=True, steps=[1, 2, 2.5, 5, 10])
    between = (int(place) - first for place in locator.tick_values(first, first + max(n, 1)))
    gap = n / (1.5 * most)
    return [0, *(place for place in between if max(1, gap) <= place <= n - max(1, gap)), n]
