"""Data sets to the Hugging Face Hub: Parquet shards and a card, in one commit.

A repository always holds the old state or the complete new one. The shards are made one at a time in a file without a
name, sent, and gone; what the Hub has already is not sent again. Then one commit names them all, together with the
card, and takes away the older data files. If it is not known whether a commit was made, for the answer was lost, the
history tells.
"""

import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, TypeVar

import datasets
import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id
from tqdm import tqdm

from neuralpile import http_client
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus.arrow import MANIFEST
from neuralpile.corpus.rows import MERGED_SCHEMA, SCHEMA, Row, to_record_batch
from neuralpile.corpus.store import LocalRows
from neuralpile.errors import BadInput
from neuralpile.http_client import TemporaryFailure
from neuralpile.hub import card, parquet
from neuralpile.hub.reader import configure_client

T = TypeVar("T")

SHARD = 500_000_000  # bytes in a Parquet file, a row more at most: what the Hub advises
DATA = "data/"  # where the files are in a repository
CARD = "README.md"
CONFLICTS = {409, 412}  # another commit came first
WRITABLE = "a Hub repository that you can write"
CHECK = "check the name and your token (HF_TOKEN, with write access); the local files are unharmed"


@dataclass(frozen=True)
class Target:
    """Where on the Hub a data set goes."""

    name: str  # someone/name
    private: bool = False
    revision: str = "main"
    create_pr: bool = False


@dataclass(frozen=True)
class File:
    """A file as the Hub knows it: size in bytes, and SHA-256 of a large one, git's SHA-1 of any other."""

    size: int
    digest: str


class Hub:
    """One repository on the Hub, and what is done to it.

    Raises BadInput where the repository cannot be written: no token, a wrong one, one that may not.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._web = http_client.HttpClient()
        self._api = HfApi()
        self._where = {"repo_id": target.name, "repo_type": "dataset"}
        configure_client()
        if not _is_name(target.name):
            raise BadInput("--hf_repo_name", "a name like someone/name", repr(target.name), "mend it")
        self._check()

    def _check(self) -> None:
        """See whether the repository can be written, and change nothing. Raises BadInput as the class does."""
        name, private = self.target.name, self.target.private
        who = self._try(self._api.whoami)
        self._me = who["name"]
        if who.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise BadInput(name, WRITABLE, "a token that may only read", CHECK)
        try:
            about = self._try(lambda: self._api.repo_info(**self._where), RepositoryNotFoundError)
        except RepositoryNotFoundError:
            mine = {who["name"], *(organisation["name"] for organisation in who.get("orgs", []))}
            if name.partition("/")[0] not in mine:
                raise BadInput(name, WRITABLE, f"a token of {', '.join(sorted(mine))}", CHECK) from None
            return
        if private and not about.private:
            do = "make it private on its page (Settings), or leave out --private"
            raise BadInput(name, "a private repository", "a public one", do)
        if not self.target.create_pr:
            self._try(lambda: self._api.auth_check(**self._where, write=True))

    def ensure(self) -> None:
        """Make the repository, and the branch, where they are not there."""
        self._try(lambda: self._api.create_repo(**self._where, private=self.target.private or None, exist_ok=True))
        if self.target.revision != "main":
            self._try(lambda: self._api.create_branch(**self._where, branch=self.target.revision, exist_ok=True))

    def send(self, file: BinaryIO) -> CommitOperationAdd:
        """Upload a file, without a name yet, unless the Hub has its bytes already."""
        file.seek(0)
        addition = CommitOperationAdd(f"{DATA}new.parquet", file)
        # A name that no file there has: then nothing in the client compares it with an older one.
        addition.path_in_repo = f"{DATA}{addition.upload_info.sha256.hex()}.parquet"

        def upload() -> None:
            file.seek(0)  # a try that failed leaves it anywhere
            self._api.preupload_lfs_files(
                **self._where,
                additions=[addition],
                revision=self.target.revision,
                create_pr=self.target.create_pr,
            )

        self._try(upload)
        if addition.path_or_fileobj is file:
            do = "put `*.parquet filter=lfs diff=lfs merge=lfs -text` into its .gitattributes"
            raise BadInput(self.target.name, "a repository that keeps Parquet files as large files", "another", do)
        return addition

    def commit(self, large: Mapping[str, CommitOperationAdd], small: Mapping[str, bytes], message: str) -> str:
        """Make these all the data files there are, and the small files theirs, in one commit.

        Nothing is done where that is so already. Large files were sent before; older Parquet files are taken away.

        Returns:
            The page of the repository, or of the pull request.
        """
        wanted = {path: {File(a.upload_info.size, a.upload_info.sha256.hex())} for path, a in large.items()}
        wanted |= {path: _files_of(content) for path, content in small.items()}
        unknown: list[str] = []  # parents of commits of ours of which no answer came

        def operations(revision: str) -> list[CommitOperationAdd | CommitOperationDelete]:
            there = self._files(revision)
            new = [path for path, files in wanted.items() if there.get(path) not in files]
            old = [path for path in there if path.startswith(DATA) and path.endswith(".parquet") and path not in wanted]
            additions = []
            for path in new:
                # as an open file: what is not so, the client would send another way
                addition = large[path] if path in large else CommitOperationAdd(path, io.BytesIO(small[path]))
                addition.path_in_repo = path
                additions.append(addition)
            return [*additions, *(CommitOperationDelete(path) for path in old)]

        def attempt() -> str:
            head = self._api.repo_info(**self._where, revision=self.target.revision).sha
            if not (todo := operations(head)):
                return self._page()
            if (page := self._made_before(unknown, lambda revision: not operations(revision))) is not None:
                return page
            unknown.append(head)
            try:
                made = self._api.create_commit(
                    **self._where,
                    operations=todo,
                    commit_message=message,
                    revision=self.target.revision,
                    create_pr=self.target.create_pr,
                    parent_commit=head,
                )
            except HfHubHTTPError as error:
                if error.response.status_code in CONFLICTS:
                    unknown.remove(head)
                    raise TemporaryFailure("another commit came first") from None
                raise
            if operations(made.oid):
                do = "push again"
                raise BadInput(self.target.name, "the files that were sent", "others, or parts of them", do)
            return made.pr_url or self._page()

        return self._try(attempt)

    def _made_before(self, unknown: list[str], complete: Callable[[str], bool]) -> str | None:
        """The page of a complete state that is not at the head: in a pull request of ours, or since overtaken."""
        if self.target.create_pr:
            requests = self._api.get_repo_discussions(
                **self._where, author=self._me, discussion_type="pull_request", discussion_status="open"
            )
            return next((request.url for request in requests if complete(f"refs/pr/{request.num}")), None)
        for parent in unknown:
            history = self._api.list_repo_commits(**self._where, revision=self.target.revision)
            since = takewhile(lambda commit, parent=parent: commit.commit_id != parent, history)
            if any(complete(commit.commit_id) for commit in since):
                return self._page()
        return None

    def _files(self, revision: str) -> dict[str, File]:
        """All files of a state of the repository, by path."""
        entries = self._api.list_repo_tree(**self._where, recursive=True, revision=revision)
        return {
            entry.path: File(entry.size, entry.lfs.sha256 if entry.lfs else entry.blob_id)
            for entry in entries
            if isinstance(entry, RepoFile)
        }

    def _page(self) -> str:
        branch = "" if self.target.revision == "main" else f"/tree/{self.target.revision}"
        return f"{self._api.endpoint}/datasets/{self.target.name}{branch}"

    def _try(self, call: Callable[[], T], *awaited: type[Exception]) -> T:
        """What a call to the Hub gives, after as many tries as it takes; `awaited` errors are passed on.

        Raises BadInput where the Hub refuses.
        """

        def attempt() -> T:
            try:
                return call()
            except (*awaited, TemporaryFailure, BadInput):
                raise
            except (HfHubHTTPError, httpx2.HTTPError, LocalTokenNotFoundError, RuntimeError, ValueError) as error:
                raise _told(self.target.name, error) from None

        return self._web.retry(self.target.name, attempt)


def push(
    data_set: LocalRows,
    hub: Hub,
    made: Mapping[str, object],
    described: Mapping[str, DataSetInfo] | None = None,
) -> str:
    """Publish the rows of a data set, with a card.

    Args:
        data_set: its splits become those of the repository, but for empty ones, which `load_dataset` refuses.
        hub: where it goes.
        made: how it was built, as titles and values, for the card.
        described: what is known of its components, by their names; the catalog's, if not given.

    Returns:
        The page of what is published.

    Raises BadInput where the Hub refuses, or there are no rows.
    """
    if not len(data_set):
        raise BadInput(data_set.name, "rows to publish", "none", "build it of other sessions")
    hub.ensure()
    schema = published(MERGED_SCHEMA if data_set.is_merged else SCHEMA)
    splits: dict[str, card.Split] = {}
    large: dict[str, CommitOperationAdd] = {}
    start = 0
    with tqdm(total=len(data_set), unit="row", desc=f"push {hub.target.name}", disable=None) as bar:
        for name, split in data_set.splits.items():
            if not len(split):
                continue
            facts = splits[name] = card.Split()
            rows = data_set.read(range(start, start := start + len(split)))
            for file in shards(_counted(rows, facts, data_set.name, bar), schema):
                addition = hub.send(file)
                large[f"{DATA}{name}-{facts.shards:05d}.parquet"] = addition
                facts.shards += 1
                facts.files += addition.upload_info.size
    manifest = data_set.folder and data_set.folder / MANIFEST
    small = {MANIFEST: manifest.read_bytes()} if manifest and manifest.is_file() else {}
    names = {name for facts in splits.values() for name in facts.parts}
    known = card.describe(names, data_set.manifest()) if described is None else described
    text = card.write(hub.target.name, splits, schema, known, made, next(iter(small), None))
    return hub.commit(large, small | {CARD: text.encode()}, f"{sum(s.whole.rows for s in splits.values()):,} rows")


def push_table(path: Path, hub: Hub, made: Mapping[str, object], described: Mapping[str, DataSetInfo]) -> str:
    """Publish a table of motifs, with a card.

    Args:
        path: a Parquet file of `motifs.write_table`.
        hub: where it goes.
        made: how it was counted, as titles and values, for the card.
        described: what is known of the data sets that were counted, by their names.

    Returns and raises as `push`.
    """
    hub.ensure()
    facts = pq.read_metadata(path)
    schema = facts.schema.to_arrow_schema()
    split = card.Split({"": card.Part(rows=facts.num_rows)})
    split.memory = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
    large: dict[str, CommitOperationAdd] = {}
    for file in tqdm(table_shards(path), unit="file", desc=f"push {hub.target.name}", disable=None):
        addition = hub.send(file)
        large[f"{DATA}train-{split.shards:05d}.parquet"] = addition
        split.shards += 1
        split.files += addition.upload_info.size
    counted = {key.decode(): value.decode() for key, value in schema.metadata.items() if not key.startswith(b"ARROW")}
    text = card.write_motifs(hub.target.name, split, schema, counted, described, made)
    return hub.commit(large, {CARD: text.encode()}, f"{facts.num_rows:,} motifs")


def table_shards(path: Path) -> Iterator[BinaryIO]:
    """A Parquet file, or, where it has more than SHARD bytes, its row groups in files of about as many.

    Each is gone when the next one is asked for. The same file gives the same bytes.
    """
    if path.stat().st_size <= SHARD:
        with path.open("rb") as file:
            yield file
        return
    table = pq.ParquetFile(path)
    left = iter(range(table.num_row_groups))
    group = next(left, None)
    while group is not None:
        with tempfile.TemporaryFile() as file:
            with pq.ParquetWriter(file, table.schema_arrow, compression="zstd") as writer:
                while group is not None and file.tell() < SHARD:
                    writer.write_table(table.read_row_group(group))
                    group = next(left, None)
            yield file


def published(schema: pa.Schema) -> pa.Schema:
    """The schema with the features by which `load_dataset` knows the columns in its metadata."""
    return datasets.Features.from_arrow_schema(schema).arrow_schema


def shards(rows: Iterable[Row], schema: pa.Schema) -> Iterator[BinaryIO]:
    """Parquet files of about SHARD bytes, one row a row group, each gone when the next one is asked for.

    They have no names: nothing is left of them where the process is killed. The same rows give the same bytes.
    """
    rows = iter(rows)
    row = next(rows, None)
    while row is not None:
        with tempfile.TemporaryFile() as file:
            writer = parquet.Writer(file, schema)
            while row is not None and writer.size < SHARD:
                writer.write(row)
                row = next(rows, None)
            writer.close()
            yield file


def _counted(rows: Iterable[Row], facts: card.Split, name: str, bar: tqdm) -> Iterator[Row]:
    """The rows, while they are counted for the card; those that do not say where they are from, are of `name`."""
    for row in rows:
        yield row
        facts.parts.setdefault(row.source_dataset or name, card.Part()).add(row)
        facts.memory += to_record_batch(row).nbytes
        bar.update()


def _is_name(text: str) -> bool:
    """Whether this can be the name of a repository, its owner's included."""
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return text.count("/") == 1


def _files_of(content: bytes) -> set[File]:
    """What a file of this content can be on the Hub, which decides whether it is a large one."""
    as_git_names_it = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return {File(len(content), name) for name in (as_git_names_it, hashlib.sha256(content).hexdigest())}


def _told(name: str, error: BaseException) -> TemporaryFailure | BadInput:
    """What to make of an error of the Hub's client: something that may pass, or a line for the user."""
    for cause in _chain(error):
        if isinstance(cause, HfHubHTTPError):
            status = cause.response.status_code
            found = f"{status} {cause.response.reason_phrase}".strip()
            if status in http_client.PASSING:
                return TemporaryFailure(found, http_client.asked_wait(cause.response.headers))
            if status == 403 and isinstance(error, RuntimeError):  # from the upload itself: its address has expired
                return TemporaryFailure(found)
            return BadInput(name, WRITABLE, ": ".join(filter(None, [found, cause.server_message])), CHECK)
        if isinstance(cause, httpx2.TimeoutException):
            return TemporaryFailure(f"silence for {http_client.SILENT_SECONDS:g} s")
        if isinstance(cause, httpx2.TransportError):
            return TemporaryFailure("a connection that broke off")
        if isinstance(cause, json.JSONDecodeError):
            return TemporaryFailure("an answer that is no JSON")
        if isinstance(cause, LocalTokenNotFoundError):
            return BadInput(name, WRITABLE, "no token", "log in (hf auth login) or set HF_TOKEN; nothing was done")
    return BadInput(name, "the Hub to take it", f"{type(error).__name__}: {error}", CHECK)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
