"""What the archives have of a data set: its files, with size, digest and address.

One module for each archive, whose `list_files` asks it. An environment variable for each puts another address in its
place, for a mirror or for tests: NEURALPILE_DANDI_API, NEURALPILE_DRYAD_API, NEURALPILE_ZENODO_API, NEURALPILE_OSF_API,
NEURALPILE_GIN.
"""

import sys
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import PurePosixPath

from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput
from neuralpile.http_client import HttpClient

RECORD = "downloads.json"  # in the folder of downloaded files: what download.py fetched and verified
ARCHIVES = ("DANDI", "Dryad", "Zenodo", "OSF", "GIN")


@dataclass(frozen=True)
class RemoteFile:
    """A file of an archive."""

    path: str  # where it goes below raw/, with "/"
    size: int | None  # bytes, where the archive says it
    digest: str  # "<algorithm>:<hex>" with an algorithm of hashlib's or "dandi-etag"; "" where the archive has none
    url: str  # where its bytes are; signed addresses expire, so this is the one that leads to them


def connect(data_set: DataSetInfo) -> HttpClient:
    """Requests to the archive of a data set, with its token where the environment has one."""
    return _module(data_set).connect()


def list_files(data_set: DataSetInfo, web: HttpClient | None = None) -> list[RemoteFile]:
    """The files of a data set that are used, by its `dataset.toml`, in the order of their paths.

    Where session files come packed, these are the archive files that they are in.

    Raises BadInput where the archive does not answer, answers in another form than it is known to, has no such file, or
    names one that would leave its folder.
    """
    patterns = data_set.packed or data_set.include
    wanted = partial(_matches, patterns=patterns) if data_set.packed else data_set.wants
    where = f"{data_set.archive} {data_set.id} {data_set.version}"
    try:
        listed = _module(data_set).list_files(data_set, web or connect(data_set))
        by_path = {file.path: file for file in listed if wanted(file.path)}  # once each: a draft's pages can overlap
    except (LookupError, TypeError, AttributeError, ValueError) as error:  # of answers that lack what they must have
        do = "the archive's answers have changed, or something else answers in its place"
        raise BadInput(where, "a listing", f"{type(error).__name__}: {error}", do) from None
    found = [by_path[path] for path in sorted(by_path)]
    if not found:
        raise BadInput(where, f"files {' or '.join(patterns)}", "none", f"see {data_set.url}")
    for file in found:
        check_path(file.path, where)
    if data_set.files and not data_set.packed and len(found) != data_set.files:
        print(f"note: {where} has {len(found)} such files, {data_set.files} were expected", file=sys.stderr)
    return found


def check_path(path: str, where: object) -> None:
    """Raise BadInput where a path of someone else's making could lead out of the folder that it is put into."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in parts[0] or "\0" in path:
        do = "do not use this file; tell the archive"
        raise BadInput(where, "paths that stay in their folder", repr(path), do)


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(PurePosixPath(path).match(pattern) for pattern in patterns)


def _module(data_set: DataSetInfo) -> object:
    if data_set.archive not in ARCHIVES:
        do = f"choose from {', '.join(ARCHIVES)}, or write a module in neuralpile/acquire/archives"
        raise BadInput(data_set.folder / "dataset.toml", "an archive that is known", data_set.archive, do)
    return import_module(f"neuralpile.acquire.archives.{data_set.archive.lower()}")
