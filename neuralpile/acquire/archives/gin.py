"""GIN (https://gin.g-node.org): git repositories whose large files are in git-annex.

The server sends a file over plain HTTPS, but lists neither its size nor its checksum. Both are in the git-annex key
that git holds in the file's place, such as MD5-s61996800000--9e107d9d372bb6826bd81d3542a419d6.mat. The server sends
annexed files whole, whatever range is requested; see `transfer`.
"""

import io
import os
import re
import stat
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import urllib3

from neuralpile import http_client
from neuralpile.acquire.archives import LONGEST_PATH, RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput, Mismatch
from neuralpile.http_client import (
    MOST_BYTES,
    MOST_BYTES_TOGETHER,
    PATIENCE,
    POOLS,
    USER_AGENT,
    HttpClient,
    Pace,
    TemporaryFailure,
    lost,
    plain,
)

if TYPE_CHECKING:
    from dulwich.objects import Tree

BASE = os.environ.get("NEURALPILE_GIN", "https://gin.g-node.org").rstrip("/")
# https://git-annex.branchable.com/internals/key_format/
KEY = re.compile(rb"(?P<algorithm>MD5|SHA1|SHA256|SHA384|SHA512)E?-s(?P<size>\d+)(?:-[^-]+)*--(?P<digest>[0-9a-f]+)")
POINTER = 32_768  # bytes: git-annex's own bound for what can be a pointer
MOST_REFS = 4_000_000  # bytes of the answer that lists branches
MOST_OBJECTS = 200_000  # in a pack, and entries of all folders: as many as the other archives' listings can have


def connect() -> HttpClient:
    """Make a client for requests to GIN."""
    return HttpClient(if_refused="check that the repository is public")


def list_files(data_set: DataSetInfo, web: HttpClient) -> Iterator[RemoteFile]:
    """List the files at the head of a branch.

    Raises:
        BadInput: GIN does not answer, or there is no such repository.
        Mismatch: it answers with more than a repository has outside its annex.
    """
    for path, (size, start) in web.retry(plain(f"{BASE}/{data_set.id}"), lambda: _head(data_set), quiet=False):
        address = f"{BASE}/{data_set.id}/raw/{quote(data_set.version)}/{quote(path)}"
        name = path.decode("utf-8", "surrogateescape")
        if key := KEY.search(start) if size < POINTER else None:
            checksum = f"{key['algorithm'].decode().lower()}:{key['digest'].decode()}"
            yield RemoteFile(name, int(key["size"][:19]), checksum, address)
        else:
            yield RemoteFile(name, size, "", address)


class _Blob(NamedTuple):
    """What git itself holds in a file's place."""

    size: int  # bytes
    start: bytes  # all of it where it can be a pointer into the annex


class _NotGit(Exception):
    """Another answer than git's: dulwich would take it for a list of files of a repository, and fetch these."""


class _NoBranch(Exception):
    """The repository has no such branch."""


class _Bounded(urllib3.PoolManager):
    """Connections whose answers are bounded, together: what git itself holds is small."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.pool_classes_by_scheme = POOLS
        self.allow(MOST_REFS)

    def allow(self, most: int) -> None:
        """Set how many bytes may come from now on."""
        self._most = self._left = most

    def request(self, *arguments: Any, **named: Any) -> urllib3.BaseHTTPResponse:
        """Send a request; reading more than is left of the bound raises Mismatch, reading too slowly TooSlow."""
        response = super().request(*arguments, **named)
        pace = Pace(PATIENCE * http_client.SILENT_SECONDS)

        def read(amount: int | None = None) -> bytes:
            wanted = self._left + 1 if amount is None else min(amount, self._left + 1)
            found = bytearray()
            while len(found) < wanted and (block := response.read1(wanted - len(found))):
                pace.check(len(block))
                found += block
            self._left -= len(found)
            if self._left < 0:
                raise _too_much(f"{self._most:,} bytes")
            return bytes(found)

        response.read = read  # type: ignore[method-assign, assignment]
        return response


class _BoundedProxy(_Bounded, urllib3.ProxyManager):
    """As _Bounded, behind a proxy."""


def _head(data_set: DataSetInfo) -> list[tuple[bytes, _Blob]]:
    """The paths at the head of a branch, and what git itself holds of each: small, without the annex."""
    # takes half a second to import, and no other archive needs it
    from dulwich.client import HttpGitClient, HTTPUnauthorized, default_urllib3_manager
    from dulwich.config import StackedConfig
    from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
    from dulwich.object_store import ObjectStoreGraphWalker
    from dulwich.refs import Ref

    url = f"{BASE}/{data_set.id}.git"
    try:
        # dulwich itself has no timeout
        pool: Any = default_urllib3_manager(
            StackedConfig.default(), _Bounded, _BoundedProxy, url, http_client.SILENT_SECONDS
        )
    except Exception:  # of urllib3 and dulwich: their words can hold the proxy's password
        do = "correct http_proxy and https_proxy in the environment, or git's configuration"
        raise BadInput(plain(url), "a valid address of a proxy, or none", "another value", do) from None
    # urllib3 would retry four times what we retry anyway
    pool.connection_pool_kw["retries"] = urllib3.Retry(None, connect=0, read=0, redirect=3, other=0)
    pool.headers = {**pool.headers, "User-agent": f"git/dulwich {USER_AGENT}"}
    client = HttpGitClient(BASE, pool_manager=pool)
    branch, commits, pack = Ref(b"refs/heads/" + data_set.version.encode()), [], io.BytesIO()

    def choose(refs: Mapping[Ref, Any], depth: int | None = None) -> list[Any]:
        if client.dumb:
            raise _NotGit
        if branch not in refs:
            raise _NoBranch
        commits.append(refs[branch])
        pool.allow(MOST_BYTES)
        return commits

    try:
        walker = ObjectStoreGraphWalker([], lambda _: [])
        client.fetch_pack(f"{data_set.id}.git", choose, walker, pack.write, depth=1, ref_prefix=[branch])
        return list(_files_of(pack.getvalue(), commits[0]))
    except (NotGitRepository, HTTPUnauthorized) as error:
        found = "none, or one that is not public" if isinstance(error, NotGitRepository) else "one that is not public"
        raise BadInput(plain(url), "a git repository", found, f"check {data_set.url}") from None
    except _NoBranch:
        raise BadInput(plain(url), f"a branch {data_set.version}", "none", f"check {data_set.url}") from None
    except _NotGit:
        found = "an answer that is not of git"
        raise BadInput(plain(url), "a listing", found, f"try again later, or check {data_set.url}") from None
    except (Mismatch, TemporaryFailure):
        raise
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


def _files_of(pack: bytes, commit: bytes) -> Iterator[tuple[bytes, _Blob]]:
    """The files of a commit, in a pack that holds all of it. Raises Mismatch where it unpacks to too much."""
    from dulwich.object_format import DEFAULT_OBJECT_FORMAT
    from dulwich.objects import Blob, Commit, Tree
    from dulwich.pack import PackData, PackInflater

    _check_size(pack)
    trees: dict[bytes, Tree] = {}
    blobs: dict[bytes, _Blob] = {}
    roots: dict[bytes, bytes] = {}
    with PackData.from_file(io.BytesIO(pack), DEFAULT_OBJECT_FORMAT, len(pack)) as data:
        data.check()
        for held in PackInflater.for_pack_data(data):
            if isinstance(held, Tree):
                trees[held.id] = held
            elif isinstance(held, Blob):
                blobs[held.id] = _Blob(held.raw_length(), held.data if held.raw_length() < POINTER else b"")
            elif isinstance(held, Commit):
                roots[held.id] = held.tree
    for path, entry in _walk(trees, roots[commit]):
        yield path, blobs[entry]


def _check_size(pack: bytes) -> None:
    """Check what a pack unpacks to, one object after the other. Raises Mismatch where that is too much.

    A pack states its number of objects, and for each its size; of a delta, it states the size of the result, too.
    dulwich unpacks no more than what is stated. https://git-scm.com/docs/gitformat-pack
    """
    from dulwich.object_format import DEFAULT_OBJECT_FORMAT
    from dulwich.pack import DELTA_TYPES, take_msb_bytes_at, unpack_object_at

    n_objects, at, left = int.from_bytes(pack[8:12]), 12, MOST_BYTES_TOGETHER
    if n_objects > MOST_OBJECTS:
        raise _too_much(f"{MOST_OBJECTS:,} files and folders")
    for _ in range(n_objects):
        stated, _, _ = take_msb_bytes_at(pack, at)
        left -= (stated[0] & 0x0F) | _number(stated[1:]) << 4
        if left >= 0:
            held, at = unpack_object_at(pack, at, DEFAULT_OBJECT_FORMAT.hash_func)
            if held.pack_type_num in DELTA_TYPES:
                delta = b"".join(held.decomp_chunks)
                _, after, _ = take_msb_bytes_at(delta, 0)  # the size of what it is a delta of
                left -= _number(take_msb_bytes_at(delta, after)[0])
        if left < 0:
            raise _too_much(f"{MOST_BYTES_TOGETHER:,} bytes, unpacked,")


def _number(stated: list[int]) -> int:
    """A number that is stated as bytes of 7 bits each, the lowest first."""
    return sum((byte & 0x7F) << 7 * i for i, byte in enumerate(stated))


def _walk(trees: Mapping[bytes, "Tree"], root: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The path and the blob of each file. A few trees that contain each other many times would give endless files."""
    todo, n_entries = [(b"", root)], 0
    while todo:
        folder, tree = todo.pop()
        for entry in trees[tree].iteritems():
            n_entries += 1
            path = folder + entry.path
            if n_entries > MOST_OBJECTS:
                raise _too_much(f"{MOST_OBJECTS:,} files and folders")
            if len(path) > LONGEST_PATH:
                raise Mismatch(f"paths of at most {LONGEST_PATH:,} bytes", f"{len(path):,}")
            if stat.S_ISDIR(entry.mode):
                todo.append((path + b"/", entry.sha))
            elif stat.S_IFMT(entry.mode) in (stat.S_IFREG, stat.S_IFLNK):
                yield path, entry.sha


def _too_much(most: str) -> Mismatch:
    return Mismatch(f"at most {most} outside the annex", "more")


def _of_git(error: Exception) -> TemporaryFailure:
    """A status that git's protocol does not expect; a server's own words stay out of messages."""
    status = re.search(r"unexpected http resp (\d{3})", str(error))
    return TemporaryFailure(f"an answer {status[1]} to git" if status else "an answer that git does not expect")


def _damaged(url: str, data_set: DataSetInfo) -> BadInput:
    return BadInput(plain(url), "a listing", "damaged data of git", f"try again later, or check {data_set.url}")
