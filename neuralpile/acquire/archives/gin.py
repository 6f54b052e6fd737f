"""GIN (https://gin.g-node.org): git repositories whose large files are in git-annex.

The server gives the content of a file over plain HTTPS, but says its size and digest nowhere. Both are in what git
holds in the file's place, the key of git-annex, such as MD5-s61996800000--9e107d9d372bb6826bd81d3542a419d6.mat.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from neuralpile.acquire.archives import RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput
from neuralpile.http_client import SILENT_SECONDS, HttpClient, TemporaryFailure, reason

BASE = os.environ.get("NEURALPILE_GIN", "https://gin.g-node.org").rstrip("/")
# https://git-annex.branchable.com/internals/key_format/
KEY = re.compile(rb"(?P<algorithm>MD5|SHA1|SHA256|SHA384|SHA512)E?-s(?P<size>\d+)(?:-[^-]+)*--(?P<digest>[0-9a-f]+)")
POINTER = 32_768  # bytes: git-annex's own bound for what can be a pointer


def connect() -> HttpClient:
    """Requests to GIN."""
    return HttpClient(if_refused="see whether the repository is public")


def list_files(data_set: DataSetInfo, web: HttpClient) -> Iterator[RemoteFile]:
    """All files at the head of a branch."""
    for path, content in web.retry(f"{BASE}/{data_set.id}", lambda: _head(data_set)):
        address = f"{BASE}/{data_set.id}/raw/{quote(data_set.version)}/{quote(path)}"
        if key := KEY.search(content) if len(content) < POINTER else None:
            digest = f"{key['algorithm'].decode().lower()}:{key['digest'].decode()}"
            yield RemoteFile(path, int(key["size"]), digest, address)
        else:
            yield RemoteFile(path, len(content), "", address)


def _head(data_set: DataSetInfo) -> list[tuple[str, bytes]]:
    """Path and content of all that git itself holds at the head of a branch: small, without the annex."""
    # takes half a second to import, and no other archive needs it
    from dulwich import porcelain
    from dulwich.client import HTTPUnauthorized, default_urllib3_manager
    from dulwich.config import StackedConfig
    from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
    from urllib3 import Retry
    from urllib3.exceptions import HTTPError

    url = f"{BASE}/{data_set.id}.git"
    # dulwich itself waits for ever, and urllib3 tries four times what we try again anyway
    requests = default_urllib3_manager(StackedConfig.default(), base_url=url, timeout=SILENT_SECONDS)
    requests.connection_pool_kw["retries"] = Retry(None, connect=0, read=0, redirect=3, other=0)
    folder = Path(tempfile.mkdtemp(prefix="neuralpile-"))
    try:
        with (folder / "log").open("wb") as log:
            repository = porcelain.clone(
                url, folder / "clone", bare=True, depth=1, branch=data_set.version, errstream=log, pool_manager=requests
            )
        with repository:
            tree = repository[repository[b"HEAD"].tree].id
            entries = repository.object_store.iter_tree_contents(tree)
            return [(os.fsdecode(entry.path), repository[entry.sha].data) for entry in entries]
    except (NotGitRepository, HTTPUnauthorized, KeyError) as error:
        raise BadInput(url, "a git repository that can be read", type(error).__name__, f"see {data_set.url}") from None
    except (GitProtocolError, HTTPError, HangupException, ConnectionError) as error:
        of_git = isinstance(error, GitProtocolError) and not isinstance(error.__cause__, HTTPError)
        raise TemporaryFailure(str(error) if of_git else reason(error)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
