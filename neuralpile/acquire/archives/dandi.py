"""DANDI (https://dandiarchive.org): neurophysiology in NWB. No token is needed for open data.

Asked directly, not through the client `dandi`: this one refuses to work once the server wants a newer version of it,
and asks for the digest of each file by itself.
"""

import os
from collections.abc import Iterator

from neuralpile.acquire.archives import RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.http_client import HttpClient

API = os.environ.get("NEURALPILE_DANDI_API", "https://api.dandiarchive.org/api").rstrip("/")
PAGE = 200  # files; with their metadata a page of the most (1,000) is several megabytes


def connect() -> HttpClient:
    """Requests to DANDI."""
    return HttpClient(if_refused="see whether the version is public (not embargoed) and still there")


def list_files(data_set: DataSetInfo, web: HttpClient) -> Iterator[RemoteFile]:
    """All files of a version; where dataset.toml says what is `measured`, only those that hold this."""
    url = f"{API}/dandisets/{data_set.id}/versions/{data_set.version}/assets/"
    for page in web.pages(url, lambda page: page.get("next"), metadata="true", page_size=PAGE, order="path"):
        for asset in page["results"]:
            metadata = asset.get("metadata") or {}
            if not data_set.measured or data_set.measured in _measured(metadata):
                address = f"{API}/assets/{asset['asset_id']}/download/"
                yield RemoteFile(asset["path"], asset["size"], _digest(metadata.get("digest") or {}), address)


def _digest(digests: dict[str, str]) -> str:
    """SHA-256 where the server has worked it out, else the etag, which every file has."""
    if "dandi:sha2-256" in digests:
        return f"sha256:{digests['dandi:sha2-256']}"
    return f"dandi-etag:{digests['dandi:dandi-etag']}" if "dandi:dandi-etag" in digests else ""


def _measured(metadata: dict) -> set[str]:
    """The types of NWB objects that the server found in a file."""
    return {
        entry.get("value") if isinstance(entry, dict) else entry for entry in metadata.get("variableMeasured") or []
    }
