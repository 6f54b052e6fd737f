"""Transfer one file: resume it where it was interrupted, and give it its final name when its checksum is right.

A file on its way is `<name>.<version>.part`. Its bytes are kept even if the server cannot resume. Such a server (GIN,
for all content in git-annex) answers a range request with the whole file; the bytes that are there are skipped.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from neuralpile.acquire.archives import RemoteFile
from neuralpile.errors import BadInput
from neuralpile.files import FULL
from neuralpile.http_client import A_FILE, WEB_PAGE, HttpClient, Stopped, TemporaryFailure, blocks, host_of, web_page

PART = ".part"  # suffix of a file that is on its way
BLOCK = 1 << 14  # bytes that are written at a time; a block that a lost connection cuts short is lost
DAMAGED = 2  # times that a file may arrive with a wrong checksum
_PAGE_START = re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE)


def fetch(web: HttpClient, file: RemoteFile, target: Path, advance: Callable[[int], object]) -> None:
    """Fetch and verify one file of an archive; what an earlier, interrupted call received is used.

    Parameters:
        web: makes the requests.
        file: which one.
        target: where it goes.
        advance: called with the number of new bytes; negative if wrong bytes were discarded.

    Raises:
        BadInput: the archive does not give it, or gives another file than it lists.
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_whole(file, target):  # put there by hand
        advance(_size(target))
        return
    if not file.url:
        do = "ask the authors or the archive for it, and put it there by hand"
        raise BadInput(file.path, "a public file", "one that the archive does not give", do)
    part = _part(file, target)
    advance(_size(part))
    transfer = _Transfer(web, file, part, advance)
    for attempt in range(1, DAMAGED + 1):
        web.retry(file.path, transfer.attempt, progress=lambda: _size(part))
        found = _checksum(part, file.checksum)
        if found == file.checksum:
            break
        advance(-_size(part))
        part.unlink()
        if attempt == DAMAGED:
            do = "run the same command again; if that does not help, report it to the archive"
            raise BadInput(file.path, file.checksum, f"{found}, {DAMAGED} times", do)
    with part.open("rb") as handle:
        os.fsync(handle.fileno())
    part.replace(target)


def is_whole(file: RemoteFile, path: Path) -> bool:
    """Check whether a file is the archive's, by its checksum, or by its size where it has none."""
    same_size = path.is_file() and file.size in (None, _size(path)) and bool(file.checksum or file.size)
    return same_size and _checksum(path, file.checksum) == file.checksum


def bytes_to_come(file: RemoteFile, target: Path) -> int:
    """Count the bytes of a file that are still to be written; 0 where the archive does not list its size."""
    return max(0, (file.size or 0) - max(_size(part_of(file, target)), _size(target)))


def check_space(folder: Path, n_bytes: int) -> None:
    """Raise BadInput where the disk of a folder has too little room for so many bytes."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        do = "make room, use another --data_dir, or fetch fewer files with --max_files"
        raise BadInput(folder, f"{n_bytes:,} bytes free", f"{free:,}", do)


def cannot_write(path: str, error: OSError) -> BadInput:
    """The error for a file that cannot be written."""
    remedies = FULL | {
        errno.EACCES: "check the permissions of its folder",
        errno.EPERM: "check the permissions of its folder",
        errno.EROFS: "use another --data_dir",
        errno.ENOTDIR: "move the file away that has the name of a folder",
        errno.EEXIST: "move the file away that has the name of a folder",
        errno.EISDIR: "move the folder away that has the name of the file",
        errno.ENAMETOOLONG: "use a --data_dir with a shorter path",
    }
    do = remedies.get(error.errno or 0, "check the disk")
    return BadInput(path, "to write it", error.strerror or "an error", f"{do}; then run the same command again")


def part_of(file: RemoteFile, target: Path) -> Path:
    """Where this version of a file is on its way."""
    version = hashlib.sha256(f"{file.checksum} {file.size}".encode()).hexdigest()[:8]
    return target.with_name(f"{target.name}.{version}{PART}")


def _part(file: RemoteFile, target: Path) -> Path:
    """Where a file is on its way; what is left of another version of it is deleted."""
    part = part_of(file, target)
    for other in target.parent.glob(f"{_literal(target.name)}.????????{PART}"):
        if other != part:
            other.unlink()
    return part


def _literal(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


@dataclass
class _Transfer:
    """The requests for one file."""

    web: HttpClient
    file: RemoteFile
    part: Path
    advance: Callable[[int], object]
    ranges: bool = True  # whether to request what is missing only
    etag: str = ""  # of the version that the first bytes are of

    def attempt(self) -> None:
        """Send one request for what is missing. Raises TemporaryFailure where something still is afterwards."""
        have, size = _size(self.part), self.file.size
        if have == size and self.part.exists():
            return
        asked = {"Range": f"bytes={have}-"} if have and self.ranges else {}
        try:
            with self.web.open(self.file.url, asked) as response:
                _check_kind(response, self.file)
                self._check_version(response, have)
                start = self._start(response, have)
                self._check_length(response, have)
                received = self._receive(response, start, have)
        except BadInput as error:
            if error.expected != A_FILE:
                raise
            raise BadInput(error.where, f"the file {self.file.path}", error.found, error.do) from None
        if size is None:
            if not received:
                raise TemporaryFailure("an empty answer")
        elif received != size:
            if received > size:  # what came in this answer is of another file
                self._cut(have)
            raise TemporaryFailure(f"{received:,} bytes in place of {size:,}")

    def _start(self, response: requests.Response, have: int) -> int:
        """The byte that an answer begins with: 0, or the one that is missing next."""
        if response.status_code == 200:
            if have:
                self.web.print_once(
                    f"{host_of(response.url)} cannot resume: it sends whole files. What is here stays, and is received "
                    f"again and skipped, {have:,} bytes of {self.file.path}"
                )
            return 0
        place = re.fullmatch(r"bytes (\d{1,19})-\d{1,19}/(\*|\d{1,19})", _header(response, "Content-Range"), re.ASCII)
        whole = place is not None and (self.file.size is None or place[2] in ("*", str(self.file.size)))
        encoded = is_encoded(response, self.file)  # a range of encoded bytes is not a range of the file
        if response.status_code == 206 and place and whole and int(place[1]) == have and not encoded:
            return have
        self.ranges = False  # the retry requests the whole file
        raise TemporaryFailure("another part of the file than was requested")

    def _check_version(self, response: requests.Response, have: int) -> None:
        """Start again if the file changed after its first bytes came, and it has no checksum that would show it."""
        etag = _header(response, "ETag").removeprefix("W/")
        if have and not self.file.checksum and self.etag and etag and self.etag != etag:
            self.etag = ""
            self._cut(0)
            raise TemporaryFailure("another version of the file than before")
        self.etag = self.etag or etag

    def _check_length(self, response: requests.Response, have: int) -> None:
        """Raise TemporaryFailure where the whole file that is offered is shorter than what is here."""
        length = "" if is_encoded(response, self.file) else _header(response, "Content-Length")
        if response.status_code == 200 and have and length.isascii() and length.isdigit() and int(length[:19]) < have:
            raise TemporaryFailure(f"{int(length[:19]):,} bytes, fewer than are here already")

    def _receive(self, response: requests.Response, start: int, have: int) -> int:
        """Append what comes after the first `have` bytes of the file. Returns how many bytes of it are there."""
        position, there, decode = start, have, is_encoded(response, self.file)
        with self.part.open("ab", buffering=0) as out:
            for block in blocks(response, BLOCK, decode):
                if self.web.stop.is_set():
                    raise Stopped
                if not self.file.checksum and position == 0 and _PAGE_START.match(block):
                    raise _page_in_place(response, self.file, WEB_PAGE)
                new = memoryview(block)[max(0, there - position) :]
                position += len(block)
                there += len(new)
                self.advance(len(new))
                while new:  # a disk that is nearly full takes a part of it
                    new = new[out.write(new) :]
                if self.file.size is not None and there > self.file.size:
                    break
        if self.web.stop.is_set():  # an interrupt can look like the end of an answer
            raise Stopped
        if self.file.size is None and position < there:
            raise TemporaryFailure(f"{position:,} bytes, fewer than are here already")
        return there

    def _cut(self, length: int) -> None:
        """Cut the partial file back to `length` bytes: a wrong answer added the rest."""
        self.advance(length - _size(self.part))
        os.truncate(self.part, length)


def _header(response: requests.Response, name: str) -> str:
    return response.headers.get(name, "")


def is_encoded(response: requests.Response, file: RemoteFile) -> bool:
    """Whether a body must be decoded to be the file.

    No encoding is asked for, and a server may still send one. Others say of a .tar.gz, as it is, that it is encoded.
    """
    if not _header(response, "Content-Encoding"):
        return False
    if file.size is None:
        return not file.path.endswith((".gz", ".tgz"))
    of_range = _header(response, "Content-Range").rpartition("/")[2]
    return (of_range if response.status_code == 206 else _header(response, "Content-Length")) != str(file.size)


def _check_kind(response: requests.Response, file: RemoteFile) -> None:
    if not file.path.endswith((".html", ".htm")) and (page := web_page(response)):
        raise _page_in_place(response, file, page)


def _page_in_place(response: requests.Response, file: RemoteFile, page: str) -> BadInput:
    do = "open the data set's page in a browser from this network, or download the file there by hand"
    return BadInput(file.path, "data", f"{page} from {host_of(response.url)}", do)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _checksum(path: Path, like: str) -> str:
    """The checksum of a file by the algorithm of another one, "<algorithm>:<hex>"; "" where there is none."""
    algorithm = like.partition(":")[0]
    if not algorithm:
        return ""
    if algorithm == "dandi-etag":
        from dandischema.digests.dandietag import DandiETag  # only DANDI has these

        return f"dandi-etag:{DandiETag.from_file(path).as_str()}" if _size(path) else like
    with path.open("rb") as handle:
        return f"{algorithm}:{hashlib.file_digest(handle, algorithm).hexdigest()}"
