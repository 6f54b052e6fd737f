"""What encoding changes: patches outside the vocabulary, bits, spikes, counts and rates; as numbers and a figure."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuralpile.cli import percent
from neuralpile.compile import compiled
from neuralpile.motifs import summary
from neuralpile.motifs.kernels import Counts, Table
from neuralpile.training.lookup import Ids, Others
from neuralpile.training.vocabulary import FIRST_MOTIF, SIZES, Vocabulary

LANES = 4  # histograms that are used in turn: one id often comes twice, while its first increment is being written


@dataclass
class Loss:
    """What encoding some rows changes, as sums over them. `+` adds those of others.

    Padding counts as what it is filled with, zeros: a nearest motif can have spikes there, which decoding cuts off.

    Attributes:
        rows, tokens, patches: that were encoded.
        exact: patches that are in the vocabulary.
        spikes: before.
        added, removed: spikes that a unit has more, or fewer, within a patch.
        count_error: absolute differences of counts.
        units: of all rows; a unit of two rows counts twice.
        rate, rate_after: mean counts a bin of the units.
        rate_change: absolute differences of the two.
        largest_change: the largest difference of a unit, relative to its rate before; this is a maximum.
        written: how often each id is written, (ids,), int64.
        motifs: how often each motif occurs, (motifs,), int64.
    """

    rows: int
    tokens: int
    patches: int
    exact: int
    spikes: int
    added: int
    removed: int
    count_error: int
    units: int
    rate: float
    rate_after: float
    rate_change: float
    largest_change: float
    written: NDArray[np.int64]
    motifs: NDArray[np.int64]

    def __add__(self, other: "Loss") -> "Loss":
        sums = {field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        return Loss(**sums | {"largest_change": max(self.largest_change, other.largest_change)})


def total(losses: Iterable[Loss], n_ids: int) -> Loss:
    """Add up losses; those of no rows are zeros."""
    found = Loss(0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, *(np.zeros(n, np.int64) for n in (n_ids, n_ids)))
    found.motifs = found.motifs[FIRST_MOTIF:]
    for loss in losses:
        found += loss
    return found


def measure(counts: Counts, ids: Ids, others: Others, vocabulary: Vocabulary, written: Ids) -> Loss:
    """Compare a row with what its ids stand for.

    Parameters:
        counts: of the row, (units, bins).
        ids, others: as `Lookup.find` returns them. Where it did not look for the nearest motifs, nothing is changed.
        vocabulary: that of the ids.
        written: the ids as they are written, flat; with escapes they are not `ids`.
    """
    p_n, p_t = vocabulary.p_n, vocabulary.p_t
    n_bins = max(1, counts.shape[1])
    spikes = _sums(np.ascontiguousarray(counts))
    change = np.zeros(ids.shape[0] * p_n, np.int64)  # of the spikes of each unit
    histogram = _histogram(written, vocabulary.n_ids)
    motifs = histogram[FIRST_MOTIF:].copy()
    added = removed = error = 0
    if len(others.nearest):
        n = others.table.frequencies
        differ = vocabulary.motifs.patches[others.nearest].astype(np.int16)
        differ -= others.counts(p_n * p_t).reshape(differ.shape)
        net = differ.sum(axis=2, dtype=np.int64)  # (patches, p_n)
        added = int(np.maximum(net, 0).sum(axis=1) @ n)
        removed = int(np.maximum(-net, 0).sum(axis=1) @ n)
        error = int(np.abs(differ).sum(axis=(1, 2), dtype=np.int64) @ n)
        groups = others.places // ids.shape[1]
        for i in range(p_n):
            change[i::p_n] = np.bincount(groups, net[others.which, i], ids.shape[0]).round()
        motifs -= np.bincount(others.nearest, n, len(vocabulary)).astype(np.int64)
    change = change[: len(spikes)]
    rate, rate_change = spikes / n_bins, change / n_bins
    relative = np.abs(change[spikes > 0]) / spikes[spikes > 0]
    return Loss(
        rows=1,
        tokens=counts.size,
        patches=ids.size,
        exact=ids.size - len(others.places),
        spikes=int(spikes.sum()),
        added=added,
        removed=removed,
        count_error=error,
        units=len(spikes),
        rate=float(rate.sum()),
        rate_after=float((rate + rate_change).sum()),
        rate_change=float(np.abs(rate_change).sum()),
        largest_change=float(relative.max(initial=0.0)),
        written=histogram,
        motifs=motifs,
    )


@compiled
def _sums(counts: Counts) -> NDArray[np.int64]:
    """Sum counts over bins."""
    sums = np.empty(len(counts), np.int64)
    for unit in range(len(counts)):
        found = np.uint32(0)
        for count in counts[unit]:
            found += np.uint32(count)
        sums[unit] = found
    return sums


def _histogram(ids: Ids, n: int) -> NDArray[np.int64]:
    """Count how often each of n ids occurs."""
    lanes = np.zeros((LANES, n), np.uint32)
    _count(np.ascontiguousarray(ids).reshape(-1), lanes)
    found: NDArray[np.int64] = lanes.sum(axis=0, dtype=np.int64)
    return found


@compiled
def _count(ids: Ids, lanes: NDArray[np.uint32]) -> None:
    for i in range(0, len(ids) - 3, 4):
        lanes[0, ids[i]] += np.uint32(1)
        lanes[1, ids[i + 1]] += np.uint32(1)
        lanes[2, ids[i + 2]] += np.uint32(1)
        lanes[3, ids[i + 3]] += np.uint32(1)
    for i in range(len(ids) // 4 * 4, len(ids)):
        lanes[0, ids[i]] += np.uint32(1)


def describe(loss: Loss, others: Iterable[Table]) -> dict[str, Any]:
    """Return what a report says of some rows.

    Parameters:
        loss: of the rows.
        others: the patches that are not in the vocabulary, and how often each occurs; in parts, each patch once.
    """
    tokens, units = max(1, loss.tokens), max(1, loss.units)
    frequencies = [loss.motifs, *(table.frequencies for table in others)]
    written = int(loss.written.sum())
    sizes = sorted({n for n in SIZES if n < len(loss.motifs)} | {len(loss.motifs)})
    return {
        "rows": loss.rows,
        "tokens": loss.tokens,
        "patches": loss.patches,
        "ids": written,
        "exact": loss.exact / max(1, loss.patches),
        "bits_per_token_before": _bits(frequencies) / tokens,
        "bits_per_token_after": _bits([loss.written]) / tokens,
        "spikes": loss.spikes,
        "spikes_added": loss.added,
        "spikes_removed": loss.removed,
        "mean_absolute_count_error": loss.count_error / tokens,
        "unit_rate_before": loss.rate / units,
        "unit_rate_after": loss.rate_after / units,
        "unit_rate_change": loss.rate_change / loss.rate if loss.rate else 0.0,
        "largest_unit_rate_change": loss.largest_change,
        "coverage": {n: float(loss.motifs[:n].sum() / max(1, loss.patches)) for n in sizes},
    }


def _bits(frequencies: Iterable[NDArray[np.int64]]) -> float:
    """Return how many bits an ideal code of symbols that occur so often takes: their number × Shannon's entropy."""
    numbers: dict[int, int] = {}
    for some in frequencies:
        for frequency, n in zip(*np.unique(some[some > 0], return_counts=True), strict=True):
            numbers[int(frequency)] = numbers.get(int(frequency), 0) + int(n)
    spectrum = np.array(sorted(numbers.items()), np.int64).reshape(-1, 2)
    symbols = int((spectrum[:, 0] * spectrum[:, 1]).sum())
    return summary.entropy(spectrum) * symbols if symbols else 0.0


# Of the printed table, explained in docs/tokens.md: titles, and how values are written; shares by `percent`.
COLUMNS = {
    "tokens": ("tokens", "{:,}"),
    "exact": ("exact patches", ""),
    "bits_per_token_before": ("bits/token", "{:.4f}"),
    "bits_per_token_after": ("after", "{:.4f}"),
    "spikes": ("spikes", "{:,}"),
    "spikes_added": ("added", "{:,}"),
    "spikes_removed": ("removed", "{:,}"),
    "mean_absolute_count_error": ("error/token", "{:.2e}"),
    "unit_rate_before": ("spikes/bin", "{:.4f}"),
    "unit_rate_after": ("after", "{:.4f}"),
    "largest_unit_rate_change": ("largest change", "{:.2%}"),
}


def lines(report: Mapping[str, Any]) -> list[str]:
    """Return a report as the table that tokenize_dataset.py prints: components, splits, and all rows."""
    rows = {**report["components"], **{f"all {name}": facts for name, facts in report["splits"].items()}}
    rows["all"] = report["all"]
    cells = [["", *(title for title, _ in COLUMNS.values())]]
    cells += [
        [name, *(form.format(facts[key]) if form else percent(facts[key]) for key, (_, form) in COLUMNS.items())]
        for name, facts in rows.items()
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = [
        [f"{line[0]:{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(line[1:], widths[1:], strict=True))] for line in cells
    ]
    return ["  ".join(line) for line in aligned]


# Paul Tol's bright colours, which people with colour blindness tell apart: personal.sron.nl/~pault
LINES = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#777777")


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw the share of patches that vocabularies of 256 to 131,072 motifs do not have, so that one can be chosen.

    Parameters:
        report: as it stands in `report.json`.
        path: of the figure.
    """
    from matplotlib.figure import Figure

    from neuralpile.figure_files import save

    vocabulary = report["vocabulary"]
    figure = Figure((7, 4.6), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    styles = itertools.product(("-", "--", ":", "-."), LINES)
    curves = {name: facts["coverage"] for name, facts in report["components"].items()}
    if len(curves) > 1:
        for (name, coverage), (line, colour) in zip(curves.items(), itertools.cycle(styles), strict=False):
            _plot(axes, coverage, label=name, ls=line, color=colour, lw=1)
    curves[""] = vocabulary["coverage"]
    fitted_on = "all" if vocabulary["data_set"] == report["data_set"] else vocabulary["data_set"]
    _plot(axes, curves[""], label=f"{fitted_on}, {vocabulary['split']}", color="black", lw=2, marker=".")
    axes.axvline(vocabulary["motifs"], color="0.5", lw=1, label=f"chosen: {vocabulary['motifs']:,}")
    outside = [1 - share for line in curves.values() for share in line.values() if share < 1]
    axes.set_ylim(min([0.1, *outside]) / 2, 1)  # also where nothing is outside: a logarithm has no zero
    axes.set_yscale("log")
    axes.set_xlim(SIZES[0] / 1.2, SIZES[-1] * 1.2)
    axes.set_xscale("log", base=2)
    axes.set_xticks(SIZES, [f"{n:,}" for n in SIZES], fontsize=7)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.set_xlabel(f"motifs in the vocabulary, the most frequent of {vocabulary['unique']:,}")
    axes.set_ylabel("share of patches it does not have")
    order = f", units by {report['order']}" if report["order"] else ""
    title = f"{report['data_set']}{order}: patches of {vocabulary['p_n']} × {vocabulary['p_t']}"
    axes.set_title(title, fontsize=11, parse_math=False)
    axes.grid(alpha=0.3)
    legend = figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    save(figure, path)


def _plot(axes: Any, coverage: Mapping[str | int, float], **style: Any) -> None:
    """Plot the share that is not covered. It ends where nothing is left, because the axis is logarithmic."""
    points = [(int(n), 1 - share) for n, share in coverage.items() if share < 1]
    axes.plot(*zip(*points, strict=True) if points else ((), ()), **style)
