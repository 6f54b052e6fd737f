"""Merge built data sets into one corpus: shuffled, with a test split, each row with the name of its data set.

With --check nothing is merged: a corpus is compared with its components, row by row (`--check --help`).
With --list_evaluation nothing is merged: the evaluation data of public benchmarks are listed.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from neuralpile import catalog, cli, evaluation
from neuralpile.build.record import Report
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus import arrow, chosen, merge, split, store, tables
from neuralpile.corpus.manifest import CorpusManifest, info_of
from neuralpile.corpus.rows import RowSource
from neuralpile.errors import BadInput
from neuralpile.hub import options
from neuralpile.open import open_data_set

EXAMPLE = "python merge_datasets.py --components m1-a dmfc-rsg --out_dir build/two"
CHECK = "Compare a merged corpus with its components, row by row."
CHECK_EXAMPLE = "python merge_datasets.py --check --out_dir build/two"
LIST = "List which sessions are evaluation data of public benchmarks, with the source of each claim."
LIST_EXAMPLE = "python merge_datasets.py --list_evaluation"
COMPONENTS = "local builds, Hub repositories (someone/name) or folders"
DIFFERENCES_SHOWN = 20
UNSTATED = ("", "not stated", "unknown", "unverified")  # what `licence` of dataset.toml says where there is none
# Options that change which rows are for testing: sizes, and others
SIZES = ("test_size", "min_test_rows")
DRAWN = ("split_by", "validation_size", "test_subjects", "test_sessions", "test_datasets", "hold_out")


def main() -> int:
    """Run the command that is asked for: merge, check, or list evaluation data."""
    mode = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    mode.add_argument("--check", action="store_true")
    mode.add_argument("--list_evaluation", action="store_true")
    chosen, arguments = mode.parse_known_args()
    if chosen.check:
        given = _check_options().parse_args(arguments)
        return check(given.out_dir, given.components)
    if chosen.list_evaluation:
        cli.parser(LIST, LIST_EXAMPLE).parse_args(arguments)
        print(evaluation.table())
        return 0
    return merge_and_push(_merge_options(), arguments)


def _check_options() -> argparse.ArgumentParser:
    parser = cli.parser(CHECK, CHECK_EXAMPLE)
    parser.prog += " --check"
    parser.add_argument(
        "--components", nargs="+", metavar="NAME", help=f"{COMPONENTS}; by default, those that the corpus names"
    )
    parser.add_argument("--out_dir", type=Path, default=catalog.BUILD / catalog.PILE, help="where the corpus is")
    return parser


def _merge_options() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__, EXAMPLE)
    which = parser.add_argument_group("which data sets")
    which.add_argument(
        "--components",
        nargs="+",
        metavar="NAME",
        help=f"{COMPONENTS}; by default, recorded data sets that are built",
    )
    which.add_argument(
        "--signal", nargs="+", choices=catalog.SIGNALS, metavar="KIND", help=f"only these: {', '.join(catalog.SIGNALS)}"
    )
    which.add_argument(
        "--exclude_restricted",
        action="store_true",
        help="leave out data sets whose terms restrict redistribution, or whose licence is not stated",
    )
    cli.add_where(which)
    how = parser.add_argument_group("how rows are split")
    how.add_argument(
        "--test_size",
        type=cli.fraction,
        metavar="SHARE",
        default=0.01,
        help="share of each data set's tokens in the test split",
    )
    how.add_argument(
        "--min_test_rows",
        type=cli.seed,
        metavar="N",
        default=1,
        help="rows of each data set in the test split, also if that is more than --test_size",
    )
    how.add_argument(
        "--split_by",
        choices=(*split.SPLIT_BY, "subject"),
        default="row",
        help="what stays whole, in one split; subject means the same as animal",
    )
    how.add_argument(
        "--validation_size",
        type=cli.fraction,
        metavar="SHARE",
        help="share of each data set's tokens in a validation split",
    )
    for name, what in {"subjects": "subjects", "sessions": "sessions", "datasets": "data sets"}.items():
        how.add_argument(
            f"--test_{name}",
            nargs="+",
            metavar="NAME",
            default=[],
            help=f"{what} of the test split, in place of --test_size",
        )
    for name, where in {"hold_out": "in the test split", "leave_out": "left out of the corpus"}.items():
        how.add_argument(
            f"--{name}",
            nargs="+",
            metavar="BENCHMARK",
            default=[],
            help=f"whose evaluation data are {where}; --list_evaluation lists them",
        )
    how.add_argument(
        "--as_published",
        action="store_true",
        help="split as the published corpus: 1 %% of all rows, whatever their data set",
    )
    how.add_argument("--seed", type=cli.seed, default=0, help="seed of the split and of the order of rows")
    parser.add_argument("--out_dir", type=Path, default=catalog.BUILD / catalog.PILE, help="where the corpus goes")
    parser.add_argument(
        "--check", action="store_true", help="merge nothing; compare the corpus with its components instead"
    )
    parser.add_argument(
        "--list_evaluation",
        action="store_true",
        help="merge nothing; list evaluation data of benchmarks instead",
    )
    options.add_publishing(parser, "the corpus")
    return parser


def merge_and_push(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Merge, print a table, and publish if asked to. The exit status."""
    given = parser.parse_args(arguments)
    split_options = split.SplitOptions(
        given.test_size,
        given.seed,
        "animal" if given.split_by == "subject" else given.split_by,
        given.validation_size or 0.0,
        tuple(given.test_subjects),
        tuple(given.test_sessions),
        tuple(given.test_datasets),
        given.min_test_rows,
        tuple(sorted(given.hold_out)),
        tuple(sorted(given.leave_out)),
        given.as_published,
    )
    evaluation.check_names("--hold_out", given.hold_out)
    evaluation.check_names("--leave_out", given.leave_out)
    changed = [option for option in SIZES if getattr(given, option) != parser.get_default(option)]
    if changed and split_options.names_test_rows:
        parser.error(f"--{changed[0]}: not allowed with --test_subjects, --test_sessions or --test_datasets")
    for option in (*SIZES, *DRAWN) if given.as_published else ():
        if getattr(given, option) != parser.get_default(option):
            parser.error(f"--{option}: not allowed with --as_published")
    hub = options.hub(given)  # checks the repository before anything is merged
    recorded = [info.name for info in catalog.recorded()]
    references = given.components or [name for name in recorded if name in store.built()]
    components = list(selected([open_data_set(reference) for reference in references], given))
    if not components:
        if references:
            do = "see above why, or loosen --signal, --exclude_restricted or --where"
            raise BadInput("what to merge", "a data set that is not left out", "none", do)
        do = "build some: python data/<name>/preprocess.py; or name data sets with --components"
        raise BadInput(catalog.BUILD, "recorded data sets that are built", "none", do)
    for line in doubts(components):
        print(f"warning: {line}", file=sys.stderr)
    merged = merge.merge(components, given.out_dir, split_options)
    print(table(merged, split_options))
    manifest = CorpusManifest.read(given.out_dir)
    for line in [
        *empty_splits(merged, split_options),
        *evaluation_data(manifest),
        *nothing_held(components, split_options),
    ]:
        print(f"warning: {line}", file=sys.stderr)
    if not given.components:
        missing = [name for name in recorded if name not in references]  # what was left out is named above
        if missing:
            print(f"not built, so not in it: {', '.join(missing)}")
    print(f"corpus: {given.out_dir}")
    if hub:
        from neuralpile.hub import card, publish  # imports the Hub's clients, which takes two seconds

        corpus = store.open_folder(given.out_dir)
        for name, info in card.describe(merged, corpus.manifest()).items():
            if info.caveat:
                print(f"before you redistribute these rows: {name}: {info.caveat}", file=sys.stderr)
        stated = {key.replace("_", " "): value for key, value in split_options.stated().items()}
        page = publish.push(corpus, hub, {"command": options.command(), **stated})
        print(f"pushed to {given.hf_repo_name}: {page}")
    return 0


def selected(components: Sequence[RowSource], given: argparse.Namespace) -> Iterator[RowSource]:
    """What `--signal`, `--exclude_restricted` and `--where` leave; prints which data sets are left out, and why."""
    for component in components:
        info = info_of(component)
        if given.signal and (info is None or info.signal not in given.signal):
            print(f"left out: {component.name}: {(info and info.signal) or _signal_unknown(info)}")
        elif given.exclude_restricted and (why := _restricted(info)):
            print(f"left out: {component.name}: {why}")
        elif given.where is None:
            yield component
        elif tables.where(component.sessions(), given.where).any():
            yield chosen.where(component, given.where)
        else:
            print(f"left out: {component.name}: --where selects none of its sessions")


def _signal_unknown(info: DataSetInfo | None) -> str:
    where = "a dataset.toml" if info is None else catalog.from_root(info.folder / "dataset.toml")
    return f"its signal is not known; state it as `signal` in {where}"


def _restricted(info: DataSetInfo | None) -> str | None:
    """Why rows of a data set must not be redistributed; None if its licence is stated and allows it."""
    if info is None:
        return "its licence is not known"
    if info.restricted:
        return info.caveat or "its terms restrict redistribution"
    if info.licence.strip().lower() not in UNSTATED:
        return None
    toml = catalog.from_root(info.folder / "dataset.toml")
    return f"its licence is {info.licence or 'not stated'}; if it is known, state it as `licence` in {toml}"


def doubts(components: Sequence[RowSource]) -> Iterator[str]:
    """What a user should know about the local builds before they are merged: damaged reports, unusual options."""
    published = set()
    for component, folder in ((component, component.folder) for component in components if component.folder):
        try:
            report = Report.read(folder)
        except BadInput as error:
            yield str(error)
            continue
        if report is None:
            continue
        published.add(report.options.as_published)
        bin_size, info = report.options.bin_size, info_of(component)
        if info and bin_size != info.bin_width:
            yield f"{component.name}: built with --bin_size {bin_size}"
    if len(published) > 1:
        yield "some of the data sets were built with --as_published, others without"


def empty_splits(merged: Mapping[str, split.Sides], how: split.SplitOptions) -> Iterator[str]:
    """The data sets that have no rows in a split, why, and what to do. Test splits that were named are left out."""
    for name, sides in merged.items():
        for part in how.splits if sum(sides.rows.values()) else ():
            if not sides.rows[part] and (part == split.VALIDATION or not how.names_test_rows):
                yield f"{name}: no {part} split: {_why_empty(part, sides, how)}"


def _why_empty(part: str, sides: split.Sides, how: split.SplitOptions) -> str:
    finer = {"animal": "try --split_by session", "session": "try --split_by row"}.get(how.split_by)
    if how.as_published:
        return "1 % of all rows are drawn together; merge without --as_published"
    if part == split.TRAIN:
        return f"each {how.split_by} of it is in a split that another data set needs; {finer}"
    larger = f"try a larger --{part}_size"
    if part == split.TEST and sum(sides.groups.values()) == 1:
        return f"all of it is one {how.split_by}; {finer or 'to test on it, name it with --test_datasets'}"
    if part == split.VALIDATION and sides.groups[split.TRAIN] == 1:
        return f"all that is left for training is one {how.split_by}; {finer or 'build more of it'}"
    size = how.test_size if part == split.TEST else how.validation_size
    if part == split.TEST:
        larger += ", --min_test_rows 1, or name sessions with --test_sessions"
    return f"no {how.split_by} is small enough for --{part}_size {size:g}; {larger}"


def evaluation_data(manifest: CorpusManifest | None) -> Iterator[str]:
    """The benchmarks whose evaluation data are in the training split, and how much of it they are."""
    found = (manifest and manifest.evaluation) or {}
    for name, benchmark in evaluation.benchmarks().items():
        if tokens := found.get(name):
            what = "are evaluation data" if benchmark.whole else "are of sessions with evaluation data"
            do = f"--hold_out {name} puts them into the test split, --leave_out {name} leaves them out"
            yield f"{cli.plural(tokens, 'token')} of the training split {what} of {name}: {do}"


def nothing_held(components: Sequence[RowSource], how: split.SplitOptions) -> Iterator[str]:
    """The benchmarks that were to be held or left out, of which the data sets have no evaluation data."""
    there: set[str] = set()
    for component in components if how.hold_out or how.leave_out else ():
        for used in component.sessions()["evaluation"].combine_chunks().flatten().unique().to_pylist():
            benchmark, _, role = used.rstrip("~").partition(":")
            there |= {benchmark} if role in evaluation.EVALUATED else set()
    for option, names in (("hold_out", how.hold_out), ("leave_out", how.leave_out)):
        for name in sorted(set(names) - there):
            do = "--list_evaluation lists which sessions are"
            yield f"--{option} {name}: no session of these data sets is evaluation data of it; {do}"


def check(folder: Path, references: Sequence[str] | None) -> int:
    """Compare a corpus with its components, by default those that its manifest names. The exit status.

    What was chosen when the corpus was merged, the manifest says.
    """
    corpus = open_data_set(str(folder))
    if not corpus.is_merged:
        raise BadInput(folder, "a merged corpus", "a data set", "give the corpus with --out_dir")
    manifest = CorpusManifest.read(folder)
    if manifest is None and not references:
        do = "name its components with --components, or merge again"
        raise BadInput(folder, f"a {arrow.MANIFEST} that names its components", "none", do)
    expressions = {name: component.where for name, component in manifest.components.items()} if manifest else {}
    left_out = manifest.left_out if manifest else ()
    del manifest  # it can be large
    components = []
    for component in map(open_data_set, references or expressions):
        where = expressions.get(component.name)
        components.append(component if where is None else chosen.where(component, where))
    found = merge.check(corpus, components, left_out)
    for line in found[:DIFFERENCES_SHOWN]:
        print(line)
    if found:
        print(f"{cli.plural(len(found), 'difference')}: merge again")
        return 1
    print(f"{cli.plural(len(corpus), 'row')}: exactly those of {', '.join(component.name for component in components)}")
    return 0


def table(merged: Mapping[str, split.Sides], how: split.SplitOptions) -> str:
    """Rows, sessions and tokens of every component in each split, and in all, and which share is for testing.

    A share of at least twice the size asked for is marked, because only `--min_test_rows` leads to one.
    """
    by_size = not (how.names_test_rows or how.as_published)
    width = max(20, *(len(name) + 1 for name in merged))
    numbers = {
        name: [kind[part] for part in how.splits for kind in (sides.rows, sides.sessions, sides.tokens)]
        for name, sides in merged.items()
    }
    totals = [sum(column) for column in zip(*numbers.values(), strict=True)]
    shares = {name: its[-1] / max(1, sum(its[2::3])) for name, its in [*numbers.items(), ("all", totals)]}
    more = {name for name in numbers if by_size and shares[name] >= 2 * how.test_size}
    headings = [heading for part in how.splits for heading in (f"{part} rows", "sessions", "tokens")]
    lines = ["", _line("", [*headings, "test share "], width)]
    for name, its in [*numbers.items(), ("all", totals)]:
        share = f"{shares[name]:.2%}{'*' if name in more else ' '}"
        lines.append(_line(name, [*(f"{n:,}" for n in its), share], width))
    if more:
        lines.append(f"* more than --test_size {how.test_size:g}, for --min_test_rows {how.min_test_rows}")
    return "\n".join(lines)


def _line(name: str, cells: Sequence[str], width: int) -> str:
    widths = [*[17, 10, 17] * (len(cells) // 3), 14]
    return f"{name:{width}}" + "".join(f"{cell:>{n}}" for cell, n in zip(cells, widths, strict=True))


if __name__ == "__main__":
    cli.run(main)
