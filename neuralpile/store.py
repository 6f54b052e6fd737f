"""Where rows are kept: Hugging Face data sets on disk (Arrow, one byte a token), and on the Hub.

A data set of any size is opened without reading it: the files are mapped into memory, and a row's counts are a view.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import datasets
import pyarrow as pa

from neuralpile import catalog, files
from neuralpile.errors import BadInput
from neuralpile.files import whole_file, write_text
from neuralpile.rows import Names, Row, from_table, names_of, to_record_batch

if TYPE_CHECKING:
    from neuralpile.hub import DataSetOnHub

METADATA = b"neuralpile"  # key of what is kept in the schema of an Arrow file
INFO = "dataset_info.json"
SPLITS = "dataset_dict.json"  # of a data set with several splits: names them
MANIFEST = "manifest.json"  # what the rows were made of
MAPPED = 20  # rows: a fifth of a gigabyte, by the default limit of tokens in a row
STATE = "state.json"  # names the data files; where it is missing, the data set is not finished


@dataclass(frozen=True)
class DataSetOnDisk:
    """An opened data set: its name and the rows of all its splits."""

    name: str
    splits: dict[str, datasets.Dataset]
    folder: Path | None = None  # where it is, unless on the Hub

    @property
    def is_merged(self) -> bool:
        """Whether its rows say from which data set they are."""
        return any("source_dataset" in split.features for split in self.splits.values())

    def __len__(self) -> int:
        """Number of rows, over all splits."""
        return sum(len(split) for split in self.splits.values())

    @property
    def fingerprint(self) -> str:
        """Changes with the rows: `datasets` keys its own caches with these."""
        return " ".join(split._fingerprint for split in self.splits.values())

    @cached_property
    def _arrow(self) -> dict[str, datasets.Dataset]:
        """The splits, that give Arrow tables; made once, for it takes 60 ms where a data set has 700 files."""
        return {name: split.with_format("arrow") for name, split in self.splits.items()}

    def names(self) -> list[Names]:
        """What the rows are called, in their order; their counts are not read."""
        tables = (split.select_columns(list(Names._fields)) for split in self._arrow.values())
        return [name for table in tables if len(table) for name in names_of(table[:])]

    def tokens(self) -> list[int]:
        """How many tokens each row has."""
        return [self.row(i).counts.size for i in range(len(self))]

    def manifest(self) -> dict[str, object] | None:
        """What it was made of, as its `manifest.json` says; None where it has none that can be read."""
        path = self.folder and self.folder / MANIFEST
        return parse_manifest(path.read_bytes()) if path and path.is_file() else None

    def row(self, i: int) -> Row:
        """Row `i`, counted over all splits in their order. Its counts are a read-only view of the file.

        Raises BadInput where the row does not hold spike counts as this project writes them.
        """
        for name, split in self._arrow.items():
            if i < len(split):
                try:
                    return from_table(split[i : i + 1])
                except ValueError as error:
                    raise BadInput(f"{self.name}, {name}, row {i}", *error.args, "build it again") from None
            i -= len(split)
        raise IndexError(i)

    def __iter__(self) -> Iterator[Row]:
        return self.read(range(len(self)))

    def read(self, numbers: Sequence[int]) -> Iterator[Row]:
        """These rows; what was read of them does not stay in memory."""
        for start in range(0, len(numbers), MAPPED):
            yield from map(self.row, numbers[start : start + MAPPED])
            self.release()

    def release(self) -> None:
        """Take what was read of the files out of this process's memory. It comes back where it is used again."""
        if self.folder:
            files.unmap_pages(self.folder)


def open_data_set(reference: str) -> "DataSetOnDisk | DataSetOnHub":
    """Open a data set by its name (the local build), by its path, or by its Hub repository.

    Raises:
        BadInput: there is none, it is not finished, or it has no spike counts.
    """
    build = catalog.BUILD / reference
    if Path(reference).name == reference and build.is_dir():
        folder = build
    elif Path(reference).is_dir():
        folder = Path(reference)
    elif (
        reference.count("/") == 1 and not Path(reference).parent.is_dir() and not reference.startswith((".", "/", "~"))
    ):
        from neuralpile import hub  # imports the Hub's clients

        return hub.open_repository(reference)
    else:
        known = ", ".join(built()) or "none is built yet"
        do = f"give the name of a local build ({known}), a Hub repository (someone/name) or a folder"
        raise BadInput(reference, "a data set", "none of this name", do)
    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        found = str(error) if is_finished(folder) else "none, or one whose build has not finished"
        raise BadInput(
            folder, "a finished data set", found, "run its preprocess.py or merge_datasets.py again"
        ) from None
    return _checked(folder.resolve().name, loaded, folder)


def _checked(name: str, loaded: datasets.Dataset | datasets.DatasetDict, folder: Path | None = None) -> DataSetOnDisk:
    splits = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"train": loaded}
    expected = datasets.List(datasets.List(datasets.Value("uint8")))
    do = "take a data set made by this project"
    for split in splits.values():
        found = split.features.get("spike_counts")
        if found != expected:
            raise BadInput(name, "a column spike_counts of lists of lists of uint8", str(found), do)
        for column in Names._fields:
            found = split.features.get(column)
            if found not in (datasets.Value("string"), datasets.Value("large_string")):
                raise BadInput(name, f"a column {column} of strings", str(found), do)
    return DataSetOnDisk(name, splits, folder)


def parse_manifest(content: bytes) -> dict[str, object] | None:
    """What a `manifest.json` says; None where it is not what this project writes."""
    try:
        manifest = json.loads(content)
    except ValueError:
        return None
    return manifest if isinstance(manifest, dict) else None


def built() -> list[str]:
    """The names of the finished local builds of data sets, in alphabetic order; merged corpora are not among them."""
    return [name for name in catalog.names() if is_finished(catalog.BUILD / name)]


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
