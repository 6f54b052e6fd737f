"""Command-line options for publishing: `--hf_repo_name` and those that go with it."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from neuralpile.catalog import ROOT
from neuralpile.errors import BadInput
from neuralpile.hub import check_endpoint

if TYPE_CHECKING:
    from neuralpile.hub.repository import Repository


def add_publishing(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--hf_repo_name`, `--private`, `--revision` and `--create_pr`; `what` is pushed, for the help."""
    parser.add_argument("--hf_repo_name", metavar="REPO", help=f"push {what} to this Hub repository, someone/name")
    parser.add_argument("--private", action="store_true", help="make the repository private if it is new")
    parser.add_argument(
        "--revision", metavar="BRANCH", default="main", help="branch to push to; it is created if it does not exist"
    )
    parser.add_argument("--create_pr", action="store_true", help="open a pull request instead")


def hub(given: argparse.Namespace) -> "Repository | None":
    """The repository that `add_publishing`'s options name, or None if they name none.

    Write access is checked before any work starts. Raises BadInput if the repository cannot be written.
    """
    if not given.hf_repo_name:
        if given.private or given.create_pr or given.revision != "main":
            do = "give --hf_repo_name, or leave them out"
            raise BadInput("--private, --revision, --create_pr", "--hf_repo_name with them", "none", do)
        return None
    check_endpoint()
    from neuralpile.hub.repository import Repository, Target  # imports the Hub's clients, which takes a second

    return Repository(Target(given.hf_repo_name, given.private, given.revision, given.create_pr))


def command() -> str:
    """The command line of this run, for the card, which everybody can read.

    Absolute paths are cut to the names of their files and folders, addresses to what is before passwords and queries.
    """
    path = Path(sys.argv[0]).resolve()
    script = path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(path.name)
    given = map(_shown, sys.argv[1:])
    return shlex.join(["python", script.as_posix(), *given])


def _shown(argument: str) -> str:
    if argument.startswith(("/", "~")):
        return Path(argument).name
    before, scheme, rest = argument.partition("://")
    return f"{before}{scheme}{rest.partition('?')[0].rpartition('@')[2]}"
