"""Zenodo (https://zenodo.org). No token is needed for open records."""

import os
from collections.abc import Iterator
from urllib.parse import quote

from neuralpile.acquire.archives import RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.http_client import HttpClient

API = os.environ.get("NEURALPILE_ZENODO_API", "https://zenodo.org/api").rstrip("/")


def connect() -> HttpClient:
    """Requests to Zenodo."""
    return HttpClient(if_refused="see whether the record is open")


def list_files(data_set: DataSetInfo, web: HttpClient) -> Iterator[RemoteFile]:
    """All files of a record."""
    record = web.get_json(f"{API}/records/{data_set.id}")
    for file in record["files"]:
        name = file.get("key") or file["filename"]  # `filename` in the answers of before 2023
        algorithm, _, digest = file["checksum"].rpartition(":")
        address = f"{API}/records/{record.get('id', data_set.id)}/files/{quote(name, safe='')}/content"
        yield RemoteFile(name, file.get("size", file.get("filesize")), f"{algorithm or 'md5'}:{digest}", address)
