"""open: split from store."""

from pathlib import Path
from typing import TYPE_CHECKING

import datasets

from neuralpile import catalog
from neuralpile.errors import BadInput

if TYPE_CHECKING:
    from neuralpile.hub.reader import HubRows
from neuralpile.corpus.arrow import is_finished
from neuralpile.corpus.store import LocalRows, _checked, built


def open_data_set(reference: str) -> "LocalRows | HubRows":
    """Open a data set by its name (the local build), by its path, or by its Hub repository.

    Raises:
        BadInput: there is none, it is not finished, or it has no spike counts.
    """
    build = catalog.BUILD / reference
    if Path(reference).name == reference and build.is_dir():
        folder = build
    elif Path(reference).is_dir():
        folder = Path(reference)
    elif (
        reference.count("/") == 1 and not Path(reference).parent.is_dir() and not reference.startswith((".", "/", "~"))
    ):
        from neuralpile.hub import reader  # imports the Hub's clients

        return reader.open_repository(reference)
    else:
        known = ", ".join(built()) or "none is built yet"
        do = f"give the name of a local build ({known}), a Hub repository (someone/name) or a folder"
        raise BadInput(reference, "a data set", "none of this name", do)
    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        found = str(error) if is_finished(folder) else "none, or one whose build has not finished"
        raise BadInput(
            folder, "a finished data set", found, "run its preprocess.py or merge_datasets.py again"
        ) from None
    return _checked(folder.resolve().name, loaded, folder)
