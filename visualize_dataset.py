"""Draw rasters of random rows: spike counts, units × time bins. Without options, of the merged corpus."""

import sys
from pathlib import Path

from neuralpile import catalog, cli, glance, motifs, rasters, report, store
from neuralpile.errors import BadInput

EXAMPLE = "python visualize_dataset.py --repo_name dmfc-rsg --n_examples 4"


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
    parser.add_argument("--out_dir", type=Path, default=Path("rasters"), help="where the figures go")
    given = parser.parse_args()
    if given.seed < 0:
        parser.error(f"--seed: expected a whole number from 0, found {given.seed}")

    if given.report:
        names = [data_set.name for data_set in catalog.published()]
        names = names if set(names) & set(store.built()) else store.built() or names
        path = catalog.BUILD / "report.html"
        report.write(names, Path("motifs"), path, given.seed)
        print(f"page: {path}")
        return 0
    pile = [catalog.PILE] if store.is_finished(catalog.BUILD / catalog.PILE) else []
    references = store.built() + pile if given.plot_all else [given.repo_name]
    if not references:
        raise BadInput(catalog.BUILD, "data sets that are built", "none", "run data/<name>/preprocess.py of some")
    if references == [catalog.PILE] and not pile:
        do = "run merge_datasets.py, or draw a data set with --repo_name or all with --plot_all"
        raise BadInput(catalog.BUILD / catalog.PILE, "the merged corpus", "none", do)

    if given.start < 0:
        parser.error(f"--start: expected a number from 0, found {given.start}")
    view = rasters.View(given.start, given.seconds, given.sort, given.format)
    n_failed, drawn = 0, []
    for reference in references:
        try:
            data_set = store.open_data_set(reference)
            if given.summary:
                summarise(data_set, given.seed, given.out_dir, given.format)
                continue
            path, n_shown = rasters.draw(data_set, given.n_examples, given.seed, given.out_dir, view)
        except BadInput as error:
            if not given.plot_all:
                raise
            print(f"error: {error}", file=sys.stderr)
            n_failed += 1
        else:
            drawn += [] if data_set.is_merged else [data_set]
            print(f"{reference}: {n_shown} row{'s'[: n_shown != 1]} in {path}", flush=True)
    if given.plot_all and drawn:
        print(f"overview: {rasters.draw_overview(drawn, given.seed, given.out_dir, view)}")
    return 1 if n_failed else 0


def summarise(data_set: motifs.DataSet, seed: int, out_dir: Path, kind: str) -> None:
    """Draw a data set at a glance, and say what looks wrong in it."""
    seen = glance.look(data_set, seed)
    path = out_dir / f"{data_set.name.replace('/', '--')}_summary.{kind}"
    rasters.save(glance.draw(seen), path)
    print(f"{data_set.name}: {seen.looked_at} of {seen.rows} rows in {path}", flush=True)
    for flag in seen.flags:
        print(f"  {flag}")


if __name__ == "__main__":
    cli.run(main)
