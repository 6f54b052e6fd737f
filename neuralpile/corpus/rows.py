"""Rows of a data set: the schema, and the segments into which long sessions are cut."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

# Exactly the published schema: spike counts (units, bins) as nested lists, and who, when and which part.
SCHEMA = pa.schema(
    [
        ("spike_counts", pa.list_(pa.list_(pa.uint8()))),
        ("subject_id", pa.string()),
        ("session_id", pa.string()),
        ("segment_id", pa.string()),
    ]
)
MERGED_SCHEMA = SCHEMA.append(pa.field("source_dataset", pa.string()))


class Row(NamedTuple):
    """One row of a data set; `counts` is a read-only view (units, bins) of what is in the file."""

    counts: np.ndarray
    subject_id: str
    session_id: str
    segment_id: str
    source_dataset: str | None = None  # only merged data sets have it


class Names(NamedTuple):
    """What a row is called."""

    subject_id: str
    session_id: str
    segment_id: str


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
        """Whether its rows say from which data set they are."""

    def __len__(self) -> int:
        """Number of rows, over all splits."""

    def names(self) -> list[Names]:
        """What the rows are called, in order, without reading their counts."""

    def tokens(self) -> list[int]:
        """Tokens in each row."""

    def row(self, i: int) -> Row:
        """Row `i`, counted over all splits in order. Raises BadInput if it holds no spike counts."""

    def __iter__(self) -> Iterator[Row]:
        """All rows, in order."""

    def read(self, numbers: Sequence[int]) -> Iterator[Row]:
        """These rows, in this order."""

    def manifest(self) -> dict[str, object] | None:
        """What it was made of; None if it has no readable `manifest.json`."""


def names_of(table: pa.Table) -> list[Names]:
    """What the rows of an Arrow table are called; its counts need not be there."""
    columns = [table.column(name).to_pylist() for name in Names._fields]
    return [Names(*row) for row in zip(*columns, strict=True)]


def segment_length(n_units: int, n_bins: int, limit: int, as_published: bool = False) -> int:
    """Bins in each segment but the last, which may be shorter.

    A session of at most `limit` tokens (units × bins) is one segment. Others are cut into the smallest number k of
    segments of ceil(bins / k) bins for which none has more than `limit` tokens. With `as_published`, k is
    ceil(tokens / limit), and a segment can exceed the limit by fewer tokens than there are units.

    Raises:
        ValueError: one bin of so many units is more than the limit.
    """
    if n_units > limit:
        raise ValueError(f"at most {limit:,} units, the token limit of a row", f"{n_units:,} units")
    if n_units * n_bins <= limit:
        return n_bins
    # ceil(bins / k) <= longest just where k >= ceil(bins / longest); with that k no segment is empty.
    longest = limit // n_units
    k = -(-n_units * n_bins // limit) if as_published else -(-n_bins // longest)
    return -(-n_bins // k)


def segments(counts: np.ndarray, limit: int, as_published: bool = False) -> Iterator[np.ndarray]:
    """Cut counts (units, bins) along time into views (units, bins of the segment); none for a session without bins.

    Raises ValueError as `segment_length` does.
    """
    n_units, n_bins = counts.shape
    if counts.size == 0:
        return
    length = segment_length(n_units, n_bins, limit, as_published)
    for start in range(0, n_bins, length):
        yield counts[:, start : start + length]


def digest(rows: Iterable[Row]) -> str:
    """SHA-256 over the content of rows: their names, shapes and counts, in this order."""
    sha = hashlib.sha256()
    for row in rows:
        sha.update(repr((row[1:], row.counts.shape)).encode())
        sha.update(np.ascontiguousarray(row.counts))
    return sha.hexdigest()


def to_record_batch(row: Row) -> pa.RecordBatch:
    """One row as an Arrow record batch of `SCHEMA`, or of `MERGED_SCHEMA` where it has a source data set."""
    n_units, n_bins = row.counts.shape
    values = pa.array(np.ascontiguousarray(row.counts).reshape(-1))
    units = pa.ListArray.from_arrays(pa.array(np.arange(n_units + 1, dtype=np.int32) * n_bins), values)
    spike_counts = pa.ListArray.from_arrays(pa.array([0, n_units], pa.int32()), units)
    schema = SCHEMA if row.source_dataset is None else MERGED_SCHEMA
    strings = [pa.array([value]) for value in row[1 : len(schema)]]
    return pa.RecordBatch.from_arrays([spike_counts, *strings], schema=schema)


def from_table(table: pa.Table) -> Row:
    """The row in an Arrow table of one row. The counts are a view of the table's memory, not a copy.

    Raises ValueError where `spike_counts` is not a matrix of uint8, or a name is missing: what was expected, and found.
    """
    units = table.column("spike_counts").chunk(0)[0].values
    if units is None or units.type != pa.list_(pa.uint8()):
        found = "null" if units is None else str(units.type)
        raise ValueError("spike_counts to be lists of lists of uint8", found)
    values = units.flatten()
    if units.null_count or values.null_count:
        raise ValueError("spike_counts of every unit in every bin", "null")
    lengths = np.diff(units.offsets.to_numpy())
    if len(lengths) and (lengths != lengths[0]).any():
        raise ValueError("all units of a row to have the same number of bins", f"{lengths.min()} to {lengths.max()}")
    names = {name: table.column(name)[0].as_py() for name in MERGED_SCHEMA.names[1:] if name in table.column_names}
    if None in names.values():
        raise ValueError(f"a {next(name for name in names if names[name] is None)} of every row", "null")
    counts = values.to_numpy().reshape(len(units), int(lengths[0]) if len(lengths) else 0)
    return Row(counts, **names)
