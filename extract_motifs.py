"""Count all unique patches of p_n units × p_t bins in a data set; draw the most frequent, write them all as Parquet."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from neuralpile import catalog, cli, motifs, store
from neuralpile.errors import BadInput

EXAMPLE = "python extract_motifs.py --p_n 1 --p_t 8 --repo_name dmfc-rsg"
TOPS = (10, 100, 1000)


def main() -> int:
    """Parse the command line, count, write, print a table."""
    parser = cli.parser(__doc__, EXAMPLE)
    parser.add_argument("--p_n", type=cli.positive_int, required=True, help="units of a patch")
    parser.add_argument("--p_t", type=cli.positive_int, required=True, help="bins of a patch")
    parser.add_argument(
        "--repo_name", default=catalog.PILE, help="data set: a local build, a Hub repository or a folder"
    )
    parser.add_argument("--top", type=cli.positive_int, default=16, help="motifs in the figure")
    parser.add_argument("--out_dir", type=Path, default=Path("motifs"), help="where figure and table go")
    parser.add_argument("--hf_repo_name", help="push the table to this Hub repository, someone/name")
    given = parser.parse_args()

    if given.top > motifs.MOST_DRAWN:
        parser.error(f"--top: expected at most {motifs.MOST_DRAWN}, found {given.top}; all motifs are in the table")
    data_set = store.open_data_set(given.repo_name)
    tokens = _tokens_to_count(data_set, given.p_n, given.p_t)
    counted = motifs.count(_rows(data_set, tokens), given.p_n, given.p_t)
    stem = motifs.file_stem(data_set.name, given.p_n, given.p_t)
    table, figure = given.out_dir / f"{stem}.parquet", given.out_dir / f"{stem}.jpeg"
    motifs.write_table(counted, table, data_set.name)
    motifs.save_figure(motifs.draw(counted, data_set.name, given.top), figure)

    print(f"\n{data_set.name}, patches of {given.p_n} units × {given.p_t} bins")
    print(f"{'tokens':20}{counted.tokens:>20,}")
    print(f"{'patches':20}{counted.total:>20,}")
    print(f"{'unique':20}{len(counted.frequencies):>20,}")
    for top in TOPS:
        print(f"{f'share of top {top:,}':20}{counted.frequencies[:top].sum() / counted.total:>20.4%}")
    print(f"figure: {figure}   table: {table}")
    if given.hf_repo_name:
        store.push_table(table, given.hf_repo_name)
        print(f"pushed to {given.hf_repo_name}")
    return 0


def _tokens_to_count(data_set: store.DataSetOnDisk, p_n: int, p_t: int) -> int:
    """The tokens of all rows. Raises BadInput where a patch fits into none of them."""
    shapes = [row.counts.shape for row in data_set]
    if not any(n_units >= p_n and n_bins >= p_t for n_units, n_bins in shapes):
        largest = f"rows of at most {max((n for n, _ in shapes), default=0)} units"
        found = f"{largest} and {max((n for _, n in shapes), default=0)} bins"
        do = "take a smaller --p_n or --p_t"
        raise BadInput(data_set.name, f"a row of at least {p_n} units × {p_t} bins", found, do)
    return sum(n_units * n_bins for n_units, n_bins in shapes)


def _rows(data_set: store.DataSetOnDisk, tokens: int) -> Iterator[np.ndarray]:
    """The counts of all rows, with a progress bar in tokens."""
    with tqdm(total=tokens, unit="token", unit_scale=True, desc="motifs", disable=None) as bar:
        for row in data_set:
            yield row.counts
            bar.update(row.counts.size)


if __name__ == "__main__":
    cli.run(main)
