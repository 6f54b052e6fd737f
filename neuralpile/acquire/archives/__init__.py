"""The archives: which files a data set has there, with size, checksum and address.

One module for each archive. Environment variables put another address in an archive's place, for a mirror or for tests:
NEURALPILE_DANDI_API, NEURALPILE_DRYAD_API, NEURALPILE_ZENODO_API, NEURALPILE_OSF_API, NEURALPILE_GIN.
"""

import re
import sys
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from pathlib import PurePosixPath
from typing import Protocol, cast

import msgspec

from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput, Mismatch, printable
from neuralpile.http_client import HttpClient

RECORD = "downloads.json"  # in the folder of downloaded files: what download.py fetched and verified
LOCK = ".download.lock"
OURS = (RECORD, LOCK)
ARCHIVES = ("DANDI", "Dryad", "Zenodo", "OSF", "GIN")
LONGEST_NAME = 240  # bytes; file systems take 255, and files on their way have a suffix
LONGEST_PATH = 1_024  # bytes, as macOS takes
CHECKSUM = re.compile(r"((md5|sha1|sha256|sha384|sha512):[0-9a-f]+|dandi-etag:[0-9a-f]{32}-\d+|)", re.ASCII)


class RemoteFile(msgspec.Struct, frozen=True):
    """A file in an archive.

    Attributes:
        path: where it goes below the folder of recordings, with "/".
        size: bytes; None where the archive does not list it.
        checksum: "<algorithm>:<hex>", by an algorithm of hashlib's or "dandi-etag"; "" where the archive lists none.
        url: where its bytes are; "" where the file is not public. Signed addresses expire, so this is the one that
            leads to them.
    """

    path: str
    size: int | None
    checksum: str = msgspec.field(name="digest")  # its name in downloads.json
    url: str


class Archive(Protocol):
    """The functions that every archive's module has."""

    def connect(self) -> HttpClient:
        """Make a client for requests to the archive, with its token where the environment has one."""

    def list_files(self, data_set: DataSetInfo, web: HttpClient) -> Iterable[RemoteFile]:
        """List all files that the archive has of a data set, checked or not.

        Raises:
            BadInput: the archive does not answer.
            Mismatch: an answer is malformed. The caller adds the data set's name.
        """


def connect(data_set: DataSetInfo) -> HttpClient:
    """Make a client for requests to the archive of a data set, with its token where the environment has one."""
    return _module(data_set).connect()


def list_files(data_set: DataSetInfo, web: HttpClient | None = None) -> list[RemoteFile]:
    """List the files of a data set that are used, by its `dataset.toml`.

    Parameters:
        data_set: its info.
        web: from `connect`.

    Returns:
        The files in the order of their paths. Where session files come packed: the archive files that they are in.

    Raises:
        BadInput: the archive does not answer, answers in another form than it is known to, has no such file, or lists
            one that would leave its folder.
    """
    patterns = data_set.packed or data_set.include
    wanted = partial(_matches, patterns=patterns) if data_set.packed else data_set.wants
    where = f"{data_set.archive} {data_set.id} {data_set.version}"
    by_path = {}  # each path once: pages of a draft that changes can overlap
    try:
        for file in _module(data_set).list_files(data_set, web or connect(data_set)):
            if wanted(file.path):
                check(file)
                by_path[file.path] = file
    except Mismatch as error:
        raise error.at(where, "do not use this listing; report it to the archive") from None
    found = [by_path[path] for path in sorted(by_path)]
    if not found:
        raise BadInput(where, f"files {' or '.join(patterns)}", "none", f"check {data_set.url}")
    if data_set.files and not data_set.packed and len(found) != data_set.files:
        print(printable(f"note: {where} has {len(found)} such files, {data_set.files} were expected"), file=sys.stderr)
    return found


def check(file: RemoteFile) -> None:
    """Check a file of a listing.

    Raises:
        Mismatch: its path could leave the folder or is too long, its size is negative, it has no valid checksum, or its
            address is not on the web.
    """
    check_path(file.path)
    if file.size is not None and file.size < 0:
        raise Mismatch("sizes of at least 0 bytes", f"{file.size:,} for {file.path}")
    if not CHECKSUM.fullmatch(file.checksum):
        raise Mismatch("checksums like sha256:0123abcd", f"another for {file.path}")
    if file.url and not file.url.startswith(("http://", "https://")):
        raise Mismatch("addresses of http or https", f"another for {file.path}")


def check_path(path: str) -> None:
    """Check a path from an archive or out of an archive file.

    Raises:
        Mismatch: it could lead out of the folder that it is put into, is one of our own files or git's, or cannot be a
            path. Case is ignored, as file systems of macOS and Windows do.
    """
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise Mismatch("paths in UTF-8", repr(path[:LONGEST_NAME])) from None
    if size > LONGEST_PATH:
        raise Mismatch(f"paths of at most {LONGEST_PATH:,} bytes", f"{size:,} in {path[:LONGEST_NAME]}")
    parts = PurePosixPath(path).parts
    leaves = not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in parts[0] or "\0" in path
    if leaves or parts[0].lower() in OURS or ".git" in map(str.lower, parts):
        raise Mismatch("paths that stay in their folder", repr(path))
    if path != "/".join(parts):  # such as a//b, which is the file a/b
        raise Mismatch("paths in their plain form", repr(path))
    longest = max(len(part.encode()) for part in parts)
    if longest > LONGEST_NAME:
        raise Mismatch(f"names of at most {LONGEST_NAME} bytes", f"{longest} in {path}")


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(PurePosixPath(path).match(pattern) for pattern in patterns)


def _module(data_set: DataSetInfo) -> Archive:
    if data_set.archive not in ARCHIVES:
        do = f"choose from {', '.join(ARCHIVES)}, or write a module in neuralpile/acquire/archives"
        raise BadInput(data_set.folder / "dataset.toml", "a known archive", data_set.archive, do)
    return cast(Archive, import_module(f"neuralpile.acquire.archives.{data_set.archive.lower()}"))
