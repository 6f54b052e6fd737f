"""Spike trains: what every reader of spike times returns, and how they become a session."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import compress

import numpy as np
from numpy.typing import ArrayLike

from neuralpile.cli import plural
from neuralpile.errors import BadInput, Mismatch
from neuralpile.spikes import binning, clock
from neuralpile.spikes.session import Options, Session

QUALITY = ("noise", "mua", "good")  # labels of Kilosort and phy, the lowest first
SHOWN = 6  # labels
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}  # seconds in a unit of time


@dataclass(frozen=True)
class SpikeTrains:
    """The spike trains of all units of a recording. Unit u has `times[ends[u - 1]:ends[u]]`.

    Attributes:
        times: (spikes,), float64, seconds: the trains of all units, one after another.
        ends: (units,), int64: where each unit's train ends in `times`; the first begins at 0.
        ids: (units,), str: each unit's name in the file.
        quality: (units,), str: each unit's label in the file's own words, "" for none; None where there are no labels.
        unassigned: spikes of the file that belong to no unit and are not in `times`.
        about: what else the file says of each unit: columns of `session.UNIT_COLUMNS`, (units,) each.
        start_time: when the session began; None where the file does not say.
        notes: what a user should know of the file.
        step: seconds: `clock.step` of the times in the type that the file stores.

    Raises:
        Mismatch: the ends do not fit the times, or a name or label is missing.

    Example:
        >>> trains = SpikeTrains.from_list([[0.5, 0.1], [], [0.3]], ids=["a", "b", "c"])
        >>> trains.ends.tolist()
        [2, 2, 3]
    """

    times: np.ndarray
    ends: np.ndarray
    ids: Sequence[str]
    quality: Sequence[str] | None = None
    unassigned: int = 0
    about: Mapping[str, Sequence[object]] = field(default_factory=dict)
    start_time: datetime | None = None
    notes: Sequence[str] = ()
    step: float = 0.0

    def __post_init__(self) -> None:
        clock.check_ends(self.ends, self.times.size)
        for what, values in (("ids", self.ids), ("quality labels", self.quality), *self.about.items()):
            if values is not None and len(values) != len(self.ends):
                raise Mismatch(f"{what} of {plural(len(self.ends), 'unit')}", f"{len(values):,}")

    def columns(self) -> dict[str, Sequence[object]]:
        """What the recording says of its units, for `Session.units`."""
        quality = {} if self.quality is None else {"quality": [label or None for label in self.quality]}
        return {"id": self.ids, **self.about, **quality}

    @classmethod
    def from_list(
        cls, trains: Sequence[ArrayLike], ids: Sequence[str] | None = None, quality: Sequence[str] | None = None
    ) -> "SpikeTrains":
        """Join one array of spike times in seconds for each unit. Units are called 0, 1, … by default."""
        step = max((clock.step(np.asarray(train)) for train in trains), default=0.0)
        arrays = [np.asarray(train, np.float64).ravel() for train in trains]
        ends = np.cumsum([len(train) for train in arrays], dtype=np.int64)
        times = np.concatenate([np.empty(0), *arrays])
        names = ids if ids is not None else [str(unit) for unit in range(len(arrays))]
        return cls(times, ends, names, quality, step=step)

    @classmethod
    def from_labels(cls, times: np.ndarray, labels: np.ndarray, units: np.ndarray | None = None) -> "SpikeTrains":
        """Sort spikes by unit; each unit's spikes keep their order.

        Parameters:
            times: (spikes,), seconds.
            labels: (spikes,), integers or str: the unit of each spike.
            units: (units,), of the type of `labels`, ascending: all units, if some have no spike; by default those
                that have.

        Raises:
            Mismatch: there is not one label for each time, or a label is none of `units`.

        Example:
            >>> trains = SpikeTrains.from_labels(np.array([0.1, 0.2, 0.3]), np.array([7, 2, 7]))
            >>> list(trains.ids), trains.times.tolist()
            (['2', '7'], [0.2, 0.1, 0.3])
        """
        if times.shape != labels.shape or times.ndim != 1:
            raise Mismatch("a unit for each spike time", f"units of {labels.size:,} spikes and {times.size:,} times")
        present, which = np.unique(labels, return_inverse=True)
        units = present if units is None else units
        if not np.isin(present, units).all():
            raise Mismatch("spikes of the listed units", f"spikes of unit {present[~np.isin(present, units)][0]}")
        which = np.searchsorted(units, present)[which]
        order = np.argsort(which, kind="stable")
        ends = np.cumsum(np.bincount(which, minlength=len(units)), dtype=np.int64)
        names = [str(unit) for unit in units]
        return cls(times[order].astype(np.float64, copy=False), ends, names, step=clock.step(times))


class UnknownLabels(Mismatch):
    """No unit has a known quality label, so they cannot be chosen by it."""

    def at(self, where: object, do: str) -> BadInput:
        """The error for users. The remedy is always the same."""
        return super().at(where, "build without --min_quality")


def seconds_per(unit: str | float) -> float:
    """Seconds in a unit of time: "s", "ms", "us", or a number, such as 1/30000 for samples.

    Raises:
        Mismatch: it is neither.

    Example:
        >>> seconds_per("ms"), seconds_per(1 / 2000)
        (0.001, 0.0005)
    """
    seconds = SECONDS.get(unit, 0.0) if isinstance(unit, str) else float(unit)
    if not 0 < seconds < np.inf:
        raise Mismatch(f"a unit of time: {', '.join(SECONDS)}, or seconds as a number above 0", repr(unit))
    return seconds


def at_least(labels: Sequence[str], levels: Sequence[str], lowest: str) -> np.ndarray:
    """Which units have the quality `lowest` or better: boolean (units,).

    Parameters:
        labels: (units,): each unit's label; case and surrounding blanks do not matter.
        levels: the labels that are known, the lowest first.
        lowest: one of `levels`.

    Raises:
        UnknownLabels: units are labelled, but none with a known label.

    Example:
        >>> at_least(["Good", "mua", "noise", ""], ["noise", "mua", "good"], "mua")
        array([ True,  True, False, False])
    """
    plain = np.array([str(label).strip().casefold() for label in labels], dtype=str)
    known = [level.casefold() for level in levels]
    if plain.size and not np.isin(plain, known).any():
        found = ", ".join(repr(label) for label in sorted(set(labels))[:5])
        raise UnknownLabels(f"quality labels {', '.join(levels)}", f"only {found}")
    return np.isin(plain, known[known.index(lowest.casefold()) :])


def _how_many(labels: Sequence[str], levels: Sequence[str]) -> str:
    """How many units have which label, the highest first: "2 good, 1 noise, 4 without a label"."""
    found = Counter(" ".join(str(label).split()).casefold() for label in labels)
    without = found.pop("", 0)
    known = [level for level in reversed([level.casefold() for level in levels]) if level in found]
    others = sorted(found.keys() - set(known))
    parts = [f"{found[label]:,} {label}" for label in [*known, *others][:SHOWN]]
    parts += ["…"] * (len(found) > SHOWN) + [f"{without:,} without a label"] * bool(without)
    return ", ".join(parts)


def _listed_twice(trains: SpikeTrains) -> list[str]:
    """A note if units have the same spike train, of `clock.FROM` spikes or more."""
    n_spikes = np.diff(trains.ends, prepend=0)
    first_with: dict[tuple[float, ...], list[int]] = {}
    pairs = []
    for unit in np.flatnonzero(n_spikes >= clock.FROM).tolist():
        train = trains.times[trains.ends[unit] - n_spikes[unit] : trains.ends[unit]]
        alike = first_with.setdefault((len(train), float(train[0]), float(train[-1])), [])
        for other in alike:
            if np.array_equal(train, trains.times[trains.ends[other] - n_spikes[other] : trains.ends[other]]):
                pairs.append(f"{trains.ids[other]} and {trains.ids[unit]}")
                break
        else:
            alike.append(unit)
    shown = ", ".join(pairs[:SHOWN]) + ", …" * (len(pairs) > SHOWN)
    return [f"units with the same spike times, listed twice: {shown}"] if pairs else []


def count(
    trains: SpikeTrains | Sequence[ArrayLike],
    options: Options,
    subject_id: str,
    session_id: str,
    levels: Sequence[str] = (),
) -> Session:
    """Count the spikes of all units in bins of `options.bin_size`.

    Parameters:
        trains: the spike trains, or one array of times in seconds for each unit.
        options: of these, `bin_size`, `as_published`, `trim` (for its note) and `min_quality`.
        subject_id, session_id: the names in the rows.
        levels: quality labels, the lowest first, for `min_quality`.

    Returns:
        Session with counts (units, bins), and notes on what was left out or is unlikely.

    Raises:
        Mismatch: the times cannot be seconds (see `neuralpile.spikes.clock`), or no unit has a known label.

    Example:
        >>> session = count([[0.01, 0.03, 0.031], [0.05]], Options(), "sub-A", "ses-1")
        >>> session.counts.tolist()
        [[1, 2, 0], [0, 0, 1]]
    """
    if not isinstance(trains, SpikeTrains):
        trains = SpikeTrains.from_list(trains)
    notes = clock.check(trains.times, trains.ends, options.bin_size, options.trim, trains.step)
    binned = binning.bin_spikes(trains.times, trains.ends, options.bin_size, options.as_published)
    notes += binned.notes(options.as_published)
    if trains.unassigned:
        notes.append(f"{plural(trains.unassigned, 'spike')} of no unit left out")
        if len(trains.ends) and not trains.ends[0]:
            notes.append("the first unit has no spike: does the index state where trains start, not where they end?")
    notes += _listed_twice(trains)
    notes += trains.notes
    counts, units = binned.counts, trains.columns()
    if options.min_quality and levels:
        if trains.quality is None:
            raise UnknownLabels(f"quality labels {', '.join(levels)}", "none")
        good = at_least(trains.quality, levels, options.min_quality)
        notes.append(f"{np.count_nonzero(~good):,} of {plural(len(good), 'unit')} below {options.min_quality} left out")
        counts = counts[good]
        units = {name: list(compress(values, good)) for name, values in units.items()}
    elif trains.quality and levels:
        notes.append(f"units of every label are counted: {_how_many(trains.quality, levels)}; --min_quality chooses")
    return Session(subject_id, session_id, counts, notes, units=units, start_time=trains.start_time)
