"""Reads rows from disk: Hugging Face data sets of Arrow files, one byte a token.

A data set of any size opens without reading its rows: `state.json` says which files it has. The files are mapped into
memory, a row's counts are a view of the map, and pages that were read are dropped before they hold much memory.
"""

import mmap
import resource
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar
from weakref import WeakSet

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neuralpile import catalog
from neuralpile.cli import plural
from neuralpile.corpus import arrow, tables
from neuralpile.corpus.arrow import INDEX, MANIFEST, OUTLINE, SPLITS, STATE, is_finished, parse_manifest, read_index
from neuralpile.corpus.rows import (
    MERGED_SCHEMA,
    SCHEMA,
    AllNames,
    Names,
    Row,
    check_schema,
    check_split,
    find_session,
    from_batch,
    sessions_of,
    values_of,
)
from neuralpile.errors import BadInput, Mismatch, of_json

MAPPED = 64_000_000  # bytes that are read before they are dropped from this process's memory
AROUND = 65_536  # bytes around a page that the system maps with it (`fault_around_bytes` of Linux)
OPEN = 128  # files of a data set that are open at a time, at most
HANDLES = 4  # of those that the process may have (`ulimit -n`), a quarter is for the files of opened data sets
KEPT = 4_096  # views of rows that are kept, of about 1 kB each

T = TypeVar("T")

# What pyarrow raises for damaged files; ValueError for names of columns that are not UTF-8, and for empty files.
DAMAGE = (pa.ArrowException, OSError, EOFError, ValueError)
AGAIN = "run its preprocess.py or merge_datasets.py again"


class _DataFile(msgspec.Struct):
    """An Arrow file in `state.json`. Only data sets that this project wrote have `rows` and `bytes`."""

    filename: str
    rows: Annotated[int, msgspec.Meta(ge=0)] | None = None
    bytes: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _State(msgspec.Struct):
    """What is needed of the `state.json` that `datasets` writes."""

    data_files: list[_DataFile] = msgspec.field(name="_data_files")
    fingerprint: str = msgspec.field(name="_fingerprint")
    split: str | None = msgspec.field(name="_split", default=None)
    indices: list[_DataFile] | None = msgspec.field(name="_indices_data_files", default=None)


class _Splits(msgspec.Struct):
    """The `dataset_dict.json` that `datasets` writes."""

    splits: list[str]


@dataclass
class _Index:
    """The outlines of the rows of a split (`arrow.OUTLINE`), as its folder keeps them."""

    folder: Path
    fingerprint: str
    rows: int | None  # of all files together; None where `state.json` does not say

    @cached_property
    def outlines(self) -> "_Outlines | None":
        """One after another; None if there are none that belong to the rows.

        Raises:
            BadInput: `state.json` says that there are more or fewer rows.
        """
        found = read_index(self.folder, self.fingerprint)
        if found is None or self.rows is None:
            return None
        if len(found) != self.rows:
            expected = f"{plural(len(found), 'row')}, as in {INDEX}"
            raise BadInput(self.folder / STATE, expected, f"{self.rows:,}", AGAIN)
        return _Outlines.of(found)


class _Outlines(NamedTuple):
    """The outlines of the rows of a file, or of several files, as arrays."""

    names: AllNames
    offset: npt.NDArray[np.int64]
    units: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int64]

    @classmethod
    def of(cls, table: pa.Table) -> "_Outlines":
        """The rows of a table of the schema `arrow.OUTLINE`."""
        numbers = (values_of(table[name].combine_chunks()) for name in ("offset", "units", "tokens"))
        return cls(AllNames(table.select(Names._fields)), *numbers)


@dataclass
class _File:
    """An Arrow file of rows, whose record batches are found when it is first read."""

    path: Path
    stated: int | None  # its number of rows by `state.json`
    kept: _Index | None = None  # the outlines of its split, where its folder keeps them
    first: int = 0  # the number of its first row in the split
    modified: int | None = None  # when it was opened, in nanoseconds: rows of two builds are never mixed

    @cached_property
    def schema(self) -> pa.Schema:
        """Its columns. Raises BadInput: it is damaged, or they are not those of rows."""
        try:
            pages = arrow.mapped(self.path, in_order=False)
            schema = pa.ipc.open_stream(pa.BufferReader(pa.py_buffer(pages))).schema.remove_metadata()
            check_schema(schema)
        except Mismatch as error:
            raise error.at(self.path, "give a data set that neuralpile built") from None
        except DAMAGE as error:
            arrow.raise_if_short(error)
            raise BadInput(self.path, "a whole Arrow file", str(error), AGAIN) from None
        return next((known for known in (SCHEMA, MERGED_SCHEMA) if known == schema), schema)  # 20,000 files share one

    @property
    def outlines(self) -> _Outlines:
        """Names and sizes of its rows, and where they are; lines of other files can come before and after (`lines`).

        Raises:
            BadInput: it is damaged, or has more or fewer rows than stated.
        """
        return self.kept.outlines if self.kept and self.kept.outlines else self._own

    @property
    def lines(self) -> slice:
        """Which lines of `outlines` are of its rows."""
        first = self.first if self.kept and self.kept.outlines else 0
        return slice(first, first + self.rows)

    @cached_property
    def _own(self) -> _Outlines:
        self.schema  # noqa: B018 - the columns are checked
        try:
            found = arrow.outline(self.path)
        except DAMAGE as error:
            arrow.raise_if_short(error)
            raise BadInput(self.path, "a whole Arrow file", str(error), AGAIN) from None
        if self.stated not in (None, len(found)):
            raise BadInput(self.path, f"{plural(self.stated, 'row')}, as {STATE} says", f"{len(found):,}", AGAIN)
        return _Outlines.of(found)

    def check(self, i: int, row: Row) -> None:
        """Raise BadInput if a row is not the one that its outline is of."""
        outlines, place = self.outlines, self.lines.start + i
        units, tokens = int(outlines.units[place]), int(outlines.tokens[place])
        found, expected = (*row.counts.shape, *row[1:5]), (units, tokens // max(units, 1), *outlines.names[place])
        if found != expected:
            raise BadInput(self.path, f"row {i} to be {_in_words(*expected)}", _in_words(*found), AGAIN)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self._own.names) if self.stated is None else self.stated


class _Map:
    """An Arrow file that is mapped into memory, and the rows that were taken from it."""

    def __init__(self, path: Path, in_order: bool) -> None:
        self.pages = arrow.mapped(path, in_order)
        self.content = pa.py_buffer(self.pages)
        self.rows: dict[int, Row] = {}

    def row(self, file: _File, i: int) -> Row:
        """Row `i` of the file. Raises BadInput and Mismatch."""
        offsets = file.outlines.offset[file.lines]
        try:
            source = pa.BufferReader(self.content)
            source.seek(int(offsets[i]))
            batch = pa.ipc.read_record_batch(pa.ipc.read_message(source), file.schema)
            batch.validate(full=True)  # offsets that lead outside of the values would end the process
        except DAMAGE as error:
            arrow.raise_if_short(error)
            raise BadInput(file.path, "a whole Arrow file", str(error), AGAIN) from None
        place = i - int(np.searchsorted(offsets, offsets[i]))
        if not 0 <= place < batch.num_rows:  # the index is not in the order of the file
            raise BadInput(file.path, "its rows where the index says", "others", AGAIN)
        row = from_batch(batch, place)
        file.check(i, row)
        return row

    def prefetch(self, counts: npt.NDArray[np.uint8], units: npt.NDArray[np.int64], start: int, stop: int) -> None:
        """Ask the system to read these units of a row's counts, from one bin to before another; do not wait."""
        if not hasattr(self.pages, "madvise") or not len(units):
            return
        begin = counts.ctypes.data - self.content.address + units * counts.shape[1]
        first = (begin + start) // mmap.PAGESIZE
        last = (begin + stop - 1) // mmap.PAGESIZE
        apart = first[1:] > last[:-1] + 1  # parts that are neighbours are read together
        firsts, lasts = first[np.append(True, apart)], last[np.append(apart, True)]
        for page, n_pages in zip(firsts.tolist(), (lasts - firsts + 1).tolist(), strict=True):
            _will_need(self.pages, page * mmap.PAGESIZE, n_pages * mmap.PAGESIZE)


def _in_words(units: int, bins: int, *names: str | None) -> str:
    """A row's size and names, for messages."""
    return f"{units:,} × {bins:,}, {' '.join(name for name in names if name is not None)}"


def _will_need(pages: mmap.mmap, begin: int, size: int) -> None:
    """Ask the system to read bytes of a map, from a page's first one on; those after the end do not count."""
    pages.madvise(mmap.MADV_WILLNEED, begin, size)


class _Maps:
    """Arrow files that are mapped into memory: at most OPEN, and their pages dropped after MAPPED bytes were read.

    A mapped file keeps a handle, so all data sets that are opened share those that the process may have.

    Pages of a mapped file that were read count as this process's memory, and clusters end jobs for it. Maps and views
    are kept: to map a file anew and to check it takes longer than to take a row that is kept.
    A map that is closed lives on while views of its rows do.

    Parameters:
        in_order: rows are read whole, and those that follow, too. If not, only the pages of a row that are used are
            read from the disk, and none are dropped.
    """

    _all: ClassVar["WeakSet[_Maps]"] = WeakSet()

    def __init__(self, in_order: bool = True) -> None:
        self._in_order = in_order
        self._open: OrderedDict[Path, _Map] = OrderedDict()
        self._read = self._kept = 0
        self._lock = threading.Lock()
        self._all.add(self)

    def row(self, file: _File, i: int, split: str) -> Row:
        """Row `i` of a file. Raises BadInput: the file is damaged. Raises Mismatch: the row holds no spike counts."""
        with self._lock:
            if self._read > MAPPED:
                self._release()
            mapped = self._open.pop(file.path, None) or _opened(file, self._in_order)
            self._open[file.path] = mapped
            while len(self._open) > max(1, min(OPEN, _handles() // HANDLES // len(self._all))):
                self._kept -= len(self._open.popitem(last=False)[1].rows)
            row = mapped.rows.get(i)
            if row is None:
                row = mapped.row(file, i)._replace(split=split)
                self._keep(mapped, i, row)
            self._read += row.counts.size + AROUND if self._in_order else 0
        return row

    def prefetch(self, file: _File, i: int, split: str, units: npt.NDArray[np.int64], start: int, stop: int) -> None:
        """Ask the system to read a part of a row."""
        counts = self.row(file, i, split).counts
        with self._lock:
            mapped = self._open.get(file.path)
        if mapped is not None:
            mapped.prefetch(counts, units, start, stop)

    def release(self) -> None:
        """Drop what was read from this process's memory; it is read again where it is needed."""
        with self._lock:
            self._release()

    def _release(self) -> None:
        for mapped in self._open.values():
            arrow.release(mapped.pages)
        self._read = 0

    def _keep(self, mapped: _Map, i: int, row: Row) -> None:
        if self._kept == KEPT:
            for other in self._open.values():
                other.rows.clear()
            self._kept = 0
        mapped.rows[i] = row
        self._kept += 1

    def __getstate__(self) -> dict[str, Any]:
        return {"in_order": self._in_order}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


@cache
def _handles() -> int:
    """Files that this process may have open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def _opened(file: _File, in_order: bool) -> _Map:
    try:
        found, modified = _Map(file.path, in_order), file.path.stat().st_mtime_ns
    except (OSError, ValueError) as error:  # of an empty file
        arrow.raise_if_short(error)
        raise BadInput(file.path, "a whole Arrow file", str(error), AGAIN) from None
    if file.modified not in (None, modified):
        do = "open the data set again, or start the program again"
        raise BadInput(file.path, "the file as it was when its data set was opened", "one that was written since", do)
    return found


@dataclass(frozen=True)
class LocalRows:
    """An opened data set or corpus on disk: a `RowSource`.

    Attributes:
        name: of its folder.
        files: the Arrow files of each split.
        fingerprint: changes with the rows.
        folder: where it is.
        whole: the data set with all its splits, if this is one of them.
    """

    name: str
    files: Mapping[str, Sequence[_File]]
    fingerprint: str = ""
    folder: Path | None = None
    whole: "LocalRows | None" = field(default=None, repr=False)
    _maps: _Maps = field(default_factory=_Maps, repr=False, compare=False)

    @property
    def is_merged(self) -> bool:
        """Whether its rows name the data set that they are from."""
        return any("source_dataset" in file.schema.names for files in self.files.values() for file in files[:1])

    @cached_property
    def splits(self) -> dict[str, range]:
        """The numbers of the rows of each split, in order: `read(splits["train"])` reads the training rows."""
        sizes = (sum(file.rows for file in files) for files in self.files.values())
        ends = accumulate(sizes, initial=0)
        return {split: range(*both) for split, both in zip(self.files, pairwise(ends), strict=True)}

    def __len__(self) -> int:
        """Number of rows, over all splits."""
        return int(self._ends[-1])

    @cached_property
    def _all(self) -> list[tuple[str, _File]]:
        """Each file, and its split."""
        return [(split, file) for split, files in self.files.items() for file in files]

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        """The number of rows before each file, and in all."""
        return np.cumsum([0, *(file.rows for _, file in self._all)], dtype=np.int64)

    def names(self) -> AllNames:
        """What the rows are called, in order. Their counts are not read."""
        empty = pa.Table.from_batches([], OUTLINE).select(Names._fields)  # `empty_table` imports pandas
        return AllNames(pa.concat_tables([empty, *(file.outlines.names.table[file.lines] for _, file in self._all)]))

    def tokens(self) -> list[int]:
        """Tokens in each row. Of the counts, only the offsets are read."""
        return [n for _, file in self._all for n in file.outlines.tokens[file.lines].tolist()]

    def shapes(self) -> npt.NDArray[np.int64]:
        """Units and bins of each row: (rows, 2). Of the counts, only the offsets are read."""
        both = [(file.outlines.units[file.lines], file.outlines.tokens[file.lines]) for _, file in self._all]
        parts = [np.stack([units, tokens // np.maximum(units, 1)], axis=1) for units, tokens in both]
        return np.concatenate(parts) if parts else np.empty((0, 2), np.int64)

    @property
    def n_files(self) -> int:
        """Number of Arrow files."""
        return len(self._all)

    def in_any_order(self) -> "LocalRows":
        """The same rows, for readers of parts of rows in any order: only the pages that are used are read."""
        return replace(self, _maps=_Maps(in_order=False))

    def prefetch(self, i: int, units: npt.NDArray[np.int64], start: int, stop: int) -> None:
        """Ask the system to read these units (ascending) of row `i`, from one bin to before another; do not wait."""
        number = int(np.searchsorted(self._ends, i, side="right")) - 1
        split, file = self._all[number]
        self._maps.prefetch(file, i - int(self._ends[number]), split, units, start, stop)

    def manifest(self) -> dict[str, Any] | None:
        """What it was made of, as its `manifest.json` says; None if it has none that can be read."""
        path = self.folder and self.folder / MANIFEST
        return parse_manifest(path.read_bytes()) if path and path.is_file() else None

    def sessions(self) -> pa.Table:
        """Its table of sessions (`tables.SESSIONS`), of all splits; made of the rows if it was built without.

        Raises:
            BadInput: the file is damaged.
        """
        found = tables.read_sessions(self.folder) if self.folder else None
        return tables.of_rows(self) if found is None else found

    def units(self) -> pa.Table | None:
        """Its table of units (`tables.UNITS`), of all splits; None if it was built without.

        Raises:
            BadInput: the file is damaged.
        """
        return tables.read_units(self.folder) if self.folder else None

    def row(self, i: int) -> Row:
        """Row `i`, counted over all splits in order. Its counts are a read-only view of the file.

        Raises:
            BadInput: the row does not hold spike counts as this project writes them.
        """
        if not 0 <= i < len(self):
            raise IndexError(i)
        number = int(np.searchsorted(self._ends, i, side="right")) - 1
        split, file = self._all[number]
        try:
            return self._maps.row(file, i - int(self._ends[number]), split)
        except Mismatch as error:
            raise error.at(f"{self.name}, {split}, row {i - self.splits[split].start}", "build it again") from None

    def only(self, split: str) -> "LocalRows":
        """The rows of one split alone, counted from 0; `session` still finds those of all splits.

        Raises:
            BadInput: there is no such split.
        """
        check_split(self, split)
        fingerprint = f"{self.fingerprint} {split}"
        return replace(self, files={split: self.files[split]}, fingerprint=fingerprint, whole=self.whole or self)

    def session(self, *key: str | None) -> list[Row]:
        """The rows of a session, in order of time, from all splits.

        Parameters:
            key: source data set, subject and session, as the rows name them; a data set that is not merged takes
                subject and session too. Several files that share one name are not told apart.

        Raises:
            BadInput: there is no such session; the error names those whose names are nearest.
        """
        whole = self.whole or self
        return [whole.row(i) for i in find_session(whole._sessions, key, self.name)]

    @cached_property
    def _sessions(self) -> dict[tuple[str, ...], list[int]]:
        return sessions_of(self.names())

    def __iter__(self) -> Iterator[Row]:
        return self.read(range(len(self)))

    def read(self, numbers: Sequence[int]) -> Iterator[Row]:
        """These rows, in this order. What was read of them does not stay in memory."""
        for i in numbers:
            yield self.row(i)
        self._maps.release()


def open_folder(folder: Path) -> LocalRows:
    """Open the data set in a folder.

    Raises:
        BadInput: there is none, it is not finished, it is damaged, or it has no spike counts.
    """
    try:
        if (folder / SPLITS).is_file():
            splits = _decoded(folder / SPLITS, _Splits).splits
            if len({*splits}) < len(splits) or any("\0" in split or Path(split).name != split for split in splits):
                raise BadInput(folder / SPLITS, "names of folders, each once", str(splits), AGAIN)
            lost = {path.parent.name for path in folder.glob(f"*/{STATE}")} - {*splits}
            if lost and (folder / MANIFEST).is_file():  # `datasets` leaves folders of other splits where it saves
                raise BadInput(folder / SPLITS, f"the split {min(lost)}, whose folder is there", str(splits), AGAIN)
            states = {split: _state(folder / split) for split in splits}
        else:
            state = _state(folder)
            states = {state.split or "train": state}
    except FileNotFoundError:
        found = "none, or one whose build has not finished"
        raise BadInput(folder, "a finished data set", found, AGAIN) from None
    whole = not (folder / SPLITS).is_file()
    files = {split: _files(folder if whole else folder / split, state) for split, state in states.items()}
    for first in (file for its in files.values() for file in its[:1]):
        first.schema  # noqa: B018 - the columns are checked
    fingerprint = " ".join(state.fingerprint for state in states.values())
    return LocalRows(folder.resolve().name, files, fingerprint, folder)


def _state(folder: Path) -> _State:
    state = _decoded(folder / STATE, _State)
    if state.indices:
        do = "call its flatten_indices(), and save it again"
        raise BadInput(folder / STATE, "rows in the order of their files", "a file of indices", do)
    return state


def _decoded(path: Path, kind: type[T]) -> T:
    """A JSON file. Raises BadInput where it does not have what it must have, and FileNotFoundError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(path, "the file that `datasets` writes", of_json(error), AGAIN) from None


def _files(folder: Path, state: _State) -> list[_File]:
    """The data files of a split. Raises BadInput as `_found`, or if one is named twice."""
    names = [Path(file.filename) for file in state.data_files]
    if len({*names}) < len(names):
        raise BadInput(folder / STATE, "the name of each file once", "one twice", AGAIN)
    rows = [file.rows for file in state.data_files]
    known = [n for n in rows if n is not None]
    kept = _Index(folder, state.fingerprint, sum(known) if len(known) == len(rows) else None)
    if not names:
        kept.outlines  # noqa: B018 - an index with rows is refused: nothing else would ask for it
    firsts = accumulate((n or 0 for n in rows), initial=0)
    found = [_found(folder, file) for file in state.data_files]
    return [replace(file, kept=kept, first=first) for file, first in zip(found, firsts, strict=False)]


def _found(folder: Path, stated: _DataFile) -> _File:
    """A data file. Raises BadInput: it is missing, of another size, or outside of the folder."""
    path = folder / stated.filename
    if Path(stated.filename).is_absolute() or ".." in Path(stated.filename).parts or "\0" in stated.filename:
        raise BadInput(folder / STATE, "files in this folder", repr(stated.filename), AGAIN)
    try:
        stat = path.stat()
    except OSError as error:
        arrow.raise_if_short(error)
        raise BadInput(path, "an Arrow file", error.strerror or str(error), AGAIN) from None
    if stated.bytes not in (None, stat.st_size):
        raise BadInput(path, f"{stated.bytes:,} bytes, as {STATE} says", f"{stat.st_size:,}", AGAIN)
    if (stated.rows or 0) > stat.st_size:  # no row takes less than a byte
        raise BadInput(folder / STATE, "a number of rows that the file can hold", f"{stated.rows:,}", AGAIN)
    return _File(path, stated.rows, modified=stat.st_mtime_ns)


def arrow_file(path: Path) -> _File:
    """An Arrow file of rows, as `datasets` writes it. Raises BadInput: its columns are not those of rows."""
    file = _File(path, None)
    file.schema  # noqa: B018 - the columns are checked
    return file


def built() -> list[str]:
    """The names of the finished local builds of data sets, in alphabetic order; merged corpora are not among them."""
    return [name for name in catalog.names() if is_finished(catalog.BUILD / name)]
