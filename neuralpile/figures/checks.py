"""Check the rates, counts and silences of a data set's rows, and say what looks wrong.

Rows are drawn at random, at most `ROWS` of them but at least one of each component, and one is in memory at a time.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from neuralpile.cli import percent, plural
from neuralpile.corpus.rows import Row, RowSource
from neuralpile.figures.session_time import SegmentStarts, bin_width

ROWS = 60  # that are checked
CURVES = 5  # rows whose population rate is kept
POINTS = 400  # of such a curve
BLOCK = 64  # units that are added up together

# What looks wrong. The thresholds are where doubt begins, not where something must be wrong.
LEAD_IN = 10.0  # seconds before the first spike of any unit, in a session's first row; or of a row without spikes
GAP = 1.0  # seconds in which no unit spikes, after the lead-in and up to the end of the row,
EXPECTED = 100  # while the row's mean rate predicts this many spikes
SILENT = 0.2  # share of units without a spike
FAST = 100.0  # Hz: median rate of units that spike
SLOW = 0.02  # Hz: median rate of units that spike; times in milliseconds taken for seconds make 5 Hz 0.005 Hz
LONG = 24 * 3600.0  # seconds of a session; the longest published ones have some hours
SHORT = 1.0  # seconds of a session
TOGETHER, OFTEN = 0.9, 0.001  # share of at least 10 units that spike in one bin, in such a share of the bins


class Curve(NamedTuple):
    """The population rate of a row.

    Attributes:
        name: of the row.
        rate: mean over units, in stretches of equal length: (points,), float64, Hz.
        seconds: length of all stretches together.
        silences: start and end of those that are flagged, seconds from the beginning of the row.
    """

    name: str
    rate: NDArray[np.float64]
    seconds: float
    silences: list[tuple[float, float]]


@dataclass
class Checked:
    """What was found in a data set.

    Attributes:
        name: of the data set.
        rows: number of its rows.
        checked: number of rows that were read.
        bin_width: seconds. Where it is None, times are in bins and rates in spikes per bin.
        rates: of all units of these rows, (units,), float64, Hz.
        counts: number of bins with each count, (256,), int64.
        curves: population rates of at most `CURVES` rows: first the worst of each kind of flag, then the other flagged
            rows, then the rest; each in the order of the rows.
        flags: what looks wrong, a sentence each.
    """

    name: str
    rows: int
    checked: int
    bin_width: float | None
    rates: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    curves: list[Curve] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    @property
    def silent(self) -> float:
        """Share of units without a spike in their row."""
        return _silent(self.rates)

    @property
    def where(self) -> str:
        """Which rows were checked: "these 60 of 1,200 rows"."""
        if self.checked == self.rows:
            return "the only row" if self.rows == 1 else f"all {plural(self.rows, 'row')}"
        return f"these {self.checked:,} of {plural(self.rows, 'row')}"


def _silent(rates: NDArray[np.float64]) -> float:
    """Share of units without a spike."""
    return float(np.mean(rates == 0)) if len(rates) else 0.0


def check(data_set: RowSource, seed: int = 0) -> Checked:
    """Check random rows of a data set.

    Parameters:
        data_set: where the rows are.
        seed: of the choice of rows.

    Raises:
        BadInput: a row cannot be read.
    """
    chosen = _draw(data_set, seed)
    n = len(chosen)
    width = bin_width(data_set, data_set.row(int(chosen[0]))) if n else None
    made, found, starts = Checked(data_set.name, len(data_set), n, width), _Found(), SegmentStarts(data_set)
    rates: dict[str | None, list[NDArray[np.float64]]] = {}  # of each component
    curves = {}
    drawn = tqdm(data_set.read(chosen.tolist()), "check " + data_set.name, n, unit="row", disable=None, leave=False)
    for number, row in enumerate(drawn):
        if not row.counts.size:
            continue
        # a merged corpus can have rows of several widths
        step = (bin_width(data_set, row) or width) if width else 1.0
        totals = _totals(row.counts)
        rates.setdefault(row.source_dataset, []).append(totals.units / (row.counts.shape[1] * step))
        made.counts += totals.counts
        curves[number] = _curve(_name(row), totals.bins / len(row.counts), step)
        _search(number, row, totals, step, found)
        if width:
            _search_length(number, row, step, starts, found)
    of_component = {name: np.concatenate(its) for name, its in rates.items()}
    made.rates = np.concatenate(list(of_component.values())) if rates else made.rates
    for silence in (*found.empty, *found.lead_in, *found.gaps):
        curves[silence.row].silences.append((silence.start, silence.start + silence.amount))
    made.curves = [curves[number] for number in dict.fromkeys([*found.rows(), *curves])][:CURVES]
    made.flags = _flags(made, found, of_component, "s" if width else "bins")
    return made


def _draw(data_set: RowSource, seed: int) -> NDArray[np.int64]:
    """Draw the numbers of `ROWS` rows, ascending; of a corpus, one of each component and then any others."""
    rng = np.random.default_rng(seed)
    if not data_set.is_merged:
        return np.sort(rng.choice(len(data_set), min(ROWS, len(data_set)), replace=False))
    sources = data_set.names().table["source_dataset"].to_numpy()
    drawn = rng.permutation(len(sources))
    firsts = np.sort(np.unique(sources[drawn].astype(str), return_index=True)[1])
    others = np.delete(drawn, firsts)[: max(0, ROWS - len(firsts))]
    return np.sort(np.concatenate([drawn[firsts], others]))


def _name(row: Row) -> str:
    return " ".join(filter(None, (row.source_dataset, row.subject_id, row.session_id, row.segment_id)))


class _Totals(NamedTuple):
    """The spikes of a row, added up."""

    units: NDArray[np.int64]  # (units,): spikes of each
    bins: NDArray[np.int64]  # (bins,): spikes in each
    spiking: NDArray[np.int64]  # (bins,): units with a spike in each
    counts: NDArray[np.int64]  # (256,): bins with each count


def _totals(counts: NDArray[np.uint8]) -> _Totals:
    """Add up counts (units, bins) in blocks of units; nothing of their size is allocated."""
    n_units, n_bins = counts.shape
    units, bins, spiking = (np.zeros(n, np.int64) for n in (n_units, n_bins, n_bins))
    histogram = np.zeros(256, np.int64)
    for start in range(0, n_units, BLOCK):
        block = counts[start : start + BLOCK]
        units[start : start + BLOCK] = block.sum(axis=1, dtype=np.int64)
        bins += block.sum(axis=0, dtype=np.uint32)
        spiking += np.count_nonzero(block, axis=0)
        for unit in block:
            histogram += np.bincount(unit, minlength=256)
    return _Totals(units, bins, spiking, histogram)


def _repeated(counts: NDArray[np.uint8], spikes: NDArray[np.int64]) -> int:
    """Return the number of units that repeat the counts of another. Only units with as many spikes are compared."""
    _, which, how_many = np.unique(spikes, return_inverse=True, return_counts=True)
    alike = np.flatnonzero((how_many[which] > 1) & (spikes > 0))
    return len(alike) - len({hashlib.sha256(counts[unit].tobytes()).digest() for unit in alike})


class _Finding(NamedTuple):
    """Something found in a row: how much of it, and for silences where it begins."""

    row: int  # its number among those that are checked: names can occur twice
    name: str
    amount: float
    start: float = 0.0


@dataclass
class _Found:
    """What was found in single rows."""

    empty: list[_Finding] = field(default_factory=list)
    lead_in: list[_Finding] = field(default_factory=list)
    gaps: list[_Finding] = field(default_factory=list)
    together: list[_Finding] = field(default_factory=list)
    repeated: list[_Finding] = field(default_factory=list)
    long: list[_Finding] = field(default_factory=list)
    short: list[_Finding] = field(default_factory=list)
    saturated: list[_Finding] = field(default_factory=list)

    def rows(self) -> list[int]:
        """Return the numbers of the rows with findings: first the worst of each kind, then the others."""
        kinds = [kind for known in fields(self) if (kind := getattr(self, known.name))]
        worst = sorted(_worst(kind).row for kind in kinds)
        return list(dict.fromkeys([*worst, *sorted(finding.row for finding in chain(*kinds))]))


def _curve(name: str, per_unit: NDArray[np.float64], step: float) -> Curve:
    """Average over stretches of equal length. What is left at the end is left out."""
    length = -(-len(per_unit) // POINTS)
    n = len(per_unit) // length
    rate = per_unit[: n * length].reshape(n, length).mean(axis=1) / step
    return Curve(name, rate, n * length * step, [])


def _search_length(number: int, row: Row, step: float, starts: SegmentStarts, found: _Found) -> None:
    """Look for implausible lengths of sessions."""
    seconds = row.counts.shape[1] * step
    until = (starts.first_bin(row) or 0) * step + seconds
    if until > LONG:
        found.long.append(_Finding(number, _name(row), until))
    if seconds < SHORT and row.segment_id.endswith("_0"):
        found.short.append(_Finding(number, _name(row), -seconds))


def _search(number: int, row: Row, totals: _Totals, step: float, found: _Found) -> None:
    """Look for silences, full bins, and for what units have in common."""
    name = _name(row)
    spiking = np.flatnonzero(totals.bins)
    n_bins, is_first = len(totals.bins), row.segment_id.endswith("_0")
    seconds = n_bins * step
    if not len(spiking):
        if seconds > LEAD_IN:
            found.empty.append(_Finding(number, name, seconds))
        return
    if spiking[0] * step > LEAD_IN and is_first:
        found.lead_in.append(_Finding(number, name, spiking[0] * step))
    if full := int(totals.counts[255]):
        found.saturated.append(_Finding(number, name, full))
    n_spikes, n_active = totals.units.sum(), np.count_nonzero(totals.units)
    rate = n_spikes / ((spiking[-1] - spiking[0] + 1) * step)
    # A session is cut into rows anywhere, so a gap can reach the edges of a row.
    borders = np.concatenate([[spiking[0] if is_first else -1], spiking, [n_bins]])
    silences = np.diff(borders) - 1
    longest = int(silences.argmax())
    if silences[longest] * step > GAP and silences[longest] * step * rate > EXPECTED:
        found.gaps.append(_Finding(number, name, silences[longest] * step, (borders[longest] + 1) * step))
    if n_active >= 10:
        together = float(np.mean(totals.spiking > TOGETHER * n_active))
        if together > OFTEN:
            found.together.append(_Finding(number, name, together))
    if n_spikes > 10 * n_active and (repeated := _repeated(row.counts, totals.units)):
        found.repeated.append(_Finding(number, name, repeated))


def _worst(items: Sequence[_Finding]) -> _Finding:
    """Return the finding of the largest amount."""
    return max(items, key=lambda item: item.amount)


def _flags(made: Checked, found: _Found, rates: Mapping[str | None, NDArray[np.float64]], unit: str) -> list[str]:
    """Say what looks wrong, each with its threshold; of rates, by component."""
    flags = []

    def rows(findings: Sequence[_Finding]) -> str:
        return f"{len(findings)} of {plural(made.checked, 'row')}"

    if found.empty:
        worst = _worst(found.empty)
        flags.append(
            f"{rows(found.empty)} without a spike in more than {LEAD_IN:g} {unit} "
            f"(up to {worst.amount:,.1f} {unit}: {worst.name}): was nothing recorded there?"
        )
    if found.lead_in:
        worst = _worst(found.lead_in)
        flags.append(
            f"{rows(found.lead_in)} with more than {LEAD_IN:g} {unit} before the first spike of a session "
            f"(up to {worst.amount:,.1f} {unit}: {worst.name}): does the clock begin before the recording? "
            "--trim removes it"
        )
    if found.gaps:
        worst = _worst(found.gaps)
        flags.append(
            f"{rows(found.gaps)} with more than {GAP:g} {unit} in which no unit spikes, where "
            f"{EXPECTED} spikes or more were expected (longest: {worst.amount:,.1f} {unit}, "
            f"from {worst.start:,.1f} {unit} in {worst.name}): was nothing recorded there?"
        )
    if made.bin_width:
        flags += _length_flags(made, found)
        flags += [f"{name}: {flag}" if name else flag for name, its in rates.items() for flag in _rate_flags(its)]
    if saturated := int(made.counts[255]):
        flags.append(f"{plural(saturated, 'bin')} with 255 spikes, the most that a byte can hold; there may be more")
    for name, its in rates.items():
        if (silent := _silent(its)) > SILENT:
            flags.append(
                f"{f'{name}: ' if name else ''}{percent(silent)} of the units without a spike in their row "
                f"(more than {percent(SILENT)}): dead channels?"
            )
    if found.together:
        worst = _worst(found.together)
        flags.append(
            f"{rows(found.together)} in which more than {percent(TOGETHER)} of the units spike together "
            f"in more than {percent(OFTEN)} of the bins (up to {percent(worst.amount)}: {worst.name}): "
            "artefacts, or very dense counts?"
        )
    if found.repeated:
        worst = _worst(found.repeated)
        flags.append(
            f"{rows(found.repeated)} with units that have the very same counts as another "
            f"(up to {plural(int(worst.amount), 'unit')}: {worst.name}): one channel twice?"
        )
    return flags


def _length_flags(made: Checked, found: _Found) -> list[str]:
    """Say which lengths are implausible in seconds: a sign of times in another unit."""
    flags = []
    if found.long:
        worst = _worst(found.long)
        flags.append(
            f"a session lasts {worst.amount / 3600:,.0f} hours or more (more than {LONG / 3600:g}: {worst.name}): "
            "are its times in seconds?"
        )
    if found.short:
        worst = _worst(found.short)
        flags.append(
            f"{len(found.short)} of {plural(made.checked, 'row')} from sessions of less than {SHORT:g} s "
            f"(down to {-worst.amount:,.3g} s): are the times in seconds?"
        )
    return flags


def _rate_flags(rates: NDArray[np.float64]) -> list[str]:
    """Say whether rates are implausible in Hz: a sign of times in another unit."""
    flags = []
    spiking = rates[rates > 0]
    median = float(np.median(spiking)) if len(spiking) else SLOW
    if median > FAST:
        flags.append(
            f"half of the units spike faster than {median:,.0f} Hz (more than {FAST:g}): is the bin width right?"
        )
    if median < SLOW:
        flags.append(
            f"half of the units that spike have rates below {median:.2g} Hz (less than {SLOW:g}): "
            "are the times in seconds?"
        )
    return flags
