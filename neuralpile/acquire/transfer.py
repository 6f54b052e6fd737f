"""The transfer of one file: goes on where it was interrupted, and gives the file its name when its digest is right."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import requests
from dandischema.digests.dandietag import DandiETag

from neuralpile.acquire.archives import RemoteFile
from neuralpile.errors import BadInput
from neuralpile.http_client import HttpClient, Stopped, TemporaryFailure

PART = ".part"  # suffix of a file that is on its way
BLOCK = 1 << 18  # bytes that are written at a time
DAMAGED = 2  # times that a file may come with a wrong digest


def fetch(web: HttpClient, file: RemoteFile, target: Path, advance: Callable[[int], object]) -> None:
    """Have a file of an archive at `target`, whole and verified. What an earlier, interrupted call got is used.

    `advance` is told how many bytes there are more (or fewer, where some had to be thrown away).

    Raises:
        BadInput: the archive does not give it, or gives another file than it lists.
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_whole(file, target):  # put there by hand
        advance(_size(target))
        return
    part = _part(file, target)
    advance(_size(part))
    for attempt in range(1, DAMAGED + 1):
        web.retry(file.path, lambda: _try(web, file, part, advance), progress=lambda: _size(part))
        found = _digest(part, file.digest)
        if found == file.digest:
            break
        advance(-_size(part))
        part.unlink()
        if attempt == DAMAGED:
            do = "run the same command again; if it stays so, tell the archive"
            raise BadInput(file.path, file.digest, f"{found}, {DAMAGED} times", do)
    with part.open("rb") as handle:
        os.fsync(handle.fileno())
    part.replace(target)


def is_whole(file: RemoteFile, path: Path) -> bool:
    """Whether a file is the archive's, by its digest, or its size where it has none."""
    same_size = path.is_file() and file.size in (None, _size(path)) and bool(file.digest or file.size)
    return same_size and _digest(path, file.digest) == file.digest


def bytes_to_come(file: RemoteFile, target: Path) -> int:
    """Bytes that are still to be written of a file, where the archive says its size; else 0."""
    return max(0, (file.size or 0) - max(_size(_part_of(file, target)), _size(target)))


def _part_of(file: RemoteFile, target: Path) -> Path:
    """Where this version of a file is on its way."""
    version = hashlib.sha256(f"{file.digest} {file.size}".encode()).hexdigest()[:8]
    return target.with_name(f"{target.name}.{version}{PART}")


def _part(file: RemoteFile, target: Path) -> Path:
    """Where a file is on its way; what is left of another version of it is deleted."""
    part = _part_of(file, target)
    for other in target.parent.glob(f"{_literal(target.name)}.????????{PART}"):
        if other != part:
            other.unlink()
    return part


def _literal(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _try(web: HttpClient, file: RemoteFile, part: Path, advance: Callable[[int], object]) -> None:
    """One request for what is missing of a file. Raises TemporaryFailure where afterwards something still is."""
    have = _size(part)
    if have == file.size and part.exists():
        return
    with web.open(file.url, {"Range": f"bytes={have}-"} if have else {}) as response:
        _check_kind(response, file)
        if response.status_code == 416 or not _goes_on(response, have, file):
            advance(-have)
            have = 0
            part.unlink(missing_ok=True)
            if response.status_code != 200:
                raise TemporaryFailure("another part of the file than was asked for")
        with part.open("ab", buffering=0) as out:
            for block in response.iter_content(BLOCK):
                if web.stop.is_set():
                    raise Stopped
                out.write(block)
                have += len(block)
                advance(len(block))
                if file.size is not None and have > file.size:
                    break
    if file.size is not None and have != file.size:
        if have > file.size:
            advance(-have)
            part.unlink()
        raise TemporaryFailure(f"{have:,} bytes in place of {file.size:,}")


def _goes_on(response: requests.Response, have: int, file: RemoteFile) -> bool:
    """Whether an answer begins with the byte that is missing next, of a file of the right size."""
    if not have:
        return _starts_at(response) == 0
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    return _starts_at(response) == have and (file.size is None or total in ("*", str(file.size)))


def _starts_at(response: requests.Response) -> int | None:
    """The first byte that an answer holds: 0 where the server ignores ranges; None where it does not say."""
    if response.status_code != 206:
        return 0
    unit, _, numbers = response.headers.get("Content-Range", "").partition(" ")
    first = numbers.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else None


def _check_kind(response: requests.Response, file: RemoteFile) -> None:
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/html") and not file.path.endswith((".html", ".htm")):
        do = "a login or error page stands in the file's place: try its address in a browser"
        raise BadInput(file.path, "data", f"a web page from {response.url.partition('?')[0]}", do)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path, like: str) -> str:
    """The digest of a file by the algorithm of another one, "<algorithm>:<hex>"; "" where there is none."""
    algorithm = like.partition(":")[0]
    if not algorithm:
        return ""
    if algorithm == "dandi-etag":
        return f"dandi-etag:{DandiETag.from_file(path).as_str()}" if _size(path) else like
    with path.open("rb") as handle:
        return f"{algorithm}:{hashlib.file_digest(handle, algorithm).hexdigest()}"


def check_space(folder: Path, n_bytes: int) -> None:
    """Raise BadInput where the disk of a folder has too little room for so many bytes."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        do = "make room, take another --data_dir, or fewer files with --max_files"
        raise BadInput(folder, f"{n_bytes:,} bytes free", f"{free:,}", do)
