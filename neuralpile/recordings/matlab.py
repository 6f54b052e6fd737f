"""MATLAB files: variables of version 7 and earlier with scipy, cell arrays of version 7.3 (HDF5) with h5py."""

import struct
from contextlib import AbstractContextManager
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from neuralpile.errors import BadInput
from neuralpile.recordings.hdf5 import open_hdf5


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
    if cut_off(path):
        raise BadInput(path, "a whole MATLAB file", "one that is cut off", "download it again")
    found = {name: content[name] for name in names if name in content}
    for name, value in found.items():
        if not isinstance(value, np.ndarray):  # scipy gives a text for what it cannot read
            raise BadInput(f"{path}, {name}", "an array", f"{type(value).__name__}: {value}", "download it again")
    return found


def cut_off(path: Path) -> bool:
    """Whether a file of version 5 to 7 ends within a variable: scipy does not tell where it is one not asked for.

    After a header of 128 bytes, each variable begins with its type and its length in bytes, 4 bytes each.
    """
    with path.open("rb") as file:
        header = file.read(128)
        if len(header) < 128 or 0 in header[:4]:  # version 4 has no such header
            return False
        order = "<" if header.endswith(b"IM") else ">"
        size, place = file.seek(0, 2), 128
        while place + 8 <= size:
            file.seek(place + 4)
            place += 8 + struct.unpack(f"{order}I", file.read(4))[0]
    return place > size


def open_73(path: Path) -> AbstractContextManager[h5py.File]:
    """Open a MATLAB 7.3 file. Raises BadInput as `open_hdf5` does."""
    return open_hdf5(path, "MATLAB 7.3 file (HDF5)")


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
            cell = file[reference] if reference else None
            if not isinstance(cell, h5py.Dataset) or cell.dtype.kind not in "fiu":
                raise BadInput(f"{path}, {name}{list(place)}", "numbers", str(cell), "download it again")
            empty = cell.ndim < 2 or cell.attrs.get("MATLAB_empty")
            content[place] = np.empty(0) if empty else cell[()].ravel().astype(np.float64)
        return content
