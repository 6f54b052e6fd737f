"""Stand-ins for DANDI, Dryad, Zenodo, OSF and GIN on 127.0.0.1, which can fail on purpose.

One server answers as the archives' own sources do (see `facts/archives.md` in the shared folder), headers included;
another, at its own port, is the storage that they redirect to::

    with LoopbackArchives({"sub-A/a.nwb": b"..."}) as archives:
        archives.fail("GET /blobs/", "cut")
        subprocess.run([...], env=os.environ | archives.environment())
        assert archives.sent("/blobs/") < 1000

Only what is asked for by the project's own code is here. GIN's git is served by dulwich.
"""

import gzip
import hashlib
import io
import json
import re
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import ClassVar
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit
from wsgiref.handlers import SimpleHandler

from dandischema.digests.dandietag import DandiETag

TOKEN, SECRET = "token-that-nobody-may-see", "secret-that-nobody-may-see"
STRANGER = "token-that-is-known-but-of-someone-else"
CREATED = "2024-05-01T19:12:00.000000Z"
PAGE = 3  # entries of a listing that are given at once, whatever is asked for
SIGNATURE = "signature-that-nobody-may-see"


@dataclass
class Fault:
    """A rule for failing: which requests ("GET /path"), how, how many of them pass before, and how many fail."""

    match: str
    failure: object
    left: float
    skip: int = 0


@dataclass
class Seen:
    """A request that was made."""

    line: str  # "GET /path", unquoted, without the query
    range: str | None
    authorised: bool
    agent: str
    sent: int = 0  # bytes of the body


class Server(ThreadingHTTPServer):
    """A server that says nothing of clients that close their connections early."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@dataclass
class LoopbackArchives:
    """The servers, started on entry and stopped on exit. `files` may change at any time: path -> content."""

    files: dict[str, bytes]
    digests: bool = True  # whether Dryad lists them
    sha256: bool = True  # whether DANDI has worked out more than the etag
    measured: Mapping[str, list[str]] = field(default_factory=dict)  # path -> types of objects, of DANDI's metadata
    listed: dict[str, str] = field(default_factory=dict)  # path -> what it is called in listings
    sizes: dict[str, int] = field(default_factory=dict)  # path -> size in listings, where it is another
    private: set[str] = field(default_factory=set)  # paths whose files Dryad does not give
    embargoed: bool = False  # whether DANDI lists files only for their owner's key
    withheld: set[str] = field(default_factory=set)  # paths that DANDI lists, and gives only for their owner's key
    unreadable: set[str] = field(default_factory=set)  # paths that the storage does not give, whatever the signature
    private_project: bool = False  # whether OSF's project is
    restricted: bool = False  # whether Zenodo's record is
    versions: Mapping[int, str] = field(default_factory=lambda: {2: "2024-11-12", 10: "2025-03-01", 9: "2024-12-24"})
    minimal_version: str = "0.74.0"  # of the client, that DANDI asks for
    bad_versions: tuple[str, ...] = ()  # of the client, that DANDI refuses
    mutate: Callable[[bytes], bytes] | None = None  # changes the answers of the interfaces
    etag: str = ""  # of the storage's files, where it is not of their content
    uses: int = 1_000_000  # how often a signed address can be used

    def __enter__(self) -> "LoopbackArchives":
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self.errors: list[Exception] = []
        self.stopped = threading.Event()
        self.released = threading.Event()  # ends the pause of "hold"
        self.issued: dict[str, int] = {}  # signed addresses, and how often they may still be used
        self.digests_of: dict[int, tuple[bytes, dict[str, str]]] = {}  # contents, by their identity
        self.git: object = None
        self.servers = []
        for kind in (Api, Storage):
            server = Server(("127.0.0.1", 0), type("Handler", (kind,), {"archives": self}))
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            self.servers.append(server)
        self.url, self.storage = (f"http://127.0.0.1:{server.server_port}" for server in self.servers)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stopped.set()
        self.released.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()
        if self.errors and kind is None:
            raise self.errors[0]

    def environment(self, token: str | None = TOKEN) -> dict[str, str]:
        """Variables that make the project's scripts ask this server, and wait little between tries.

        A test of a server that stalls sets a brief NEURALPILE_TIMEOUT; in others no answer comes too late.
        """
        return {
            "NEURALPILE_DANDI_API": f"{self.url}/api",
            "NEURALPILE_DRYAD_API": self.url,
            "NEURALPILE_ZENODO_API": f"{self.url}/zenodo",
            "NEURALPILE_OSF_API": f"{self.url}/v2",
            "NEURALPILE_GIN": self.url,
            "NEURALPILE_RETRY_SECONDS": "0.001",
            "NO_PROXY": "127.0.0.1",
            "DRYAD_TOKEN": token or "",
            "DRYAD_CLIENT_ID": "",
            "DRYAD_CLIENT_SECRET": "",
            "DANDI_API_KEY": "",
            "OSF_TOKEN": "",
            "XDG_STATE_HOME": "/nonexistent",  # where dandi's command line writes logs
        }

    def fail(self, match: str, failure: object, times: float = 1, skip: int = 0) -> None:
        """Fail requests whose "GET /path" has a match.

        `failure` is a status; (status, headers) or (status, headers, body); a fraction of the body, after which the
        connection is closed; "reset" before an answer, "reset headers" or "reset body" within it;
        "gzip" (a body that is encoded, as its header says), "gzip said" (one that is not),
        "chunked" (of no stated length), "chunked cut" (which breaks off), "cut" (a body too short), "long" (too long),
        "wrong" (another byte in it), "whole" (ranges ignored), "html",
        "stall", "drip", "drip headers" and "drip redirect" (a byte, again and again, without end), "cut headers" (the
        connection is closed within them), "hold" (the body stops at its half until the event `released`), "shifted"
        (another range than was asked for); bytes, which are then the body of a 200; or a dictionary, which is then the
        answer, as JSON.
        """
        self.faults.append(Fault(match, failure, times, skip))

    def digests_dandi(self, body: bytes) -> dict[str, str]:
        """Digests of a content by their names at DANDI, worked out once, and its ETag at the storage."""
        if id(body) not in self.digests_of:
            etag = DandiETag(len(body))
            for part in etag.get_parts():
                etag.update(body[part.offset : part.offset + part.size])
            sha256 = hashlib.sha256(body).hexdigest()
            found = {"dandi:dandi-etag": etag.as_str(), "dandi:sha2-256": sha256, "ETag": f'"{sha256[:32]}"'}
            self.digests_of[id(body)] = body, found
        return self.digests_of[id(body)][1]

    def sent(self, match: str) -> int:
        """Bytes of bodies sent for requests that match."""
        return sum(seen.sent for seen in self.seen if re.search(match, seen.line))

    def asked(self, match: str = "") -> int:
        """How many requests match."""
        return sum(1 for seen in self.seen if re.search(match, seen.line))


class Handler(BaseHTTPRequestHandler):
    """What both servers share: faults, logging, bodies and ranges."""

    archives: LoopbackArchives
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.place, self.query = unquote(parts.path), {k: v[0] for k, v in parse_qs(parts.query).items()}
        line = f"{self.command} {self.place}"
        agent = self.headers.get("User-Agent", "")
        self.seen = Seen(line, self.headers.get("Range"), "Authorization" in self.headers, agent)
        self.archives.seen.append(self.seen)
        self.failure = None
        for fault in self.archives.faults:
            if fault.left > 0 and re.search(fault.match, line):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.left -= 1
                self.failure = fault.failure
                break
        try:
            if self.failure == "reset":
                self.reset()
            elif self.failure == "stall":
                self.archives.stopped.wait(20)
            elif self.failure == "cut headers":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                self.close_connection = True
            elif self.failure in ("drip", "drip headers", "drip redirect"):
                self.drip()
            elif isinstance(self.failure, int | tuple):
                status, headers, *body = self.failure if isinstance(self.failure, tuple) else (self.failure, {})
                self.answer(b"".join(body), status, **headers)
            elif isinstance(self.failure, dict):
                self.json(self.failure)
            elif isinstance(self.failure, bytes):
                self.answer(self.failure, Content_Type="application/json")
            elif self.failure == "html":
                self.answer(b"<html>Please log in</html>", Content_Type="text/html; charset=utf-8")
            else:
                self.respond()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception as error:  # of this stand-in: the test fails
            self.archives.errors.append(error)
            raise

    def drip(self) -> None:
        """Send an answer that never ends, one byte after the other."""
        headers = f"HTTP/1.1 {206 if 'Range' in self.headers else 200} OK\r\n"
        if self.failure == "drip redirect":
            headers = f"HTTP/1.1 302 Found\r\nLocation: {self.path}\r\n"
        if self.failure != "drip headers":
            headers += "Content-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: 1000000000\r\n\r\n"
        self.wfile.write(headers.encode())
        while not self.archives.stopped.wait(0.001):
            self.wfile.write(b"0")

    def reset(self) -> None:
        """Break off with a TCP reset."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Send an answer; underscores in the names of headers become dashes."""
        if self.failure == "reset headers":
            self.wfile.write(f"HTTP/1.1 {status} OK\r\nContent-Le".encode())
            self.reset()
            return
        length = len(body)
        if self.failure == "long":
            body = body + b"more"
            length += 4
        elif self.failure == "wrong":
            body = bytes([body[0] ^ 1]) + body[1:]
        elif self.failure in ("cut", "reset body"):
            body = body[: len(body) // 2]
        elif isinstance(self.failure, float):
            body = body[: int(len(body) * self.failure)]
        elif self.failure == "gzip":
            body = gzip.compress(body)
            length = len(body)
        if self.failure in ("gzip", "gzip said"):
            headers["Content_Encoding"] = "gzip"
        if self.failure in ("chunked", "chunked cut"):
            self.chunked(body, status, headers)
            return
        self.send_response(status)
        for name, value in {"Content_Length": str(length), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "HEAD":
            return
        step = 1 << 20 if self.failure != "hold" else -(-len(body) // 2)
        for start in range(0, len(body), step):
            if start and self.failure == "hold":
                self.wfile.flush()
                self.archives.released.wait()
            self.wfile.write(body[start : start + step])
            self.seen.sent += len(body[start : start + step])
        if self.failure == "reset body":
            self.reset()
        elif self.failure == "cut" or isinstance(self.failure, float):
            self.close_connection = True

    def chunked(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        """Send a body in pieces, of which only the last says that it is the last."""
        self.send_response(status)
        for name, value in {**headers, "Transfer_Encoding": "chunked"}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        half = body[: len(body) // 2]
        for piece in (half, body[len(half) :]) if self.failure == "chunked" else (half,):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.seen.sent += len(piece)
        self.wfile.write(b"0\r\n\r\n" if self.failure == "chunked" else b"")
        self.close_connection = True

    def json(self, content: object, status: int = 200, **headers: str) -> None:
        body = json.dumps(content).encode()
        body = self.archives.mutate(body) if self.archives.mutate else body
        self.answer(body, status, Content_Type="application/json", **headers)

    def content(self, body: bytes) -> None:
        """A file, or the range of it that is asked for."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        etag = self.archives.etag or self.archives.digests_dandi(body)["ETag"]
        headers = {"Content_Type": "application/octet-stream", "ETag": etag, "Accept_Ranges": "bytes"}
        if not asked or self.failure == "whole":
            self.answer(body, **headers)
            return
        first, last = int(asked[1]), min(int(asked[2] or len(body) - 1), len(body) - 1)
        if first >= len(body):
            self.answer(b"", 416, Content_Range=f"bytes */{len(body)}")
            return
        if self.failure == "shifted":
            first -= 1
        place = f"bytes {first}-{last}/{len(body)}"
        self.answer(body[first : last + 1], 206, Content_Range=place, **headers)

    def redirect(self, path: str) -> None:
        """To a signed address of the storage, which can be used some times."""
        signature = f"{SIGNATURE}-{len(self.archives.issued)}"
        self.archives.issued[signature] = self.archives.uses
        self.answer(b"", 302, Location=f"{self.archives.storage}/blobs/{quote(path)}?X-Amz-Signature={signature}")


class Storage(Handler):
    """The storage behind the archives: signed addresses, no headers of others."""

    def respond(self) -> None:
        if "Authorization" in self.headers:
            self.answer(b"only one auth mechanism allowed", 400)
        elif self.archives.issued.get(self.query.get("X-Amz-Signature", ""), 0) < 1:
            self.answer(b"Request has expired", 403)
        else:
            self.archives.issued[self.query["X-Amz-Signature"]] -= 1
            path = self.place.removeprefix("/blobs/")
            if path in self.archives.unreadable:
                self.answer(b"<Error><Code>AccessDenied</Code></Error>", 403, Content_Type="application/xml")
            else:
                self.content(self.archives.files[path])


class Api(Handler):
    """The interfaces of the archives."""

    def respond(self) -> None:
        for pattern, method in self.routes.items():
            if found := re.fullmatch(pattern, self.place, re.DOTALL):
                getattr(self, method)(*found.groups())
                return
        self.answer(b"", 404)

    routes: ClassVar = {
        r"/api/info/": "dandi_info",
        r"/api/auth/token": "dandi_token",
        r"/api/dandisets/([^/]+)/versions/([^/]+)/assets/": "dandi_assets",
        r"/api/assets/([^/]+)/download/": "dandi_download",
        r"/oauth/token": "dryad_token",
        r"/api/v2/datasets/doi:(.+)/versions": "dryad_versions",
        r"/api/v2/versions/(\d+)/files": "dryad_files",
        r"/api/v2/files/(\d+)/download": "dryad_download",
        r"/zenodo/records/(\d+)": "zenodo_record",
        r"/zenodo/records/(\d+)/files/(.+)/content": "zenodo_content",
        r"/v2/guids/([^/]+)/": "osf_guid",
        r"/v2/nodes/([^/]+)/": "osf_node",
        r"/v2/nodes/([^/]+)/files/osfstorage/(.*)": "osf_files",
        r"/osf/download/(.+)": "osf_download",
        r"/waterbutler/v1/(.+)": "osf_waterbutler",
        r"/([^/]+/[^/]+)\.git/(.*)": "gin_git",
        r"/[^/]+/[^/]+/raw/master/(.*)": "gin_raw",
    }

    def page(self) -> int:
        """The page of a listing that is asked for; the first where a mutated link names none."""
        asked = self.query.get("page", "")
        return int(asked) if asked.isascii() and asked.isdigit() else 1

    @property
    def paths(self) -> list[str]:
        return sorted(self.archives.files)

    def called(self, path: str) -> str:
        return self.archives.listed.get(path, path)

    def size(self, path: str) -> int:
        return self.archives.sizes.get(path, len(self.archives.files[path]))

    def dandi_info(self) -> None:
        api = f"{self.archives.url}/api"
        about = {"cli-minimal-version": self.archives.minimal_version, "cli-requires-python": ">=3.10"}
        about |= {"cli-bad-versions": list(self.archives.bad_versions), "schema_version": "0.7.0", "version": "0.23.1"}
        services = {"api": {"url": api}, "webui": {"url": self.archives.url}, "jupyterhub": None}
        self.json(about | {"schema_url": "https://example.org/schema.json", "services": services})

    def dandi_refuses(self, needed: bool) -> bool:
        """DANDI refuses a wrong key everywhere, and wants one where the data are under embargo."""
        given = self.headers.get("Authorization")
        if (given is None and not needed) or given == f"token {TOKEN}":
            return False
        if given == f"token {STRANGER}":
            if needed:
                self.json({"detail": "You do not have permission to perform this action."}, 403)
            return needed
        detail = "Invalid token." if given else "Authentication credentials were not provided."
        self.json({"detail": detail}, 401, WWW_Authenticate="Bearer")
        return True

    def dandi_token(self) -> None:
        if not self.dandi_refuses(self.headers.get("Authorization") != f"token {STRANGER}"):
            self.json({"token": self.headers["Authorization"].partition(" ")[2]})

    def dandi_assets(self, identifier: str, version: str) -> None:
        if self.dandi_refuses(self.archives.embargoed):
            return
        page = self.page()
        assets = []
        for number, path in enumerate(self.paths):
            body = self.archives.files[path]
            names = ["dandi:dandi-etag", *(["dandi:sha2-256"] if self.archives.sha256 else [])]
            digest = {name: self.archives.digests_dandi(body)[name] for name in names}
            kinds = self.archives.measured.get(path, ["Units"])
            metadata = {
                "digest": digest,
                "variableMeasured": [{"schemaKey": "PropertyValue", "value": k} for k in kinds],
            }
            about = {"asset_id": f"asset-{number}", "path": self.called(path), "size": self.size(path), "zarr": None}
            about |= {"blob": f"blob-{number}", "created": CREATED, "modified": CREATED}
            assets.append(about | ({"metadata": metadata} if self.query.get("metadata") == "true" else {}))
        more = page * PAGE < len(assets)
        query = {**self.query, "page": page + 1}  # as its paginator does: the address of this page, with another number
        following = f"{self.archives.url}{self.path.partition('?')[0]}?{urlencode(query)}" if more else None
        count = len(assets) if page == 1 else None
        results = assets[(page - 1) * PAGE : page * PAGE]
        self.json({"count": count, "next": following, "previous": None, "results": results})

    def dandi_download(self, asset: str) -> None:
        path = self.paths[int(asset.removeprefix("asset-"))]
        if not self.dandi_refuses(self.archives.embargoed or path in self.archives.withheld):
            self.redirect(path)

    def dryad_refuses(self, needed: bool) -> bool:
        """Dryad wants no token for its listings, but refuses a wrong one even there."""
        given = self.headers.get("Authorization")
        if (given is None and not needed) or given == f"Bearer {TOKEN}":
            return False
        self.json({"error": "unauthorized"}, 401)
        return True

    def dryad_token(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        right = form.get("client_secret") == [SECRET] and form.get("grant_type") == ["client_credentials"]
        self.json({"access_token": TOKEN} if right else {"error": "invalid_client"}, 200 if right else 401)

    def dryad_versions(self, doi: str) -> None:
        if not self.dryad_refuses(needed=False):
            page, numbers = self.page(), list(self.archives.versions)  # in no order
            versions = [
                {
                    "_links": {"stash:files": {"href": f"/api/v2/versions/{100 + n}/files"}},
                    "versionNumber": n,
                    "publicationDate": self.archives.versions[n],
                }
                for n in numbers[page - 1 : page]
            ]
            place = f"/api/v2/datasets/{quote(f'doi:{doi}', safe='')}/versions?page={page + 1}"
            links = {"next": {"href": place}} if page < len(numbers) else {}
            self.json({"_embedded": {"stash:versions": versions}, "_links": links})

    def dryad_files(self, version: str) -> None:
        if self.dryad_refuses(needed=False):
            return
        page = self.page()
        entries = []
        for number, path in enumerate(self.paths):
            body = self.archives.files[path]
            digest = [hashlib.sha256(body).hexdigest(), "sha-256"] if self.archives.digests else [None, None]
            links = {"stash:download": {"href": f"/api/v2/files/{number}/download"}}
            links = {} if path in self.archives.private else links
            about = {"path": self.called(path), "size": self.size(path), "_links": links}
            entries.append(about | dict(zip(["digest", "digestType"], digest, strict=True)))
        following = {"next": {"href": f"/api/v2/versions/{version}/files?page={page + 1}"}}
        links = following if page * PAGE < len(entries) else {}
        self.json({"_embedded": {"stash:files": entries[(page - 1) * PAGE : page * PAGE]}, "_links": links})

    def dryad_download(self, number: str) -> None:
        if not self.dryad_refuses(needed=True):
            self.redirect(self.paths[int(number)])

    def zenodo_record(self, record: str) -> None:
        files = [
            {"key": self.called(path), "size": self.size(path), "checksum": f"md5:{hashlib.md5(body).hexdigest()}"}
            for path, body in sorted(self.archives.files.items())
        ]
        if self.archives.restricted:
            self.json({"id": int(record), "metadata": {"access_right": "restricted"}})
        else:
            self.json({"id": int(record), "files": files, "metadata": {"access_right": "open"}})

    def zenodo_content(self, record: str, key: str) -> None:
        self.content(self.archives.files[key])

    def osf_refuses(self) -> bool:
        """OSF refuses a wrong token everywhere, and strangers where the project is private."""
        given, private = self.headers.get("Authorization"), self.archives.private_project
        status = 0
        if given not in (None, f"Bearer {TOKEN}", f"Bearer {STRANGER}") or (private and given is None):
            status = 401
        elif private and given == f"Bearer {STRANGER}":
            status = 403
        if status:
            self.json({"errors": [{"detail": f"Not for {given}"}]}, status)
        return bool(status)

    def osf_guid(self, guid: str) -> None:
        if self.osf_refuses():
            return
        self.answer(b"", 302, Location=f"{self.archives.url}/v2/nodes/{guid}/")

    def osf_node(self, guid: str) -> None:
        if not self.osf_refuses():
            self.json({"data": {"id": guid, "type": "nodes"}})

    def osf_files(self, node: str, folder: str) -> None:
        page, base = self.page(), f"{self.archives.url}/v2/nodes/{node}/files/osfstorage/"
        entries, folders = [], set()
        for path in self.paths:
            if not path.startswith(folder):
                continue
            inner, _, rest = path.removeprefix(folder).partition("/")
            if rest and inner not in folders:
                folders.add(inner)
                related = {"files": {"links": {"related": {"href": f"{base}{quote(folder + inner)}/"}}}}
                entries.append({"attributes": {"kind": "folder", "name": inner}, "relationships": related})
            elif not rest:
                body = self.archives.files[path]
                hashes = {"md5": hashlib.md5(body).hexdigest(), "sha256": hashlib.sha256(body).hexdigest()}
                about = {"kind": "file", "name": inner, "materialized_path": f"/{self.called(path)}"}
                about |= {"size": self.size(path), "extra": {"hashes": hashes}}
                link = f"{self.archives.url}/osf/download/{quote(path)}"
                entries.append({"attributes": about, "links": {"download": link}})
        following = f"{base}{quote(folder)}?page={page + 1}" if page * PAGE < len(entries) else None
        self.json({"data": entries[(page - 1) * PAGE : page * PAGE], "links": {"next": following}})

    def osf_download(self, path: str) -> None:
        """Through another service of theirs to the storage."""
        self.answer(b"", 302, Location=f"{self.archives.url}/waterbutler/v1/{quote(path)}")

    def osf_waterbutler(self, path: str) -> None:
        self.redirect(path)

    def gin_raw(self, path: str) -> None:
        """GIN ignores ranges: always 200 and the whole file, without a length or an ETag of its content."""
        self.answer(self.archives.files[path], Content_Type="application/octet-stream")

    def gin_git(self, repository: str, place: str) -> None:
        if self.archives.git is None:
            self.archives.git = git_application(self.archives.files, f"/{repository}.git")
        body = self.rfile
        environ = {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": self.place,
            "QUERY_STRING": urlsplit(self.path).query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": self.headers.get("Content-Length", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_TRANSFER_ENCODING": self.headers.get("Transfer-Encoding", ""),
            "SERVER_PROTOCOL": "HTTP/1.0",
        }
        answer = io.BytesIO()
        handler = SimpleHandler(body, answer, io.StringIO(), environ, multithread=True)  # its errors become a 500
        handler.http_version = "1.0"
        handler.run(self.archives.git)
        content = answer.getvalue()
        if self.archives.mutate:
            head, _, body = content.partition(b"\r\n\r\n")
            content = head + b"\r\n\r\n" + self.archives.mutate(body)
        self.wfile.write(content[: len(content) * 3 // 4] if self.failure == "cut" else content)
        self.close_connection = True


def git_application(files: Mapping[str, bytes], place: str) -> object:
    """A git repository as GIN has it, over HTTP: for each .mat file a link into git-annex, for others the content."""
    from dulwich.index import commit_tree
    from dulwich.objects import Blob, Commit
    from dulwich.repo import MemoryRepo
    from dulwich.server import DictBackend
    from dulwich.web import make_wsgi_chain

    repository = MemoryRepo()
    entries = []
    for path, body in files.items():
        linked = path.endswith(".mat")
        key = f"MD5-s{len(body)}--{hashlib.md5(body).hexdigest()}.mat"
        up = "../" * (len(PurePosixPath(path).parts) - 1)
        blob = Blob.from_string(f"{up}.git/annex/objects/Zz/99/{key}/{key}".encode() if linked else body)
        repository.object_store.add_object(blob)
        entries.append((path.encode(), blob.id, 0o120000 if linked else 0o100644))
    commit = Commit()
    commit.tree = commit_tree(repository.object_store, entries)
    commit.author = commit.committer = b"someone <someone@example.org>"
    commit.author_time = commit.commit_time = 1_700_000_000
    commit.author_timezone = commit.commit_timezone = 0
    commit.message = b"data"
    repository.object_store.add_object(commit)
    repository.refs[b"refs/heads/master"] = commit.id
    repository.refs.set_symbolic_ref(b"HEAD", b"refs/heads/master")
    return make_wsgi_chain(DictBackend({place: repository}))
