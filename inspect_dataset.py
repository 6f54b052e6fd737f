"""Show what is known of a data set or corpus: its sessions and units, areas, animals, evaluation data and terms."""

import argparse
import sys

from neuralpile import catalog, cli

EXAMPLE = "python inspect_dataset.py neural-pile-primate --table animals"
# As in `corpus.overview`, whose libraries `--help` need not wait for.
TABLES = {
    "sessions": "a line for each session",
    "units": "a line for each unit",
    "areas": "units by area",
    "animals": "animals and persons, those in several data sets first",
    "evaluation": "sessions that are evaluation data of benchmarks",
    "restricted": "data sets whose terms restrict redistribution",
}
# What an empty table means.
NONE = {
    "evaluation": "no session is known to be evaluation data of a benchmark",
    "restricted": "no stated terms restrict redistribution; a licence that is not stated is not in this table",
}
FORMATS = ("text", "markdown", "csv", "json")


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__, EXAMPLE)
    parser.add_argument(
        "reference",
        nargs="?",
        metavar="REF",
        default=catalog.PILE,
        help="the data set: name of a local build, Hub repository (someone/name) or folder",
    )
    which = "; ".join(f"{name}: {text}" for name, text in TABLES.items())
    parser.add_argument("--table", choices=TABLES, default="sessions", help=which)
    parser.add_argument("--format", choices=FORMATS, default="text", help="csv and json have all columns of sessions")
    cli.add_where(parser)
    return parser.parse_args()


def main() -> int:
    """Print the table."""
    given = parse()
    from neuralpile.corpus import overview
    from neuralpile.open import open_data_set

    found = overview.table(open_data_set(given.reference, where=given.where), given.table)
    print(overview.shown(found, given.format))
    if not len(found) and given.table in NONE:
        print(f"note: {NONE[given.table]}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    cli.run(main)
