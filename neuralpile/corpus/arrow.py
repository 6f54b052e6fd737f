"""Writes rows to disk: Arrow files, and the JSON files that make them a data set for `datasets.load_from_disk`.

Formats: the Arrow IPC stream (arrow.apache.org/docs/format/Columnar.html), and the `dataset_info.json`, `state.json`
and `dataset_dict.json` of Hugging Face `datasets` (`Dataset.save_to_disk`), which any version since 2.14 reads.
"""

import errno
import json
import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neuralpile import environment
from neuralpile.corpus.manifest import MANIFEST as MANIFEST
from neuralpile.corpus.rows import (
    COUNTS,
    TOGETHER,
    AllNames,
    Names,
    Row,
    array_of,
    consecutive,
    names_of,
    to_record_batch,
    values_of,
)
from neuralpile.files import whole_file, write_text

# Errors that are of this process, not of the file: too many open files (`ulimit -n`), too little memory (`ulimit -v`)
SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
METADATA = b"neuralpile"  # key of what is kept in the schema of an Arrow file
INFO = "dataset_info.json"
SPLITS = "dataset_dict.json"  # names the splits of a data set that has several
STATE = "state.json"  # names the data files; without it, the data set is not finished
INDEX = "index.parquet"  # names and sizes of the rows, and where they are: a data set opens without reading its rows
OUTLINE = pa.schema(
    [
        ("offset", pa.int64()),  # in the file, of the record batch that the row is in, in bytes
        ("units", pa.int64()),
        ("tokens", pa.int64()),
        *((name, pa.string()) for name in Names._fields),
    ]
)


def parse_manifest(content: bytes) -> dict[str, Any] | None:
    """What a `manifest.json` says; None if it is not one that this project writes."""
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return manifest if isinstance(manifest, dict) else None


def raise_if_short(error: Exception) -> None:
    """Raise an error again that too little memory or too many open files caused: the file may be whole.

    Memory that is not limited does not end; there, it is a damaged file that asks for too much.
    """
    limited = environment.address_space() < float("inf")
    if (limited and isinstance(error, MemoryError)) or (isinstance(error, OSError) and error.errno in SHORT):
        raise error


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a finished data set, in one split or in several."""
    return (folder / STATE).is_file() or (folder / SPLITS).is_file()


def mark_unfinished(folder: Path) -> None:
    """Make a data set unreadable while its rows change: no reader gets a mixture of old and new rows."""
    (folder / STATE).unlink(missing_ok=True)


def write_rows(
    path: Path,
    rows: Iterable[Row],
    schema: pa.Schema,
    metadata: Mapping[str, Any] | None = None,
    modified_ns: int | None = None,
) -> None:
    """Write rows to an Arrow file, one record batch a row, whole or not at all.

    Parameters:
        path: the file.
        rows: written in this order.
        schema: `rows.SCHEMA` or `rows.MERGED_SCHEMA`.
        metadata: kept in the schema of the file, as JSON.
        modified_ns: becomes the file's modification time, in nanoseconds since 1970.
    """
    if metadata is not None:
        schema = schema.with_metadata({METADATA: json.dumps(metadata)})
    with whole_file(path) as partial:
        with pa.OSFile(os.fsencode(partial), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for row in rows:
                writer.write_batch(to_record_batch(row))
        if modified_ns is not None:
            os.utime(partial, ns=(modified_ns, modified_ns))


def write_shards(
    folder: Path,
    tokens: Sequence[int],
    limit: int,
    read: Callable[[range], Iterable[Row]],
    schema: pa.Schema,
    digest: str,
    split: str,
    advance: Callable[[int], object],
) -> None:
    """Write rows to Arrow files of about `limit` tokens, and make these a data set, as `finish` does.

    Files that are there, of a run that was killed, are kept.

    Parameters:
        folder: the data set's.
        tokens: of each row.
        limit: tokens in a file, a row more at most.
        read: gives a range of the rows.
        schema, digest, split: as for `finish`.
        advance: is called with the number of tokens of each row that is there.
    """
    files: list[Path] = []

    def counted(rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            yield row
            advance(row.counts.size)

    for part in consecutive(tokens, limit) or [range(0)]:
        files.append(folder / f"data-{len(files):05d}.arrow")
        if files[-1].exists():
            advance(sum(tokens[part.start : part.stop]))
        else:
            write_rows(files[-1], counted(read(part)), schema)
    finish(folder, files, schema, digest, split)


def read_metadata(path: Path) -> dict[str, Any] | None:
    """The metadata that `write_rows` kept in an Arrow file; None if there is no such file, or no such metadata."""
    try:
        with pa.memory_map(os.fsencode(path)) as source:
            metadata = json.loads((pa.ipc.open_stream(source).schema.metadata or {})[METADATA])
    except (OSError, KeyError, ValueError, RecursionError) as error:  # pyarrow's and json's errors are ValueErrors
        raise_if_short(error)
        return None
    return metadata if isinstance(metadata, dict) else None


def finish(folder: Path, files: Sequence[Path], schema: pa.Schema, digest: str, split: str = "train") -> None:
    """Make Arrow files of a folder a data set for `datasets.load_from_disk`. The same rows give the same bytes.

    Beside what `datasets` writes, `state.json` has the rows and bytes of each file. With these a data set is opened
    without opening its files, and a file that was damaged since is noticed. `index.parquet` has the names and sizes of
    the rows, and where they are.

    Parameters:
        folder: the data set's.
        files: Arrow files in it, in the order of the rows.
        schema: of the files.
        digest: stands for the rows; `datasets` keys its caches with it.
        split: name of the split.
    """
    info = {"citation": "", "description": "", "features": _features(schema), "homepage": "", "license": ""}
    write_text(folder / INFO, json.dumps(info, indent=2))
    (folder / INDEX).unlink(missing_ok=True)
    if schema.field(0).type == COUNTS:
        counted = _write_index(folder / INDEX, files, digest[:16])
    else:
        counted = [_count_rows(file) for file in files]
    state: dict[str, Any] = {
        "_data_files": [
            {"filename": file.relative_to(folder).as_posix(), "rows": rows, "bytes": file.stat().st_size}
            for file, rows in zip(files, counted, strict=True)
        ],
        "_fingerprint": digest[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    write_text(folder / STATE, json.dumps(state, indent=2, sort_keys=True))


def mapped(path: Path, in_order: bool = True) -> mmap.mmap:
    """A file in memory; if it is not read in order, the system reads only the pages that are used.

    Raises:
        OSError, ValueError: it cannot be read, or is empty.
    """
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if not in_order and hasattr(pages, "madvise"):
        pages.madvise(mmap.MADV_RANDOM)
    return pages


def release(pages: mmap.mmap) -> None:
    """Drop what was read of a mapped file from this process's memory. The page cache keeps it; views stay valid."""
    if hasattr(pages, "madvise"):
        pages.madvise(mmap.MADV_DONTNEED)


def outline(path: Path) -> pa.Table:
    """Names and sizes of the rows of an Arrow file, and where they are, of the schema `OUTLINE`.

    Of the counts, only the offsets are read. Raises pyarrow's errors, OSError and ValueError: the file is damaged.
    """
    pages = mapped(path, in_order=False)
    source = pa.BufferReader(pa.py_buffer(pages))
    reader = pa.ipc.open_stream(source)

    def of_batches() -> Iterator[tuple[list[Names], npt.NDArray[np.int64]]]:
        offset = source.tell()
        for batch in reader:
            batch.validate(full=True)
            counts = batch.column("spike_counts")
            of_units, of_rows = values_of(counts.values.offsets), values_of(counts.offsets)
            units, tokens = of_rows[1:] - of_rows[:-1], np.diff(of_units[of_rows])
            yield names_of(batch), np.stack([np.full(len(batch), offset), units, tokens])
            offset = source.tell()

    parts, left = [pa.Table.from_batches([], OUTLINE)], of_batches()  # `empty_table` imports pandas
    while some := list(islice(left, TOGETHER)):
        names = AllNames.of(name for its, _ in some for name in its).table
        numbers = np.concatenate([its for _, its in some], axis=1)
        parts.append(pa.table([*map(array_of, numbers), *names.columns], OUTLINE))
        release(pages)
    return pa.concat_tables(parts)


def _write_index(path: Path, files: Sequence[Path], fingerprint: str) -> list[int]:
    """Write the outlines of files, one after another. Returns the number of rows of each."""
    from pyarrow import parquet  # takes 25 ms, for which a command's help need not wait

    outlines = [outline(file) for file in files]
    table = pa.concat_tables([pa.Table.from_batches([], OUTLINE), *outlines]).replace_schema_metadata(
        {METADATA: fingerprint}
    )
    with whole_file(path) as partial, partial.open("wb") as file:  # a name that is not UTF-8 is none to pyarrow
        parquet.write_table(table.combine_chunks(), file, compression="zstd", write_page_checksum=True)
    return [len(its) for its in outlines]


def read_index(folder: Path, fingerprint: str) -> pa.Table | None:
    """The outlines of the files of a data set, one after another; None if it has none that belongs to its rows."""
    from pyarrow import parquet

    try:
        content = pa.BufferReader((folder / INDEX).read_bytes())
        found = parquet.ParquetFile(content, page_checksum_verification=True).read(use_threads=False)
        stated = (found.schema.metadata or {}).get(METADATA)
        found = found.replace_schema_metadata().cast(OUTLINE) if stated == fingerprint.encode() else None
        return None if found is None or any(found[name].null_count for name in OUTLINE.names[:-1]) else found
    except (OSError, pa.ArrowException, ValueError) as error:
        raise_if_short(error)
        return None


def _features(schema: pa.Schema) -> dict[str, Any]:
    """The columns as `datasets` describes them, in words that versions before 4 know too ("Sequence", not "List")."""
    return {field.name: _feature(field.type) for field in schema}


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "Sequence"}
    return {"dtype": str(kind), "_type": "Value"}


def _count_rows(path: Path) -> int:
    nothing = pa.ipc.IpcReadOptions(included_fields=[])
    with pa.memory_map(os.fsencode(path)) as source:
        return sum(batch.num_rows for batch in pa.ipc.open_stream(source, options=nothing))
