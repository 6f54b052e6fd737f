"""A stand-in for the Hugging Face Hub on 127.0.0.1, spoken to by the real clients in processes of their own.

It keeps dataset repositories in memory as commits, each an immutable snapshot of the whole tree, so that whatever is
done to a push, a repository shows the old state or the new one. It can also fail on purpose::

    with LoopbackHub(tmp_path) as hub:
        hub.fail("PUT /lfs/", 500)
        hub.python('Dataset.from_dict({"a": [1]}).push_to_hub("someone/xiao")')
        assert "README.md" in hub.files("someone/xiao")

Not simulated: models and spaces, tags, Xet, multipart uploads, pages of long listings, users but the one and those
who open pull requests.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Literal, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

from helpers import ROOT

Match = Callable[[str, str], bool] | str
Failure = int | Literal["reset", "stall", "lost"] | threading.Barrier | Mapping[str, str]

# What precedes the code given to LoopbackHub.python; the parquet export would be asked of a host outside.
PREAMBLE = """
import datasets
from datasets import Dataset, DatasetDict, Features, List, Value, load_dataset
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download
datasets.config.USE_PARQUET_EXPORT = False
"""
# The end of a client's code whose exit status is a verdict. A process that streamed Parquet can abort while Python
# shuts down, because a thread of pyarrow's scanner asks for the GIL then (github.com/huggingface/datasets/issues/7566,
# github.com/apache/arrow/issues/45017). So it leaves without the shutdown; whatever failed before has raised already.
LEAVE = """
import os, sys
sys.stdout.flush()
os._exit(0)
"""


def git_sha1(data: bytes) -> str:
    """Name that git gives to a file of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True)
class Blob:
    """Content of a file, and whether it is kept as a large one (LFS)."""

    data: bytes
    lfs: bool = False

    @cached_property
    def etag(self) -> str:
        """The name by which clients recognize the content: SHA-256 of a large file, git's of any other."""
        return hashlib.sha256(self.data).hexdigest() if self.lfs else git_sha1(self.data)

    def facts(self) -> dict[str, Any]:
        """Size and names, as listings give them."""
        if not self.lfs:
            return {"size": len(self.data), "oid": self.etag}
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.etag}\nsize {len(self.data)}\n"
        large = {"oid": self.etag, "size": len(self.data), "pointerSize": len(pointer)}
        return {"size": len(self.data), "oid": git_sha1(pointer.encode()), "lfs": large}


@dataclass(frozen=True)
class Commit:
    """A state of a whole repository; nothing in it changes."""

    title: str
    tree: Mapping[str, Blob]
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"))
    sha: str = field(default_factory=lambda: secrets.token_hex(20))


@dataclass
class Fault:
    """A rule for failing: which requests, how, and how many times more."""

    match: Match
    failure: Failure
    left: float

    def applies(self, method: str, path: str) -> bool:
        if self.left <= 0:
            return False
        if isinstance(self.match, str):
            return re.search(self.match, f"{method} {path}") is not None
        return self.match(method, path)


class LoopbackHub:
    """The server, started on entry and stopped on exit; clients keep their caches under `folder`.

    `repos` maps "namespace/name" to its commits, oldest first, of which the first is the empty tree of the creation;
    `requests` lists the (method, path) seen, unquoted and without query, and `sent` is how many bytes of files were
    sent in answer. Whoever has no token may read what is not in
    `private`; the one `token` may write what is its user's, or its organizations', and open pull requests elsewhere.
    Branches other than main, pull requests ("refs/pr/1") among them, are in `branches`. `role` is the token's.
    """

    def __init__(self, folder: Path, user: str = "someone", token: str = "hf_loopback") -> None:
        self.folder, self.user, self.token = folder, user, token
        self.organizations: list[str] = []
        self.role = "write"
        self.repos: dict[str, list[Commit]] = {}
        self.branches: dict[str, dict[str, list[Commit]]] = {}
        self.private: set[str] = set()
        self.objects: dict[str, bytes] = {}  # large files by SHA-256, committed or only uploaded
        self.announced: dict[str, str] = {}  # large files to be uploaded, and to which repository
        self.requests: list[tuple[str, str]] = []
        self.agents: set[str] = set()  # User-Agent of all requests
        self.sent = 0
        self.faults: list[Fault] = []
        self.spoil: Callable[[str, str, bytes], bytes] | None = None  # changes an answer in JSON: method, path, content
        self.errors: list[Exception] = []  # of this stand-in itself; raised on exit
        self.key = secrets.token_hex(8)  # signs the upload links, which are followed without the token
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "LoopbackHub":
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()
        if self.errors and kind is None:
            raise self.errors[0]

    def environment(self, token: str | None = "") -> dict[str, str]:
        """Variables that make a client talk to this server and nobody else; with another token, or with None."""
        home = self.folder / "hf_home"
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": "" if token is None else token or self.token,
            "HF_HOME": str(home),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_DATASETS_CACHE": str(home / "datasets"),
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "NO_PROXY": "*",
            "no_proxy": "*",
        }

    def env(self, **more: str) -> dict[str, str]:
        """The whole environment of a client's process: this one's without its own Hub settings, ours, and `more`."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        return inherited | self.environment() | more

    def python(self, code: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run code in a new process with env(**more), between PREAMBLE, which imports `datasets`, and LEAVE."""
        command = [sys.executable, "-c", PREAMBLE + code + LEAVE]
        return subprocess.run(command, env=self.env(**more), capture_output=True, text=True, timeout=120)

    def run(self, code: str, *arguments: str) -> str:
        """Run code in a new process with environment(), and nothing around it; what it printed."""
        command, env = [sys.executable, "-c", code, *arguments], os.environ | self.environment()
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fail(self, match: Match, failure: Failure, times: float = 1) -> Fault:
        """Make the next `times` requests that match fail (math.inf: all), before anything is done about them.

        `match` is searched for in "METHOD path" as a regular expression, or called with method and path; " in " and the
        name of the repository follow where the path does not hold it (creation, cards, large files). `failure` is
        a status to answer, "reset" for a connection reset, "stall" for no answer until the server stops, or "lost":
        everything is done, and the connection is reset in place of the answer; a barrier is where such requests wait
        for each other, to go on as usual; headers are sent with status 302 if they have a Location, else with 429.
        """
        self.faults.append(Fault(match, failure, times))
        return self.faults[-1]

    def commits(self, repo: str) -> list[Commit]:
        """Commits of a repository, oldest first."""
        return list(self.repos[repo])

    def files(self, repo: str, branch: str = "main") -> dict[str, bytes]:
        """Content of every file at the head of a repository, or of a branch of it, by path."""
        commits = self.repos[repo] if branch == "main" else self.branches[repo][branch]
        return {path: blob.data for path, blob in commits[-1].tree.items()}

    def record(self, method: str, path: str, repo: str = "") -> Failure | None:
        """Note a request, and say whether it is to fail."""
        with self.lock:
            self.requests.append((method, path))
            for fault in self.faults:
                if fault.applies(method, f"{path} in {repo}" if repo else path):
                    fault.left -= 1
                    return fault.failure
        return None


class _Refused(Exception):
    """An answer other than the one asked for: status, text, and the word by which clients know the reason."""

    def __init__(self, status: int, text: str, reason: str = "", **headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers | ({"X-Error-Code": reason} if reason else {}) | {"X-Error-Message": text}


_ROUTES: list[tuple[str, re.Pattern[str], str, bool]] = []


def _route(method: str, pattern: str, write: bool = False) -> Callable[[Callable], Callable]:
    """Answer these requests with the decorated method; {name} in the pattern is one segment of the path."""
    regex = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern.replace("{repo}", "(?P<repo>[^/]+/[^/]+)"))

    def register(function: Callable) -> Callable:
        _ROUTES.append((method, re.compile(regex), function.__name__, write))
        return function

    return register


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client. Methods with a route return what is answered as JSON."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: LoopbackHub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):  # clients are killed, and connections reset on purpose
            super().handle()

    def serve(self) -> None:
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        self.hub.agents.add(self.headers.get("User-Agent", ""))
        self.lost = False
        try:
            if self.command == "POST":
                self.body = self.read_body()
            failure = self.hub.record(self.command, unquote(url.path), self.concerned(url.path))
            if isinstance(failure, threading.Barrier):
                failure.wait(60)
                failure = None
            if failure == "reset":
                self.reset()
            if failure == "stall":
                self.hub.stopped.wait()
                raise ConnectionAbortedError
            if self.command != "POST":
                self.body = self.read_body()
            self.lost = failure == "lost"
            if isinstance(failure, Mapping):
                raise _Refused(302 if "Location" in failure else 429, "failing on purpose", **failure)
            if failure and not self.lost:
                raise _Refused(failure, "failing on purpose")
            self.answer(url.path)
        except _Refused as refused:
            self.reply(refused.status, json.dumps({"error": str(refused)}).encode(), **refused.headers)
        except ConnectionError:
            raise
        except Exception as error:
            self.hub.errors.append(error)
            self.reply(500, repr(error).encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve

    def reset(self) -> NoReturn:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())  # close() would wait for the files made of the socket
        raise ConnectionResetError

    def concerned(self, path: str) -> str:
        """The repository that a request is about, where its path does not say so."""
        if path == "/api/repos/create":
            asked = json.loads(self.body)
            return f"{asked.get('organization') or self.hub.user}/{asked['name']}"
        if path == "/api/validate-yaml":  # a card shows how its data set is loaded
            loaded = re.search(r'load_dataset\("([^"]+)"', json.loads(self.body)["content"])
            return loaded[1] if loaded else ""
        return self.hub.announced.get(path.split("/")[2], "") if path.startswith("/lfs/") else ""

    def read_body(self) -> bytes:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        if len(body) < size:  # the client was killed
            raise ConnectionAbortedError
        return body

    def answer(self, path: str) -> None:
        method = "GET" if self.command == "HEAD" else self.command
        for verb, pattern, name, write in _ROUTES:
            if verb == method and (match := pattern.fullmatch(path)):
                self.authorize(write)
                result = getattr(self, name)(**{key: unquote(text) for key, text in match.groupdict("").items()})
                if result is not None:
                    content = json.dumps(result).encode()
                    if self.hub.spoil:
                        content = self.hub.spoil(self.command, unquote(path), content)
                    self.reply(200, content, **{"Content-Type": "application/json"})
                return
        raise _Refused(404, f"the stand-in has no route for {method} {path}")

    def reply(self, status: int, content: bytes, **headers: str) -> None:
        if self.lost:
            self.reset()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def authorize(self, write: bool) -> None:
        given = self.headers.get("Authorization")
        signed = self.query.get("key") == [self.hub.key]
        if given != f"Bearer {self.hub.token}" and not signed and (given or write):
            raise _Refused(401, "Invalid credentials in Authorization header" if given else "Token required")

    def commit(self, repo: str, revision: str = "main") -> Commit:
        commits = self.hub.repos.get(repo, [])
        if not commits or (repo in self.hub.private and not self.headers.get("Authorization")):
            raise _Refused(401 if commits else 404, "Repository not found", "RepoNotFound")
        branches = self.hub.branches.get(repo, {}) | {"main": commits}
        if revision in branches:
            return branches[revision][-1]
        for commit in chain.from_iterable(branches.values()):
            if commit.sha == revision:
                return commit
        raise _Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    # Who, and which repositories

    @_route("GET", "/api/whoami-v2", write=True)
    def whoami(self) -> dict:
        token = {"displayName": "loopback", "role": self.hub.role}
        auth = {"type": "access_token", "accessToken": token}
        orgs = [{"name": name, "roleInOrg": "write"} for name in self.hub.organizations]
        return {"type": "user", "id": "0", "name": self.hub.user, "orgs": orgs, "auth": auth}

    def owned(self, repo: str) -> None:
        """Refuse where the token may not write."""
        if self.hub.role == "read" or repo.partition("/")[0] not in (self.hub.user, *self.hub.organizations):
            raise _Refused(403, "You don't have the rights to write there")

    @_route("GET", "/api/datasets/{repo}/auth-check/write", write=True)
    def auth_check(self, repo: str) -> dict:
        self.commit(repo)
        self.owned(repo)
        return {}

    @_route("POST", "/api/repos/create", write=True)
    def create(self) -> dict | None:
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or self.hub.user}/{asked['name']}"
        if asked.get("type") != "dataset":
            raise _Refused(400, "the stand-in keeps datasets only")
        answer = {"url": f"{self.hub.url}/datasets/{name}"}
        self.owned(name)
        with self.hub.lock:
            if name in self.hub.repos:
                return self.reply(409, json.dumps(answer | {"error": "You already created this dataset repo"}).encode())
            self.hub.repos[name] = [Commit("initial commit", {})]
            if asked.get("visibility") == "private":
                self.hub.private.add(name)
        return answer

    @_route("GET", "/api/datasets/(?P<repo>[^/]+(/[^/]+)?)(/revision/{revision})?")
    def info(self, repo: str, revision: str) -> dict:
        commit = self.commit(repo, revision or "main")
        dates = {"createdAt": self.hub.repos[repo][0].date, "lastModified": commit.date}
        about = {"id": repo, "author": repo.split("/")[0], "sha": commit.sha, "private": repo in self.hub.private}
        siblings = [{"rfilename": path} for path in sorted(commit.tree)]
        return about | dates | {"gated": False, "disabled": False, "tags": [], "siblings": siblings}

    @_route("POST", "/api/datasets/{repo}/branch/{branch}", write=True)
    def branch(self, repo: str, branch: str) -> dict | None:
        head = self.commit(repo)
        self.owned(repo)
        with self.hub.lock:
            branches = self.hub.branches.setdefault(repo, {})
            if branch in branches or branch == "main":
                return self.reply(409, json.dumps({"error": "Reference already exists"}).encode())
            branches[branch] = [head]
        return {}

    @_route("GET", "/api/datasets/{repo}/commits/{branch}")
    def history(self, repo: str, branch: str) -> list[dict]:
        self.commit(repo, branch)
        commits = self.hub.repos[repo] if branch == "main" else self.hub.branches[repo][branch]
        author = {"user": self.hub.user}
        return [
            {"id": commit.sha, "title": commit.title, "message": "", "date": commit.date, "authors": [author]}
            for commit in reversed(commits)
        ]

    @_route("GET", "/api/datasets/{repo}/discussions")
    def discussions(self, repo: str) -> dict:
        self.commit(repo)
        branches = self.hub.branches.get(repo, {})
        requests = [
            {
                "num": int(name.removeprefix("refs/pr/")),
                "title": commits[-1].title,
                "author": {"name": self.hub.user},
                "createdAt": commits[-1].date,
                "status": "open",
                "repo": {"name": repo, "type": "dataset"},
                "isPullRequest": True,
            }
            for name, commits in branches.items()
            if name.startswith("refs/pr/")
        ]
        return {"discussions": requests, "count": len(requests), "start": 0}

    # Reading

    @_route("GET", "/api/datasets/{repo}/tree/{revision}(/(?P<folder>.+))?")
    def tree(self, repo: str, revision: str, folder: str) -> list[dict]:
        tree = self.commit(repo, revision).tree
        prefix = f"{folder}/" if folder else ""
        inside = {path[len(prefix) :] for path in tree if path.startswith(prefix)}
        if folder and not inside:
            raise _Refused(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        inside |= {str(parent) for path in inside for parent in PurePosixPath(path).parents if parent.name}
        if self.query.get("recursive", [""])[0].lower() != "true":
            inside = {path for path in inside if "/" not in path}
        return [self.entry(tree, prefix + path) for path in sorted(inside)]

    def entry(self, tree: Mapping[str, Blob], path: str) -> dict:
        """What a listing says of a file, or of a folder."""
        if path in tree:
            return {"type": "file", "path": path} | tree[path].facts()
        return {"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0}

    @_route("GET", "/datasets/{repo}/resolve/{revision}/(?P<path>.+)")
    def resolve(self, repo: str, revision: str, path: str) -> None:
        commit = self.commit(repo, revision)
        about = {"X-Repo-Commit": commit.sha, "Accept-Ranges": "bytes"}
        if path not in commit.tree:
            raise _Refused(404, "Entry not found", "EntryNotFound", **about)
        blob = commit.tree[path]
        about["ETag"] = f'"{blob.etag}"'
        asked, size = re.fullmatch(r"bytes=(\d+)-(\d*)|bytes=-(\d+)", self.headers.get("Range", "")), len(blob.data)
        if not asked:
            return self.send(200, blob.data, about)
        first, last, tail = asked.groups()
        start = max(size - int(tail), 0) if tail else int(first)
        stop = min(int(last) + 1, size) if last else size
        if start >= stop:
            raise _Refused(416, "Range not satisfiable", **about, **{"Content-Range": f"bytes */{size}"})
        return self.send(206, blob.data[start:stop], about | {"Content-Range": f"bytes {start}-{stop - 1}/{size}"})

    def send(self, status: int, content: bytes, about: dict[str, str]) -> None:
        """Answer with a file, or a part of one."""
        if self.command == "GET":
            with self.hub.lock:
                self.hub.sent += len(content)
        self.reply(status, content, **about)

    # Writing: what is large (preupload), the large files (batch, put, verify), then everything at once (commit)

    @_route("POST", "/api/validate-yaml")
    def validate(self) -> dict:
        return {"errors": [], "warnings": []}

    @_route("POST", "/api/datasets/{repo}/preupload/{revision}", write=True)
    def preupload(self, repo: str, revision: str) -> dict:
        tree = self.commit(repo, revision).tree
        answers = []
        for file in json.loads(self.body)["files"]:
            binary = b"\0" in base64.b64decode(file.get("sample", ""))  # as git tells binary from text
            mode = "lfs" if binary or file["size"] > 10 << 20 else "regular"
            answer = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
            answers.append(answer | ({"oid": tree[file["path"]].etag} if file["path"] in tree else {}))
        return {"files": answers}

    @_route("POST", "/datasets/{repo}.git/info/lfs/objects/batch", write=True)
    def batch(self, repo: str) -> dict:
        self.commit(repo)
        objects = [{"oid": item["oid"], "size": item["size"]} for item in json.loads(self.body)["objects"]]
        for item in objects:
            self.hub.announced[item["oid"]] = repo
            if item["oid"] not in self.hub.objects:
                link = f"{self.hub.url}/lfs/{item['oid']}"
                signed = {"href": f"{link}?key={self.hub.key}", "header": {}}
                item["actions"] = {"upload": signed, "verify": {"href": f"{link}/verify"}}
        return {"transfer": "basic", "objects": objects}

    @_route("PUT", "/lfs/{oid}", write=True)
    def put(self, oid: str) -> dict:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _Refused(400, "the bytes are not those of the SHA-256 announced")
        self.hub.objects[oid] = self.body
        return {}

    @_route("POST", "/lfs/{oid}/verify", write=True)
    def verify(self, oid: str) -> dict:
        if len(self.hub.objects.get(oid, b"")) != json.loads(self.body)["size"]:
            raise _Refused(404, "no such object of this size")
        return {}

    @_route("POST", "/api/datasets/{repo}/commit/{branch}", write=True)
    def push(self, repo: str, branch: str) -> dict:
        request = "create_pr" in self.query
        if not request:
            self.owned(repo)
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        with self.hub.lock:
            head = self.commit(repo, branch)
            if header.get("parentCommit", head.sha) != head.sha:
                raise _Refused(412, "A commit has happened since. Please refresh and try again.")
            tree = dict(head.tree)
            for line in lines:
                self.apply(line["key"], line["value"], tree)
            commit = Commit(header["summary"], MappingProxyType(tree))
            branches = self.hub.branches.setdefault(repo, {})
            answer = {"commitUrl": f"{self.hub.url}/datasets/{repo}/commit/{commit.sha}", "commitOid": commit.sha}
            if request:
                n = 1 + sum(name.startswith("refs/pr/") for name in branches)
                branches[f"refs/pr/{n}"] = [head, commit]
                answer["pullRequestUrl"] = f"{self.hub.url}/datasets/{repo}/discussions/{n}"
            else:
                (self.hub.repos[repo] if branch == "main" else branches[branch]).append(commit)
        return answer

    def apply(self, key: str, value: dict, tree: dict[str, Blob]) -> None:
        """Make one change of a commit in this copy of the tree."""
        path = value.get("path", "")
        if key == "file":
            tree[path] = Blob(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            data = self.hub.objects.get(value["oid"])
            if data is None or len(data) != value["size"]:
                raise _Refused(400, f"no object {value['oid']} of {value['size']} bytes was uploaded for {path}")
            tree[path] = Blob(data, lfs=True)
        elif key == "deletedFile":
            tree.pop(path, None)
        elif key == "deletedFolder":
            for file in [file for file in tree if file.startswith(f"{path.rstrip('/')}/")]:
                del tree[file]
        elif key != "header":
            raise _Refused(400, f"the stand-in does not know the change {key}")
