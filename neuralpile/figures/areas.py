"""Brain areas in figures: where units of one area stand, and a colour for each area.

The names of areas are those of the recordings. Colours can be told apart by people who see colours differently; there
are no more than a legend can hold, so the other areas share a grey.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

# Okabe & Ito 2008, "Color Universal Design", https://jfly.uni-koeln.de/color/; in an order in which the first few
# differ most in lightness, too. Their black is left out.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
OTHER, UNKNOWN = "#555555", "#DDDDDD"

Areas = Sequence[str | None]  # of units; None where it is not stated


class Block(NamedTuple):
    """Neighbouring units of one area.

    Attributes:
        area: its name; None where it is not stated.
        start: the line of the first unit.
        stop: the line after the last.
    """

    area: str | None
    start: int
    stop: int


def blocks(areas: Areas) -> list[Block]:
    """Return runs of units of one area, in order.

    Example:
        >>> blocks(["M1", "M1", None])
        [Block(area='M1', start=0, stop=2), Block(area=None, start=2, stop=3)]
    """
    found, start = [], 0
    for area, units in groupby(areas):
        stop = start + sum(1 for _ in units)
        found.append(Block(area, start, stop))
        start = stop
    return found


def colours(of_rows: Iterable[Areas]) -> dict[str | None, str]:
    """Return a colour for each area of some rows, by name; units without an area come last, as None.

    If there are more areas than colours, those with the most units have one of their own, and the others are `OTHER`.

    Example:
        >>> colours([["PMd", "M1"], ["M1", None]])
        {'M1': '#0072B2', 'PMd': '#E69F00', None: '#DDDDDD'}
    """
    units = Counter(area for areas in of_rows for area in areas)
    names = sorted(area for area in units if area is not None)
    largest = sorted(names, key=lambda area: (-units[area], area))[: len(COLOURS)]
    own = dict(zip(sorted(largest), COLOURS, strict=False))
    found: dict[str | None, str] = {area: own.get(area, OTHER) for area in names}
    return found | ({None: UNKNOWN} if None in units else {})


def legend(chosen: dict[str | None, str]) -> dict[str, str]:
    """Return the names that a legend shows, with their colours.

    Example:
        >>> legend({"M1": "#0072B2", "PMd": "#555555", "S1": "#555555", None: "#DDDDDD"})
        {'M1': '#0072B2', '2 other areas': '#555555', 'area not stated': '#DDDDDD'}
    """
    shown = {area: colour for area, colour in chosen.items() if area is not None and colour != OTHER}
    n_others = sum(colour == OTHER for colour in chosen.values())
    others = {f"{n_others} other areas" if n_others > 1 else "1 other area": OTHER} if n_others else {}
    return shown | others | ({"area not stated": UNKNOWN} if None in chosen else {})
