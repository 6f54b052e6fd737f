"""Count all unique patches of p_n units × p_t bins in a data set; draw the most frequent, write them all as Parquet."""

import shutil
from functools import partial
from pathlib import Path

from tqdm import tqdm

from neuralpile import catalog, cli
from neuralpile.corpus.rows import RowSource
from neuralpile.errors import BadInput
from neuralpile.hub import options
from neuralpile.motifs import extract, figures
from neuralpile.motifs.extract import Summary
from neuralpile.open import open_data_set

EXAMPLE = "python extract_motifs.py --p_n 1 --p_t 8 --repo_name dmfc-rsg"


def main() -> int:
    """Parse the command line, count, write, print a table."""
    parser = cli.parser(__doc__, EXAMPLE)
    parser.add_argument("--p_n", type=cli.positive_int, required=True, help="units of a patch")
    parser.add_argument("--p_t", type=cli.positive_int, required=True, help="bins of a patch")
    parser.add_argument(
        "--repo_name", default=catalog.PILE, help="data set: a local build, a Hub repository or a folder"
    )
    parser.add_argument("--top", type=cli.positive_int, default=16, help="motifs in the figure")
    parser.add_argument("--out_dir", type=Path, default=Path("motifs"), help="where figures and table go")
    parser.add_argument("--memory", type=cli.n_bytes, metavar="2GB", help="to use at most (a quarter of the machine's)")
    parser.add_argument("--jobs", type=cli.positive_int, default=cli.cores(), help="blocks of rows at a time")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="count on this Dask cluster: tcp://host:8786")
    options.add_publishing(parser, "the table")
    given = parser.parse_args()

    if given.top > extract.MOST_DRAWN:
        parser.error(f"--top: expected at most {extract.MOST_DRAWN}, found {given.top}; all motifs are in the table")
    hub = options.hub(given)
    memory = given.memory or cli.machine_memory() // 4
    data_set = open_data_set(given.repo_name)
    _check_fit(data_set, given.p_n, given.p_t)
    tokens = sum(data_set.tokens())
    stem = given.out_dir / figures.file_stem(data_set.name, given.p_n, given.p_t)
    table, work = stem.with_name(f"{stem.name}.parquet"), stem.with_name(f".{stem.name}.work")
    with tqdm(total=tokens, unit="token", unit_scale=True, desc="motifs", disable=None) as bar:
        if given.scheduler:
            from neuralpile.motifs import cluster

            counted = partial(cluster.extract, given.scheduler, data_set)
        else:
            counted = partial(extract.extract, data_set, jobs=given.jobs)
        n_patches, parts = counted(p_n=given.p_n, p_t=given.p_t, work=work, memory=memory, advance=bar.update)
    summary = Summary(data_set.name, given.p_n, given.p_t, tokens, n_patches)
    first, spectrum = extract.write_table(parts, table, summary, given.top)
    outputs = [stem.with_name(f"{stem.name}{end}") for end in (".jpeg", "_ranks.jpeg", "_summary.json")]
    figures.save_figure(figures.draw(first, summary), outputs[0])
    figures.save_figure(figures.draw_ranks(spectrum, summary), outputs[1])
    extract.write_summary(summary, outputs[2])
    print(_told(summary))
    print("\n".join(f"{path}" for path in (table, *outputs)))
    if hub:
        from neuralpile.hub import card, publish

        made = {"command": options.command()}
        page = publish.push_table(table, hub, made, card.describe(components(data_set), data_set.manifest()))
        print(f"pushed to {given.hf_repo_name}: {page}")
    shutil.rmtree(work, ignore_errors=True)
    return 0


def components(data_set: RowSource) -> list[str]:
    """The names of the data sets that a corpus was merged from, as its manifest has them; else its own."""
    manifest = data_set.manifest() if data_set.is_merged else None
    return list((manifest or {}).get("components", {})) or [data_set.name]


def _told(summary: Summary) -> str:
    """The table at the end."""
    lines = [f"\n{summary.data_set}, patches of {summary.p_n} units × {summary.p_t} bins"]
    lines += [f"{name:20}{getattr(summary, name):>20,}" for name in ("tokens", "patches", "unique")]
    lines += [f"{f'share of top {top:,}':20}{held:>20.4%}" for top, held in summary.coverage.items()]
    lines.append(f"{'bits a patch':20}{summary.entropy_per_patch:>20.4f}")
    lines.append(f"{'bits a token':20}{summary.entropy_per_token:>20.4f}")
    return "\n".join(lines)


def _check_fit(data_set: RowSource, p_n: int, p_t: int) -> None:
    """Raise BadInput where a patch fits into no row; of rows on the Hub only the tokens are known beforehand."""
    if not len(data_set):
        raise BadInput(data_set.name, "a data set with rows", "none", "build it again, or take another")
    if data_set.folder is None:
        largest = max((group.tokens for group in data_set.groups), default=0)
        fits = largest >= p_n * p_t
        found = f"groups of rows of at most {largest:,} tokens"
    else:
        shapes = [row.counts.shape for row in data_set]
        fits = any(n_units >= p_n and n_bins >= p_t for n_units, n_bins in shapes)
        units, bins = (max((shape[axis] for shape in shapes), default=0) for axis in (0, 1))
        found = f"rows of at most {units} units and {bins} bins"
    if not fits:
        do = "take a smaller --p_n or --p_t"
        raise BadInput(data_set.name, f"a row of at least {p_n} units × {p_t} bins", found, do)


if __name__ == "__main__":
    cli.run(main)
