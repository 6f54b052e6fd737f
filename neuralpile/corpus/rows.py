"""Rows of a data set: their schema, how long sessions are cut into segments, and what every source of rows offers."""

import difflib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neuralpile.cli import plural
from neuralpile.errors import BadInput, Mismatch

# Exactly the published schema: spike counts (units, bins) as nested lists, then subject, session and segment.
COUNTS = pa.list_(pa.list_(pa.uint8()))
SCHEMA = pa.schema(
    [
        ("spike_counts", COUNTS),
        ("subject_id", pa.string()),
        ("session_id", pa.string()),
        ("segment_id", pa.string()),
    ]
)
MERGED_SCHEMA = SCHEMA.append(pa.field("source_dataset", pa.string()))
TOGETHER = 1_000  # names that are Python objects at a time


class Row(NamedTuple):
    """One row of a data set.

    Attributes:
        counts: spike counts (units, bins), uint8; read-only, a view of the file.
        subject_id: animal or person, as the recording names it.
        session_id: name of the session.
        segment_id: `segment_<i>`, the i-th part of the session along time.
        source_dataset: name of the data set; only rows of merged corpora have it.
        split: of the data set that the row was read from; None where it was not read from one.
    """

    counts: npt.NDArray[np.uint8]
    subject_id: str
    session_id: str
    segment_id: str
    source_dataset: str | None = None
    split: str | None = None


class Names(NamedTuple):
    """What a row is called; only rows of merged corpora have a source data set."""

    subject_id: str
    session_id: str
    segment_id: str
    source_dataset: str | None = None


class AllNames(Sequence[Names]):
    """What the rows of a data set are called, in order: `Names` by number, of which only a few are Python objects.

    Attributes:
        table: with the columns of `Names`; `source_dataset` is null in data sets that are not merged.

    Example:
        >>> names = AllNames.of([Names("A", "1", "segment_0"), Names("A", "2", "segment_0")])
        >>> len(names), names[1].session_id
        (2, '2')
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()
        self._columns = [column.combine_chunks() for column in self.table.columns]

    @classmethod
    def of(cls, names: Iterable[Names]) -> "AllNames":
        """The same names."""
        left = iter(names)
        schema = pa.schema([(name, pa.string()) for name in Names._fields])
        parts = [pa.Table.from_batches([], schema)]  # `empty_table` imports pandas
        while some := list(islice(left, TOGETHER)):
            parts.append(pa.table([strings(column) for column in zip(*some, strict=True)], schema))
        return cls(pa.concat_tables(parts))

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, i: int) -> Names: ...

    @overload
    def __getitem__(self, i: slice) -> list[Names]: ...

    def __getitem__(self, i: int | slice) -> Names | list[Names]:
        if isinstance(i, slice):
            return [self[n] for n in range(*i.indices(len(self)))]
        return Names(*(column[i].as_py() for column in self._columns))

    def __iter__(self) -> Iterator[Names]:
        for start in range(0, len(self), TOGETHER):
            yield from names_of(self.table.slice(start, TOGETHER))


class Texts(Sequence[tuple[str, ...]]):
    """Lines of columns of text, by number, of which only a few are Python objects.

    Attributes:
        columns: without nulls, all of one length.

    Example:
        >>> lines = Texts(strings(["A", "B"]), strings(["1", "2"]))
        >>> lines[1], [*lines.take(np.array([1, 0]))]
        (('B', '2'), [('B', '2'), ('A', '1')])
    """

    def __init__(self, *columns: pa.Array) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    @overload
    def __getitem__(self, i: int) -> tuple[str, ...]: ...

    @overload
    def __getitem__(self, i: slice) -> "Texts": ...

    def __getitem__(self, i: int | slice) -> "tuple[str, ...] | Texts":
        if isinstance(i, slice):
            return Texts(*(column[i] for column in self.columns))
        return tuple(column[i].as_py() for column in self.columns)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        for start in range(0, len(self), TOGETHER):
            yield from zip(*(column[start : start + TOGETHER].to_pylist() for column in self.columns), strict=True)

    def take(self, numbers: npt.NDArray[np.int64]) -> "Texts":
        """The lines of these numbers, in this order."""
        return Texts(*(column.take(array_of(numbers)) for column in self.columns))

    def different(self) -> "tuple[Texts, npt.NDArray[np.int64]]":
        """The different lines, and the number of each line among them: (lines,)."""
        number = np.zeros(len(self), np.int64)
        for column in self.columns:
            code = values_of(column.dictionary_encode().indices).astype(np.int64)
            _, number = np.unique(number * (code.max(initial=0) + 1) + code, return_inverse=True)
        return self.take(np.unique(number, return_index=True)[1]), number


class RowSource(Protocol):
    """Rows that can be read: an opened data set or corpus, on disk (`store.LocalRows`) or on the Hub (`HubRows`)."""

    @property
    def name(self) -> str:
        """Its name: of the folder, or someone/name on the Hub."""

    @property
    def folder(self) -> Path | None:
        """Where it is on disk; None on the Hub."""

    @property
    def fingerprint(self) -> str:
        """A string that changes with the rows."""

    @property
    def is_merged(self) -> bool:
        """Whether its rows name the data set that they are from."""

    @property
    def splits(self) -> dict[str, range]:
        """The numbers of the rows of each split, in order."""

    def __len__(self) -> int:
        """Number of rows, over all splits."""

    def names(self) -> AllNames:
        """What the rows are called, in order. Their counts are not read."""

    def tokens(self) -> list[int]:
        """Tokens in each row."""

    def row(self, i: int) -> Row:
        """Row `i`, counted over all splits in order. Raises BadInput if it holds no spike counts."""

    def session(self, *key: str | None) -> list[Row]:
        """The rows of a session, in order of time, from all splits: `session(source_dataset, subject_id, session_id)`.

        Data sets that are not merged take `session(subject_id, session_id)` too. Raises BadInput: there is none.
        """

    def only(self, split: str) -> "RowSource":
        """The rows of one split alone, counted from 0. Raises BadInput: there is no such split."""

    def __iter__(self) -> Iterator[Row]:
        """All rows, in order."""

    def read(self, numbers: Sequence[int]) -> Iterator[Row]:
        """These rows, in this order."""

    def manifest(self) -> dict[str, Any] | None:
        """What it was made of; None if it has no readable `manifest.json`."""

    def sessions(self) -> pa.Table:
        """Its table of sessions (`tables.SESSIONS`), of all splits; made of the rows if it was built without."""

    def units(self) -> pa.Table | None:
        """Its table of units (`tables.UNITS`), of all splits; None if it was built without."""


@dataclass(frozen=True)
class DerivedRows:
    """What rows that are made of those of a data set have from it.

    Attributes:
        source: the data set.
    """

    source: RowSource

    @property
    def name(self) -> str:
        """Its name: that of the data set."""
        return self.source.name

    @property
    def folder(self) -> Path | None:
        """Where the data set is on disk; None on the Hub."""
        return self.source.folder

    @property
    def is_merged(self) -> bool:
        """Whether its rows name the data set that they are from."""
        return self.source.is_merged


class LocalSource(RowSource, Protocol):
    """Rows that are on this machine, of which parts can be read in any order."""

    def shapes(self) -> npt.NDArray[np.int64]:
        """Units and bins of each row: (rows, 2)."""

    @property
    def n_files(self) -> int:
        """Number of files: each can take a file handle."""

    def in_any_order(self) -> "LocalSource":
        """The same rows; of those whose counts are views of a file, only the pages that are used are read."""

    def prefetch(self, i: int, units: npt.NDArray[np.int64], start: int, stop: int) -> None:
        """Ask the system to read these units (ascending) of row `i`, from one bin to before another; do not wait."""


def check_schema(schema: pa.Schema, large: bool = False) -> None:
    """Check that a schema has the columns of rows; it can have others too.

    Parameters:
        schema: of a file.
        large: lists of counts can have offsets of 64 bits, for a reader that casts them.

    Raises:
        Mismatch: a column is missing, or of another type.
    """
    types = dict(zip(schema.names, schema.types, strict=True))
    if len(types) < len(schema.names):
        raise Mismatch("columns of different names", ", ".join(schema.names))
    counts = types.get("spike_counts")
    if not (_is_counts(counts) if large else counts == COUNTS):
        raise Mismatch("a column spike_counts of lists of lists of uint8", str(types.get("spike_counts")))
    for column in (*SCHEMA.names[1:], *(["source_dataset"] if "source_dataset" in types else [])):
        if types.get(column) not in (pa.string(), pa.large_string()):
            raise Mismatch(f"a column {column} of strings", str(types.get(column)))


def _is_counts(found: pa.DataType | None) -> bool:
    """Whether a column holds lists of lists of uint8, with offsets of 32 or 64 bits."""
    for _ in range(2):
        if found is None or not (pa.types.is_list(found) or pa.types.is_large_list(found)):
            return False
        found = found.value_type
    return bool(found == pa.uint8())


def check_split(source: RowSource, split: str) -> None:
    """Raise BadInput if a data set has no split of this name."""
    if split not in source.splits:
        found = ", ".join(source.splits) or "none"
        raise BadInput(source.name, f"a split {split}", found, f"name one of its splits: {found}")


def names_of(table: pa.Table) -> list[Names]:
    """What the rows of an Arrow table are called; its counts need not be there."""
    columns = [table.column(name).to_pylist() for name in Names._fields if name in table.column_names]
    return [Names(*row) for row in zip(*columns, strict=True)]


def segment_number(segment_id: str) -> int:
    """The number at the end of the id of a segment; 0 if it has none.

    Example:
        >>> segment_number("segment_10"), segment_number("part1")
        (10, 0)
    """
    number = segment_id.rpartition("_")[2]
    return int(number) if number.isdecimal() else 0


def sessions_of(names: Iterable[Names]) -> dict[tuple[str, ...], list[int]]:
    """The numbers of the rows of each session, in order of their segments.

    A session is named by source data set (where the rows have one), subject and session. If several files share one
    name, their segments of one number stand side by side, in the order of the rows.

    Example:
        >>> sessions_of([Names("A", "1", "segment_10"), Names("A", "1", "segment_9")])
        {('A', '1'): [1, 0]}
    """
    found: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for i, name in enumerate(names):
        source = () if name.source_dataset is None else (name.source_dataset,)
        segment = segment_number(name.segment_id)
        found.setdefault((*source, name.subject_id, name.session_id), []).append((segment, i))
    return {key: [i for _, i in sorted(its)] for key, its in found.items()}


def find_session(sessions: Mapping[tuple[str, ...], list[int]], key: Sequence[str | None], where: str) -> list[int]:
    """The numbers of a session's rows.

    Parameters:
        sessions: as `sessions_of` gives them.
        key: source data set (None, or absent, in data sets that are not merged), subject and session.
        where: name of the data set, for the error.

    Raises:
        BadInput: there is no such session; the error names those whose names are nearest.
    """
    name = tuple(part for part in key if part is not None)
    if name in sessions:
        return sessions[name]
    written = {" / ".join(known): known for known in sessions}
    near = difflib.get_close_matches(" / ".join(name), written, n=3, cutoff=0.3)
    one = next(iter(sessions), ("subject", "session"))
    parts = ("source data set, subject and session", "subject and session")[len(one) == 2]
    do = f"give {parts}, for example {', '.join(str(written[text]) for text in near or [*written][:3])}"
    raise BadInput(where, "a session of this data set", str(name), do if sessions else "build it first")


def segment_length(n_units: int, n_bins: int, limit: int, as_published: bool = False) -> int:
    """Bins in each segment but the last, which can be shorter.

    A session of at most `limit` tokens (units × bins) is one segment. Others are cut into the smallest number k of
    segments of ceil(bins / k) bins for which none has more than `limit` tokens. With `as_published`, k is
    ceil(tokens / limit), and a segment can exceed the limit by fewer tokens than there are units.

    Raises:
        Mismatch: one bin of so many units is more than the limit.

    Example:
        >>> segment_length(81, 378_319, 10_000_000)
        94580
    """
    if n_units > limit:
        raise Mismatch(f"at most {plural(limit, 'unit')}, the token limit of a row", plural(n_units, "unit"))
    if n_units * n_bins <= limit:
        return n_bins
    # ceil(bins / k) <= longest just where k >= ceil(bins / longest); with that k no segment is empty.
    longest = limit // n_units
    k = -(-n_units * n_bins // limit) if as_published else -(-n_bins // longest)
    return -(-n_bins // k)


def segments(counts: npt.NDArray[np.uint8], limit: int, as_published: bool = False) -> Iterator[npt.NDArray[np.uint8]]:
    """Cut counts (units, bins) along time into views (units, bins of the segment); none for a session without bins.

    Raises Mismatch as `segment_length` does.
    """
    n_units, n_bins = counts.shape
    if counts.size == 0:
        return
    length = segment_length(n_units, n_bins, limit, as_published)
    for start in range(0, n_bins, length):
        yield counts[:, start : start + length]


def consecutive(tokens: Sequence[int], limit: int) -> list[range]:
    """Cut rows with these numbers of tokens into ranges, each of the fewest rows that have `limit` tokens.

    Example:
        >>> consecutive([5, 5, 1, 20, 3], 10)
        [range(0, 2), range(2, 4), range(4, 5)]
    """
    ranges, start, held = [], 0, 0
    for i, n in enumerate(tokens, 1):
        held += n
        if held >= limit or i == len(tokens):
            ranges.append(range(start, i))
            start, held = i, 0
    return ranges


def digest(rows: Iterable[Row]) -> str:
    """SHA-256 over the content of rows: their names, shapes and counts, in this order."""
    sha = hashlib.sha256()
    for row in rows:
        sha.update(repr((row[1:5], row.counts.shape)).encode())
        sha.update(np.ascontiguousarray(row.counts).data)
    return sha.hexdigest()


def to_record_batch(row: Row) -> pa.RecordBatch:
    """One row as an Arrow record batch of `SCHEMA`, or of `MERGED_SCHEMA` if it has a source data set."""
    n_units, n_bins = row.counts.shape
    values = array_of(np.ascontiguousarray(row.counts).reshape(-1))
    units = pa.ListArray.from_arrays(array_of(np.arange(n_units + 1, dtype=np.int32) * np.int32(n_bins)), values)
    spike_counts = pa.ListArray.from_arrays(array_of(np.array([0, n_units], np.int32)), units)
    schema = SCHEMA if row.source_dataset is None else MERGED_SCHEMA
    names = [strings([getattr(row, name)]) for name in schema.names[1:]]
    return pa.RecordBatch.from_arrays([spike_counts, *names], schema=schema)


def strings(values: Sequence[str | None]) -> pa.Array:
    """An Arrow array of strings: `pa.array` imports pandas, which takes a quarter of a second and 40 MB."""
    encoded = [(value or "").encode() for value in values]
    valid = np.packbits([value is not None for value in values], bitorder="little") if None in values else None
    offsets = np.fromiter(accumulate(map(len, encoded), initial=0), np.int32, len(encoded) + 1)
    present = None if valid is None else pa.py_buffer(valid)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)), present)


def array_of(values: npt.NDArray[Any]) -> pa.Array:
    """Numbers as an Arrow array that is a view of them, without pandas, as `strings`."""
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])


def values_of(array: pa.Array) -> npt.NDArray[Any]:
    """An Arrow array of numbers without nulls, as a view: `to_numpy` imports pandas, which takes half a second."""
    dtype = np.dtype(array.type.to_pandas_dtype())
    content = array.buffers()[1]
    return np.frombuffer(content, dtype, len(array), array.offset * dtype.itemsize) if content else np.empty(0, dtype)


def from_table(table: pa.Table) -> Row:
    """The row in an Arrow table of one row, as `from_batch` gives it."""
    return from_batch(table.to_batches()[0], 0)


def from_batch(batch: pa.RecordBatch, i: int) -> Row:
    """Row `i` of an Arrow record batch whose columns are those of rows. The counts are a view, not a copy.

    The offsets of the batch must be valid: `batch.validate(full=True)` checks that.

    Raises:
        Mismatch: `spike_counts` is not a matrix of uint8, or a name is missing.
    """
    column = batch.column("spike_counts")
    if column.type != COUNTS or not column[i].is_valid:
        raise Mismatch(
            "spike_counts to be lists of lists of uint8", "null" if column.type == COUNTS else str(column.type)
        )
    first, last = column.offsets[i].as_py(), column.offsets[i + 1].as_py()
    units = column.values.slice(first, last - first)
    offsets = values_of(units.offsets)
    values = units.values.slice(offsets[0], offsets[-1] - offsets[0])
    if units.null_count or values.null_count:
        raise Mismatch("spike_counts of every unit in every bin", "null")
    lengths = np.diff(offsets)
    n_bins = int(lengths[0]) if len(lengths) else 0
    if (lengths != n_bins).any():
        raise Mismatch("all units of a row to have the same number of bins", f"{lengths.min()} to {lengths.max()}")
    names = {}
    for name in MERGED_SCHEMA.names[1:]:
        if name in batch.schema.names:
            names[name] = batch.column(name)[i].as_py()
            if names[name] is None:
                raise Mismatch(f"a {name} of every row", "null")
    counts = values_of(values).reshape(len(units), n_bins)
    return Row(counts, **names)
