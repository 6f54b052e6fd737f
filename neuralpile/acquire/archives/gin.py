"""GIN (https://gin.g-node.org): git repositories whose large files are in git-annex.

The server sends a file over plain HTTPS, but lists neither its size nor its checksum. Both are in the git-annex key
that git holds in the file's place, such as MD5-s61996800000--9e107d9d372bb6826bd81d3542a419d6.mat. The server sends
annexed files whole, whatever range is requested; see `transfer`.
"""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import urllib3

from neuralpile import http_client
from neuralpile.acquire.archives import RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput
from neuralpile.http_client import (
    MOST_BYTES,
    USER_AGENT,
    HttpClient,
    TemporaryFailure,
    lost,
    plain,
)

BASE = os.environ.get("NEURALPILE_GIN", "https://gin.g-node.org").rstrip("/")
# https://git-annex.branchable.com/internals/key_format/
KEY = re.compile(rb"(?P<algorithm>MD5|SHA1|SHA256|SHA384|SHA512)E?-s(?P<size>\d+)(?:-[^-]+)*--(?P<digest>[0-9a-f]+)")
POINTER = 32_768  # bytes: git-annex's own bound for what can be a pointer


def connect() -> HttpClient:
    """Make a client for requests to GIN."""
    return HttpClient(if_refused="check that the repository is public")


def list_files(data_set: DataSetInfo, web: HttpClient) -> Iterator[RemoteFile]:
    """List the files at the head of a branch.

    Raises:
        BadInput: GIN does not answer, or there is no such repository.
    """
    for path, content in web.retry(plain(f"{BASE}/{data_set.id}"), lambda: _head(data_set), quiet=False):
        address = f"{BASE}/{data_set.id}/raw/{quote(data_set.version)}/{quote(path)}"
        name = path.decode("utf-8", "surrogateescape")
        if key := KEY.search(content) if len(content) < POINTER else None:
            checksum = f"{key['algorithm'].decode().lower()}:{key['digest'].decode()}"
            yield RemoteFile(name, int(key["size"][:19]), checksum, address)
        else:
            yield RemoteFile(name, len(content), "", address)


class _TooLarge(Exception):
    """An answer has more bytes than a listing has."""


class _Bounded(urllib3.PoolManager):
    """Connections whose answers are bounded, together: what git itself holds is small."""

    left = MOST_BYTES

    def request(self, *arguments: Any, **named: Any) -> urllib3.BaseHTTPResponse:
        """Send a request; reading more than is left of the bound raises _TooLarge."""
        response = super().request(*arguments, **named)
        read = response.read

        def bounded(amount: int | None = None, *rest: Any, **more: Any) -> bytes:
            block = read(self.left + 1 if amount is None else min(amount, self.left + 1), *rest, **more)
            self.left -= len(block)
            if self.left < 0:
                raise _TooLarge
            return block

        response.read = bounded  # type: ignore[method-assign, assignment]
        return response


class _BoundedProxy(_Bounded, urllib3.ProxyManager):
    """As _Bounded, behind a proxy."""


def _head(data_set: DataSetInfo) -> list[tuple[bytes, bytes]]:
    """Path and content of all that git itself holds at the head of a branch: small, without the annex."""
    # takes half a second to import, and no other archive needs it
    from dulwich import porcelain
    from dulwich.client import HTTPUnauthorized, default_urllib3_manager
    from dulwich.config import StackedConfig
    from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
    from dulwich.objects import Blob, Commit

    url = f"{BASE}/{data_set.id}.git"
    # dulwich itself waits for ever, and urllib3 retries four times what we retry anyway
    pool: Any = default_urllib3_manager(
        StackedConfig.default(), _Bounded, _BoundedProxy, url, http_client.SILENT_SECONDS
    )
    pool.connection_pool_kw["retries"] = urllib3.Retry(None, connect=0, read=0, redirect=3, other=0)
    pool.headers = {**pool.headers, "User-agent": f"git/dulwich {USER_AGENT}"}
    folder = Path(tempfile.mkdtemp(prefix="neuralpile-"))
    try:
        with (folder / "log").open("wb") as log:
            repository = porcelain.clone(
                url, folder / "clone", bare=True, depth=1, branch=data_set.version, errstream=log, pool_manager=pool
            )
        with repository:
            commit = cast(Commit, repository[b"HEAD"])
            entries = repository.object_store.iter_tree_contents(commit.tree)
            blobs = [entry for entry in entries if stat.S_IFMT(entry.mode) in (stat.S_IFREG, stat.S_IFLNK)]
            return [(entry.path, cast(Blob, repository[entry.sha]).data) for entry in blobs]
    except (NotGitRepository, HTTPUnauthorized) as error:
        found = "none, or one that is not public" if isinstance(error, NotGitRepository) else "one that is not public"
        raise BadInput(plain(url), "a git repository", found, f"check {data_set.url}") from None
    except _TooLarge:
        do = f"check {data_set.url}"
        raise BadInput(plain(url), f"at most {MOST_BYTES:,} bytes outside the annex", "more", do) from None
    except (urllib3.exceptions.HTTPError, HangupException, ConnectionError) as error:
        raise lost(error) from None
    except GitProtocolError as error:
        inner = error.__cause__
        raise (lost(inner) if isinstance(inner, urllib3.exceptions.HTTPError) else _of_git(error)) from None
    except OSError as error:
        if error.errno is None:
            raise _damaged(url, data_set) from None
        raise
    except Exception:  # of dulwich, for bytes that git never sends: it does not check before it reads
        raise _damaged(url, data_set) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _of_git(error: Exception) -> TemporaryFailure:
    """A status that git's protocol does not expect; a server's own words stay out of messages."""
    status = re.search(r"unexpected http resp (\d{3})", str(error))
    return TemporaryFailure(f"an answer {status[1]} to git" if status else "an answer that git does not expect")


def _damaged(url: str, data_set: DataSetInfo) -> BadInput:
    return BadInput(plain(url), "a listing", "damaged data of git", f"try again later, or check {data_set.url}")
