"""From a reference to rows: every script that reads a data set takes the same three forms and opens them here."""

from pathlib import Path

from neuralpile import catalog
from neuralpile.corpus import store
from neuralpile.corpus.rows import RowSource
from neuralpile.errors import BadInput


def open_data_set(reference: str) -> RowSource:
    """Open a data set or a merged corpus, on this machine or on the Hub.

    Parameters:
        reference: the name of a local build (`xiao`), a folder, or a Hub repository (`someone/xiao`).

    Returns:
        Its rows. `row(i)` gives one of them; iterating gives all.

    Raises:
        BadInput: there is no such data set, it is not finished, or it has no spike counts.

    Example:
        >>> open_data_set("no-such-data-set")
        Traceback (most recent call last):
        neuralpile.errors.BadInput: no-such-data-set: expected a data set, found none of this name; ...
    """
    build = catalog.BUILD / reference
    if Path(reference).name == reference and build.is_dir():
        return store.open_folder(build)
    if Path(reference).is_dir():
        return store.open_folder(Path(reference))
    if reference.count("/") == 1 and not Path(reference).parent.is_dir() and not reference.startswith((".", "/", "~")):
        from neuralpile.hub import reader  # imports the Hub's clients, which takes two seconds

        return reader.open_repository(reference)
    known = ", ".join(store.built()) or "none is built yet"
    do = f"give the name of a local build ({known}), a Hub repository (someone/name) or a folder"
    raise BadInput(reference, "a data set", "none of this name", do)
