"""Dryad (https://datadryad.org). Listings are open; files are given only to clients with a token."""

import os
import re
from collections.abc import Iterator
from itertools import islice
from urllib.parse import quote, urljoin

import msgspec
import requests

from neuralpile import http_client
from neuralpile.acquire.archives import RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput, Mismatch
from neuralpile.http_client import (
    PATIENCE,
    USER_AGENT,
    HttpClient,
    TemporaryFailure,
    blocks,
    check_token,
    lost,
    malformed,
    plain,
    status_text,
)

BASE = os.environ.get("NEURALPILE_DRYAD_API", "https://datadryad.org").rstrip("/")
PAGE = 100  # entries, the most that Dryad gives at once
NEWEST = "latest"
HOW = (
    "make an API account on https://datadryad.org/account (free), set DRYAD_CLIENT_ID and DRYAD_CLIENT_SECRET to what "
    "it shows, or DRYAD_TOKEN to a token that is not older than 10 hours, and run the same command again"
)
ALGORITHMS = {"md5": "md5", "sha-1": "sha1", "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}


class _Link(msgspec.Struct):
    href: str


class _Next(msgspec.Struct):
    next: _Link | None = None


class _VersionLinks(msgspec.Struct):
    files: _Link = msgspec.field(name="stash:files")


class _Version(msgspec.Struct):
    links: _VersionLinks = msgspec.field(name="_links")
    number: int = msgspec.field(name="versionNumber")
    published: str | None = msgspec.field(name="publicationDate", default=None)


class _Versions(msgspec.Struct):
    entries: list[_Version] = msgspec.field(name="stash:versions")


class _VersionPage(msgspec.Struct):
    embedded: _Versions = msgspec.field(name="_embedded")
    links: _Next = msgspec.field(name="_links", default_factory=_Next)


class _FileLinks(msgspec.Struct):
    download: _Link | None = msgspec.field(name="stash:download", default=None)  # absent where it is not public


class _File(msgspec.Struct):
    path: str
    links: _FileLinks = msgspec.field(name="_links")
    size: int | None = None
    digest: str | None = None
    algorithm: str | None = msgspec.field(name="digestType", default=None)


class _Files(msgspec.Struct):
    entries: list[_File] = msgspec.field(name="stash:files")


class _FilePage(msgspec.Struct):
    embedded: _Files = msgspec.field(name="_embedded")
    links: _Next = msgspec.field(name="_links", default_factory=_Next)


class _Token(msgspec.Struct):
    access_token: str


def connect() -> HttpClient:
    """Make a client for requests to Dryad.

    Its token is that of DRYAD_TOKEN, or a new one, requested with DRYAD_CLIENT_ID and DRYAD_CLIENT_SECRET.

    Raises:
        BadInput: Dryad gives no token for these.
    """
    token, client, secret = (
        check_token(name, os.environ.get(name, ""))
        for name in ("DRYAD_TOKEN", "DRYAD_CLIENT_ID", "DRYAD_CLIENT_SECRET")
    )
    if not token and client and secret:
        token = check_token("DRYAD_CLIENT_SECRET", _new_token(client, secret))
    return HttpClient(token, BASE, HOW)


def _new_token(client: str, secret: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
    url, headers = f"{BASE}/oauth/token", {"User-Agent": USER_AGENT}
    try:
        # no redirects: the secret is for this address
        answer = requests.post(
            url, data=form, headers=headers, timeout=http_client.SILENT_SECONDS, allow_redirects=False, stream=True
        )
        with answer:
            found = status_text(answer.status_code)
            if answer.status_code == 200:
                limit = PATIENCE * http_client.SILENT_SECONDS
                first = b"".join(islice(blocks(answer, 1 << 14, most_seconds=limit), 100))  # a token is far smaller
                return msgspec.json.decode(first, type=_Token).access_token
    except TemporaryFailure as error:
        found = error.reason
    except requests.RequestException as error:
        found = lost(error).reason
    except ValueError:
        found = "an answer without one"
    raise BadInput(plain(url), "a token for DRYAD_CLIENT_ID and DRYAD_CLIENT_SECRET", found, HOW)


def list_files(data_set: DataSetInfo, web: HttpClient) -> Iterator[RemoteFile]:
    """List the files of the version that dataset.toml names: a number, a day of publication, or "latest".

    Raises:
        BadInput: Dryad does not answer, or answers in another form.
        Mismatch: it has no such version.
    """
    web = HttpClient(if_refused=HOW)  # without the token: with one that has expired, Dryad refuses even its listing
    first = _absolute(_version(data_set, web).links.files.href)
    for page in web.pages(first, _FilePage, lambda page: _following(page.links), per_page=PAGE):
        for file in page.embedded.entries:
            algorithm = ALGORITHMS.get((file.algorithm or "").lower())
            checksum = f"{algorithm}:{file.digest}" if algorithm and file.digest else ""
            address = file.links.download and _absolute(file.links.download.href)
            yield RemoteFile(file.path, file.size, checksum, address or "")


def _version(data_set: DataSetInfo, web: HttpClient) -> _Version:
    """The version that dataset.toml names. Dryad lists them in no stated order."""
    doi = quote(f"doi:{data_set.id}", safe="")
    url = f"{BASE}/api/v2/datasets/{doi}/versions"
    pages = web.pages(url, _VersionPage, lambda page: _following(page.links), per_page=PAGE)
    versions = {version.number: version for page in pages for version in page.embedded.entries}
    pinned = data_set.version
    if pinned.isdecimal():
        chosen = [number for number in versions if number == int(pinned)]
    elif pinned == NEWEST or not any(version.published for version in versions.values()):
        chosen = list(versions)
    else:
        chosen = [number for number, version in versions.items() if (version.published or "").startswith(pinned)]
    if not chosen:
        there = [f"{number} ({_day(version)})" for number, version in sorted(versions.items())]
        raise Mismatch(f"version {pinned}", ", ".join(there) or "none")
    return versions[max(chosen)]


def _day(version: _Version) -> str:
    """The day on which a version was published, for messages."""
    day = re.match(r"\d{4}-\d\d-\d\d", version.published or "", re.ASCII)
    return day[0] if day else "no date"


def _following(links: _Next) -> str | None:
    return _absolute(links.next.href) if links.next else None


def _absolute(href: str) -> str:
    """An address; Dryad's are relative to its host."""
    try:
        return urljoin(BASE, href)
    except ValueError:
        raise malformed("an address that cannot be read") from None
