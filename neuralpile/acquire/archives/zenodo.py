"""Zenodo (https://zenodo.org). Open records need no token."""

import os
import re
from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from neuralpile.acquire.archives import RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput, Mismatch
from neuralpile.http_client import HttpClient, malformed, plain

API = os.environ.get("NEURALPILE_ZENODO_API", "https://zenodo.org/api").rstrip("/")

CLOSED = ("closed", "embargoed", "restricted")  # access rights: https://developers.zenodo.org/#representation


class _File(msgspec.Struct):
    key: str = ""
    filename: str = ""  # in the answers of before 2023, in place of `key`
    size: int | None = None
    filesize: int | None = None  # as `filename`
    checksum: str = ""


class _Metadata(msgspec.Struct):
    access_right: str = "open"


class _Record(msgspec.Struct):
    files: list[_File] | None = None  # absent where the record is restricted
    id: int | str = ""
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


def connect() -> HttpClient:
    """Make a client for requests to Zenodo."""
    return HttpClient(if_refused="check that the record is open")


def list_files(data_set: DataSetInfo, web: HttpClient) -> Iterator[RemoteFile]:
    """List the files of a record.

    Raises:
        BadInput: Zenodo does not answer, or the record is restricted.
        Mismatch: it answers in another form, or with another record.
    """
    url = f"{API}/records/{data_set.id}"
    record = web.get_json(url, _Record)
    if not record.files and record.metadata.access_right != "open":
        right = record.metadata.access_right
        kind = f" ({right})" if right in CLOSED else ""
        found = f"a record whose files are not open{kind}"
        raise BadInput(
            plain(url), "open files", found, f"ask for access on {data_set.url}, and put the files there by hand"
        )
    if record.files is None:
        raise malformed("no field `files`")
    number = str(record.id) or data_set.id
    if not re.fullmatch(r"\d{1,19}", number, re.ASCII):
        raise malformed("no number of a record")
    if data_set.version.isdecimal() and number != data_set.version:  # the number of all versions leads to the newest
        raise Mismatch(f"record {data_set.version}", f"record {number}")
    for file in record.files:
        name = file.key or file.filename
        algorithm, _, digest = file.checksum.rpartition(":")
        checksum = f"{algorithm or 'md5'}:{digest}" if digest else ""
        address = f"{API}/records/{quote(number, safe='')}/files/{quote(name, safe='')}/content"
        yield RemoteFile(name, file.filesize if file.size is None else file.size, checksum, address)
