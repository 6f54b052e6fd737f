"""Remote files read in place: only the parts of a file that are needed, by HTTP range requests.

Received bytes stay in a temporary file (in the folder that TMPDIR names) until the next recording is opened, so no byte
is requested twice, and memory holds only what is on its way.
"""

import io
import os
import re
import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import requests

from neuralpile.acquire.archives import RemoteFile
from neuralpile.acquire.transfer import is_encoded
from neuralpile.errors import BadInput
from neuralpile.http_client import HttpClient, TemporaryFailure, blocks, host_of, web_page

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

WHOLE = 1 << 21  # bytes; smaller files are fetched whole, in one request
PAGE = 1 << 16  # bytes; the smallest range that is fetched
MOST_AHEAD = 16  # pages that are fetched at once where reads were not announced by `fetch`
BLOCK = 1 << 20  # bytes that are written at a time
AT_ONCE = 8  # requests; one connection to an archive's storage is slow, and most of a short request is waiting
LEAST, MOST = 1 << 22, 1 << 25  # bytes in each of several requests


@dataclass(frozen=True)
class RemoteRecording:
    """A session file in an archive. It has the attributes of `Path` that scripts use.

    Attributes:
        file: as the archive lists it.
    """

    file: RemoteFile

    @property
    def name(self) -> str:
        """The file's name."""
        return PurePosixPath(self.file.path).name

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return PurePosixPath(self.file.path).stem

    @property
    def parent(self) -> PurePosixPath:
        """The folder that the file is in, within the data set."""
        return PurePosixPath(self.file.path).parent

    def __str__(self) -> str:
        return self.file.path

    def open(self) -> "RangeFile":
        """Open the file for reading by ranges. A second call for the same file returns the same object."""
        return _open(self.file)


@cache
def _web() -> HttpClient:
    """The client of this process. It has no token: only public data are read in place."""
    return HttpClient(if_refused="check that the data set is public; download.py can fetch data under embargo")


@lru_cache(maxsize=1)
def _open(file: RemoteFile) -> "RangeFile":
    return RangeFile(_web(), file)


class RangeFile(io.RawIOBase):
    """A file of an archive, for reading at any place.

    Parameters:
        web: makes the requests.
        file: as the archive lists it.

    Attributes:
        requests: number of requests so far.
        received: number of bytes so far.
        failure: the error of a read. h5py can raise one of its own in its place.

    Raises:
        BadInput: the archive lists no size, or the file is not public. Reads raise it where the archive does not give
            what it listed.
    """

    def __init__(self, web: HttpClient, file: RemoteFile) -> None:
        super().__init__()
        if not file.size:
            raise BadInput(file.path, "a file with a size in the listing", str(file.size), "download it")
        if not file.url:
            raise BadInput(file.path, "a public file", "one that the archive does not give", "ask its authors for it")
        self.file, self.size = file, file.size
        self.failure: BadInput | None = None
        self.requests = self.received = 0
        self._web, self._position, self._ahead = web, 0, 4
        self._here = np.zeros(-(-self.size // PAGE), bool)
        self._store = tempfile.TemporaryFile()  # noqa: SIM115  (closed with this file)
        self._lock = threading.Lock()
        self._address: str | None = None  # where the archive sends to, while it is valid
        self._etag = ""

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Delete what was received."""
        self._store.close()
        super().close()

    def tell(self) -> int:
        """The position, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        return self._position

    def readinto(self, buffer: "Buffer") -> int:
        """Read from the position on. Missing bytes are fetched; the longer reads go on, the more is read ahead."""
        view = memoryview(buffer).cast("B")
        start, stop = self._position, min(self._position + len(view), self.size)
        if stop <= start:
            return 0
        first, last = start // PAGE, (stop - 1) // PAGE
        if self.size <= WHOLE and not self._here.all():
            self.fetch([(0, self.size)])
        elif not self._here[first : last + 1].all():
            follows = first > 0 and self._here[first - 1]
            self._ahead = min(2 * self._ahead, MOST_AHEAD) if follows else max(1, self._ahead // 2)
            missing = first + int(np.argmin(self._here[first : last + 1]))
            self.fetch([(missing * PAGE, max(stop, (missing + self._ahead) * PAGE))])
        n = os.preadv(self._store.fileno(), [view[: stop - start]], start)
        self._position += n
        return n

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Fetch these ranges of bytes, [start, stop), where they are missing, with several requests at a time.

        Raises:
            BadInput: the archive does not give what it listed.
        """
        wanted = np.zeros(len(self._here), bool)
        for start, stop in ranges:
            wanted[start // PAGE : -(-min(stop, self.size) // PAGE)] = True
        edges = np.flatnonzero(np.diff(wanted & ~self._here, prepend=False, append=False)).reshape(-1, 2)
        total = int((edges[:, 1] - edges[:, 0]).sum()) * PAGE
        step = -(-min(max(total // AT_ONCE, LEAST), MOST) // PAGE)
        parts = [(int(p), int(min(p + step, stop))) for start, stop in edges for p in range(start, stop, step)]
        try:
            if len(parts) < 2:
                for part in parts:
                    self._fetch_pages(part)
            else:
                with ThreadPoolExecutor(min(AT_ONCE, len(parts))) as pool:
                    try:
                        list(pool.map(self._fetch_pages, parts))
                    except KeyboardInterrupt:
                        self._web.interrupt()  # before the pool waits for its threads
                        raise
        except BadInput as error:
            # A copy: by its traceback the error itself would keep HDF5's handles beyond HDF5's end.
            self.failure = copy(error)
            raise

    def _fetch_pages(self, pages: tuple[int, int]) -> None:
        stop = min(pages[1] * PAGE, self.size)
        at = [pages[0] * PAGE]  # the next byte: a retry resumes there
        self._web.retry(self.file.path, lambda: self._try(at, stop), progress=lambda: at[0])
        self._here[pages[0] : pages[1]] = True

    def _try(self, at: list[int], stop: int) -> None:
        """One request for the bytes [at, stop), into the store. Raises TemporaryFailure: some are missing."""
        address = self._address or self.file.url
        with ExitStack() as stack:
            with self._lock:
                self.requests += 1
            asked = {"Range": f"bytes={at[0]}-{stop - 1}"}
            try:
                response = stack.enter_context(self._web.open(address, asked))
            except BadInput as error:
                if address == self.file.url:
                    raise BadInput(self.file.path, error.expected, error.found, error.do) from None
                self._address = None  # it has perhaps expired, and the archive gives a new one
                raise TemporaryFailure("an address that is no longer valid") from None
            self._check(response, at[0], stop)
            self._address = response.url
            for block in blocks(response, BLOCK, is_encoded(response, self.file)):
                if len(block) > stop - at[0]:
                    raise TemporaryFailure("more bytes than were requested")
                os.pwrite(self._store.fileno(), block, at[0])
                at[0] += len(block)
                with self._lock:
                    self.received += len(block)
        if at[0] != stop:
            raise TemporaryFailure(f"{stop - at[0]:,} bytes too few")

    def _check(self, response: requests.Response, start: int, stop: int) -> None:
        """Raise BadInput where an answer is not this part of the file that was listed."""
        status, headers = response.status_code, response.headers
        with self._lock:
            self.requests += len(response.history)
            etag = headers.get("ETag", "").removeprefix("W/")
            self._etag = self._etag or etag
        if page := web_page(response):
            do = "open the data set's page in a browser from this network, or use download.py"
            raise BadInput(self.file.path, "data", f"{page} from {host_of(response.url)}", do)
        if status == 200 and (start, stop) != (0, self.size):
            do = "fetch it with download.py, and build without --stream"
            raise BadInput(self.file.path, "a server that sends parts of files", "one that sends whole files", do)
        place, _, total = headers.get("Content-Range", f"bytes {start}-{stop - 1}/{self.size}").rpartition("/")
        if total not in ("*", str(self.size)) or etag not in ("", self._etag):
            found = f"{total} bytes" if re.fullmatch(r"\d{1,19}", total, re.ASCII) else "another version"
            do = "the file has changed: run the same command again"
            raise BadInput(self.file.path, f"the file of {self.size:,} bytes that was listed", found, do)
        if place != f"bytes {start}-{stop - 1}":
            raise TemporaryFailure("another part of the file than was requested")
