"""Dryad (https://datadryad.org). Listing is free for all; files are given only to those with a token."""

import os
from collections.abc import Iterator
from urllib.parse import quote, urljoin

import requests

from neuralpile.acquire.archives import RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput
from neuralpile.http_client import SILENT_SECONDS, HttpClient

BASE = os.environ.get("NEURALPILE_DRYAD_API", "https://datadryad.org").rstrip("/")
PAGE = 100  # files, the most that Dryad gives at once
HOW = (
    "make an API account on https://datadryad.org/account (free), set DRYAD_CLIENT_ID and DRYAD_CLIENT_SECRET to what "
    "it shows, or DRYAD_TOKEN to a token that is not older than 10 hours, and run the same command again"
)
ALGORITHMS = {"md5": "md5", "sha-1": "sha1", "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}


def connect() -> HttpClient:
    """Requests to Dryad, with the token of DRYAD_TOKEN, or one asked for with DRYAD_CLIENT_ID and DRYAD_CLIENT_SECRET.

    Raises BadInput where Dryad gives no token for these.
    """
    token = os.environ.get("DRYAD_TOKEN", "").strip()
    client, secret = (os.environ.get(f"DRYAD_CLIENT_{name}", "").strip() for name in ("ID", "SECRET"))
    if not token and client and secret:
        token = _new_token(client, secret)
    return HttpClient(token, BASE, HOW)


def _new_token(client: str, secret: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
    url = f"{BASE}/oauth/token"
    try:
        answer = requests.post(url, data=form, timeout=SILENT_SECONDS)
        token = answer.json()["access_token"] if answer.ok else None
        found = f"{answer.status_code} {answer.reason}"
    except (requests.RequestException, ValueError, LookupError, TypeError) as error:
        token, found = None, type(error).__name__
    if not token:
        raise BadInput(url, "a token for DRYAD_CLIENT_ID and DRYAD_CLIENT_SECRET", found, HOW)
    return token


def list_files(data_set: DataSetInfo, web: HttpClient) -> Iterator[RemoteFile]:
    """All files of the newest version."""
    web = HttpClient(if_refused=HOW)  # without the token: with one that has expired, Dryad refuses even its listing
    doi = quote(f"doi:{data_set.id}", safe="")
    versions = web.get_json(f"{BASE}/api/v2/datasets/{doi}/versions")["_embedded"]["stash:versions"]
    first = urljoin(BASE, versions[-1]["_links"]["stash:files"]["href"])
    for page in web.pages(first, _following, per_page=PAGE):
        for file in page["_embedded"]["stash:files"]:
            algorithm = ALGORITHMS.get((file.get("digestType") or "").lower())
            digest = f"{algorithm}:{file['digest']}" if algorithm and file.get("digest") else ""
            address = urljoin(BASE, file["_links"]["stash:download"]["href"])
            yield RemoteFile(file["path"], file.get("size"), digest, address)


def _following(page: dict) -> str | None:
    following = page["_links"].get("next")
    return following and urljoin(BASE, following["href"])
