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


def tiles(dataset: h5py.Dataset, most: int) -> Iterator[tuple[slice, slice]]:
    """Parts of a 3-D dataset of at most `most` bytes: whole along the first axis, slices of the second and third.

    They are made of whole chunks, so that each chunk is read once; only chunks that alone are too large are cut.
    """
    length, n_second, n_third = dataset.shape
    values = max(1, most // (length * dataset.dtype.itemsize))  # of a tile, on the second and third axis
    _, second, third = dataset.chunks or (length, 1, n_third)
    second, third = min(second, n_second), min(third, n_third)
    if second * third > values:
        third = min(third, values)
        second = values // third
    elif second * n_third > values:
        third *= values // (second * third)
    else:
        third = n_third
        second *= values // (second * third)
    for i in range(0, n_second, second):
        for j in range(0, n_third, third):
            yield slice(i, min(i + second, n_second)), slice(j, min(j + third, n_third))
