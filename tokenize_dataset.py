"""Turn spike counts into tokens: ids of the most frequent motifs of p_n units × p_t bins, and a report of what is lost.

The vocabulary is fitted on the training split, or is that of another data set. Every other patch becomes the nearest
motif, or, with --lossless, an escape and its counts.
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
    parser.add_argument(
        "--vocabulary",
        metavar="N|REF",
        type=_vocabulary,
        default=32_000,
        help="motifs that get an id, or a tokenized data set whose ids are used: a folder, a build, a Hub repository",
    )
    cli.add_reference(parser, catalog.PILE)
    cli.add_order(parser)
    parser.add_argument("--split_for_fit", metavar="SPLIT", help="split whose motifs are counted (default: train)")
    parser.add_argument(
        "--lossless", action="store_true", help="write patches outside the vocabulary as an escape and their counts"
    )
    parser.add_argument(
        "--out_dir",
        type=Path,
        help="folder for the result (default: in build, the name of the data set, its order and -tokens)",
    )
    cli.add_resources(parser, "rows that are encoded in parallel", "work")
    options.add_publishing(parser, "the result")
    given = parser.parse_args()
    if isinstance(given.vocabulary, str) and given.split_for_fit:
        parser.error("--split_for_fit: nothing is fitted where --vocabulary names a vocabulary; leave one of them out")
    return given


def _vocabulary(text: str) -> int | str:
    """Parse --vocabulary. What looks like a number is one: a folder of such a name has a path, `./32000`."""
    try:
        int(text)
    except ValueError:
        return text
    number = cli.positive_int(text)
    if number > MOST_MOTIFS:
        raise argparse.ArgumentTypeError(f"expected at most {MOST_MOTIFS:,}, found {number:,}")
    return number


def main() -> int:
    """Fit, encode, print what is lost, and publish if asked to."""
    given = parse()
    memory = limits.within_limit(given.memory or cli.machine_memory() // 4)
    matplotlib_folder.choose()
    from neuralpile.corpus import ordered
    from neuralpile.motifs import cluster, extract  # takes a second, which --help need not wait for
    from neuralpile.motifs.run import Count, components
    from neuralpile.open import open_data_set
    from neuralpile.training import loss, tokenized
    from neuralpile.training.tokens import Tokenizer

    hub = options.hub(given)
    opened = partial(open_data_set, order=ordered.resolved(given.order))
    data_set = opened(given.repo_name)
    by = f"-by-{data_set.label}" if isinstance(data_set, ordered.OrderedRows) else ""
    out_dir = given.out_dir or catalog.BUILD / f"{data_set.name.replace('/', '--')}{by}-tokens"
    split = given.split_for_fit or "train"
    fitted = given.vocabulary
    if isinstance(fitted, str):
        fitted = Tokenizer.from_pretrained(fitted).vocabulary
    rows = data_set.only(split) if isinstance(fitted, int) else data_set
    count: Count = partial(extract.extract, rows, jobs=given.jobs)
    encode: tokenized.Encode = partial(tokenized.in_threads, jobs=given.jobs)
    if given.scheduler:
        count = partial(cluster.extract, given.scheduler, partial(opened, split=split), rows)
        encode = tokenized.OnCluster(given.scheduler, opened)
    job = tokenized.Job(given.p_n, given.p_t, fitted, split, given.lossless)
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
