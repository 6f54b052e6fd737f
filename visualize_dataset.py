"""Draw rasters of random rows: spike counts, units × time bins. Without options, of the merged corpus."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from neuralpile import catalog, cli
from neuralpile.corpus import arrow, store
from neuralpile.corpus.rows import RowSource
from neuralpile.errors import BadInput
from neuralpile.figures import checks, page, rasters
from neuralpile.open import open_data_set

EXAMPLE = "python visualize_dataset.py --repo_name dmfc-rsg --n_examples 4"

# Options without a meaning beside others
RASTERS_ONLY = ["n_examples", "start", "seconds", "sort"]
IDLE = {"summary": RASTERS_ONLY, "report": ["summary", "format", *RASTERS_ONLY]}


def main() -> int:
    """Parse the command line, draw, print where the figures are."""
    parser = cli.parser(__doc__, EXAMPLE)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--repo_name",
        metavar="REF",
        default=catalog.PILE,
        help="the data set: name of a local build, Hub repository (someone/name) or folder",
    )
    which.add_argument("--plot_all", action="store_true", help="draw every local build and the merged corpus")
    parser.add_argument(
        "--summary", action="store_true", help="draw rates, counts and silences instead, and say what looks wrong"
    )
    which.add_argument(
        "--report",
        action="store_true",
        help="write one HTML page about all recorded data sets, or those that are built",
    )
    parser.add_argument("--n_examples", type=cli.positive_int, default=9, help="rows in a figure")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of rows")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="draw from this second of a row on")
    parser.add_argument("--seconds", type=cli.positive_float, metavar="S", help="draw so many seconds")
    parser.add_argument("--sort", choices=rasters.SORTS, default="none", help="order of the units")
    parser.add_argument("--format", choices=rasters.FORMATS, default="jpg", help="of the figures")
    parser.add_argument("--out_dir", type=Path, help="where figures (default: rasters) or the page (build) go")
    given = parser.parse_args()
    if given.seed < 0:
        parser.error(f"--seed: expected a whole number from 0, found {given.seed}")
    if not 0 <= given.start < float("inf"):
        parser.error(f"--start: expected a number from 0, found {given.start}")
    for kind, others in IDLE.items():
        found = [f"--{name}" for name in others if getattr(given, name) != parser.get_default(name)]
        if getattr(given, kind) and found:
            parser.error(f"--{kind}: expected none of the options of other figures, found {' '.join(found)}")
    if given.report:
        return write_report(given.out_dir or catalog.BUILD, given.seed)
    out_dir = given.out_dir or Path("rasters")
    pile = [catalog.PILE] if arrow.is_finished(catalog.BUILD / catalog.PILE) else []
    references = store.built() + pile if given.plot_all else [given.repo_name]
    if not references:
        raise BadInput(catalog.BUILD, "data sets that are built", "none", "run data/<name>/preprocess.py of some")
    if references == [catalog.PILE] and not pile:
        do = "run merge_datasets.py, or draw a data set with --repo_name or all with --plot_all"
        raise BadInput(catalog.BUILD / catalog.PILE, "the merged corpus", "none", do)

    view = rasters.View(given.start, given.seconds, given.sort, given.format)
    n_failed, drawn, done = 0, [], []
    for reference in references:
        try:
            data_set = open_data_set(reference)
            if given.summary:
                done.append(summarise(data_set, given.seed, out_dir, given.format))
            else:
                path, n_shown = rasters.draw(data_set, given.n_examples, given.seed, out_dir, view)
                done.append(Done(reference, n_shown, len(data_set), path))
        except BadInput as error:
            if not given.plot_all:
                raise
            print(f"error: {error}", file=sys.stderr)
            n_failed += 1
        else:
            drawn += [] if data_set.is_merged or given.summary else [data_set]
    print(table(done), end="")
    if given.plot_all and drawn:
        print(f"overview: {rasters.draw_overview(drawn, given.seed, out_dir, view)}")
    return 1 if n_failed else 0


class Done(NamedTuple):
    """A figure of a data set."""

    name: str
    shown: int
    rows: int
    path: Path
    flags: Sequence[str] = ()


def table(done: Sequence[Done]) -> str:
    """Which figures there are, of how many rows, and what looks wrong in them."""
    width = max([len("data set"), *(len(figure.name) for figure in done)])
    lines = [f"{'data set':{width}}  {'rows':>6} {'of':>8}  figure"] if done else []
    for figure in done:
        lines.append(f"{figure.name:{width}}  {figure.shown:>6,} {figure.rows:>8,}  {figure.path}")
        lines += [f"  ⚠ {flag}" for flag in figure.flags]
    return "".join(f"{line}\n" for line in lines)


def summarise(data_set: RowSource, seed: int, out_dir: Path, kind: str) -> Done:
    """Draw a data set at a glance, and see what looks wrong in it."""
    seen = checks.look(data_set, seed)
    path = out_dir / f"{data_set.name.replace('/', '--')}_summary.{kind}"
    rasters.save(checks.draw(seen), path)
    return Done(data_set.name, seen.looked_at, seen.rows, path, seen.flags)


def write_report(out_dir: Path, seed: int) -> int:
    """Write the page about the recorded data sets; where none of them is built, about what is. The exit status."""
    recorded, built = [data_set.name for data_set in catalog.published()], store.built()
    names = recorded if set(recorded) & set(built) else built or recorded
    path = out_dir / "report.html"
    flags = page.write(names, Path("motifs"), path, seed)
    print(f"{len(names)} data sets, {len(set(names) & set(built))} of them built, {flags} things to look at")
    print(f"page: {path}")
    return 0


if __name__ == "__main__":
    cli.run(main)
