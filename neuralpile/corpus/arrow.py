"""corpus.arrow: split from store."""

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import datasets
import pyarrow as pa

from neuralpile.corpus.manifest import MANIFEST as MANIFEST
from neuralpile.corpus.rows import Row, to_record_batch
from neuralpile.files import whole_file, write_text

METADATA = b"neuralpile"  # key of what is kept in the schema of an Arrow file
INFO = "dataset_info.json"
SPLITS = "dataset_dict.json"  # of a data set with several splits: names them
STATE = "state.json"  # names the data files; where it is missing, the data set is not finished


def parse_manifest(content: bytes) -> dict[str, object] | None:
    """What a `manifest.json` says; None where it is not what this project writes."""
    try:
        manifest = json.loads(content)
    except ValueError:
        return None
    return manifest if isinstance(manifest, dict) else None


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a finished data set, in one split or in several."""
    return (folder / STATE).is_file() or (folder / SPLITS).is_file()


def mark_unfinished(folder: Path) -> None:
    """Make a data set unreadable while its rows change: nobody shall take a mixture of old and new for a data set."""
    (folder / STATE).unlink(missing_ok=True)


def write_rows(
    path: Path,
    rows: Iterable[Row],
    schema: pa.Schema,
    metadata: dict[str, object] | None = None,
    modified_ns: int | None = None,
) -> None:
    """Write rows to an Arrow file, one record batch a row, whole or not at all.

    `metadata` is kept in its schema. `modified_ns` becomes its modification time (nanoseconds since 1970).
    """
    if metadata is not None:
        schema = schema.with_metadata({METADATA: json.dumps(metadata)})
    with whole_file(path) as partial:
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for row in rows:
                writer.write_batch(to_record_batch(row).cast(schema))
        if modified_ns is not None:
            os.utime(partial, ns=(modified_ns, modified_ns))


def read_metadata(path: Path) -> dict[str, object] | None:
    """The metadata that `write_rows` kept in an Arrow file; None where there is no such file, or no such metadata."""
    try:
        with pa.memory_map(str(path)) as source:
            return json.loads((pa.ipc.open_stream(source).schema.metadata or {})[METADATA])
    except (OSError, KeyError, ValueError):  # pyarrow's and json's errors are ValueErrors
        return None


def finish(folder: Path, files: list[Path], schema: pa.Schema, digest: str, split: str = "train") -> None:
    """Make Arrow files of a folder, in this order, a data set for `datasets.load_from_disk`.

    `digest` stands for the rows: `datasets` keys its caches with it. The same rows give the same bytes.
    """
    info = datasets.DatasetInfo(features=datasets.Features.from_arrow_schema(schema))
    with tempfile.TemporaryDirectory() as made:
        info.write_to_directory(made, pretty_print=True)
        write_text(folder / INFO, (Path(made) / INFO).read_text(encoding="utf-8"))
    state = {
        "_data_files": [{"filename": file.relative_to(folder).as_posix()} for file in files],
        "_fingerprint": digest[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    write_text(folder / STATE, json.dumps(state, indent=2, sort_keys=True))
