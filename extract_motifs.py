"""Count all unique patches of p_n units × p_t bins in a data set; draw the most frequent, write them all as Parquet."""

import argparse
from functools import partial
from pathlib import Path

from neuralpile import catalog, cli
from neuralpile.hub import options
from neuralpile.motifs import limits, matplotlib_folder

EXAMPLE = "python extract_motifs.py --p_n 1 --p_t 8 --repo_name dmfc-rsg"
MOST_DRAWN = 400  # motifs in a figure


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__, EXAMPLE)
    parser.add_argument("--p_n", type=cli.positive_int, required=True, help="units of a patch")
    parser.add_argument("--p_t", type=cli.positive_int, required=True, help="bins of a patch")
    cli.add_reference(parser, catalog.PILE)
    cli.add_where(parser)
    cli.add_order(parser)
    parser.add_argument("--top", type=cli.positive_int, default=16, help="motifs in the figure")
    parser.add_argument(
        "--rank_by",
        choices=("frequency", "lift"),
        default="frequency",
        help="which motifs the figure shows: the most frequent, or those that exceed independent units most",
    )
    parser.add_argument("--skip_blank", action="store_true", help="leave the motif without spikes out of the figure")
    parser.add_argument("--out_dir", type=Path, default=Path("motifs"), help="folder for the table and the figures")
    cli.add_resources(parser, "blocks of rows counted in parallel", "count")
    options.add_publishing(parser, "the table")
    given = parser.parse_args()
    if given.top > MOST_DRAWN:
        parser.error(f"--top: expected at most {MOST_DRAWN}, found {given.top}; all motifs are in the table")
    return given


def main() -> int:
    """Count, write, print a summary and the paths of the files."""
    given = parse()
    memory = limits.within_limit(given.memory or cli.machine_memory() // 4)
    matplotlib_folder.choose()
    from neuralpile.corpus import ordered
    from neuralpile.motifs import cluster, extract, run, summary  # takes a second, which --help need not wait for
    from neuralpile.open import open_data_set

    hub = options.hub(given)
    opened = partial(open_data_set, where=given.where, order=ordered.resolved(given.order))
    data_set = opened(given.repo_name)
    count: run.Count = partial(extract.extract, data_set, jobs=given.jobs)
    if given.scheduler:
        count = partial(cluster.extract, given.scheduler, opened, data_set)
    selection = run.Selection(given.top, given.rank_by, given.skip_blank)
    made = run.run(data_set, count, given.p_n, given.p_t, memory, given.out_dir, selection)
    print("\n".join(["", *summary.lines(made.summary), *map(str, made.paths)]))
    if hub:
        from neuralpile.hub import card, publish

        described = card.describe(run.components(data_set), data_set.manifest())
        page = publish.push_table(made.paths[0], hub, {"command": options.command()}, described)
        print(f"pushed to {given.hf_repo_name}: {page}")
    run.clean(made)
    return 0


if __name__ == "__main__":
    cli.run(main)
