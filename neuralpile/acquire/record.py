"""`downloads.json`, in a folder of downloaded files: what the archive listed, and what is there and verified."""

from pathlib import Path
from typing import Any

import msgspec

from neuralpile import files
from neuralpile.acquire.archives import RECORD, RemoteFile, check, check_path
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput, Mismatch
from neuralpile.http_client import plain

SOURCE = ("archive", "id", "version", "include", "exclude", "packed", "measured")  # what decides the listing
Stamp = tuple[int, int]  # size in bytes and modification time in whole seconds


class Verified(msgspec.Struct):
    """A file of the archive that was fetched and verified.

    Attributes:
        checksum: as of `RemoteFile`.
        size: as of `RemoteFile`.
        here: the files that it became, by their paths in the folder: itself, or what was unpacked from it. A file whose
            stamp differs has been changed since.
    """

    checksum: str = msgspec.field(name="digest")
    size: int | None
    here: dict[str, Stamp]


class DownloadRecord(msgspec.Struct):
    """What `downloads.json` holds.

    Attributes:
        source: fields of the data set info that decide what is listed.
        listing: what the archive listed; empty where it is not known.
        files: the verified files, by their paths in the archive.
    """

    source: dict[str, Any] = {}
    listing: list[RemoteFile] = []
    files: dict[str, Verified] = {}

    def write(self, folder: Path) -> None:
        """Write the record into a folder."""
        # Addresses can hold passwords and signatures. Downloads request new ones, so those kept here are only to read.
        listing = [msgspec.structs.replace(file, url=_address(file.url)) for file in self.listing]
        content = DownloadRecord(self.source, listing, dict(sorted(self.files.items())))
        files.write_text(folder / RECORD, msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n")

    def add(self, folder: Path, file: RemoteFile, here: list[Path]) -> None:
        """Note that a file is verified, and which files of the folder it became."""
        stamps = {path.relative_to(folder).as_posix(): stamp for path in here if (stamp := stamp_of(path))}
        self.files[file.path] = Verified(file.checksum, file.size, stamps)

    def has(self, folder: Path, file: RemoteFile) -> bool:
        """Whether a file of the archive is in the folder, verified and not touched since."""
        kept = self.files.get(file.path)
        if kept is None or not kept.here or (kept.checksum, kept.size) != (file.checksum, file.size):
            return False
        return all(stamp_of(folder / path) == stamp for path, stamp in kept.here.items())


def _address(url: str) -> str:
    shown = plain(url)
    return shown if shown.startswith(("http://", "https://")) else ""


def read(folder: Path) -> DownloadRecord:
    """Read the record of a folder.

    Parameters:
        folder: of downloaded files.

    Returns:
        The record; an empty one where the folder has none.

    Raises:
        BadInput: `downloads.json` is not what `write` writes.
    """
    path = folder / RECORD
    if not path.is_file():
        return DownloadRecord()
    try:
        record = msgspec.json.decode(path.read_bytes(), type=DownloadRecord)
        for file in record.listing:
            check(file)
        for kept in record.files.values():
            for here in kept.here:
                check_path(here)
    except (ValueError, RecursionError, Mismatch) as error:
        found = "damaged JSON" if isinstance(error, RecursionError) else str(error)
        raise BadInput(
            path, "a list that download.py wrote", found, "delete it; files are then verified again"
        ) from None
    return record


def source_of(data_set: DataSetInfo) -> dict[str, Any]:
    """The fields of a data set info that decide what its archive lists."""
    fields = {name: getattr(data_set, name) for name in SOURCE}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file; None where there is none.

    A file with the stamp that it had when it was verified has not been touched since.
    """
    if not path.is_file():
        return None
    found = path.stat()
    return found.st_size, int(found.st_mtime)


def verified(folder: Path) -> dict[str, tuple[str, str]]:
    """Find the files of a folder that download.py verified and that were not touched since.

    Parameters:
        folder: of downloaded files.

    Returns:
        By path in the folder: the path in the archive of what was verified (another one where the file was unpacked),
        and its checksum ("" where the archive lists none).

    Raises:
        BadInput: as of `read`.
    """
    return {
        here: (path, kept.checksum)
        for path, kept in read(folder).files.items()
        for here, stamp in kept.here.items()
        if stamp_of(folder / here) == stamp
    }
