"""HTTP requests to the archives: timeouts, retries, rate limits, bounded answers, and errors in one line.

Two environment variables, for slow lines and for tests: NEURALPILE_RETRY_SECONDS is the wait before the first retry,
which doubles from retry to retry (default 1); NEURALPILE_TIMEOUT is how many seconds a server may stay silent
(default 60).
"""

import errno
import os
import random
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from itertools import islice
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter
from tqdm import tqdm

from neuralpile import __version__
from neuralpile.errors import BadInput, Mismatch, of_json, printable

T = TypeVar("T")

RETRY_SECONDS = float(os.environ.get("NEURALPILE_RETRY_SECONDS", "1"))
CONNECT_SECONDS, SILENT_SECONDS = 10.0, float(os.environ.get("NEURALPILE_TIMEOUT", "60"))
TRIES = 7  # in a row without progress: with the waits between them, about a minute
PATIENCE = 5  # times SILENT_SECONDS: in this time headers, and an answer of JSON, must be here
SLOWEST = 100  # bytes a second: slower answers are given up, for they would not end
LONGEST_WAIT = 3_700  # seconds: some archives count requests by the hour
SHOWN_SECONDS = 0.5  # longer waits are printed
NOTICE_SECONDS = 5.0  # a server that has not answered after this time is named
RETRY_STATUSES = {202, 408, 425, 429, 500, 502, 503, 504}  # temporary failures
CONNECTIONS = 32
MOST_BYTES = 64_000_000  # in one answer of JSON; the largest page of a real listing has about 2 MB
MOST_ANSWERS = 1_000  # of JSON that one client reads
MOST_BYTES_TOGETHER = 256_000_000  # in these
# Archives refuse clients without a name (Zenodo, since 12/2025); the address is where the corpus is published.
USER_AGENT = f"neuralpile/{__version__} (+https://huggingface.co/datasets/eminorhan/neural-pile-primate)"
ANSWERS_CHANGED = "the archive's answers have changed, or something else answers in its place"
WEB_PAGE = "a web page"
A_FILE = "a file or a listing"

# What requests raises before and while a body is read; all of it can be temporary.
_LOST = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_NO_NETWORK = {errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH}
_BOT_CHECK = re.compile(rb"not a bot|anubis|captcha|just a moment|verif\w+ (that )?you are human|cf-chl", re.IGNORECASE)
_TYPES = {"text/html", "text/plain", "text/xml", "application/xml", "application/json", "application/octet-stream"}
_LOGIN = re.compile(rb"log.?in|sign.?in|password", re.IGNORECASE)


class TemporaryFailure(Exception):
    """A failure that a retry may avoid: a busy server, a lost connection.

    Attributes:
        reason: what happened, in a few words.
        wait: seconds that the server asks to wait; 0 where it names none.
        do: what a user can do where retries do not help.
    """

    do = "check the network and the archive's page, and run the same command again"

    def __init__(self, reason: str, wait: float = 0.0, do: str = "") -> None:
        self.reason, self.wait = reason, wait
        self.do = do or self.do
        super().__init__(reason)


class TooSlow(TemporaryFailure):
    """An answer that comes, but too slowly to end. The bytes that it brought do not count as progress."""


class Stopped(Exception):
    """The run was interrupted, in another thread."""


class Pace:
    """How fast an answer comes. A server that sends one byte every few seconds is never silent, and never done.

    Parameters:
        most_seconds: in which the whole answer must be here.
    """

    def __init__(self, most_seconds: float = float("inf")) -> None:
        self._start = self._since = monotonic()
        self._most, self._received = most_seconds, 0

    def check(self, received: int) -> None:
        """Count bytes that have come. Raises TooSlow where they are too few, over as long as a server may be silent."""
        now = monotonic()
        self._received += received
        if now - self._start > self._most:
            raise TooSlow(f"an answer that was not complete after {self._most:g} s")
        if (seconds := now - self._since) > SILENT_SECONDS:
            if self._received < SLOWEST * seconds:
                raise TooSlow(f"fewer than {SLOWEST} bytes a second")
            self._since, self._received = now, 0


class Offline(TemporaryFailure):
    """The network is not there: a name without an address, or no route. Retried only after an earlier answer."""


def check_token(name: str, token: str) -> str:
    """Check that a token can be sent in a header.

    Parameters:
        name: the environment variable that holds it.
        token: its value; messages never contain it.

    Returns:
        The token, without spaces around it; "" where the variable is empty.

    Raises:
        BadInput: it holds characters that no token has.

    Example:
        >>> check_token("OSF_TOKEN", " abc ")
        'abc'
    """
    token = token.strip()
    if not all("!" <= c <= "~" for c in token):
        found = "spaces, line ends or other characters in it"
        raise BadInput(name, "a token of letters, digits and signs", found, "copy the token again")
    return token


class _Token(requests.auth.AuthBase):
    """A token for the hosts of one archive only, because a listing can name any host."""

    def __init__(self, token: str, base: str, scheme: str) -> None:
        self._header = f"{scheme} {token}"
        parts = urlsplit(base)
        self._origin = parts.scheme, parts.port
        self._domain = (parts.hostname or "").removeprefix("api.")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        parts = urlsplit(request.url or "")
        host = parts.hostname or ""
        same_archive = host == self._domain or host.endswith(f".{self._domain}")
        if same_archive and (parts.scheme, parts.port) == self._origin:
            request.headers["Authorization"] = self._header
        return request


def _no_token(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send no password: where no token is set, requests would send one of ~/.netrc, which can be for any host."""
    return request


class HttpClient:
    """Requests to an archive, from any number of threads.

    Parameters:
        token: sent to the host of `base` and to hosts below its domain, and to no host that a request is redirected to.
        base: an address of the archive.
        if_refused: what a user can do where the archive asks for authorisation, or does not know the token (401).
        if_forbidden: what a user can do where the archive knows who asks, and refuses (403); by default the same.
        scheme: the word before the token in the header.

    Attributes:
        stop: set once the client is interrupted.
    """

    def __init__(
        self,
        token: str = "",
        base: str = "",
        if_refused: str = "check that it is public",
        if_forbidden: str = "",
        scheme: str = "Bearer",
    ) -> None:
        self.stop = threading.Event()
        self._if = {401: if_refused, 403: if_forbidden or if_refused}
        self._session = _Session()
        for prefix in ("http://", "https://"):
            self._session.mount(prefix, _Adapter(pool_maxsize=CONNECTIONS))
        # no compression on the way: sizes and ranges are those of the file
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        self._session.auth = _Token(token, base, scheme) if token else _no_token
        self._answered = False
        self._reading: set[requests.Response] = set()  # of all threads
        self._answers = self._answer_bytes = 0
        self._notices: set[str] = set()

    @contextmanager
    def open(
        self, url: str, headers: Mapping[str, str] = {}, params: Mapping[str, str | int] = {}
    ) -> Iterator[requests.Response]:
        """Send one GET request; the body is read within the block.

        Yields:
            The response. Its status is 200, 206 or 416.

        Raises:
            TemporaryFailure: a retry may help.
            BadInput: no retry will.
        """
        try:
            try:
                timeout = CONNECT_SECONDS, SILENT_SECONDS
                response = self._session.get(url, headers=dict(headers), params=params, stream=True, timeout=timeout)
            except _LOST:
                raise
            except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OverflowError) as error:
                what = "too many redirects" if isinstance(error, requests.TooManyRedirects) else "one that is not valid"
                do = "its answers have changed, or something else answers in its place; report it to the archive"
                raise BadInput(plain(url), "an address, or a redirect to one", what, do) from None
            with response:
                self._answered = True
                self._check(response, url)
                self._reading.add(response)
                try:
                    if self.stop.is_set():
                        raise Stopped
                    yield response
                finally:
                    self._reading.discard(response)
        except _LOST as error:
            raise lost(error) from None

    def interrupt(self) -> None:
        """End the requests of all threads, even those that wait for a server's next bytes."""
        self.stop.set()
        for response in tuple(self._reading):
            with suppress(OSError, ValueError, RuntimeError):  # it ended on its own
                response.raw.shutdown()

    def get_json(self, url: str, kind: type[T], **params: str | int) -> T:
        """Get an answer in JSON, with retries.

        Parameters:
            url: the address.
            kind: the type of the answer, such as a `msgspec.Struct`; what it does not name is skipped.
            params: the query.

        Raises:
            BadInput: there is no answer, or it is no JSON of this type.
        """

        def attempt() -> T:
            with self.open(url, params=params) as response:
                if page := web_page(response):
                    do = f"open {host_of(response.url)} in a browser; then run the same command again"
                    raise BadInput(plain(url), "an answer in JSON", page, do)
                body = self._read(response, url)
            if not body:  # what a connection leaves that is closed within its headers
                raise TemporaryFailure("an empty answer")
            try:
                return msgspec.json.decode(body, type=kind)
            except msgspec.ValidationError as error:
                raise malformed(of_json(error)).at(plain(url), ANSWERS_CHANGED) from None
            except (ValueError, RecursionError):  # msgspec.DecodeError among them
                found = f"{_type_of(response)} that is none"
                raise BadInput(plain(url), "an answer in JSON", found, ANSWERS_CHANGED) from None

        return self.retry(plain(url), attempt, quiet=False)

    def pages(self, url: str, kind: type[T], following: Callable[[T], str | None], **params: str | int) -> Iterator[T]:
        """Get all pages of a listing.

        Parameters:
            url: the address of the first page.
            kind: the type of a page, as for `get_json`.
            following: gives the address of the page after a page; None after the last.
            params: the query of the first page.

        Raises:
            BadInput: a page cannot be fetched, is malformed, or was read already.
        """
        seen: set[str] = set()
        following_url: str | None = url
        while following_url:
            if following_url in seen:
                do = "the archive's listing is circular; try again later, or report it to the archive"
                raise BadInput(plain(url), "another page of the listing", "one that was read already", do)
            seen.add(following_url)
            page = self.get_json(following_url, kind, **params)
            yield page
            following_url, params = following(page), {}

    def retry(
        self, what: str, attempt: Callable[[], T], progress: Callable[[], int] = lambda: 0, quiet: bool = True
    ) -> T:
        """Call `attempt` until it succeeds, or has failed several times in a row without progress.

        Parameters:
            what: what is requested, for messages.
            attempt: raises TemporaryFailure where a retry may help.
            progress: a number that grows when something was gained.
            quiet: print no notice while an attempt waits; the caller shows progress itself.

        Raises:
            BadInput: it does not succeed.
            Stopped: the run is interrupted.
        """
        fruitless, most = 0, progress()
        while True:
            if self.stop.is_set():
                raise Stopped
            try:
                if quiet:
                    return attempt()
                with _notice(what):
                    return attempt()
            except TemporaryFailure as failure:
                gained = progress() > most and not isinstance(failure, TooSlow)
                fruitless = 1 if gained else fruitless + 1
                most = max(most, progress())
                self._check_retry(what, failure, fruitless)
                wait = failure.wait or RETRY_SECONDS * 2 ** (fruitless - 1) * random.uniform(0.75, 1.25)
                if wait > SHOWN_SECONDS:
                    self.print(f"{what}: {failure.reason}; retry {fruitless} of {TRIES - 1} in {wait:.0f} s")
                self.stop.wait(wait)

    def print(self, text: str) -> None:
        """Print a line to stderr, beside the bars."""
        tqdm.write(printable(text), file=sys.stderr)

    def print_once(self, text: str) -> None:
        """Print a line to stderr, unless this client printed it before."""
        if text not in self._notices:
            self._notices.add(text)
            self.print(text)

    def _check_retry(self, what: str, failure: TemporaryFailure, fruitless: int) -> None:
        """Raise BadInput where a retry makes no sense."""
        if isinstance(failure, Offline) and not self._answered:
            do = "you seem to be offline: check the network, then run the same command again"
            raise BadInput(what, "a network connection", failure.reason, do) from None
        if failure.wait > LONGEST_WAIT:
            do = f"run the same command again in {_hours(failure.wait)}"
            raise BadInput(what, "an answer", f"a rate limit ({failure.reason})", do) from None
        if fruitless == TRIES:
            raise BadInput(what, "an answer", f"{failure.reason}, {TRIES} times in a row", failure.do) from None

    def _read(self, response: requests.Response, url: str) -> bytes:
        """The body of an answer in JSON. Raises BadInput where it is too large, TemporaryFailure where too slow."""
        body = bytearray()
        for block in blocks(response, 1 << 16, most_seconds=PATIENCE * SILENT_SECONDS):
            body += block
            if len(body) > MOST_BYTES:
                raise BadInput(plain(url), f"at most {MOST_BYTES:,} bytes of JSON", "more", ANSWERS_CHANGED)
            if self.stop.is_set():
                raise Stopped
        self._answers += 1
        self._answer_bytes += len(body)
        if self._answers > MOST_ANSWERS or self._answer_bytes > MOST_BYTES_TOGETHER:
            expected = f"a listing of at most {MOST_ANSWERS:,} pages and {MOST_BYTES_TOGETHER:,} bytes"
            raise BadInput(plain(url), expected, "more", ANSWERS_CHANGED)
        return bytes(body)

    def _check(self, response: requests.Response, url: str) -> None:
        status = response.status_code
        found = status_text(status)
        if status in (200, 206, 416):
            return
        if status in RETRY_STATUSES:
            raise TemporaryFailure(found, asked_wait(response.headers))
        if status in (401, 403) and (page := web_page(response)) and page != WEB_PAGE:
            do = f"open {host_of(response.url)} in a browser from this network; then run the same command again"
            raise BadInput(plain(url), A_FILE, f"{found}, {page}", do)
        if response.history and status != 404:  # a signed address that has expired: the retry gets a new one
            host = host_of(response.url)
            do = f"check that no proxy blocks {host}, and the archive's page; report it to the archive"
            raise TemporaryFailure(f"{found} from {host}", do=do)
        do = self._if.get(status, "check on the archive's page that it is still there")
        raise BadInput(plain(url), A_FILE, found, do)


def malformed(found: str) -> Mismatch:
    """The error for an answer that is not what its archive is known to send."""
    return Mismatch("a listing", found[0].lower() + found[1:])


class _HTTPConnection(urllib3.connection.HTTPConnection):
    """A connection whose headers must come in bounded time: a timeout is for each byte of them."""

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        """Wait for the headers of an answer. Raises TimeoutError if they take too long."""
        with _ended_late(self.sock):
            return _not_drained(super().getresponse())


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    """As _HTTPConnection."""

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        """As _HTTPConnection."""
        with _ended_late(self.sock):
            return _not_drained(super().getresponse())


def _not_drained(response: urllib3.HTTPResponse) -> urllib3.HTTPResponse:
    """Close a redirect in place of reading its body to the end, which may never come."""
    response.drain_conn = response.close  # type: ignore[method-assign]
    return response


class _Session(requests.Session):
    """A session that reads little of a redirect's body, and sends no password of ~/.netrc to where it leads."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Take the token off a request that goes to another host; storage refuses a second authorisation."""
        if self.should_strip_auth(response.request.url or "", prepared_request.url or ""):
            prepared_request.headers.pop("Authorization", None)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """The address that an answer sends to. Raises TooSlow where its body drips."""
        target: str | None = super().get_redirect_target(resp)
        if target is not None:
            for _ in islice(blocks(resp, 1 << 14, False, PATIENCE * SILENT_SECONDS), 4):
                pass
            resp.raw.close()
        return target


@contextmanager
def _ended_late(connection: socket.socket | None) -> Iterator[None]:
    """End a connection where the block takes too long, and raise TimeoutError: cut headers can pass for whole ones."""
    late = threading.Event()

    def end() -> None:
        late.set()
        with suppress(OSError, AttributeError):
            # that of plain sockets: a TLS socket's own would tell the server first
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # type: ignore[arg-type]

    with _after(PATIENCE * SILENT_SECONDS, end):
        yield
    if late.is_set():
        raise TimeoutError("headers without end")


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


POOLS = {"http": _HTTPPool, "https": _HTTPSPool}  # for each pool manager that talks to an archive


class _Adapter(HTTPAdapter):
    """Connections of POOLS, straight or through a proxy."""

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        """As HTTPAdapter."""
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *arguments: Any, **named: Any) -> Any:
        """As HTTPAdapter."""
        manager = super().proxy_manager_for(*arguments, **named)
        manager.pool_classes_by_scheme = POOLS
        return manager


def blocks(
    response: requests.Response, size: int, decode: bool = True, most_seconds: float = float("inf")
) -> Iterator[bytes]:
    """Read the body of an answer as its bytes arrive.

    Parameters:
        response: from `HttpClient.open`.
        size: bytes in a block, at most.
        decode: whether to undo a Content-Encoding.
        most_seconds: in which it must be here.

    Raises:
        TemporaryFailure: it breaks off, or comes too slowly to end.
    """
    pace = Pace(most_seconds)
    read = partial(response.raw.read1, size, decode_content=decode)
    try:
        while block := read():
            pace.check(len(block))
            yield block
    except urllib3.exceptions.DecodeError:
        raise TemporaryFailure("a body that is not encoded as its header says") from None
    except urllib3.exceptions.HTTPError as error:
        raise lost(error) from None


def web_page(response: requests.Response) -> str:
    """What kind of web page stands in the place of data.

    Returns:
        "" where the answer does not call itself one; else "a web page", with its kind where it can be recognised.
    """
    if not _type_of(response).startswith("text/html"):
        return ""
    start = b""
    for block in blocks(response, 1 << 12, most_seconds=PATIENCE * SILENT_SECONDS):
        start += block
        if len(start) > 1 << 16:
            break
    if response.headers.get("cf-mitigated") or _BOT_CHECK.search(start):
        return f"{WEB_PAGE} (a bot check)"
    return f"{WEB_PAGE} (a login page)" if _LOGIN.search(start) else WEB_PAGE


def _type_of(response: requests.Response) -> str:
    """The media type of an answer where it is a common one; a header can hold anything, such as what was sent."""
    stated = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return stated if stated in _TYPES else "another type" if stated else "no type"


def status_text(status: int) -> str:
    """A status and its standard words: a server's own words could repeat what it was sent.

    Example:
        >>> status_text(404)
        '404 Not Found'
    """
    return f"{status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else str(status)


def plain(url: str) -> str:
    """An address without user name, query and fragment: these may hold passwords, signatures and tokens.

    Example:
        >>> plain("https://me:secret@osf.io:80/download/x?token=secret")
        'https://osf.io:80/download/x'
    """
    try:
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
    except ValueError:
        return "an address that cannot be read"


def host_of(url: str | None) -> str:
    """The host of an address, for messages."""
    try:
        return urlsplit(url or "").hostname or "no host"
    except ValueError:
        return "an address that cannot be read"


def asked_wait(headers: Mapping[str, str]) -> float:
    """Read how long a busy server asks to wait.

    Retry-After as in RFC 9110, 10.2.3; RateLimit-Reset as Dryad sends it, in seconds or as a time; RateLimit as the
    Hugging Face Hub sends it (draft-ietf-httpapi-ratelimit-headers-10).

    Returns:
        Seconds; 0 where the server names no time.

    Example:
        >>> asked_wait({"RateLimit": '"api";r=0;t=244'})
        244.0
    """
    structured = re.search(r";\s*t=(\d{1,9})\b", headers.get("RateLimit", ""), re.ASCII)
    asked = headers.get("Retry-After") or (structured and structured[1])
    asked = asked or headers.get("RateLimit-Reset") or headers.get("X-RateLimit-Reset") or "0"
    now = _time_of(headers.get("Date", "")) or time.time()  # by the server's clock, which the asked time is by
    try:
        seconds = float(asked)
        if seconds > 1e9:  # a time, in seconds since 1970
            seconds -= now
    except ValueError:
        seconds = _time_of(asked) - now
    return seconds if 0 < seconds < 1e8 else 0.0


def _time_of(date: str) -> float:
    """A date of HTTP, in seconds since 1970; 0 where it is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _hours(seconds: float) -> str:
    hours = max(1, round(seconds / 3600))
    return f"{hours} hour{'s' if hours > 1 else ''}"


@contextmanager
def _after(seconds: float, act: Callable[[], object]) -> Iterator[None]:
    """Call a function once, in another thread, unless the block ends before."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _notice(what: str) -> Iterator[None]:
    """Print that a server has not answered yet, once, while the block runs."""
    text = printable(f"{what}: no answer yet; waiting up to {SILENT_SECONDS:g} s")
    with _after(NOTICE_SECONDS, partial(tqdm.write, text, file=sys.stderr)):
        yield


def lost(error: BaseException) -> TemporaryFailure:
    """Describe a lost connection in a few words; the clients' own texts hold whole addresses."""
    for cause in _causes(error):
        if isinstance(cause, urllib3.exceptions.NameResolutionError | socket.gaierror):
            request = getattr(error, "request", None)
            return Offline(
                f"no address for {host_of(request.url)}" if request is not None else "no address of the host"
            )
        if isinstance(cause, OSError) and cause.errno in _NO_NETWORK:
            return Offline(os.strerror(cause.errno).lower())
    return TemporaryFailure(_reason(error))


def _reason(error: BaseException) -> str:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer for {SILENT_SECONDS:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "a certificate that is not trusted"
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return "a connection that broke off"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The errors within an error, which requests and urllib3 keep in various places."""
    inner = [*error.args, getattr(error, "reason", None), error.__cause__, error.__context__]
    for cause in inner:
        if isinstance(cause, BaseException) and cause is not error:
            if not isinstance(cause, requests.RequestException):
                yield cause
            yield from _causes(cause)
