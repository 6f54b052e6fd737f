"""Maps of electrodes on their arrays: how fast the units of each electrode spike, over the whole session.

Everything comes from the table of units beside the rows; no counts are read. Positions are in the recordings' own unit.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.style
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neuralpile import figure_files
from neuralpile.cli import plural
from neuralpile.corpus.tables import KEYS
from neuralpile.errors import BadInput
from neuralpile.figures.image import Scale, rate_scale
from neuralpile.figures.sheet import DPI, SMALL, Sheet, title_of

LUMINANCE = (0.2126, 0.7152, 0.0722)  # of red, green and blue (ITU-R BT.709)
FEWEST = 3  # places of an array that is drawn: two can be drawn for any electrodes, and show nothing
MISSING = f"no recording states {FEWEST} positions or more on one array"
MAX_ARRAYS = 400  # in a figure
NARROWEST, ASPECT = 330, 0.9  # of a panel: pixels, height by width
SMALLEST, LARGEST = 3, 40  # pixels: side of a square
FILLED = 0.86  # of the way to the next electrode
THIN = 8  # pixels: side of a square up to which its frame is thin
NUMBERED = 18  # pixels: side of a square from which on the number of its units is written in it
PAD = 0.16  # of the extent of an array, around it
LONG = 4  # a probe is drawn at most this many times as long as wide: in a narrower one, no electrode could be seen
ABREAST = 6  # arrays of a session that stand side by side


class Array(NamedTuple):
    """A group of electrodes of one session, and the rates of their units.

    Attributes:
        source: the data set.
        session: subject and session.
        group: name of the array or probe; "" where the recording names none.
        areas: of its units.
        places: (places, 2) float64, along the two axes on which the electrodes lie farthest apart.
        axes: their names, of x, y and z.
        rates: (places,) float64, Hz: of all units at each place together.
        n_units: (places,) int64.
        n_electrodes: number of electrodes at these places that have units.
        nowhere: units of the group whose place is not known.
    """

    source: str
    session: tuple[str, str]
    group: str
    areas: list[str]
    places: NDArray[np.float64]
    axes: tuple[str, str]
    rates: NDArray[np.float64]
    n_units: NDArray[np.int64]
    n_electrodes: int
    nowhere: int


def arrays(units: pa.Table) -> list[Array]:
    """Return the arrays of one session that have electrodes at no fewer than `FEWEST` places, by the names of groups.

    Parameters:
        units: the lines of the session, of the schema `corpus.tables.UNITS`.
    """
    names = [name or "" for name in units.column("group").to_pylist()]
    found = (
        _array(units.filter(pa.array([name == group for name in names]))) for group in sorted(set(names), key=_natural)
    )
    return [array for array in found if array is not None]


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts array 2 before array 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _array(units: pa.Table) -> Array | None:
    # A coordinate that is not there is the same for all units of the group.
    space = np.column_stack([units.column(axis).to_numpy().astype(float) for axis in "xyz"])
    known = np.isfinite(space).any(axis=1)
    space = np.nan_to_num(space)
    if not known.any():
        return None
    spread = np.ptp(space[known], axis=0)
    first, second = sorted(np.argsort(-spread, kind="stable")[:2])
    places, of_unit = np.unique(space[known][:, [first, second]], axis=0, return_inverse=True)
    if len(places) < FEWEST:
        return None
    at = of_unit.reshape(-1)
    rates = units.column("rate").to_numpy()[known]
    line = units.slice(0, 1).to_pylist()[0]
    electrodes = {name for name, there in zip(units.column("electrode").to_pylist(), known, strict=True) if there}
    return Array(
        source=line["source_dataset"],
        session=(line["subject_id"], line["session_id"]),
        group=line["group"] or "",
        areas=sorted(area for area in set(units.column("area").to_pylist()) if area is not None),
        places=places,
        axes=("xyz"[first], "xyz"[second]),
        rates=np.bincount(at, rates, len(places)).astype(np.float64),
        n_units=np.bincount(at, minlength=len(places)),
        n_electrodes=len(electrodes) if None not in electrodes else len(places),
        nowhere=int(np.count_nonzero(~known)),
    )


def draw(
    units: pa.Table | None, name: str, n_examples: int, seed: int, out_dir: Path, kind: str
) -> tuple[Path | None, int, int]:
    """Draw the arrays of random sessions to `<out_dir>/<its name>_map.<kind>`, whole or not at all.

    Sessions are drawn without replacement from those whose electrodes have positions.

    Parameters:
        units: the data set's table of units; None if it has none.
        name: of the data set.
        n_examples: number of sessions.
        seed: of their choice.
        out_dir: folder of the file.
        kind: format, one of `view.FORMATS`.

    Returns:
        The file, None if no electrode has a position; the number of sessions that it shows; and of those that could be.

    Raises:
        BadInput: there are more arrays than fit in a figure; the folder cannot be written.
    """
    keys = _sessions(units) if units is not None else []
    shown: dict[int, list[Array]] = {}
    for i in np.random.default_rng(seed).permutation(len(keys)).tolist():
        if len(shown) < n_examples and (found := arrays(_lines(units, keys[i]))):
            shown[i] = found
    drawn = [array for i in sorted(shown) for array in shown[i]]
    if not drawn:
        return None, 0, 0
    if len(drawn) > MAX_ARRAYS:
        raise BadInput(
            "--n_examples", f"at most {MAX_ARRAYS} arrays in a figure", f"{len(drawn):,}", "give a smaller one"
        )
    chosen = f"{plural(len(shown), 'session')} of {len(keys):,} with positions of electrodes, drawn with seed {seed}"
    if len(shown) == len(keys):
        chosen = f"the electrodes of {plural(len(shown), 'session')}: all that have positions"
    if any((array.n_units > 1).any() for array in drawn):
        chosen += "; numbers count the units of an electrode, whose rates are added up"
    path = out_dir / figure_files.name(name, f"_map.{kind}")
    figure_files.save(draw_arrays(drawn, name, chosen), path)
    return path, len(shown), len(keys)


def _sessions(units: pa.Table) -> list[tuple[str, ...]]:
    """Return the keys of the sessions whose electrodes have positions, in the order of the table."""
    somewhere = pc.field("x").is_valid() | pc.field("y").is_valid() | pc.field("z").is_valid()
    keys = units.filter(somewhere).select([*KEYS])
    return [
        tuple(line.values()) for line in keys.group_by(keys.column_names, use_threads=False).aggregate([]).to_pylist()
    ]


def _lines(units: pa.Table, key: Sequence[str]) -> pa.Table:
    source, subject, session = (pc.field(name) == value for name, value in zip(KEYS, key, strict=True))
    return units.filter(source & subject & session)


def draw_arrays(shown: Sequence[Array], name: str, chosen: str) -> Figure:
    """Draw arrays of the data set `name`: a panel each, one colour scale for all.

    Parameters:
        shown: at least one array.
        name: of the data set.
        chosen: how the sessions were chosen, in words.
    """
    scale = rate_scale(max(float(array.rates.max()) for array in shown), in_hz=True)
    with matplotlib.style.context("default"):
        sheet = Sheet(len(shown), narrowest=NARROWEST, aspect=ASPECT, n_columns=_columns(shown))
        for i, array in enumerate(shown):
            title = [*array.session, array.group] if array.group else [*array.session]
            source = [] if array.source == name.rpartition("/")[2] else [array.source]
            axes = sheet.panel(i, title, [_words(array), *array.areas, *source])
            _panel(axes, array, scale)
        sheet.colour_bar(scale, "rate of all units of an electrode, Hz" + ", in all panels" * (len(shown) > 1))
        sheet.heading(title_of(name, [array.source for array in shown]), chosen)
    return sheet.figure


def _columns(shown: Sequence[Array]) -> int:
    """Return the number of columns: the arrays of a session stand side by side, unless they are many."""
    abreast = max(Counter((array.source, array.session) for array in shown).values())
    square = math.sqrt(len(shown))
    if abreast == 1 or abreast > ABREAST:
        return math.ceil(square)
    return abreast * max(1, round(square / abreast))


def _words(array: Array) -> str:
    """Say how many units are where."""
    n_units = int(array.n_units.sum())
    words = f"{plural(n_units, 'unit')} on {plural(array.n_electrodes, 'electrode')}"
    if array.n_electrodes > len(array.places):
        words += f" at {len(array.places):,} places"
    if array.nowhere:
        words += f", {array.nowhere:,} elsewhere"
    return words


def _limits(places: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return what the two axes of a panel show: places on the same scale, unless they are of a long probe."""
    low, high = places.min(axis=0), places.max(axis=0)
    extent = high - low
    shape = np.array([1, ASPECT])
    drawn = np.maximum(extent, extent.max() / LONG)
    size = shape * (drawn / shape).max() * np.where(extent > 0, extent, drawn) / drawn
    half = size * (1 + PAD) / 2
    middle = (low + high) / 2
    return [(m - h, m + h) for m, h in zip(middle.tolist(), half.tolist(), strict=True)]


def _square(pixels: NDArray[np.float64]) -> tuple[float, float]:
    """Return width and height, in pixels, of rectangles in places (places, 2) that do not touch each other.

    Electrodes in columns and lines share them; others are as far apart as the nearest ones.
    """
    from scipy.spatial import cKDTree  # takes a third of a second to import

    distances = np.asarray(cKDTree(pixels).query(pixels, 2, p=np.inf)[0])[:, 1]  # of squares, not of circles
    gaps = [np.diff(np.unique(np.round(along, 3))) for along in pixels.T]
    side = float(np.percentile(distances, 25))
    sizes = [float(gap.min()) if len(gap) and 2 * (len(gap) + 1) <= len(pixels) else side for gap in gaps]
    sizes = [size if extent else LARGEST for size, extent in zip(sizes, np.ptp(pixels, axis=0), strict=True)]
    width, height = np.clip(FILLED * np.array(sizes), SMALLEST, LARGEST).tolist()
    return width, height


def _panel(axes: Axes, array: Array, scale: Scale) -> None:
    """Draw one array; where electrodes have several units, their number is in the square."""
    axes.set(**dict(zip(("xlim", "ylim"), _limits(array.places), strict=True)))
    width, height = _square(axes.transData.transform(array.places))
    corners: Any = [(-width, -height), (width, -height), (width, height), (-width, height), (-width, -height)]
    largest = max(width, height) * 72 / DPI  # points
    colours: Any = {"c": array.rates, "cmap": scale.colours, "norm": scale.norm, "edgecolors": "0.6"}
    x, y = array.places.T
    axes.scatter(x, y, largest**2, marker=corners, linewidths=0.5 if min(width, height) > THIN else 0.2, **colours)
    if min(width, height) >= NUMBERED:
        for (x_i, y_i), n, rate in zip(array.places.tolist(), array.n_units, array.rates, strict=True):
            if n > 1:
                light = np.dot(scale.colours(scale.norm(rate))[:3], LUMINANCE) > 0.4
                colour = "black" if light else "white"
                axes.text(x_i, y_i, f"{n}", ha="center", va="center", fontsize=SMALL, color=colour)
    axes.tick_params(labelsize=SMALL)
    axes.locator_params(nbins=5)
    # All places have one coordinate where the electrodes are on a line, or have positions along one axis only.
    one_x, one_y = (np.ptp(array.places, axis=0) == 0).tolist()
    axes.set_xlabel("" if one_x else f"{array.axes[0]}, as the recording states it", fontsize=SMALL)
    stated = ", as the recording states it" if one_x else ""  # once
    axes.set_ylabel("" if one_y else f"{array.axes[1]}{stated}", fontsize=SMALL)
    axes.tick_params(bottom=not one_x, labelbottom=not one_x, left=not one_y, labelleft=not one_y)
    axes.spines[:].set_color("0.8")
