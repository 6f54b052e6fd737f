"""Data sets on the Hugging Face Hub, read where they are: of their Parquet files only the row groups asked for.

What is found is one commit of the repository: it does not change while it is read.
"""

import logging
import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

import datasets
import httpx2
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfFileSystem
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils._http import hf_request_event_hook

from neuralpile import http_client
from neuralpile.corpus.arrow import MANIFEST, parse_manifest
from neuralpile.corpus.rows import Names, Row, from_table, names_of
from neuralpile.errors import BadInput

T = TypeVar("T")

COUNTS = pa.list_(pa.list_(pa.uint8()))
GROUPS_KEPT = 2  # row groups with several rows: these are mostly asked for one after the other
THREADS = 8  # that wait for answers
DECODERS = 4  # row groups that are read and decoded at a time,
AHEAD = 50_000_000  # and tokens, at one byte each, that are while others are used; one row group at least
TRIES = 5
ROOT = r"hf://datasets/[^/]+/[^/@]+@[^/]+"  # of the addresses of a repository's files: up to the commit


@dataclass(frozen=True)
class Group:
    """A row group: its file, its number there, and the rows that it holds."""

    url: str
    number: int
    rows: int
    tokens: int
    footer: pq.FileMetaData = field(repr=False)  # of the file, which is thus read once

    def open(self) -> pq.ParquetFile:
        """Its file."""
        return _open(self.url, self.footer)


@dataclass
class HubRows:
    """An opened repository; the same to its readers as `store.LocalRows`.

    Attributes:
        name: someone/name.
        groups: the row groups of all its splits, in their order.
    """

    name: str
    fingerprint: str  # the commit, and which files
    is_merged: bool
    groups: list[Group]
    folder: None = None
    _kept: OrderedDict[int, Future[list[Row]]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        """Number of rows, over all splits."""
        return len(self._places)

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        """The row group of each row, and its place there."""
        return [(g, i) for g, group in enumerate(self.groups) for i in range(group.rows)]

    def names(self) -> list[Names]:
        """What the rows are called, in their order; their counts are not read."""

        def of(group: Group) -> list[Names]:
            return names_of(_retry(self.name, lambda: group.open().read_row_group(group.number, [*Names._fields])))

        with ThreadPoolExecutor(THREADS) as pool:
            return [name for names in pool.map(of, self.groups) for name in names]

    def tokens(self) -> list[int]:
        """About how many tokens each row has: exactly, where a row group holds one row; their sum is exact."""
        return [(group.tokens + i) // group.rows for group in self.groups for i in range(group.rows)]

    def row(self, i: int) -> Row:
        """Row `i`, counted over all splits. Raises BadInput where it cannot be had, or holds no spike counts."""
        if not 0 <= i < len(self):
            raise IndexError(i)
        number, place = self._places[i]
        return self._group(number)[place]

    def __iter__(self) -> Iterator[Row]:
        return self.read(range(len(self)))

    def read(self, numbers: Sequence[int]) -> Iterator[Row]:
        """These rows, the next ones being read ahead; neighbours in a row group are read together."""
        places = groupby((self._places[i] for i in numbers), key=itemgetter(0))
        left = deque((self.groups[number], [place for _, place in those]) for number, those in places)
        coming: deque[tuple[Group, list[int], Future[list[Row]]]] = deque()
        with ThreadPoolExecutor(DECODERS) as pool:
            while coming or left:
                while left and (not coming or sum(group.tokens for group, *_ in coming) + left[0][0].tokens <= AHEAD):
                    group, wanted = left.popleft()
                    coming.append((group, wanted, pool.submit(self._read, group)))
                _, wanted, decoded = coming.popleft()
                group_rows = decoded.result()
                yield from (group_rows[place] for place in wanted)

    def manifest(self) -> dict[str, object] | None:
        """What it was made of, as its `manifest.json` says; None where it has none that can be read."""
        root = re.match(ROOT, self.groups[0].url) if self.groups else None
        if root is None:
            return None
        files = HfFileSystem()
        path = f"{root[0]}/{MANIFEST}"
        return parse_manifest(_retry(self.name, lambda: files.cat_file(path) if files.exists(path) else b""))

    def _group(self, number: int) -> list[Row]:
        """The rows of a row group; whoever asks while another thread reads it waits for that."""
        if self.groups[number].rows == 1:
            return self._read(self.groups[number])
        with self._lock:
            mine = number not in self._kept
            kept = self._kept.setdefault(number, Future())
            self._kept.move_to_end(number)
            while len(self._kept) > GROUPS_KEPT:
                self._kept.popitem(last=False)
        if mine:
            try:
                kept.set_result(self._read(self.groups[number]))
            except BaseException as error:  # also an interrupt: nobody may wait for ever
                with self._lock:
                    self._kept.pop(number, None)
                kept.set_exception(error)
        return kept.result()

    def _read(self, group: Group) -> list[Row]:
        """The rows of a row group, decoded one by one: all at once take several times the memory."""
        return _retry(self.name, lambda: [*map(self._row, group.open().iter_batches(1, [group.number]))])

    def _row(self, batch: pa.RecordBatch) -> Row:
        table = pa.Table.from_batches([batch])
        place = table.column_names.index("spike_counts")
        try:
            if table.schema.types[place] != COUNTS:
                table = table.set_column(place, "spike_counts", table.column(place).cast(COUNTS))
            return from_table(table)
        except ValueError as error:  # pyarrow's have one argument
            expected, found = error.args if len(error.args) == 2 else ("rows of spike counts", str(error))
            raise BadInput(self.name, expected, found, "push them again") from None


@cache
def configure_client() -> None:
    """Have the Hub's client, which would wait for ever, give up a silent server, and log no signed addresses."""
    huggingface_hub.set_client_factory(_client)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def _client() -> httpx2.Client:
    """As the Hub's client makes it, but for the end to waiting."""
    return httpx2.Client(event_hooks={"request": [hf_request_event_hook, _end_waiting]}, follow_redirects=True)


def _end_waiting(request: httpx2.Request) -> None:
    """Give a request our timeouts, whatever it has: some of the Hub's calls ask for none."""
    timeout = httpx2.Timeout(http_client.SILENT_SECONDS, connect=http_client.CONNECT_SECONDS)
    request.extensions["timeout"] = timeout.as_dict()


def open_repository(name: str) -> HubRows:
    """Open a repository of Parquet files. Raises BadInput where there is none, or it has no spike counts."""
    configure_client()
    datasets.config.USE_PARQUET_EXPORT = False  # a service beside the Hub, with nothing that is needed here
    builder = _retry(name, lambda: datasets.load_dataset_builder(name))
    urls = [url for files in (builder.config.data_files or {}).values() for url in files]
    urls = [url for url in urls if url.endswith(".parquet")]
    if not urls:
        raise BadInput(name, "a data set with Parquet files", "none", "give one that was pushed by this project")
    groups: list[Group] = []
    with ThreadPoolExecutor(THREADS) as pool:
        files = list(pool.map(lambda url: _retry(name, lambda: _open(url)), urls))
    for url, file in zip(urls, files, strict=True):
        schema = file.schema_arrow
        types = dict(zip(schema.names, schema.types, strict=True))
        found = types.get("spike_counts")
        if found is None or not _is_counts(found):
            raise BadInput(name, "a column spike_counts of lists of lists of uint8", f"{found}", "take another")
        for column in Names._fields:
            if types.get(column) not in (pa.string(), pa.large_string()):
                raise BadInput(name, f"a column {column} of strings", f"{types.get(column)}", "take another")
        leaf = next(i for i in range(len(file.schema)) if file.schema.column(i).path.startswith("spike_counts."))
        for i in range(file.num_row_groups):
            about = file.metadata.row_group(i)
            if about.num_rows:
                groups.append(Group(url, i, about.num_rows, about.column(leaf).num_values, file.metadata))
    return HubRows(name, " ".join(urls), "source_dataset" in schema.names, groups)


def _is_counts(found: pa.DataType) -> bool:
    """Whether a column holds lists of lists of uint8; other writers count them with 64 bits."""
    for _ in range(2):
        if not (pa.types.is_list(found) or pa.types.is_large_list(found)):
            return False
        found = found.value_type
    return found == pa.uint8()


def _open(url: str, footer: pq.FileMetaData | None = None) -> pq.ParquetFile:
    """A file, of which only what is asked for is fetched: pyarrow asks for the ranges of its columns, joined."""
    return pq.ParquetFile(HfFileSystem().open(url, cache_type="none"), metadata=footer, pre_buffer=True)


def _retry(name: str, attempt: Callable[[], T]) -> T:
    """Try until it succeeds; what the Hub's clients try again themselves has been tried then. Raises BadInput."""
    for i in range(TRIES):
        try:
            return attempt()
        except (datasets.exceptions.DatasetNotFoundError, RepositoryNotFoundError, FileNotFoundError) as error:
            do = "check the name and, for a private repository, your token (HF_TOKEN)"
            raise BadInput(name, "a data set on the Hub", f"{type(error).__name__}: {error}", do) from None
        except (HfHubHTTPError, httpx2.HTTPError, OSError, ConnectionError) as error:
            if i == TRIES - 1:
                do = "check your network, and run the same command again"
                raise BadInput(name, "a data set on the Hub", f"{type(error).__name__}: {error}", do) from None
            time.sleep(http_client.RETRY_SECONDS * 2**i)
        except (pa.ArrowException, ValueError) as error:
            raise BadInput(name, "a data set on the Hub", f"{type(error).__name__}: {error}", "take another") from None
    raise AssertionError
