"""Where rows are kept: Hugging Face data sets on disk (Arrow, one byte a token), and on the Hub.

A data set of any size is opened without reading it: the files are mapped into memory, and a row's counts are a view.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import datasets

from neuralpile import catalog, files
from neuralpile.corpus.arrow import MANIFEST, is_finished, parse_manifest
from neuralpile.corpus.rows import Names, Row, from_table, names_of
from neuralpile.errors import BadInput

MAPPED = 20  # rows: a fifth of a gigabyte, by the default limit of tokens in a row


@dataclass(frozen=True)
class LocalRows:
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


def _checked(name: str, loaded: datasets.Dataset | datasets.DatasetDict, folder: Path | None = None) -> LocalRows:
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
    return LocalRows(name, splits, folder)


def built() -> list[str]:
    """The names of the finished local builds of data sets, in alphabetic order; merged corpora are not among them."""
    return [name for name in catalog.names() if is_finished(catalog.BUILD / name)]
