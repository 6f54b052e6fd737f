"""Merge built data sets into one corpus: shuffled, with a test split, each row with its source data set."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from neuralpile import catalog, cli
from neuralpile.build.record import REPORT, Report
from neuralpile.corpus import arrow, merge, split, store
from neuralpile.corpus.rows import RowSource
from neuralpile.errors import BadInput
from neuralpile.hub import card, options, publish
from neuralpile.open import open_data_set

EXAMPLE = "python merge_datasets.py --components m1-a dmfc-rsg --out_dir build/two"
MOST_SAID = 20


def main() -> int:
    """Parse the command line, merge, print a table."""
    parser = cli.parser(__doc__, EXAMPLE)
    parser.add_argument(
        "--components",
        nargs="+",
        metavar="NAME",
        help="data sets to merge: local builds, Hub repositories or folders; without it, all recorded (not simulated) "
        "data sets that are built",
    )
    parser.add_argument("--test_size", type=cli.fraction, default=0.01, help="share of the tokens in the test split")
    parser.add_argument(
        "--split_by", choices=split.SPLIT_BY, default="row", help="what stays whole, on one side of the split"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the shuffle")
    parser.add_argument("--out_dir", type=Path, default=catalog.BUILD / catalog.PILE, help="where the corpus goes")
    parser.add_argument(
        "--exclude_restricted", action="store_true", help="leave out data sets whose terms restrict passing rows on"
    )
    parser.add_argument(
        "--check", action="store_true", help="merge nothing: see whether the corpus has just the rows of its components"
    )
    options.add_publishing(parser, "the corpus")
    given = parser.parse_args()
    if given.check and (given.exclude_restricted or given.hf_repo_name):
        parser.error("--check: expected neither --exclude_restricted nor --hf_repo_name; name --components to choose")
    if given.seed < 0:
        parser.error(f"--seed: expected a whole number from 0, found {given.seed}")
    hub = options.hub(given)

    if given.check:
        return check(given.out_dir, given.components)
    recorded = [data_set.name for data_set in catalog.recorded()]
    references = given.components or [name for name in recorded if name in store.built()]
    components = [open_data_set(reference) for reference in references]
    if given.exclude_restricted:
        components = list(unrestricted(components))
    if not components:
        do = "run data/<name>/preprocess.py of some, or name data sets with --components"
        raise BadInput(catalog.BUILD, "recorded data sets that are built", "none", do)
    for line in doubts(components):
        print(f"warning: {line}", file=sys.stderr)
    merged = merge.merge(components, given.out_dir, given.test_size, given.seed, given.split_by)
    print(table(merged))
    if not any(sides.rows[split.TEST] for sides in merged.values()):
        print(f"no test split: no {given.split_by} is as small as --test_size {given.test_size:g} of its data set asks")
    if not given.components:
        missing = [name for name in recorded if name not in merged]
        if missing:
            print(f"not built, so not in it: {', '.join(missing)}")
    print(f"corpus: {given.out_dir}")
    if hub:
        corpus = open_data_set(str(given.out_dir))
        for name, data_set in card.describe(merged, corpus.manifest()).items():
            if data_set.caveat:
                print(f"before you pass these rows on: {name}: {data_set.caveat}", file=sys.stderr)
        made = {
            "command": options.command(),
            "seed": given.seed,
            "test size": given.test_size,
            "split by": given.split_by,
        }
        page = publish.push(corpus, hub, made)
        print(f"pushed to {given.hf_repo_name}: {page}")
    return 0


def unrestricted(components: list[RowSource]) -> Iterator[RowSource]:
    """Those data sets whose terms do not restrict passing their rows on; says which are left out."""
    for component in components:
        data_set = card.describe([component.name], component.manifest()).get(component.name)
        if data_set is not None and data_set.restricted:
            print(f"left out: {component.name}: {data_set.caveat}")
        else:
            yield component


def doubts(components: list[RowSource]) -> Iterator[str]:
    """What a user should know of the local builds before they are merged: missing sessions, unusual options."""
    published = set()
    for component in components:
        try:
            report = Report.read(component.folder) if component.folder else None
        except BadInput as error:
            yield str(error)
            continue
        if report is None:
            continue
        published.add(report.options.as_published)
        if report.failed:
            where = component.folder / REPORT
            yield f"{component.name}: {len(report.failed)} of its session files were not built (see {where})"
        bin_size = report.options.bin_size
        if component.name in catalog.names() and bin_size != catalog.load(component.name).bin_width:
            yield f"{component.name}: built with --bin_size {bin_size}"
    if len(published) > 1:
        yield "some of the data sets were built with --as_published, others without"


def check(folder: Path, references: list[str] | None) -> int:
    """Compare a corpus with its components, which its manifest names unless the user does; the exit status."""
    corpus = open_data_set(str(folder))
    if not corpus.is_merged:
        raise BadInput(folder, "a merged corpus", "a data set", "give the corpus with --out_dir")
    manifest = merge.made_of(folder)
    if manifest is None and not references:
        do = "name its components with --components, or merge again"
        raise BadInput(folder, f"a {arrow.MANIFEST} that names its components", "none", do)
    components = [open_data_set(reference) for reference in references or manifest["components"]]
    said = merge.check(corpus, components)
    for line in said[:MOST_SAID]:
        print(line)
    if said:
        print(f"{len(said):,} differences: merge again")
        return 1
    print(f"{len(corpus):,} rows: exactly those of {', '.join(component.name for component in components)}")
    return 0


def table(merged: dict[str, split.Sides]) -> str:
    """Rows, sessions and tokens of every component on both sides of the split, and in all."""
    width = max(20, *(len(name) + 1 for name in merged))
    headings = "train rows", "sessions", "tokens", "test rows", "sessions", "tokens"
    lines = ["", _line("", headings, width)]
    totals = [0] * 6
    for name, sides in merged.items():
        kinds = sides.rows, sides.sessions, sides.tokens
        numbers = [kind[side] for side in (split.TRAIN, split.TEST) for kind in kinds]
        totals = [total + n for total, n in zip(totals, numbers, strict=True)]
        lines.append(_line(name, [f"{n:,}" for n in numbers], width))
    return "\n".join([*lines, _line("all", [f"{n:,}" for n in totals], width)])


def _line(name: str, cells: Sequence[str], width: int) -> str:
    return f"{name:{width}}" + "".join(f"{cell:>{n}}" for cell, n in zip(cells, (11, 9, 17, 11, 9, 15), strict=True))


if __name__ == "__main__":
    cli.run(main)
