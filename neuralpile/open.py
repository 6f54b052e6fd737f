"""From a reference to rows: every script that reads a data set takes the same three forms and opens them here."""

import json
import sys
from functools import cache
from os import PathLike
from pathlib import Path
from typing import cast

from neuralpile import catalog
from neuralpile.corpus import chosen, ordered, store
from neuralpile.corpus.rows import RowSource
from neuralpile.errors import BadInput, printable
from neuralpile.hub import check_endpoint

REPORT = "report.json"  # what a build holds, and which files could not be built; written by `build.record`


def open_data_set(
    reference: str | PathLike[str], split: str | None = None, where: str | None = None, order: str | None = None
) -> RowSource:
    """Open a data set or a merged corpus, on this machine or on the Hub.

    If some sessions of a local build could not be built, a warning is printed once.

    Parameters:
        reference: the name of a local build (`xiao`), a folder, or a Hub repository (`someone/xiao`).
        split: only the rows of this split, such as `train`; by default those of all splits.
        where: only the rows of sessions that this expression selects, in SQL over the columns of the table of sessions
            and `area`: `area = 'M1' and n_units >= 64`. See `corpus.tables.where`.
        order: units in the order that reorder_units.py made: `similarity`, `rate` or `area`, or the folder of its
            result. See `corpus.ordered.rows`.

    Returns:
        Its rows. `row(i)` gives one of them, iterating gives all, `session(…)` those of a session in order of time.

    Raises:
        BadInput: there is no such data set or split, it is not finished, or it has no spike counts; the expression is
            none, or selects nothing; or there is no such order.

    Example:
        >>> open_data_set("no-such-data-set")
        Traceback (most recent call last):
        neuralpile.errors.BadInput: no-such-data-set: expected a data set, found none of this name; ...
    """
    rows = _opened(as_reference(reference))
    if rows.folder:
        _warn_of_failed(rows.folder)
    chosen_rows = rows if where is None else chosen.where(rows, where)
    of_split = chosen_rows if split is None else chosen_rows.only(split)
    return of_split if order is None else ordered.rows(of_split, order)


def opened(data_set: str | PathLike[str] | RowSource) -> RowSource:
    """A data set that is opened already, as it is, or what `open_data_set` opens."""
    is_open = all(hasattr(data_set, name) for name in ("fingerprint", "names"))  # windows have a fingerprint, too
    return cast(RowSource, data_set) if is_open else open_data_set(cast("str | PathLike[str]", data_set))


def as_reference(data_set: object) -> str:
    """A reference as this module takes it; a path is one of a folder, and never a name or a repository.

    Raises:
        BadInput: it is neither text nor a path.
    """
    if isinstance(data_set, PathLike):
        return str(Path(data_set).absolute())
    if not isinstance(data_set, str) or not data_set:
        found = repr(data_set) if isinstance(data_set, str) or data_set is None else type(data_set).__name__
        do = "give the name of a build, a folder, a Hub repository, or what open_data_set returns"
        raise BadInput("data set", "a reference", found, do)
    return data_set


def _opened(reference: str) -> RowSource:
    if folder := _folder(reference):
        return store.open_folder(folder)
    if is_repository(reference):
        check_endpoint()
        from neuralpile.hub import reader  # imports the Hub's clients, which takes two seconds

        return reader.open_repository(reference)
    raise BadInput(reference, "a data set", "none of this name", _remedy(reference))


def _remedy(reference: str) -> str:
    """What to do where there is no data set of this name: one that can be made has a command."""
    if reference == catalog.PILE:
        return "merge data sets into it: python merge_datasets.py; or name another data set"
    if reference in catalog.names():
        return f"build it: python {catalog.from_root(catalog.load(reference).folder)}/preprocess.py"
    known = ", ".join(store.built()) or "none is built yet"
    return f"give the name of a local build ({known}), a Hub repository (someone/name) or a folder"


def _folder(reference: str) -> Path | None:
    """The folder of a local build or another data set on this machine; None if there is none.

    It is absolute: a program can change its working directory after it has opened a data set.
    """
    build = catalog.BUILD / reference
    if Path(reference).name == reference and build.is_dir():
        return build.absolute()
    return Path(reference).absolute() if Path(reference).is_dir() else None


def is_repository(reference: str) -> bool:
    """Whether a reference is the name of a Hub repository, someone/name, and nothing on this machine.

    Example:
        >>> is_repository("someone/xiao"), is_repository("xiao"), is_repository("./xiao")
        (True, False, False)
    """
    form = reference.count("/") == 1 and not reference.startswith((".", "/", "~"))
    return form and not Path(reference).parent.is_dir() and _folder(reference) is None


@cache
def _warn_of_failed(folder: Path) -> None:
    """Print a warning if a build lacks sessions, by its report."""
    try:
        failed = json.loads((folder / REPORT).read_bytes())["failed"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # no report, or another's
        return
    if isinstance(failed, dict) and failed:
        line = f"warning: {folder.name}: {len(failed)} of its session files were not built (see {folder / REPORT})"
        print(printable(line), file=sys.stderr)
