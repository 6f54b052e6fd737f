"""HDF5 files, with what can be wrong with one told in a line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from neuralpile.errors import BadInput


@contextmanager
def open_hdf5(path: Path, kind: str = "HDF5 file") -> Iterator[h5py.File]:
    """Open a file of some kind. Raises BadInput where it, or what is read of it within the block, is no valid HDF5."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (FileNotFoundError, PermissionError):
        raise  # nothing is wrong with the content
    except OSError as error:
        raise BadInput(path, f"a whole {kind}", str(error), "download it again") from None
