"""MATLAB files: variables of version 7 and earlier with scipy, cell arrays of version 7.3 (HDF5) with h5py."""

import os
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import damage, hdf5, mat5, names, unit_table
from neuralpile.recordings.hdf5 import Read, Recording, local, open_hdf5
from neuralpile.spikes import trains
from neuralpile.spikes.session import Options, Session
from neuralpile.spikes.trains import SpikeTrains

KIND = "MATLAB file of version 7 or earlier"
KIND_73 = "MATLAB 7.3 file (HDF5)"
NO_NUMBERS = ("char", "logical", "cell", "struct")  # classes of MATLAB that are stored as numbers in files of 7.3
NOT_CELLS = "name the cell array: matlab.count_units('spikes.times')"


def count_units(variable: str = "spikes", seconds_per: str | float = "s") -> Read:
    """The function that counts the spikes of a cell array of spike times, for `build.main`.

    Parameters:
        variable: a cell array with one cell of spike times for each unit; fields of structs after dots, such as
            "spikes.times" of CellExplorer.
        seconds_per: the unit of the times: "s", "ms", "us", or a number of seconds, such as 1/30000 for samples.

    Returns:
        A function of a file (of any version) and options. The session is the file's name.

    Raises:
        Mismatch: `seconds_per` is not a unit of time.

    Example:
        In a preprocess.py:

        >>> read = count_units("spikes.times")
        >>> # build.main(__file__, read)
    """
    return partial(_count, variable=variable, scale=trains.seconds_per(seconds_per))


def _count(recording: Recording, options: Options, variable: str, scale: float) -> Session:
    path = local(recording)
    try:
        return trains.count(read_spike_trains(path, variable, scale), options, names.subject(path), names.session(path))
    except Mismatch as error:
        where = "matlab.count_units(…, seconds_per=…) in preprocess.py, or --seconds_per ms of new_dataset.py"
        raise error.at(path, f"check the unit of the times: {where}") from None


def read_spike_trains(path: Path, variable: str, seconds_per: float = 1.0) -> SpikeTrains:
    """Read a cell array with one cell of spike times for each unit, in MATLAB's order of cells.

    Parameters:
        path: a MATLAB file of any version.
        variable: the cell array; fields of structs after dots.
        seconds_per: seconds in the unit of the times.

    Raises:
        BadInput: the file is not a MATLAB file, or has no such cell array of numbers.
    """
    if damage.is_hdf5(damage.head(path)):
        # HDF5 reverses MATLAB's dimensions: in its order of memory, cells are in MATLAB's order.
        cells = list(read_cells(path, variable.replace(".", "/")).ravel())
    else:
        cells = _old_cells(path, variable)
    found = SpikeTrains.from_list(cells)
    return replace(found, times=found.times * seconds_per, step=found.step * seconds_per)


def _old_cells(path: Path, variable: str) -> list[np.ndarray]:
    """The cells of a cell array of a file of version 7 or earlier, as they are stored."""
    first, *fields = variable.split(".")
    value = read_variables(path, [first]).get(first)
    for name in fields:
        has_field = (
            value is not None and value.dtype.names is not None and name in value.dtype.names and value.size == 1
        )
        value = value[name].flat[0] if has_field and value is not None else None
    if not isinstance(value, np.ndarray) or value.dtype.kind != "O":
        found = "none" if value is None else f"{value.dtype} of shape {value.shape}"
        raise BadInput(path, f"a cell array {variable}", found, NOT_CELLS)
    cells = [np.asarray(cell) for cell in value.ravel(order="F")]
    for number, cell in enumerate(cells):
        if cell.dtype.kind not in "fiu":
            raise BadInput(f"{path}, {variable}{{{number + 1}}}", "numbers", str(cell.dtype), NOT_CELLS)
        _check_list(path, f"{variable}{{{number + 1}}}", cell)
    return [cell.ravel() for cell in cells]


def _check_list(path: Recording, name: str, cell: np.ndarray | h5py.Dataset) -> None:
    """Raises BadInput for a matrix: its second row or column may be no spike times."""
    if cell.size and max(cell.shape, default=1) != cell.size:
        found = f"a matrix of shape {cell.shape}"
        raise BadInput(f"{path}, {name}", "one row or column of numbers", found, "keep the spike times only")


def read_variables(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Those variables of a MATLAB file of version 7 or earlier that exist, as 2-D arrays.

    Raises:
        BadInput: the file is not such a file, or damaged.
    """
    import scipy.io  # a third of a second, which `--help` need not wait for

    try:
        if not damage.is_hdf5(damage.head(path)):
            mat5.check(path, names)
        content = scipy.io.loadmat(path, variable_names=names)
    except FileNotFoundError:
        raise damage.missing(path) from None
    except Mismatch as error:
        raise damage.explain(path, KIND, error) from None
    except PermissionError:
        raise  # nothing is wrong with the content
    except Exception as error:  # scipy raises errors of many kinds where the bytes make no sense
        raise damage.explain(path, KIND, error) from None
    variables = {name: content[name] for name in names if name in content}
    for name, value in variables.items():
        if hasattr(value, "todense"):
            raise BadInput(f"{path}, {name}", "a full array", "a sparse one", f"save full({name}) instead in MATLAB")
        if not isinstance(value, np.ndarray):  # scipy returns a text for what it cannot read
            found = value if isinstance(value, str) else type(value).__name__
            raise BadInput(f"{path}, {name}", "an array", found, damage.DOWNLOAD)
    return variables


def open_73(path: Recording) -> AbstractContextManager[h5py.File]:
    """Open a MATLAB 7.3 file. Raises BadInput as `open_hdf5` does."""
    return open_hdf5(path, KIND_73)


def read_cells(path: Recording, name: str) -> np.ndarray:
    """A cell array of numbers of a MATLAB 7.3 file: an object array of 1-D arrays of the stored type, in file order.

    HDF5 reverses MATLAB's dimensions. An empty cell comes back empty: MATLAB stores its dimensions instead, marked with
    the attribute MATLAB_empty.

    Raises:
        BadInput: there is no such cell array, or a cell does not hold numbers.
    """
    with open_73(path) as file:
        cells = hdf5.find(file, name)
        if not isinstance(cells, h5py.Dataset) or h5py.check_ref_dtype(cells.dtype) is not h5py.Reference:
            found = "none" if cells is None else "no cells"
            if cells is None and len(file):
                found = f"only {', '.join(map(os.fsdecode, file))}"
            raise BadInput(path, f"a cell array {name}", found, "check that this is a recording's file")
        references = hdf5.read(path, cells)
        content, stored = np.empty(cells.shape, object), {}
        for place, reference in np.ndenumerate(references):
            cell = file[reference] if reference else None
            kind = "" if cell is None else unit_table.texts(np.atleast_1d(cell.attrs.get("MATLAB_class", "")))[0]
            if not isinstance(cell, h5py.Dataset) or cell.dtype.kind not in "fiu" or kind in NO_NUMBERS:
                found = "nothing" if cell is None else kind or f"{getattr(cell, 'dtype', 'a struct')}"
                raise BadInput(f"{path}, {name}{list(place)}", "numbers", found, damage.DOWNLOAD)
            if cell.shape is not None:
                _check_list(path, f"{name}{list(place)}", cell)
            content[place] = _cell(path, cell)
            if cell.name in stored and content[place].size:  # MATLAB has one empty cell for all
                found = "the content of another cell"
                raise BadInput(f"{path}, {name}{list(place)}", "numbers of its own", found, damage.DOWNLOAD)
            stored[cell.name] = cell
        if hdf5.overlap(stored.values()):
            raise BadInput(f"{path}, {name}", "cells with values of their own", "cells that overlap", damage.DOWNLOAD)
        return content


def _cell(path: Recording, cell: h5py.Dataset) -> np.ndarray:
    """The numbers of a cell as a list; none if it is empty."""
    values = hdf5.read(path, cell).ravel() if cell.shape is not None else np.empty(0)
    dimensions = values.dtype.kind == "u" and cell.ndim < 2 and 0 in values  # of an empty cell without its mark
    return np.empty(0) if hdf5.number(cell, "MATLAB_empty") or dimensions else values
