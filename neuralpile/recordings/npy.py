"""Arrays that numpy saved (.npy, and .npz archives of them), without pickle."""

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np

from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import damage, hdf5

KIND = "NumPy file (.npy)"
MAGIC = b"\x93NUMPY"  # first bytes of every .npy file


def read(path: Path, mapped: bool = False) -> np.ndarray:
    """Read an array.

    Parameters:
        path: a .npy file.
        mapped: map the file into memory instead of reading it.

    Raises:
        BadInput: the file does not exist, is not whole, or holds Python objects.

    Example:
        >>> read(Path("spike_times.npy")).shape  # doctest: +SKIP
        (1849210,)
    """
    try:
        with path.open("rb") as file:
            shape, dtype = _header(file)
            held, declared = path.stat().st_size - file.tell(), math.prod(shape) * dtype.itemsize
        if not dtype.hasobject and held != declared:
            raise Mismatch(f"a {KIND}", f"{held:,} bytes of values where its header says {declared:,}")
        return np.asarray(np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False))
    except FileNotFoundError:
        raise damage.missing(path) from None
    except PermissionError:
        raise
    except Exception as error:  # numpy parses the header as Python and raises errors of many kinds
        if damage.head(path).startswith(MAGIC) and "allow_pickle" in str(error):
            raise BadInput(path, f"a {KIND} of numbers", "Python objects", "save it as numbers") from None
        if "pickle" in str(error):  # numpy takes whatever it does not know for pickle
            error = Mismatch(f"a {KIND}", "content that is not NumPy's")
        raise damage.explain(path, KIND, error) from None


def has_rates(path: Path) -> bool:
    """Whether a .npy file holds rates: three dimensions, floating point. Only its header is read.

    True for a file whose header cannot be read: its build reports why.
    """
    try:
        with path.open("rb") as file:
            shape, dtype = _header(file)
    except Exception:  # numpy parses the header as Python and raises errors of many kinds
        return True
    return len(shape) == 3 and dtype.kind == "f"


def _header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of the array in a file, which is then read up to its values."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    return shape, dtype


def read_npz(path: Path, names: set[str]) -> dict[str, np.ndarray]:
    """Read those arrays of an .npz archive that it has; one that holds Python objects counts as absent.

    Raises:
        BadInput: the file does not exist or is not whole.
    """
    kind = "NumPy archive (.npz)"
    arrays: dict[str, np.ndarray] = {}
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise BadInput(path, f"a {kind}", "a single array", "save it as .npz")
        with archive:
            for name in names & set(archive.files):
                member = archive.zip.getinfo(f"{name}.npy")
                stored = min(member.compress_size, path.stat().st_size)  # an archive can claim to hold more than it is
                if hdf5.is_bomb(member.file_size, stored):
                    found = f"{stored:,} bytes that unpack to {member.file_size:,}"
                    raise BadInput(f"{path}, {name}", "numbers", found, damage.DOWNLOAD)
                try:
                    arrays[name] = archive[name]
                except ValueError as error:
                    if "allow_pickle" not in str(error):
                        raise
    except FileNotFoundError:
        raise damage.missing(path) from None
    except (BadInput, PermissionError):
        raise
    except Exception as error:  # numpy and zipfile raise errors of many kinds
        if "pickle" in str(error):
            error = Mismatch(f"a {kind}", "content that is not NumPy's")
        raise damage.explain(path, kind, error) from None
    return arrays
