"""OSF (https://osf.io). Without a token it answers 100 requests an hour; OSF_TOKEN raises this."""

import os
from collections.abc import Iterator

from neuralpile.acquire.archives import RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput
from neuralpile.http_client import HttpClient

API = os.environ.get("NEURALPILE_OSF_API", "https://api.osf.io/v2").rstrip("/")
PAGE = 100  # files, the most that OSF gives at once


def connect() -> HttpClient:
    """Requests to OSF, with the personal access token of OSF_TOKEN where there is one."""
    token = os.environ.get("OSF_TOKEN", "").strip()
    return HttpClient(token, API, "see whether the project is public")


def list_files(data_set: DataSetInfo, web: HttpClient) -> Iterator[RemoteFile]:
    """All files in the OSF storage of a project or registration, of all folders."""
    kind = web.get_json(f"{API}/guids/{data_set.id}/")["data"]["type"]
    if kind not in ("nodes", "registrations"):
        raise BadInput(f"OSF {data_set.id}", "a project or a registration", kind, f"see {data_set.url}")
    yield from _folder(f"{API}/{kind}/{data_set.id}/files/osfstorage/", web)


def _folder(url: str, web: HttpClient) -> Iterator[RemoteFile]:
    for page in web.pages(url, lambda page: page["links"].get("next"), **{"page[size]": PAGE}):
        for entry in page["data"]:
            about = entry["attributes"]
            if about["kind"] == "folder":
                yield from _folder(entry["relationships"]["files"]["links"]["related"]["href"], web)
                continue
            hashes = about.get("extra", {}).get("hashes") or {}
            digest = next((f"{name}:{hashes[name]}" for name in ("sha256", "md5") if hashes.get(name)), "")
            path = about["materialized_path"].removeprefix("/")
            yield RemoteFile(path, about.get("size"), digest, entry["links"]["download"])
