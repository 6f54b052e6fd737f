"""OSF (https://osf.io). Without a token it answers 100 requests an hour; OSF_TOKEN raises this."""

import os
from collections.abc import Iterator

import msgspec

from neuralpile.acquire.archives import RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput
from neuralpile.http_client import HttpClient, check_token

API = os.environ.get("NEURALPILE_OSF_API", "https://api.osf.io/v2").rstrip("/")
OTHER_KINDS = ("files", "users", "preprints", "collections", "wikis")  # that an identifier can be of
PAGE = 100  # files, the most that OSF gives at once


class _Guid(msgspec.Struct):
    type: str


class _GuidAnswer(msgspec.Struct):
    data: _Guid


class _Hashes(msgspec.Struct):
    sha256: str | None = None
    md5: str | None = None


class _Extra(msgspec.Struct):
    hashes: _Hashes | None = None


class _Attributes(msgspec.Struct):
    kind: str
    materialized_path: str = ""
    size: int | None = None
    extra: _Extra | None = None


class _Href(msgspec.Struct):
    href: str


class _Related(msgspec.Struct):
    related: _Href


class _Files(msgspec.Struct):
    links: _Related


class _Relationships(msgspec.Struct):
    files: _Files | None = None  # of folders


class _Links(msgspec.Struct):
    download: str = ""


class _Entry(msgspec.Struct):
    attributes: _Attributes
    links: _Links = msgspec.field(default_factory=_Links)
    relationships: _Relationships = msgspec.field(default_factory=_Relationships)


class _PageLinks(msgspec.Struct):
    next: str | None = None


class _Page(msgspec.Struct):
    data: list[_Entry]
    links: _PageLinks


def connect() -> HttpClient:
    """Make a client for requests to OSF, with the personal access token of OSF_TOKEN where there is one.

    Raises:
        BadInput: the token has characters that none has.
    """
    token = check_token("OSF_TOKEN", os.environ.get("OSF_TOKEN", ""))
    if not token:
        return HttpClient(if_refused="check that the project is public; if it is not, set OSF_TOKEN")
    return HttpClient(
        token,
        API,
        if_refused="renew OSF_TOKEN, or unset it",
        if_forbidden="ask the project's contributors for access, or give OSF_TOKEN the scope osf.full_read",
    )


def list_files(data_set: DataSetInfo, web: HttpClient) -> Iterator[RemoteFile]:
    """List the files in the OSF storage of a project or registration, of all folders.

    Raises:
        BadInput: OSF does not answer, answers in another form, or the identifier is of something else.
    """
    kind = web.get_json(f"{API}/guids/{data_set.id}/", _GuidAnswer).data.type
    if kind not in ("nodes", "registrations"):
        found = f"one of its {kind}" if kind in OTHER_KINDS else "an identifier of another kind"
        raise BadInput(f"OSF {data_set.id}", "a project or a registration", found, f"check {data_set.url}")
    folders = [f"{API}/{kind}/{data_set.id}/files/osfstorage/"]
    for url in folders:  # grows as folders are found
        for page in web.pages(url, _Page, lambda page: page.links.next, **{"page[size]": PAGE}):
            for entry in page.data:
                inside = entry.relationships.files
                if entry.attributes.kind != "folder":
                    yield _file(entry)
                elif inside and inside.links.related.href not in folders:
                    folders.append(inside.links.related.href)


def _file(entry: _Entry) -> RemoteFile:
    about = entry.attributes
    hashes = (about.extra and about.extra.hashes) or _Hashes()
    checksum = f"sha256:{hashes.sha256}" if hashes.sha256 else f"md5:{hashes.md5}" if hashes.md5 else ""
    return RemoteFile(about.materialized_path.removeprefix("/"), about.size, checksum, entry.links.download)
