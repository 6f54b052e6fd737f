"""The lock list of a data set: `files.tsv` in its folder, the session files with which it was checked.

One file a line: path, size in bytes, checksum. What the archive lists now is compared with it, file by file.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from neuralpile.acquire.archives import CHECKSUM, RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput

NAME = "files.tsv"


class Locked(NamedTuple):
    """A file of a lock list."""

    size: int  # bytes
    checksum: str  # as of `RemoteFile`


def read(path: Path) -> dict[str, Locked]:
    """Read a lock list.

    Returns:
        Its files by their paths in the archive; none where there is no such list.

    Raises:
        BadInput: a line is not a path, a size and a checksum.
    """
    locked = {}
    content = path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
    for number, line in enumerate(filter(None, content.split("\n")), 1):
        name, _, rest = line.partition("\t")
        size, _, checksum = rest.partition("\t")
        if not re.fullmatch(r"\d{1,19}", size, re.ASCII) or not CHECKSUM.fullmatch(checksum):
            expected = "path, size and checksum with a tab between"
            raise BadInput(f"{path}, line {number}", expected, line[:80], "restore the file from the repository")
        locked[name] = Locked(int(size), checksum)
    return locked


def differences(data_set: DataSetInfo, listing: list[RemoteFile]) -> Iterator[str]:
    """Compare what an archive lists with a data set's lock list, where it has one.

    Parameters:
        data_set: its info.
        listing: what the archive lists now.

    Yields:
        A line for every file that is gone, new or another. Checksums are compared where both are by one algorithm.

    Raises:
        BadInput: as of `read`.
    """
    locked = read(data_set.folder / NAME)
    if not locked:
        return
    where = f"{data_set.archive} {data_set.id} {data_set.version}"
    listed = {file.path: file for file in listing}
    for path in sorted(locked.keys() | listed.keys()):
        there, here = listed.get(path), locked.get(path)
        if there is None:
            yield f"{where} no longer has {path}"
        elif here is None:
            yield f"{where} has a new file: {path}"
        elif there.size != here.size:
            yield f"{where} has another {path}: {there.size} bytes, where {NAME} has {here.size}"
        elif _differ(there.checksum, here.checksum):
            yield f"{where} has another {path}: {there.checksum}, where {NAME} has {here.checksum}"


def _differ(one: str, other: str) -> bool:
    return one != other and one.partition(":")[0] == other.partition(":")[0]
