"""Data sets on the Hugging Face Hub, read where they are: of their Parquet files only the row groups asked for.

What is found is one commit of the repository: it does not change while it is read.
"""

import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import datasets
import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfFileSystem
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from neuralpile import web
from neuralpile.errors import BadInput
from neuralpile.rows import Names, Row, from_table, names_of
from neuralpile.store import MANIFEST, parse_manifest

T = TypeVar("T")

COUNTS = pa.list_(pa.list_(pa.uint8()))
GROUPS_KEPT = 4  # row groups: where they hold several rows, these are mostly read one after the other
AHEAD = 4  # rows that are read and decoded while others are used
TRIES = 5
ROOT = r"hf://datasets/[^/]+/[^/@]+@[^/]+"  # of the addresses of a repository's files: up to the commit


@dataclass(frozen=True)
class Group:
    """A row group: its file, its number there, and the rows that it holds."""

    url: str
    number: int
    rows: int
    tokens: int


@dataclass
class DataSetOnHub:
    """An opened repository; the same to its readers as `store.DataSetOnDisk`.

    Attributes:
        name: someone/name.
        groups: the row groups of all its splits, in their order.
    """

    name: str
    fingerprint: str  # the commit, and which files
    is_merged: bool
    groups: list[Group]
    folder: None = None
    _kept: OrderedDict[int, pa.Table] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        """Number of rows, over all splits."""
        return len(self._places)

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        """The row group of each row, and its place there."""
        return [(g, i) for g, group in enumerate(self.groups) for i in range(group.rows)]

    @cached_property
    def _files(self) -> threading.local:
        return threading.local()

    def names(self) -> list[Names]:
        """What the rows are called, in their order; their counts are not read."""

        def of_a_file(url: str) -> list[Names]:
            return names_of(_persist(self.name, lambda: _open(url).read(list(Names._fields))))

        with ThreadPoolExecutor(2 * AHEAD) as pool:
            found = pool.map(of_a_file, dict.fromkeys(group.url for group in self.groups))
        return [name for names in found for name in names]

    def tokens(self) -> list[int]:
        """About how many tokens each row has: exactly, where a row group holds one row."""
        return [group.tokens // group.rows for group in self.groups for _ in range(group.rows)]

    def row(self, i: int) -> Row:
        """Row `i`, counted over all splits. Raises BadInput where it cannot be had, or holds no spike counts."""
        if not 0 <= i < len(self):
            raise IndexError(i)
        number, place = self._places[i]
        table = self._group(number)
        try:
            return from_table(table[place : place + 1].combine_chunks())
        except (ValueError, KeyError) as error:
            raise BadInput(f"{self.name}, row {i}", "a row of spike counts", str(error), "push it again") from None

    def __iter__(self) -> Iterator[Row]:
        return self.read(range(len(self)))

    def read(self, numbers: Sequence[int]) -> Iterator[Row]:
        """These rows, the next ones being read ahead."""
        with ThreadPoolExecutor(AHEAD) as pool:
            coming = deque(pool.submit(self.row, i) for i in numbers[:AHEAD])
            for i in range(len(numbers)):
                row = coming.popleft().result()
                if i + AHEAD < len(numbers):
                    coming.append(pool.submit(self.row, numbers[i + AHEAD]))
                yield row

    def manifest(self) -> dict[str, object] | None:
        """What it was made of, as its `manifest.json` says; None where it has none that can be read."""
        root = re.match(ROOT, self.groups[0].url) if self.groups else None
        if root is None:
            return None
        files = HfFileSystem()
        path = f"{root[0]}/{MANIFEST}"
        return parse_manifest(_persist(self.name, lambda: files.cat_file(path) if files.exists(path) else b""))

    def _group(self, number: int) -> pa.Table:
        with self._lock:
            if number in self._kept:
                return self._kept[number]
        group = self.groups[number]
        table = _persist(self.name, lambda: self._file(group.url).read_row_group(group.number))
        with self._lock:
            self._kept[number] = table
            while len(self._kept) > GROUPS_KEPT:
                self._kept.popitem(last=False)
        return table

    def _file(self, url: str) -> pq.ParquetFile:
        """A file of the repository, opened; each thread has its own, and keeps the last one."""
        if getattr(self._files, "url", None) != url:
            self._files.file, self._files.url = _open(url), url
        return self._files.file


def open_repository(name: str) -> DataSetOnHub:
    """Open a repository of Parquet files. Raises BadInput where there is none, or it has no spike counts."""
    datasets.config.USE_PARQUET_EXPORT = False  # a service beside the Hub, with nothing that is needed here
    builder = _persist(name, lambda: datasets.load_dataset_builder(name))
    urls = [url for files in (builder.config.data_files or {}).values() for url in files]
    urls = [url for url in urls if url.endswith(".parquet")]
    if not urls:
        raise BadInput(name, "a data set with Parquet files", "none", "give one that was pushed by this project")
    groups: list[Group] = []
    with ThreadPoolExecutor(2 * AHEAD) as pool:
        files = list(pool.map(lambda url: _persist(name, lambda: _open(url)), urls))
    for url, file in zip(urls, files, strict=True):
        schema = file.schema_arrow
        found = schema.field("spike_counts").type if "spike_counts" in schema.names else None
        if found != COUNTS:
            raise BadInput(name, "a column spike_counts of lists of lists of uint8", f"{found}", "take another")
        leaf = next(i for i in range(len(file.schema)) if file.schema.column(i).path.startswith("spike_counts."))
        for i in range(file.num_row_groups):
            about = file.metadata.row_group(i)
            if about.num_rows:
                groups.append(Group(url, i, about.num_rows, about.column(leaf).num_values))
    return DataSetOnHub(name, " ".join(urls), "source_dataset" in schema.names, groups)


def _open(url: str) -> pq.ParquetFile:
    return pq.ParquetFile(HfFileSystem().open(url, cache_type="readahead", block_size=1 << 20), pre_buffer=True)


def _persist(name: str, attempt: Callable[[], T]) -> T:
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
            time.sleep(web.RETRY_SECONDS * 2**i)
        except (pa.ArrowException, ValueError) as error:
            raise BadInput(name, "a data set on the Hub", f"{type(error).__name__}: {error}", "take another") from None
    raise AssertionError
