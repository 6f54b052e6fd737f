"""Turn spike counts into tokens: ids of the most frequent motifs of p_n units × p_t bins, and a report of what is lost.

The vocabulary is fitted on the training split. Every other patch becomes the nearest motif, or, with --lossless, an
escape and its counts.
"""

import argparse
from functools import partial
from pathlib import Path

from neuralpile import catalog, cli
from neuralpile.hub import options
from neuralpile.motifs import limits, matplotlib_folder

EXAMPLE = "python tokenize_dataset.py --p_n 1 --p_t 8 --vocabulary 32000 --repo_name dmfc-rsg"
MOST_MOTIFS = 1_000_000  # in a vocabulary: it is in memory


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__, EXAMPLE)
    parser.add_argument("--p_n", type=cli.positive_int, required=True, help="units of a patch")
    parser.add_argument("--p_t", type=cli.positive_int, required=True, help="bins of a patch")
    parser.add_argument("--vocabulary", type=cli.positive_int, default=32_000, help="motifs that get an id")
    parser.add_argument(
        "--repo_name", default=catalog.PILE, help="data set: a local build, a Hub repository or a folder"
    )
    parser.add_argument("--split_for_fit", default="train", help="split whose motifs are counted")
    parser.add_argument(
        "--lossless", action="store_true", help="write patches outside the vocabulary as an escape and their counts"
    )
    parser.add_argument(
        "--out_dir", type=Path, help="folder for the result (default: the name of the data set and -tokens, in build)"
    )
    cli.add_resources(parser, "rows that are encoded in parallel", "work")
    options.add_publishing(parser, "the result")
    given = parser.parse_args()
    if given.vocabulary > MOST_MOTIFS:
        parser.error(f"--vocabulary: expected at most {MOST_MOTIFS:,}, found {given.vocabulary:,}")
    return given


def main() -> int:
    """Fit, encode, print what is lost, and publish if asked to."""
    given = parse()
    memory = limits.within_limit(given.memory or cli.machine_memory() // 4)
    matplotlib_folder.choose()
    from neuralpile.motifs import cluster, extract  # takes a second, which --help need not wait for
    from neuralpile.motifs.run import Count, components
    from neuralpile.open import open_data_set
    from neuralpile.training import loss, tokenized

    hub = options.hub(given)
    data_set = open_data_set(given.repo_name)
    out_dir = given.out_dir or catalog.BUILD / f"{data_set.name.replace('/', '--')}-tokens"
    rows = data_set.only(given.split_for_fit)
    count: Count = partial(extract.extract, rows, jobs=given.jobs)
    encode: tokenized.Encode = partial(tokenized.in_threads, jobs=given.jobs)
    if given.scheduler:
        open_split = partial(open_data_set, split=given.split_for_fit)
        count = partial(cluster.extract, given.scheduler, open_split, rows)
        encode = tokenized.OnCluster(given.scheduler, open_data_set)
    job = tokenized.Job(given.p_n, given.p_t, given.vocabulary, given.split_for_fit, given.lossless)
    made = tokenized.run(data_set, job, count, encode, memory, out_dir)
    print("\n".join(["", *loss.lines(made.report), f"tokens: {made.folder}"]))
    if hub:
        from neuralpile.hub import card, publish

        described = card.describe(components(data_set), data_set.manifest())
        page = publish.push_tokens(made.folder, hub, {"command": options.command()}, described)
        print(f"pushed to {given.hf_repo_name}: {page}")
    return 0


if __name__ == "__main__":
    cli.run(main)
