"""Count the motifs of an opened data set, and write the table, the figures and the summary."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from neuralpile import figure_files
from neuralpile.cli import plural
from neuralpile.corpus import ordered
from neuralpile.corpus.ordered import OrderedRows
from neuralpile.corpus.rows import RowSource
from neuralpile.errors import BadInput
from neuralpile.motifs import figures, independent, parquet, summary
from neuralpile.motifs.extract import Motifs
from neuralpile.motifs.independent import Groups
from neuralpile.motifs.kernels import Table
from neuralpile.motifs.parquet import Counted
from neuralpile.motifs.summary import Summary

CANDIDATES = 2_000  # most frequent motifs that are ranked by lift


class Count(Protocol):
    """Counts all rows of a data set: `extract.extract` or `cluster.extract`, with their own arguments bound."""

    def __call__(
        self,
        *,
        tokens: Sequence[int],
        p_n: int,
        p_t: int,
        work: Path,
        memory: int,
        advance: Callable[[int], object],
    ) -> tuple[int, Iterator[Table]]:
        """Return the number of patches, and the motifs in parts, the most frequent first."""


@dataclass(frozen=True)
class Selection:
    """Which motifs the figure shows.

    Attributes:
        top: number of motifs.
        rank_by: "frequency"; or "lift", how much more frequent a motif is than with independent units.
        skip_blank: leave the motif without spikes out.
    """

    top: int = 16
    rank_by: Literal["frequency", "lift"] = "frequency"
    skip_blank: bool = False


class Result(NamedTuple):
    """A summary, the files that were written, the table first, and the folder to delete when all is done."""

    summary: Summary
    paths: list[Path]
    work: Path


def run(
    data_set: RowSource, count: Count, p_n: int, p_t: int, memory: int, out_dir: Path, selection: Selection
) -> Result:
    """Count the motifs of a data set, and write the table, two figures and the summary to `out_dir`.

    Parameters:
        data_set: where the rows are.
        count: counts its rows.
        p_n, p_t: units and bins of a patch.
        memory: bytes to use, about.
        out_dir: folder for the files, and for a hidden folder from which an interrupted run continues.
        selection: which motifs are drawn.

    Raises:
        BadInput: no row is as large as a patch.
    """
    tokens = checked_tokens(data_set, p_n, p_t)
    order, label = (ordered.measure(data_set), data_set.label) if isinstance(data_set, OrderedRows) else (None, None)
    stem = out_dir / figures.file_stem(data_set.name, p_n, p_t, label)
    table, work = stem.with_name(f"{stem.name}.parquet"), stem.with_name(f".{stem.name}.work")
    with tqdm(total=sum(tokens), unit="token", unit_scale=True, desc="motifs", disable=None) as bar:
        n_patches, parts = count(tokens=tokens, p_n=p_n, p_t=p_t, work=work, memory=memory, advance=bar.update)
    counted = Counted(data_set.name, p_n, p_t, sum(tokens), n_patches, order)
    read = CANDIDATES if selection.rank_by == "lift" else selection.top + 1  # one more, as one may be blank
    outputs = [stem.with_name(f"{stem.name}{end}") for end in (".jpeg", "_ranks.jpeg", "_summary.json")]
    for path in outputs:  # a killed run must not leave those of another table beside a new one
        path.unlink(missing_ok=True)
    first, spectrum = parquet.write(parts, table, counted, read)
    groups = independent.read_groups(data_set, p_n, p_t)
    made = summary.summarize(counted, spectrum, independent.entropy(groups, p_t), groups.rows)
    shown, notes = select(first, groups, n_patches, selection)
    chosen = "most frequent" if selection.rank_by == "frequency" else "most above independent units (× lift)"
    figure_files.save(figures.draw(shown, made, chosen, notes), outputs[0])
    figure_files.save(figures.draw_ranks(spectrum, made), outputs[1])
    summary.write(made, outputs[2])
    return Result(made, [table, *outputs], work)


def clean(result: Result) -> None:
    """Delete what an interrupted run would continue from."""
    shutil.rmtree(result.work, ignore_errors=True)


def select(motifs: Motifs, groups: Groups, n_patches: int, selection: Selection) -> tuple[Motifs, list[str]]:
    """Choose the motifs of the figure. Those without spikes are kept where there are no others.

    Lift is computed from k − 2 √k instead of the frequency k: two standard deviations of a Poisson count below it. This
    puts rare motifs, whose lift is uncertain, last.

    Returns:
        The motifs, the first in rank first; and a note for each: its lift, or none.
    """
    order = np.arange(len(motifs.frequencies))
    if selection.skip_blank and motifs.patches.any():
        order = order[motifs.patches.any(axis=(1, 2))]
    notes: list[str] = []
    if selection.rank_by == "lift":
        expected = n_patches * np.exp2(independent.log2_probability(motifs.patches[order], groups))
        ranked = np.argsort(-_ratio(motifs.frequencies[order] - 2 * np.sqrt(motifs.frequencies[order]), expected))
        lift = _ratio(motifs.frequencies[order].astype(float), expected)[ranked]
        order = order[ranked]
        notes = [f"× {value:.3g}" for value in lift[: selection.top]]
    order = order[: selection.top]
    return Motifs(motifs.patches[order], motifs.frequencies[order]), notes


def _ratio(found: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide by the expected values. The ratio is infinite where something was found and 0 was expected."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(found > 0, found / expected, 0.0))


def checked_tokens(data_set: RowSource, p_n: int, p_t: int) -> list[int]:
    """Return the tokens of each row. Raises BadInput where a patch is larger than every row.

    Of rows on the Hub, only the sum of tokens is known exactly without a download.
    """
    if not len(data_set):
        raise BadInput(data_set.name, "a data set with rows", "none", "build it again, or take another")
    if data_set.folder is None:
        tokens = data_set.tokens()
        fits = sum(tokens) >= p_n * p_t
        found = f"rows of {sum(tokens):,} tokens together"
    else:
        shapes = [row.counts.shape for row in ordered.unordered(data_set)]
        tokens = [n_units * n_bins for n_units, n_bins in shapes]
        fits = any(n_units >= p_n and n_bins >= p_t for n_units, n_bins in shapes)
        most_units, most_bins = (max(lengths) for lengths in zip(*shapes, strict=True))
        found = f"rows of at most {plural(most_units, 'unit')} and {plural(most_bins, 'bin')}"
    if not fits:
        do = "take a smaller --p_n or --p_t"
        raise BadInput(data_set.name, f"a row of at least {p_n} units × {p_t} bins", found, do)
    return tokens


def components(data_set: RowSource) -> list[str]:
    """Return the names of the data sets that a corpus was merged from, by its manifest; else its own name."""
    manifest = (data_set.manifest() if data_set.is_merged else None) or {}
    merged = manifest.get("components")
    return list(merged) if isinstance(merged, dict) and merged else [data_set.name]
