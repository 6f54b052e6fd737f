"""Bars of tokens on the page: a logarithmic scale that all of them share, so that small data sets are visible, too."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from neuralpile.cli import percent, plural


@dataclass(frozen=True)
class Tally:
    """Tokens of one name.

    Attributes:
        published: in the published rows, for certain.
        shared: more of the published rows, at most: data sets have several names there, and are not divided by them.
        built: in the local builds.
        units: of the local builds, where they are counted.
    """

    published: int = 0
    shared: int = 0
    built: int = 0
    units: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        """Return the sum of both."""
        published, built = self.published + other.published, self.built + other.built
        return Tally(published, self.shared + other.shared, built, self.units + other.units)

    @property
    def at_most(self) -> int:
        """Tokens in the published rows, at most."""
        return self.published + self.shared


def total(tallies: Iterable[tuple[str, Tally]]) -> dict[str, Tally]:
    """Add up tallies of one name, in the order in which names come first.

    Example:
        >>> total([("M1", Tally(960)), ("M1", Tally(built=40))])
        {'M1': Tally(published=960, shared=0, built=40, units=0)}
    """
    found: dict[str, Tally] = {}
    for name, tally in tallies:
        found[name] = found.get(name, Tally()) + tally
    return found


class Scale(NamedTuple):
    """A logarithmic scale of tokens, from 10 ** first to 10 ** last."""

    first: int
    last: int

    def length(self, n: int) -> float:
        """Return the length of a bar of `n` tokens, in per cent.

        Example:
            >>> Scale(3, 5).length(10_000), Scale(3, 5).length(0)
            (50.0, 0.0)
        """
        return 100 * max(0.0, math.log10(n) - self.first) / (self.last - self.first) if n else 0.0

    @property
    def step(self) -> float:
        """The length of a factor of ten, in per cent."""
        return 100 / (self.last - self.first)

    @property
    def ends(self) -> tuple[str, str]:
        """Where the scale begins and ends, in words."""
        return short(10**self.first), short(10**self.last)


class Bar(NamedTuple):
    """Tokens as a bar: an outline for what is published, dashed for what is at most, and filled what is built."""

    name: str
    published: float  # length, per cent
    at_most: float
    built: float
    text: str


def scale(tallies: Iterable[Tally]) -> Scale:
    """Return the scale for some tallies: whole factors of ten, and even the shortest bar has a length.

    Example:
        >>> scale([Tally(published=1_000, built=40), Tally(built=5_000)])
        Scale(first=1, last=4)
    """
    numbers = [n for tally in tallies for n in (tally.published, tally.at_most, tally.built) if n]
    if not numbers:
        return Scale(0, 1)
    first = math.ceil(math.log10(min(numbers))) - 1
    return Scale(first, max(first + 1, math.ceil(math.log10(max(numbers)))))


def bars(tallies: Mapping[str, Tally], on: Scale) -> list[Bar]:
    """Return bars, the longest first."""
    whole = sum(tally.published for tally in tallies.values())
    certain = not any(tally.shared for tally in tallies.values())
    found = []
    for name, tally in sorted(tallies.items(), key=lambda item: (-max(item[1].at_most, item[1].built), item[0])):
        words = []
        if tally.at_most:
            up_to = "≤ " if tally.shared else ""
            share = f" ({percent(tally.published, whole)})" if certain else ""
            words.append(f"{up_to}{short(tally.at_most)}{share}")
        if tally.built:
            units = f", {plural(tally.units, 'unit')}" if tally.units else ""
            words.append(f"built {short(tally.built)}{units}")
        published, at_most, built = (on.length(n) for n in (tally.published, tally.at_most, tally.built))
        found.append(Bar(name, published, at_most, built, ", ".join(words) or "–"))
    return found


def short(n: int) -> str:
    """Return a number with three digits.

    Example:
        >>> short(40_280_725_744), short(999)
        ('40.3 G', '999')
    """
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n}"
