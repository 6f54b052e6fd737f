"""HTTP as the archives need it: try again what may pass, wait as long as the server asks, say in a line what is wrong.

Two environment variables, for slow lines and for tests: NEURALPILE_RETRY_SECONDS is the wait before the second try,
which doubles from try to try (default 1); NEURALPILE_TIMEOUT is how many seconds a server may be silent (default 60).
"""

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from tqdm import tqdm

from neuralpile.errors import BadInput

T = TypeVar("T")

RETRY_SECONDS = float(os.environ.get("NEURALPILE_RETRY_SECONDS", "1"))
CONNECT_SECONDS, SILENT_SECONDS = 10.0, float(os.environ.get("NEURALPILE_TIMEOUT", "60"))
TRIES = 7  # in a row that bring nothing: with the waits between them, about a minute
LONGEST_WAIT = 3_700  # seconds: some archives count requests by the hour
TOLD = 5  # seconds: users are told of longer waits
PASSING = {408, 425, 429, 500, 502, 503, 504}  # statuses that may pass by themselves
CONNECTIONS = 32


class TemporaryFailure(Exception):
    """Something that may pass by itself: a busy server, a lost connection. `wait`: seconds that the server asks for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        self.reason, self.wait = reason, wait
        super().__init__(reason)


class Stopped(Exception):
    """The run was interrupted, in another thread."""


class _Token(requests.auth.AuthBase):
    """A bearer token for the hosts of one archive only: a listing can name any host."""

    def __init__(self, token: str, base: str) -> None:
        self._token = token
        self._domain = (urlsplit(base).hostname or "").removeprefix("api.")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        host = urlsplit(request.url).hostname or ""
        if host == self._domain or host.endswith(f".{self._domain}"):
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class HttpClient:
    """Requests to an archive, from any number of threads.

    Args:
        token: sent to the host of `base` and those below its domain, but to no host that a request is redirected to.
        base: an address of the archive.
        if_refused: what a user can do where the archive asks for authorisation.
    """

    def __init__(self, token: str = "", base: str = "", if_refused: str = "see whether it is public") -> None:
        self.stop = threading.Event()
        self.if_refused = if_refused
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
        # no compression on the way: sizes and ranges are those of the file
        self._session.headers.update({"User-Agent": "neuralpile", "Accept-Encoding": "identity"})
        self._session.auth = _Token(token, base) if token else None

    @contextmanager
    def open(self, url: str, headers: Mapping[str, str] = {}, **more: object) -> Iterator[requests.Response]:
        """One try at a GET; the body is read within the block. Statuses are below 400, or 416.

        Raises:
            TemporaryFailure: where another try may help.
            BadInput: where none will.
        """
        try:
            timeout = CONNECT_SECONDS, SILENT_SECONDS
            with self._session.get(url, headers=headers, stream=True, timeout=timeout, **more) as response:
                self._check(response, url)
                yield response
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise TemporaryFailure(reason(error)) from None
        except requests.RequestException as error:
            do = "the archive's answers have changed, or something between answers in its place"
            raise BadInput(plain(url), "an address to read", type(error).__name__, do) from None

    def get_json(self, url: str, **parameters: object) -> dict:
        """What the archive answers, as JSON, after as many tries as it takes. Raises BadInput: no such answer."""

        def attempt() -> dict:
            with self.open(url, params=parameters) as response:
                try:
                    answer = response.json()
                except requests.JSONDecodeError:
                    answer = None
                if isinstance(answer, dict):
                    return answer
                kind = response.headers.get("Content-Type", "no type")
                do = "something else answers in the archive's place: a login page of your network?"
                raise BadInput(plain(url), "an answer in JSON", kind, do)

        return self.retry(plain(url), attempt)

    def pages(self, url: str, following: Callable[[dict], str | None], **parameters: object) -> Iterator[dict]:
        """All pages of a listing, the address of each from the one before. Raises BadInput: one was there before."""
        seen: set[str] = set()
        while url:
            if url in seen:
                do = "the archive's listing goes round in circles: try again later, or tell the archive"
                raise BadInput(plain(url), "another page of the listing", "one that was read already", do)
            seen.add(url)
            page = self.get_json(url, **parameters)
            yield page
            url, parameters = following(page) or "", {}

    def retry(self, what: str, attempt: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
        """Try until it succeeds, or nothing is gained any more: no `progress` in several tries.

        Raises BadInput where it does not succeed, Stopped where the run is interrupted.
        """
        fruitless, most = 0, progress()
        while True:
            if self.stop.is_set():
                raise Stopped
            try:
                return attempt()
            except TemporaryFailure as passing:
                fruitless = 1 if progress() > most else fruitless + 1
                most = max(most, progress())
                if passing.wait > LONGEST_WAIT:
                    do = f"run the same command again in {passing.wait / 3600:.0f} hours"
                    raise BadInput(what, "an archive that is not busy", passing.reason, do) from None
                if fruitless == TRIES:
                    found = f"{passing.reason}, {TRIES} times in a row"
                    do = "see whether the network and the archive's page work, and run the same command again"
                    raise BadInput(what, "an answer", found, do) from None
                wait = passing.wait or RETRY_SECONDS * 2 ** (fruitless - 1) * random.uniform(0.75, 1.25)
                if wait > TOLD:
                    tqdm.write(f"{what}: {passing.reason}; tries again in {wait:.0f} s", file=sys.stderr)
                self.stop.wait(wait)

    def _check(self, response: requests.Response, url: str) -> None:
        status = response.status_code
        found = f"{status} {response.reason or ''}".strip()
        if status < 400 or status == 416:
            return
        if status in PASSING:
            raise TemporaryFailure(found, asked_wait(response.headers))
        if response.history and status != 404:  # a signed address that has expired: the next try gets a new one
            raise TemporaryFailure(f"{found} from {urlsplit(response.url).hostname}")
        do = self.if_refused if status in (401, 403) else "see on the archive's page whether it is still there"
        raise BadInput(plain(url), "to be given it", found, do)


def plain(url: str) -> str:
    """An address without its query and fragment: these may hold signatures and tokens."""
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def asked_wait(headers: Mapping[str, str]) -> float:
    """Seconds that a busy server asks to wait; 0 where it does not say.

    Retry-After as in RFC 9110, 10.2.3; RateLimit-Reset as Dryad has it, in seconds, or as a time.
    """
    asked = headers.get("Retry-After") or headers.get("RateLimit-Reset") or headers.get("X-RateLimit-Reset") or "0"
    try:
        seconds = float(asked)
        if seconds > 1e9:  # a time, in seconds since 1970
            seconds -= time.time()
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except ValueError:
            return 0.0
    return max(seconds, 0.0)


def reason(error: BaseException) -> str:
    """A few words for a lost connection: the clients' own texts hold whole addresses."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"silence for {SILENT_SECONDS:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "a certificate that is not trusted"
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        if "NameResolution" in type(cause).__name__:
            return "no address for this name"
    return "a connection that broke off"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The errors within an error, which requests and urllib3 keep in various places."""
    inner = [*error.args, getattr(error, "reason", None), error.__cause__, error.__context__]
    for cause in inner:
        if isinstance(cause, BaseException) and cause is not error:
            if not isinstance(cause, requests.RequestException):
                yield cause
            yield from _causes(cause)
