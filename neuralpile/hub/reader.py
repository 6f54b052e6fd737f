"""Read data sets on the Hugging Face Hub in place: only the row groups that are asked for are fetched.

A repository is opened at one commit, so it does not change while it is read.
"""

import json
import re
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Any, TypeVar

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import HfHubHTTPError

from neuralpile.cli import plural
from neuralpile.corpus import tables
from neuralpile.corpus.arrow import MANIFEST, parse_manifest
from neuralpile.corpus.rows import (
    AllNames,
    Names,
    Row,
    check_schema,
    check_split,
    find_session,
    from_table,
    names_of,
    sessions_of,
)
from neuralpile.errors import BadInput, Mismatch
from neuralpile.hub import client
from neuralpile.hub.footer import count_values

T = TypeVar("T")

COUNTS = pa.list_(pa.list_(pa.uint8()))
GROUPS_KEPT = 2  # row groups of several rows that are kept: neighbours are mostly read one after the other
THREADS = 8  # requests at a time
DECODERS = 4  # row groups decoded at a time,
AHEAD = 50_000_000  # and tokens (one byte each) decoded ahead of their use; at least one row group
ROOT = r"hf://datasets/[^/]+/[^/@]+@[^/]+"  # how the address of a repository's file begins, up to the commit
OTHER = "give a data set with rows of spike counts"


@dataclass(frozen=True)
class Group:
    """A row group: its split and file, its number in the file, and its rows and tokens."""

    split: str
    url: str
    number: int
    rows: int
    tokens: int
    footer: pq.FileMetaData = field(repr=False)  # of the file; kept, to be fetched only once

    def open(self) -> pq.ParquetFile:
        """Open its file without fetching anything."""
        return _open(self.url, self.footer)


@dataclass
class HubRows:
    """The rows of a repository: a RowSource, as `store.LocalRows` is.

    Attributes:
        name: someone/name of the repository.
        fingerprint: the addresses of its files, which name the commit.
        is_merged: whether its rows say which data set they are from.
        groups: the row groups of its splits, in order.
        whole: the repository with all its splits, if this is one of them.
    """

    name: str
    fingerprint: str
    is_merged: bool
    groups: list[Group]
    folder: None = None
    whole: "HubRows | None" = field(default=None, repr=False)
    _kept: OrderedDict[int, Future[list[Row]]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs; it has no lock, and nothing that is kept."""
        return self.__dict__ | {"_kept": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_lock": threading.Lock()})

    def __len__(self) -> int:
        """Number of rows, over all splits."""
        return len(self._places)

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        """The row group of each row, and its place there."""
        return [(g, i) for g, group in enumerate(self.groups) for i in range(group.rows)]

    @property
    def splits(self) -> dict[str, range]:
        """The numbers of the rows of each split, in order: `read(splits["train"])` reads the training rows."""
        sizes: dict[str, int] = {}
        for group in self.groups:
            sizes[group.split] = sizes.get(group.split, 0) + group.rows
        ends = list(accumulate(sizes.values()))
        return {split: range(end - n, end) for (split, n), end in zip(sizes.items(), ends, strict=True)}

    def names(self) -> AllNames:
        """What the rows are called, in order, without reading their counts."""

        columns = [*Names._fields[: 4 if self.is_merged else 3]]

        def of(group: Group) -> list[Names]:
            stated = _stated(group, columns)
            return stated or self._fetch(lambda: names_of(group.open().read_row_group(group.number, columns)))

        with ThreadPoolExecutor(THREADS) as pool:
            return AllNames.of(name for names in pool.map(of, self.groups) for name in names)

    def tokens(self) -> list[int]:
        """Tokens in each row: exact where a row group has one row, else its mean. The sum is exact."""
        return [(group.tokens + i) // group.rows for group in self.groups for i in range(group.rows)]

    def row(self, i: int) -> Row:
        """Row `i`, counted over all splits in order. Raises BadInput if it cannot be read or holds no spike counts."""
        if not 0 <= i < len(self):
            raise IndexError(i)
        number, place = self._places[i]
        return self._group(number)[place]

    def only(self, split: str) -> "HubRows":
        """The rows of one split alone, counted from 0; `session` still finds those of all splits.

        Raises:
            BadInput: there is no such split.
        """
        check_split(self, split)
        groups = [group for group in self.groups if group.split == split]
        return HubRows(self.name, f"{self.fingerprint} {split}", self.is_merged, groups, whole=self.whole or self)

    def session(self, *key: str | None) -> list[Row]:
        """The rows of a session, in order of time, from all splits, as `store.LocalRows.session` gives them.

        Raises:
            BadInput: there is no such session; the error names those whose names are nearest.
        """
        whole = self.whole or self
        return list(whole.read(find_session(whole._sessions, key, self.name)))

    @cached_property
    def _sessions(self) -> dict[tuple[str, ...], list[int]]:
        return sessions_of(self.names())

    def __iter__(self) -> Iterator[Row]:
        return self.read(range(len(self)))

    def read(self, numbers: Sequence[int]) -> Iterator[Row]:
        """These rows, in this order. The next ones are read ahead; neighbours in a row group are read together."""
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
        """What it was made of; None if it has no readable `manifest.json`."""
        return parse_manifest(self._file(MANIFEST))

    def sessions(self) -> pa.Table:
        """Its table of sessions (`tables.SESSIONS`), of all splits; made of the rows' names if it has none.

        Raises:
            BadInput: it cannot be fetched, or is damaged.
        """
        content = self._file(f"data/{tables.SESSIONS_FILE}")
        where = f"{self.name}, {tables.SESSIONS_FILE}"
        return tables.parse(content, tables.SESSIONS, where) if content else tables.of_rows(self)

    def units(self) -> pa.Table | None:
        """Its table of units (`tables.UNITS`), of all splits; None if it has none.

        Raises:
            BadInput: it cannot be fetched, or is damaged.
        """
        content = self._file(f"data/{tables.UNITS_FILE}")
        return tables.parse(content, tables.UNITS, f"{self.name}, {tables.UNITS_FILE}") if content else None

    def _file(self, name: str) -> bytes:
        """The content of a file of the repository at its commit; nothing if there is no such file."""
        root = re.match(ROOT, self.groups[0].url) if self.groups else None
        if root is None:
            return b""
        path = f"{root[0]}/{name}"

        def content() -> bytes:
            files = HfFileSystem()
            return bytes(files.cat_file(path)) if files.exists(path) else b""

        return client.call(self.name, content)

    def _group(self, number: int) -> list[Row]:
        """The rows of a row group. If another thread is reading it, this one waits for that."""
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
            except BaseException as error:  # an interrupt, too: the threads that wait must be released
                with self._lock:
                    self._kept.pop(number, None)
                kept.set_exception(error)
        return kept.result()

    def _read(self, group: Group) -> list[Row]:
        """The rows of a row group, decoded one by one: all at once would take several times the memory."""

        def decoded() -> list[Row]:
            batches = group.open().iter_batches(1, [group.number])
            found = [_row(batch)._replace(split=group.split) for batch in batches]
            if len(found) != group.rows:
                raise Mismatch(f"{plural(group.rows, 'row')} in a row group", f"{len(found)}")
            return found

        return self._fetch(decoded)

    def _fetch(self, read: Callable[[], T]) -> T:
        return client.call(self.name, lambda: _damage_reported(self.name, read))


def open_repository(name: str) -> HubRows:
    """Open the Parquet files of a repository, as `datasets.load_dataset` finds them.

    Raises:
        BadInput: there is no such repository, it cannot be reached, or it has no rows of spike counts.
    """
    datasets.config.USE_PARQUET_EXPORT = False  # a service beside the Hub that is not needed here
    commit = client.call(name, lambda: HfApi().dataset_info(name).sha)
    builder = client.call(name, lambda: datasets.load_dataset_builder(name, revision=commit))
    found = builder.config.data_files or {}
    places = [(str(split), str(url)) for split, urls in found.items() for url in urls if str(url).endswith(".parquet")]
    if not places:
        raise BadInput(name, "a data set with Parquet files", "none", OTHER)

    def opened(place: tuple[str, str]) -> pq.ParquetFile:
        _, url = place
        return client.call(name, lambda: _damage_reported(name, lambda: _open(url)))

    with ThreadPoolExecutor(THREADS) as pool:
        files = list(pool.map(opened, places))
    try:
        for file in files:
            check_schema(file.schema_arrow, large=True)
        groups = _groups(places, [file.metadata for file in files])
    except Mismatch as error:
        raise error.at(name, OTHER) from None
    is_merged = "source_dataset" in files[-1].schema_arrow.names
    return HubRows(name, " ".join(url for _, url in places), is_merged, groups)


def _groups(places: Sequence[tuple[str, str]], footers: Sequence[pq.FileMetaData]) -> list[Group]:
    """The row groups that have rows; `places` are split and address. Raises Mismatch if a footer contradicts itself."""
    counted = count_values(footers, "spike_counts.")
    if counted is None:
        raise Mismatch("whole Parquet files", "a damaged one")
    groups: list[Group] = []
    for (split, url), footer, tokens in zip(places, footers, counted, strict=True):
        rows = [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]
        if sum(rows) != footer.num_rows or min([*rows, *tokens], default=0) < 0:
            raise Mismatch("whole Parquet files", "one whose footer contradicts itself")
        groups += [Group(split, url, i, rows[i], tokens[i], footer) for i in range(len(rows)) if rows[i]]
    return groups


def _stated(group: Group, columns: Sequence[str]) -> list[Names] | None:
    """The names of a row group of one row, if the statistics in the footer state them; no request is made for these.

    The smallest and the largest value are then the row's own. Writers that cut long values off in their statistics
    raise the largest one (parquet.thrift, Statistics), so that the two differ.
    """
    if group.rows != 1:
        return None
    row_group = group.footer.row_group(group.number)
    chunks = {chunk.path_in_schema: chunk for chunk in map(row_group.column, range(row_group.num_columns))}
    values = []
    for column in columns:
        statistics = chunks[column].statistics if column in chunks else None
        if statistics is None or not statistics.has_min_max or statistics.min != statistics.max:
            return None
        values.append(statistics.min)
    return [Names(*values)] if all(isinstance(value, str) for value in values) else None


def _row(batch: pa.RecordBatch) -> Row:
    """The row in a record batch of one row. Raises Mismatch if it holds no spike counts."""
    table = pa.Table.from_batches([batch])
    place = table.column_names.index("spike_counts")
    if table.schema.types[place] != COUNTS:
        table = table.set_column(place, "spike_counts", table.column(place).cast(COUNTS))
    return from_table(table)


def _open(url: str, footer: pq.FileMetaData | None = None) -> pq.ParquetFile:
    """Open a file whose bytes are fetched as they are needed: pyarrow requests the joined ranges of its columns."""
    file = HfFileSystem().open(url, cache_type="none")
    return pq.ParquetFile(file, metadata=footer, pre_buffer=True, page_checksum_verification=True)


def _damage_reported(where: str, read: Callable[[], T]) -> T:
    """What is read of a Parquet file. Raises BadInput if the file, and not the connection, is at fault."""
    try:
        return read()
    except Mismatch as error:
        raise error.at(where, "push them again") from None
    except (HfHubHTTPError, ConnectionError, json.JSONDecodeError):
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BadInput(where, "Parquet files of spike counts", "one that is damaged", "push them again") from None
