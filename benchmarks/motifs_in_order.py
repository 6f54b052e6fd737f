"""Motifs of 15 × 1 and 4 × 4 before and after units are reordered: a table, and a figure of the coverage.

Orders are computed from the training rows, as reorder_units.py does; the motifs of all rows are counted. Without data
sets and recordings, the sessions of benchmarks/unit_order.py are counted.

    python benchmarks/motifs_in_order.py --data_sets simulated-pile --figure docs/images/unit-order.png
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import unit_order
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neuralpile import cli, figure_files
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.ordered import OrderedRows, Orders
from neuralpile.corpus.rows import Row, RowSource
from neuralpile.motifs import extract
from neuralpile.open import open_data_set
from neuralpile.recordings import nwb
from neuralpile.spikes.session import Options
from neuralpile.training.loss import LINES
from neuralpile.training.reordered import orders_of

SHAPES = [(15, 1), (4, 4)]
ORDERS = {"as in the file": None, "similarity": "similarity", "rate": "rate"}
STYLES = ("-", "--", ":")  # lines that coincide are all seen
SIZES = (1_000, 32_000)  # of vocabularies
Counted = dict[tuple[str, tuple[int, int], str], NDArray[np.int64]]  # frequencies, the highest first


def sessions(folder: Path, counts: Sequence[NDArray[np.uint8]]) -> RowSource:
    """A data set of these sessions, with rows as usual."""

    def made() -> Iterator[Row]:
        for i, session in enumerate(counts):
            for k, part in enumerate(rows.segments(session, Options().token_count_limit)):
                yield Row(part, "sub", f"ses-{i}", f"segment_{k}")

    arrow.write_rows(folder / "a.arrow", made(), rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
    return open_data_set(str(folder))


def count(name: str, data_set: RowSource) -> Counted:
    """Count the motifs of a data set in each order, and print a line for each."""
    found: Counted = {}
    ordered = {
        title: data_set if by is None else OrderedRows(data_set, Orders(orders_of(data_set, by), {}))
        for title, by in ORDERS.items()
    }
    for p_n, p_t in SHAPES:
        for title, source in ordered.items():
            its = extract.count((row.counts for row in source), p_n, p_t).frequencies
            total = int(its.sum())
            covered = [f"{its[:n].sum() / total:.2%}" for n in SIZES]
            cells = [f"{len(its):,}", f"{unit_order.entropy(its) / (p_n * p_t):.4f}", *covered]
            print(f"| {name} | {p_n} × {p_t} | {total:,} | {title} | {' | '.join(cells)} |", flush=True)
            found[name, (p_n, p_t), title] = its
    return found


def draw(counted: Counted, path: Path) -> None:
    """Draw the share of patches that a vocabulary does not have, over its size: a panel for each data set and shape."""
    names = list(dict.fromkeys(name for name, _, _ in counted))
    figure = Figure((3.4 * len(names), 5.4), dpi=150, layout="constrained")
    grid = figure.subplots(len(SHAPES), len(names), squeeze=False, sharex="col", sharey=True)
    for (name, (p_n, p_t), title), its in counted.items():
        axes = grid[SHAPES.index((p_n, p_t)), names.index(name)]
        k = list(ORDERS).index(title)
        sizes = np.unique(np.geomspace(1, len(its) - 1, 200).astype(int))
        outside = 1 - np.cumsum(its)[sizes - 1] / its.sum()
        axes.plot(sizes, 100 * outside, color=LINES[k], ls=STYLES[k], lw=1.5, label=title)
        axes.set_title(f"{name}, {p_n} × {p_t}", fontsize=9)
    for axes in grid.flat:
        axes.set(xscale="log", yscale="log", xlim=(10, None), ylim=(0.1, 100))
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:g} %")
        axes.xaxis.set_major_formatter(lambda n, _: f"{n:,.0f}")
        axes.tick_params(labelsize=7)
        axes.grid(color="0.9", lw=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0, 0].legend(title="order of units", fontsize=7, title_fontsize=7, frameon=False)
    figure.supxlabel("motifs in the vocabulary", fontsize=9)
    figure.supylabel("patches that it does not have", fontsize=9)
    figure_files.save(figure, path)


def main() -> None:
    """Count, print, draw."""
    parser = cli.parser(__doc__ or "", "python benchmarks/motifs_in_order.py --data_sets simulated-visual")
    parser.add_argument("--data_sets", nargs="+", default=[], help="local builds or folders")
    parser.add_argument("--recordings", nargs="+", default=[], metavar="NAME=FILE", help="NWB files, and what they are")
    parser.add_argument("--figure", type=Path, help="where the figure goes")
    given = parser.parse_args()
    print("| rows | patch | patches | order | unique | bits a token | first 1,000 | first 32,000 |")
    print("|---|---|--:|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as made:
        data_sets = {Path(reference).name: open_data_set(reference) for reference in given.data_sets}
        for number, recording in enumerate(given.recordings):
            name, _, file = recording.partition("=")
            read = nwb.count_units(Path(file), Options()).counts
            data_sets[name] = sessions(Path(made) / str(number), [read])
        if not data_sets:
            data_sets["simulated"] = sessions(Path(made) / "a", [unit_order.simulated(n, 20_000) for n in (96, 256)])
        counted: Counted = {}
        for name, data_set in data_sets.items():
            counted |= count(name, data_set)
        if given.figure:
            draw(counted, given.figure)


if __name__ == "__main__":
    main()
