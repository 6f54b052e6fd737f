"""What is in a data set, by its tables: areas by unit, animals, evaluation data of benchmarks, and what is restricted.

Areas are named as the recordings name them.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import pyarrow as pa

from neuralpile.cli import plural
from neuralpile.corpus.tables import KEYS

NAMED = 12  # areas or animals in a line of text
Key = TypeVar("Key", bound=Hashable)


class Adds(Protocol):
    """What can be added up."""

    def __add__(self, other: Self, /) -> Self:
        """Return the sum of both."""


Sum = TypeVar("Sum", bound=Adds)


@dataclass(frozen=True)
class Amount:
    """How much there is of something. A unit counts in each session in which it was recorded."""

    sessions: int = 0
    units: int = 0
    tokens: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        """Return the sum of both."""
        return Amount(self.sessions + other.sessions, self.units + other.units, self.tokens + other.tokens)


@dataclass(frozen=True)
class Contents:
    """What is in a data set or a corpus.

    Attributes:
        areas: by area, the one with the most tokens first; None for units whose area is not stated.
        animals: by animal and the data set that it is in.
        evaluation: by use in a benchmark, "nlb:test".
        restricted: by data set, where the terms forbid, or may forbid, redistribution.
    """

    areas: dict[str | None, Amount]
    animals: dict[tuple[str, str], Amount]
    evaluation: dict[str, Amount]
    restricted: dict[str, Amount]


def total(amounts: Iterable[tuple[Key, Sum]]) -> dict[Key, Sum]:
    """Add up amounts of one name, in the order in which names come first.

    Example:
        >>> total([("M1", Amount(1, 96, 960)), ("M1", Amount(1, 4, 40))])
        {'M1': Amount(sessions=2, units=100, tokens=1000)}
    """
    found: dict[Key, Sum] = {}
    for name, amount in amounts:
        found[name] = found[name] + amount if name in found else amount
    return found


def contents(sessions: pa.Table, units: pa.Table | None) -> Contents:
    """Add up what is in a data set or a corpus.

    Parameters:
        sessions: of the schema `corpus.tables.SESSIONS`.
        units: of the schema `corpus.tables.UNITS`; None where it was built without. Where no unit of a session states
            an area, and the session has only one, all its units count for that.
    """
    lines = sessions.select([*KEYS, "animal", "areas", "n_units", "n_bins", "tokens", "evaluation", "restricted"])
    amounts = [(line, Amount(1, line["n_units"] or 0, line["tokens"] or 0)) for line in lines.to_pylist()]
    areas = total(_areas([line for line, _ in amounts], units))
    return Contents(
        areas=dict(sorted(areas.items(), key=lambda item: (item[0] is None, -item[1].tokens, item[0] or ""))),
        animals=total(((line["animal"], line["source_dataset"]), n) for line, n in amounts if line["animal"]),
        evaluation=total((use, n) for line, n in amounts for use in line["evaluation"] or []),
        restricted=total((line["source_dataset"], n) for line, n in amounts if line["restricted"]),
    )


def _areas(sessions: Sequence[dict[str, Any]], units: pa.Table | None) -> Iterator[tuple[str | None, Amount]]:
    """Yield the areas of each session, with the units that are in them."""
    stated: defaultdict[tuple[str, ...], dict[str | None, int]] = defaultdict(dict)
    if units is not None:
        counted = units.select([*KEYS, "area"]).group_by([*KEYS, "area"]).aggregate([([], "count_all")])
        for line in counted.to_pylist():
            stated[_key(line)][line["area"]] = line["count_all"]
    repeated = Counter(map(_key, sessions))  # session files of one name: their units are counted together
    for session in sessions:
        key = _key(session)
        of_units = {area: n // repeated[key] for area, n in stated[key].items()}
        if not any(of_units):
            only = session["areas"][0] if len(session["areas"] or []) == 1 else None
            of_units = {only: session["n_units"] or 0}
        for area, n_units in of_units.items():
            yield area, Amount(1, n_units, n_units * (session["n_bins"] or 0))


def _key(line: dict[str, Any]) -> tuple[str, ...]:
    return tuple(line[name] for name in KEYS)


def words(of: Contents) -> dict[str, str]:
    """Say what is in a data set: its areas, animals, evaluation data, and what is restricted, where there is any."""
    areas = [f"{area or 'not stated'} ({plural(amount.units, 'unit')})" for area, amount in of.areas.items()]
    sources: defaultdict[str, list[str]] = defaultdict(list)
    for animal, source in of.animals:
        sources[animal].append(source)
    sessions = total((animal, amount) for (animal, _), amount in of.animals.items())
    animals = [
        f"{animal} ({plural(amount.sessions, 'session')}{_of(sources[animal])})" for animal, amount in sessions.items()
    ]
    uses = [
        f"{use} ({plural(amount.sessions, 'session')}, {plural(amount.tokens, 'token')})"
        for use, amount in of.evaluation.items()
    ]
    terms = [f"{source} ({plural(amount.sessions, 'session')})" for source, amount in of.restricted.items()]
    lines = {"areas": areas, "animals": animals, "evaluation data": uses, "redistribution restricted": terms}
    return {title: _some(names) for title, names in lines.items() if names}


def _of(data_sets: Sequence[str]) -> str:
    """Name the data sets of an animal that is in several."""
    return f" of {' and '.join(data_sets)}" if len(data_sets) > 1 else ""


def _some(names: Sequence[str]) -> str:
    """Join names; of many, the first."""
    left = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {left:,} more" if left > 0 else "")
