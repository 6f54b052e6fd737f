"""hub.options: split from cli."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from neuralpile.catalog import ROOT
from neuralpile.errors import BadInput

if TYPE_CHECKING:
    from neuralpile.hub.publish import Hub


def add_publishing(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--hf_repo_name` and the options that go with it; `neuralpile.publish` heeds them."""
    parser.add_argument("--hf_repo_name", help=f"push {what} to this Hub repository, someone/name")
    parser.add_argument("--private", action="store_true", help="make the repository private where it is new")
    parser.add_argument("--revision", default="main", help="branch to push to; it is made where there is none")
    parser.add_argument("--create_pr", action="store_true", help="open a pull request instead")


def hub(given: argparse.Namespace) -> "Hub | None":
    """The Hub repository of `add_publishing`'s options, if one is given. Raises BadInput: it cannot be written."""
    if not given.hf_repo_name:
        if given.private or given.create_pr or given.revision != "main":
            do = "give --hf_repo_name, or leave them out"
            raise BadInput("--private, --revision, --create_pr", "a repository that they are for", "none", do)
        return None
    from neuralpile.hub.publish import Hub, Target  # imports the Hub's clients, which takes a second

    return Hub(Target(given.hf_repo_name, given.private, given.revision, given.create_pr))


def command() -> str:
    """The command line of this run, with the names only of files and folders that are given by absolute paths.

    It stands in cards, which everybody may read.
    """
    script = Path(sys.argv[0]).resolve()
    script = script.relative_to(ROOT) if script.is_relative_to(ROOT) else Path(script.name)
    given = [Path(argument).name if argument.startswith(("/", "~")) else argument for argument in sys.argv[1:]]
    return shlex.join(["python", script.as_posix(), *given])
