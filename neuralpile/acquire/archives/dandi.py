"""DANDI (https://dandiarchive.org): neurophysiology in NWB. Open data need no key.

Files are listed through DANDI's own client, the package `dandi`, which knows the servers and authenticates. Two of its
environment variables are honoured: DANDI_API_KEY, for data under embargo, and DANDI_INSTANCE, for another archive of
the same software, such as `ember-dandi` (whose key is in EMBER_DANDI_API_KEY). The client's downloads leave a damaged
file under its final name, so they are not used.
"""

import os
from collections.abc import Iterator

import msgspec
import pydantic

from neuralpile.acquire.archives import RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.http_client import HttpClient, malformed

MIRROR = os.environ.get("NEURALPILE_DANDI_API", "").rstrip("/")


class _Value(msgspec.Struct):
    value: str | None = None


class _Metadata(msgspec.Struct):
    digest: dict[str, str] = {}
    variableMeasured: list[str | _Value] | None = None  # DANDI's own name


def connect() -> HttpClient:
    """Make a client for requests to DANDI, with the user's key where the environment has one.

    Raises:
        BadInput: DANDI refuses the key, or DANDI_INSTANCE names no known server.
    """
    from neuralpile.acquire import dandi_client  # takes half a second, and no other archive needs it

    return dandi_client.connect(MIRROR)


def list_files(data_set: DataSetInfo, web: HttpClient) -> Iterator[RemoteFile]:
    """List the files of a version; where dataset.toml has `measured`, only those that hold such objects.

    Raises:
        BadInput: DANDI does not answer, or needs a newer `dandi`.
        Mismatch: it answers in another form.
    """
    from neuralpile.acquire import dandi_client

    client = dandi_client.Client(dandi_client.instance_of(MIRROR), web)
    client.check_version()
    try:
        for asset in client.get_dandiset(data_set.id, data_set.version).get_assets(order="path"):
            metadata = msgspec.convert(asset.get_raw_metadata(), _Metadata)
            if not data_set.measured or data_set.measured in _measured(metadata):
                yield RemoteFile(asset.path, asset.size, _checksum(metadata.digest), asset.base_download_url)
    except (ValueError, TypeError) as error:  # of pydantic, msgspec and dandi, where a field is not what it must be
        raise malformed(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    """Describe in one line the field that a client's model rejects."""
    if isinstance(error, pydantic.ValidationError):
        first = error.errors()[0]
        return f"{first['msg']} - at {'.'.join(map(str, first['loc']))}"
    return str(error).partition("\n")[0] if isinstance(error, ValueError) else "other fields"


def _checksum(digests: dict[str, str]) -> str:
    """SHA-256 where the server has worked it out, else the etag, which every file has."""
    for name, algorithm in (("dandi:sha2-256", "sha256"), ("dandi:dandi-etag", "dandi-etag")):
        if digests.get(name):
            return f"{algorithm}:{digests[name]}"
    return ""


def _measured(metadata: _Metadata) -> set[str | None]:
    """The types of NWB objects that the server found in a file."""
    return {entry.value if isinstance(entry, _Value) else entry for entry in metadata.variableMeasured or []}
