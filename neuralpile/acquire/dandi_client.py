"""DANDI's own client, with its requests made by `HttpClient`.

The client's own requests have no timeout, take answers of any size, and are retried in silence. Importing this module
takes half a second.
"""

import os
from collections.abc import Iterator
from typing import Any

import dandi
import msgspec
from dandi.consts import DandiInstance, known_instances
from dandi.dandiapi import DandiAPIClient
from dandi.utils import ServerInfo
from semantic_version import Version

from neuralpile.errors import BadInput
from neuralpile.http_client import ANSWERS_CHANGED, HttpClient, check_token, malformed, plain

PAGE = 200  # files; with their metadata, a page of the most (1,000) is several megabytes
os.environ["DANDI_NO_ET"] = "1"  # or each client asks another server which version is the newest


class _Page(msgspec.Struct):
    results: list[dict[str, Any]]
    next: str | None


class Client(DandiAPIClient):
    """DANDI's client; its requests have timeouts, bounded answers, and retries that are shown.

    Parameters:
        instance: the server.
        web: makes the requests, with the key where there is one.
    """

    def __init__(self, instance: DandiInstance, web: HttpClient) -> None:
        super().__init__(dandi_instance=instance)
        self.web = web

    def request(self, method: str, path: str, params: dict[str, Any] | None = None, **_: Any) -> Any:
        """Send a GET request. Raises BadInput where there is no answer."""
        return self.web.get_json(self.get_url(path), dict[str, Any], **params or {})

    def paginate(
        self, path: str, page_size: int | None = None, params: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """List all entries with their metadata, one page after the other."""
        asked = (params or {}) | {"metadata": "true", "page_size": page_size or PAGE}
        for page in self.web.pages(self.get_url(path), _Page, lambda page: page.next, **asked):
            yield from page.results

    def check_version(self) -> None:
        """Check that the server works with this version of dandi. Raises BadInput where it does not."""
        try:
            info = ServerInfo.model_validate(self.server_info)
            least, bad = Version(info.cli_minimal_version), [Version(version) for version in info.cli_bad_versions]
        except ValueError:
            raise malformed("other words about the server").at(
                plain(f"{self.api_url}/info/"), ANSWERS_CHANGED
            ) from None
        ours = Version(dandi.__version__)
        if ours < least or ours in bad:
            but = f" but not {', '.join(map(str, bad))}" if bad else ""
            do = "upgrade it: pip install -U dandi"
            raise BadInput(plain(self.api_url), f"dandi {least} or newer{but}", f"dandi {ours}", do)


def instance_of(mirror: str = "") -> DandiInstance:
    """Find the server to use.

    Parameters:
        mirror: the address of another API in DANDI's place.

    Raises:
        BadInput: the environment variable DANDI_INSTANCE names no known server.
    """
    if mirror:
        return DandiInstance("dandi", None, mirror)
    name = os.environ.get("DANDI_INSTANCE", "dandi")
    if name not in known_instances:
        raise BadInput("DANDI_INSTANCE", "a server that dandi knows", name, f"choose from {', '.join(known_instances)}")
    return known_instances[name]


def connect(mirror: str = "") -> HttpClient:
    """Make an HTTP client for requests to a server, with the user's key where the environment has one.

    Parameters:
        mirror: as of `instance_of`.

    Raises:
        BadInput: as `instance_of`; or the key has characters that none has, or the server refuses it.
    """
    instance = instance_of(mirror)
    name = Client(instance, HttpClient()).api_key_env_var
    key = check_token(name, os.environ.get(name, ""))
    if not key:
        return HttpClient(if_refused=f"check that the version is still there; if it is under embargo, set {name}")
    web = HttpClient(
        key,
        instance.api,
        if_refused=f"renew {name}, or unset it if the data are open",
        if_forbidden=f"data under embargo are for their owners: ask them to add the account that {name} is of",
        scheme="token",
    )
    Client(instance, web).authenticate(key)
    return web
