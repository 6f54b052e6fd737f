"""Draw data sets: rasters of random rows, maps of their electrodes, a summary of what looks wrong, or an HTML page.

Rasters are the default; --map, --summary and --report choose the others. Without --repo_name and --plot_all, figures
are of the merged corpus.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from neuralpile import catalog, cli
from neuralpile.errors import BadInput, printable
from neuralpile.figures import view
from neuralpile.motifs import matplotlib_folder

if TYPE_CHECKING:
    from neuralpile.corpus.rows import RowSource

EXAMPLE = "python visualize_dataset.py --repo_name dmfc-rsg --n_examples 4"
SIGNAL = f"draw every local build with this kind of signal: {', '.join(catalog.SIGNALS)}"
MODES = ("rasters", "map", "summary", "report")


def main() -> int:
    """Find which figures are wanted, parse their options, draw."""
    mode, rest = find_mode(sys.argv[1:])
    given = parser(mode).parse_args(rest)
    matplotlib_folder.choose()
    draw = {"rasters": draw_rasters, "map": draw_maps, "summary": draw_summaries, "report": write_report}
    return draw[mode](given)


def find_mode(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return which figures are wanted, and the other arguments. `--help` is about all figures."""
    if "-h" in arguments or "--help" in arguments:
        parser(*MODES).parse_args(["--help"])
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_modes(first.add_mutually_exclusive_group())
    given, rest = first.parse_known_args(arguments)
    return given.mode or MODES[0], rest


def add_modes(group: argparse._ActionsContainer) -> None:
    """Add the options that choose the figures."""
    for mode, text in (
        ("map", "draw electrodes on their arrays, and how fast their units spike"),
        ("summary", "draw rates, counts and silences; print areas, animals, evaluation data and what looks wrong"),
        ("report", "write an HTML page about all data sets"),
    ):
        group.add_argument(f"--{mode}", dest="mode", action="store_const", const=mode, help=text)


def parser(*modes: str) -> argparse.ArgumentParser:
    """Return the parser of some figures, which knows their options and no others."""
    made = cli.parser(__doc__, EXAMPLE)
    made.allow_abbrev = False  # an abbreviation of --summary must not be taken for an option of rasters
    if len(modes) > 1:
        add_modes(made.add_argument_group("which figures (default: rasters)"))
    else:
        made.prog += "" if modes == ("rasters",) else f" --{modes[0]}"
    for title, users, add in (
        ("all figures", MODES, add_common),
        ("rasters, --map and --summary", ("rasters", "map", "summary"), add_choice),
        ("rasters and --map", ("rasters", "map"), add_number),
        ("rasters", ("rasters",), add_window),
        ("--report", ("report",), add_signal),
    ):
        if set(users) & set(modes) and not (add is add_signal and len(modes) > 1):  # add_choice adds it, too
            add(made.add_argument_group(title))
    return made


def add_common(group: argparse._ActionsContainer) -> None:
    """Add the options of all figures."""
    group.add_argument("--seed", type=cli.seed, default=0, help="of the choice of rows")
    group.add_argument("--out_dir", type=Path, help="folder for figures (default: rasters) or for the page (build)")


def add_choice(group: argparse._ActionsContainer) -> None:
    """Add the options that rasters and the summary share."""
    which = group.add_mutually_exclusive_group()
    cli.add_reference(which, catalog.PILE)
    which.add_argument("--plot_all", action="store_true", help="draw every local build and the merged corpus")
    which.add_argument("--signal", choices=catalog.SIGNALS, metavar="KIND", help=SIGNAL)
    cli.add_where(group)
    group.add_argument("--format", choices=view.FORMATS, default="jpg", help="of the figures")


def add_number(group: argparse._ActionsContainer) -> None:
    """Add the option that rasters and maps share."""
    group.add_argument("--n_examples", type=cli.positive_int, default=9, help="rows, or sessions of a map, in a figure")


def add_window(group: argparse._ActionsContainer) -> None:
    """Add the options of rasters."""
    group.add_argument(
        "--start", type=seconds, metavar="S", help="draw from this second of a row on (default: from its middle)"
    )
    group.add_argument(
        "--seconds",
        type=window,
        metavar="S",
        help=f"draw so many seconds, or 'all' for mean rates of whole rows (default: {view.WINDOW:g})",
    )
    group.add_argument("--sort", choices=view.SORTS, default="none", help="order of the units")


def add_signal(group: argparse._ActionsContainer) -> None:
    """Add the option of the page."""
    group.add_argument("--signal", choices=catalog.SIGNALS, metavar="KIND", help=SIGNAL)


def seconds(text: str) -> float:
    """An argument that must be a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number from 0, found {text}")
    return value


def window(text: str) -> float:
    """An argument that must be a finite number above 0, or "all"."""
    return float("inf") if text == "all" else cli.positive_float(text)


class Figure(NamedTuple):
    """A figure of a data set that was drawn; `path` is None where there is nothing to draw, and a flag says why."""

    name: str
    shown: int
    rows: int
    path: Path | None
    flags: Sequence[str] = ()
    about: Mapping[str, str] = {}  # what is in the data set, by title


def draw_rasters(given: argparse.Namespace) -> int:
    """Draw rasters; with --plot_all also one row of each data set in one figure. Return the exit status."""
    from neuralpile.figures import rasters

    wanted = view.View(given.start, given.seconds, given.sort, given.format)
    out_dir = given.out_dir or Path("rasters")
    drawn: list[RowSource] = []

    def draw(data_set: "RowSource") -> Figure:
        path, n_shown = rasters.draw(data_set, given.n_examples, given.seed, out_dir, wanted)
        if not data_set.is_merged:
            drawn.append(data_set)
        return Figure(data_set.name, n_shown, len(data_set), path)

    status = draw_each(given, draw)
    if (given.plot_all or given.signal) and drawn:
        print(f"overview: {rasters.draw_overview(drawn, given.seed, out_dir, wanted)}")
    return status


def draw_maps(given: argparse.Namespace) -> int:
    """Draw maps of electrodes. Return the exit status."""
    from neuralpile.figures import electrode_map

    out_dir = given.out_dir or Path("rasters")

    def draw(data_set: "RowSource") -> Figure:
        units = data_set.units()
        chosen = data_set.name, given.n_examples, given.seed
        path, n_shown, n_sessions = electrode_map.draw(units, *chosen, out_dir, given.format)
        if path:
            return Figure(data_set.name, n_shown, n_sessions, path)
        why = f"no map: {electrode_map.MISSING}" if units else "no map: it has no table of units; build it again"
        return Figure(data_set.name, 0, 0, None, [why])

    return draw_each(given, draw, "sessions")


def draw_summaries(given: argparse.Namespace) -> int:
    """Draw summaries, and print what is in the data sets and what looks wrong. Return the exit status."""
    from neuralpile import figure_files
    from neuralpile.corpus.contents import contents
    from neuralpile.corpus.manifest import info_of
    from neuralpile.figures import checks, summary
    from neuralpile.figures.words import words

    def draw(data_set: "RowSource") -> Figure:
        checked = checks.check(data_set, given.seed)
        path = (given.out_dir or Path("rasters")) / figure_files.name(data_set.name, f"_summary.{given.format}")
        info = None if data_set.is_merged else info_of(data_set)
        about = words(contents(data_set.sessions(), data_set.units()), info.area if info else "")
        figure_files.save(summary.draw(checked, about), path)
        about |= {} if checked.flags else {"looks wrong": f"nothing in {checked.where}"}
        return Figure(data_set.name, checked.checked, checked.rows, path, checked.flags, about)

    return draw_each(given, draw)


def draw_each(given: argparse.Namespace, draw: "Callable[[RowSource], Figure]", what: str = "rows") -> int:
    """Draw the data sets that were asked for, print a table, and return the exit status.

    Of several data sets, one that cannot be drawn does not stop the others.
    """
    from neuralpile.figures import references
    from neuralpile.open import open_data_set

    done, status = [], 0
    several = given.plot_all or given.signal
    for reference in references.to_draw(given.signal) if several else [references.checked(given.repo_name)]:
        try:
            done.append(draw(open_data_set(reference, where=given.where)))
        except BadInput as error:
            if not several:
                raise
            print(f"error: {error}", file=sys.stderr)
            status = 1
    print("\n".join(map(printable, table(done, what).split("\n"))), end="")
    return status


def table(done: Sequence[Figure], what: str) -> str:
    """Return the table of the figures: how many rows, or sessions, they show, and what looks wrong."""
    width = max([len("data set"), *(len(figure.name) for figure in done)])
    number = max(6, len(what))
    lines = [f"{'data set':{width}}  {what:>{number}} {'of':>8}  figure"] if done else []
    for figure in done:
        lines.append(f"{figure.name:{width}}  {figure.shown:>{number},} {figure.rows:>8,}  {figure.path or '–'}")
        lines += [f"  {title}: {text}" for title, text in figure.about.items()]
        lines += [f"  ⚠ {flag}" for flag in figure.flags]
    return "".join(f"{line}\n" for line in lines)


def write_report(given: argparse.Namespace) -> int:
    """Write the page. Return the exit status."""
    from neuralpile.figures import page, references

    names, n_built = references.to_report(given.signal)
    path = (given.out_dir or catalog.BUILD) / "report.html"
    n_flags = page.write(names, Path("motifs"), path, given.seed)
    print(f"{cli.plural(len(names), 'data set')}, {n_built} built, {cli.plural(n_flags, 'flag')}")
    print(f"page: {path}")
    return 0


if __name__ == "__main__":
    cli.run(main)
