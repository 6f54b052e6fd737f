"""MATLAB files: variables of version 7 and earlier with scipy, cell arrays of version 7.3 (HDF5) with h5py."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from neuralpile.errors import BadInput


def read_variables(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Those variables of a MATLAB file of version 7 or earlier that are there, as 2-D arrays.

    Raises BadInput where the file is no such file, or damaged.
    """
    try:
        content = scipy.io.loadmat(path, variable_names=names)
    except (FileNotFoundError, PermissionError):
        raise  # nothing is wrong with the content
    except Exception as error:  # scipy raises errors of many kinds where the bytes make no sense
        found = f"{type(error).__name__}: {error}"
        raise BadInput(path, "a MATLAB file of version 7 or earlier", found, "download it again") from None
    return {name: content[name] for name in names if name in content}


@contextmanager
def open_73(path: Path) -> Iterator[h5py.File]:
    """Open a MATLAB 7.3 file. Raises BadInput where it, or what is read of it within the block, is no valid HDF5."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:
        raise BadInput(path, "a whole MATLAB 7.3 file (HDF5)", str(error), "download it again") from None


def read_cells(path: Path, name: str) -> np.ndarray:
    """A cell array of numbers of a MATLAB 7.3 file: an object array of 1-D arrays, in the order of the HDF5 file.

    HDF5 has MATLAB's dimensions reversed, and an empty cell holds its dimensions in one dimension; it comes back empty.
    Raises BadInput where there is no such cell array.
    """
    with open_73(path) as file:
        cells = file.get(name)
        if not isinstance(cells, h5py.Dataset) or h5py.check_ref_dtype(cells.dtype) is not h5py.Reference:
            found = f"only {', '.join(file) or 'nothing'}" if cells is None else str(cells)
            raise BadInput(path, f"a cell array {name}", found, "check that this is a recording's file")
        content = np.empty(cells.shape, object)
        for place, reference in np.ndenumerate(cells[()]):
            cell = file[reference]
            empty = cell.ndim < 2 or "MATLAB_empty" in cell.attrs
            content[place] = np.empty(0) if empty else cell[()].ravel().astype(np.float64)
        return content
