"""Reorder the units of every session, so that similar ones are neighbours, by rate, or by brain area.

An order is computed from the training rows of a session and is the same for all its rows; silent units come last. The
result is a data set like any other, with the orders in orders.parquet; with --orders_only, it is the orders alone.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from neuralpile import catalog, cli
from neuralpile.hub import options

if TYPE_CHECKING:
    from neuralpile.corpus.rows import RowSource

EXAMPLE = "python reorder_units.py --by similarity --repo_name dmfc-rsg"


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__, EXAMPLE)
    cli.add_reference(parser, catalog.PILE)
    cli.add_where(parser)
    parser.add_argument("--by", choices=cli.MEASURES, default=cli.MEASURES[0], help="what decides the order")
    parser.add_argument("--orders_only", action="store_true", help="write orders.parquet only, and no rows")
    parser.add_argument(
        "--out_dir", type=Path, help="folder for the result (default: the name of the data set and -by-…, in build)"
    )
    options.add_publishing(parser, "the result")
    given = parser.parse_args()
    if given.orders_only and given.hf_repo_name:
        parser.error("--orders_only: not allowed with --hf_repo_name, which publishes rows")
    return given


def main() -> int:
    """Order the units, write the result, print what it is, and publish it if asked to."""
    given = parse()
    hub = options.hub(given)
    from neuralpile.corpus import chosen, ordered, store  # takes a third of a second, which --help need not wait for
    from neuralpile.open import is_repository, open_data_set
    from neuralpile.training import reordered

    reference = given.repo_name
    if is_repository(reference):
        from neuralpile.hub import cache

        whole: RowSource = cache.downloaded(reference)  # because rows are read twice
        data_set = chosen.where(whole, given.where) if given.where else whole
    else:
        data_set = open_data_set(reference, where=given.where)
    out_dir = given.out_dir or ordered.default_folder(data_set.name, given.by)
    made = reordered.run(data_set, reordered.Job(given.by, given.where), out_dir, given.orders_only)
    print("\n".join(reordered.lines(made.orders)))
    print(f"orders: {made.folder / ordered.FILE}")
    if not given.orders_only:
        print(f"rows: {made.folder}")
    if hub:
        from neuralpile.hub import publish

        page = publish.push(store.open_folder(made.folder), hub, {"command": options.command()})
        print(f"pushed to {given.hf_repo_name}: {page}")
    return 0


if __name__ == "__main__":
    cli.run(main)
