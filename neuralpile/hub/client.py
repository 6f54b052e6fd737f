"""Calls to the Hugging Face Hub through its own client, with bounded waits, retries, and errors in one line.

By default that client waits without end for a silent server, and logs addresses that hold signatures. Everything that
reads or writes a repository goes through `call`.
"""

import base64
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

import httpx2
import huggingface_hub
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from neuralpile import http_client
from neuralpile.errors import BadInput
from neuralpile.http_client import ANSWERS_CHANGED, MOST_BYTES, Pace, TemporaryFailure

T = TypeVar("T")

READABLE = "a data set on the Hub"
WRITABLE = "a Hub repository that you can write"
CHECK = {
    READABLE: "check the name and, for a private repository, your token (HF_TOKEN)",
    WRITABLE: "check the name and your token (HF_TOKEN, with write access); the local files are unharmed",
}
# What to do about a refusal that is neither of the name nor of the token
REFUSED = "the local files are unharmed: see what the Hub says, and report it with this line if that does not help"
PIECE = 8  # characters of a token; fewer can be a word
SHOWN = 300  # characters of what the Hub says
NOT_THERE = RepositoryNotFoundError, EntryNotFoundError, FileNotFoundError

_answered = threading.Event()  # set once any host has answered in this process


class Unreachable(ConnectionError):
    """No host has answered in this process, and this one cannot be reached either: the machine seems to be offline."""


class _Paced(httpx2.SyncByteStream):
    """A body that may neither come too slowly to end, nor be larger than JSON is."""

    def __init__(self, response: httpx2.Response) -> None:
        self._stream = cast(httpx2.SyncByteStream, response.stream)
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        self._most = MOST_BYTES if is_json else None
        self._pace = Pace(http_client.PATIENCE * http_client.SILENT_SECONDS if is_json else float("inf"))

    def __iter__(self) -> Iterator[bytes]:
        received = 0
        for block in self._stream:
            self._pace.check(len(block))
            received += len(block)
            if self._most is not None and received > self._most:
                raise BadInput("the Hub", f"at most {self._most:,} bytes of JSON", "more", ANSWERS_CHANGED)
            yield block

    def close(self) -> None:
        """End the answer."""
        self._stream.close()


class _Client(httpx2.Client):
    """The Hub's HTTP client with our timeouts and bounds. Without a network it fails at once; the Hub's would retry."""

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Send a request as `httpx2.Client` does. Raises OfflineModeIsEnabled with HF_HUB_OFFLINE, and Unreachable."""
        if huggingface_hub.is_offline_mode():
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
        # Some calls of the Hub's client ask for no timeout at all.
        timeout = httpx2.Timeout(http_client.SILENT_SECONDS, connect=http_client.CONNECT_SECONDS)
        request.extensions["timeout"] = timeout.as_dict()
        if http_client.USER_AGENT not in (agent := request.headers.get("User-Agent", "")):
            request.headers["User-Agent"] = f"{http_client.USER_AGENT}; {agent}"
        try:
            response = super().send(request, stream=True, **options)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            if _answered.is_set():
                raise
            raise Unreachable(f"no connection to {request.url.host}") from None
        _answered.set()
        if not response.is_closed:  # such as that of a HEAD request
            response.stream = _Paced(response)
        try:
            if not stream:
                response.read()
        except BaseException:
            response.close()
            raise
        return response


@cache
def _configure() -> None:
    """Make the Hub's libraries use our client, and log no addresses, which can hold signatures."""
    huggingface_hub.set_client_factory(lambda: _Client(follow_redirects=True))
    for handler in logging.getLogger("huggingface_hub").handlers:
        handler.addFilter(_has_no_address)


def _has_no_address(record: logging.LogRecord) -> bool:
    return "://" not in record.getMessage()


def call(name: str, attempt: Callable[[], T], wanted: str = READABLE, expected: tuple[type[Exception], ...] = ()) -> T:
    """The result of a call to the Hub's client. Temporary failures are retried.

    Parameters:
        name: someone/name of the repository, for messages.
        attempt: makes the call; it is called again after a temporary failure.
        wanted: what the repository must be, READABLE or WRITABLE, for messages.
        expected: errors that the caller handles.

    Raises:
        BadInput: the Hub refuses, cannot be reached, or answers something that its client does not understand.
    """
    _configure()
    http_client.check_token("HF_TOKEN", huggingface_hub.get_token() or "")  # the HTTP client's own error would print it
    passed: tuple[type[Exception], ...] = (*expected, TemporaryFailure, BadInput)

    def once() -> T:
        try:
            return attempt()
        except passed:
            raise
        except Exception as error:  # the client raises errors of many kinds when an answer is odd
            logging.getLogger(__name__).debug("%s", name, exc_info=error)
            raise _explain(name, wanted, error) from None

    return http_client.HttpClient().retry(name, once, quiet=wanted == WRITABLE)


def fetch(name: str, pattern: str) -> Path:
    """Download the files of a repository that match a pattern, at its newest commit, and return their folder.

    Raises:
        BadInput: as `call` does.
    """
    download = huggingface_hub.snapshot_download
    return Path(call(name, lambda: download(name, repo_type="dataset", allow_patterns=[pattern])))


def _explain(name: str, wanted: str, error: BaseException) -> TemporaryFailure | BadInput:
    """What an error of the Hub's client means: a temporary failure, or a line for the user."""
    for cause in _chain(error):
        match cause:
            case TemporaryFailure() | BadInput():
                return cause
            case HFValidationError():
                return BadInput(name, "a name like someone/name", "one that no repository has", "correct the name")
            case OfflineModeIsEnabled():
                do = "unset HF_HUB_OFFLINE, or give a local build"
                return BadInput(name, "access to the Hub", "HF_HUB_OFFLINE=1 in the environment", do)
            case Unreachable():
                do = "you seem to be offline: check your network and proxy, or give a local build"
                return BadInput(name, "an answer from the Hub", str(cause), do)
            case LocalTokenNotFoundError():
                return BadInput(name, wanted, "no token", "log in (hf auth login) or set HF_TOKEN; nothing was done")
            case GatedRepoError():
                return BadInput(name, wanted, "a gated repository", "accept its terms on its page on the Hub")
            case HfHubHTTPError() if not isinstance(cause, NOT_THERE):
                return _refusal(name, wanted, cause, isinstance(error, RuntimeError))
            case httpx2.TimeoutException():
                return TemporaryFailure(f"no answer for {http_client.SILENT_SECONDS:g} s")
            case httpx2.UnsupportedProtocol() | httpx2.LocalProtocolError() | httpx2.TooManyRedirects():
                break
            case httpx2.TransportError():
                return TemporaryFailure("the connection broke off")
            case json.JSONDecodeError():
                return TemporaryFailure("an answer that is not JSON")
    if isinstance(error, NOT_THERE):
        return BadInput(name, wanted, "none of this name, or one that your token may not see", CHECK[wanted])
    if isinstance(error, OSError) and error.strerror:
        return BadInput(name, wanted, error.strerror.lower(), "check the path, its permissions and the free space")
    if isinstance(error, MemoryError):
        return BadInput(name, wanted, "more than fits into memory", "run it on a machine with more memory")
    if type(error) is RuntimeError:  # of an upload
        return TemporaryFailure("an upload that failed")
    do = "something else may answer in its place (a proxy, a login page); try again later"
    return BadInput(name, "answers that the Hub's client understands", "others", do)


def _refusal(name: str, wanted: str, error: HfHubHTTPError, uploading: bool) -> TemporaryFailure | BadInput:
    """What a status of 400 or more means."""
    response = error.response
    found = http_client.status_text(response.status_code)
    if response.status_code in http_client.RETRY_STATUSES:
        return TemporaryFailure(found, http_client.asked_wait(response.headers))
    if response.status_code == 403 and uploading:
        # Links to upload to expire, and a new attempt gets new ones.
        host = response.request.url.host
        return TemporaryFailure(f"{found} for an upload to {host}: wrong clock, or a proxy that blocks uploads?")
    do = CHECK[wanted] if response.status_code in (401, 403, 404) else REFUSED
    return BadInput(name, wanted, ": ".join(filter(None, [found, safe(error.server_message or "")])), do)


def safe(text: str) -> str:
    """What a server says, without queries of addresses, which can hold signatures; nothing where it repeats a token."""
    text = re.sub(r"(https?://)(?:[^\s/@]*@)?([^\s?]+)\?\S*", r"\1\2", text)
    token = huggingface_hub.get_token() or ""
    if re.search(r"bearer|hf_\w{8}|x-amz-|signature", text, re.IGNORECASE) or _repeats(text, token):
        return ""
    return text[:SHOWN]


def _repeats(text: str, token: str) -> bool:
    """Whether a text holds a token, or a part of it, in one of the forms in which servers write it."""
    forms = {token, quote(token, safe=""), json.dumps(token)[1:-1], base64.b64encode(token.encode()).decode()}
    pieces = (form[at : at + PIECE] for form in forms for at in range(max(1, len(form) - PIECE + 1)))
    return bool(token) and any(piece.lower() in text.lower() for piece in pieces)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
