"""Tables of patches that need not fit in memory: kept in files, merged range by range, put in order of frequency."""

import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuralpile.files import whole_file
from neuralpile.motifs import kernels
from neuralpile.motifs.kernels import Table

Sample = list[tuple[tuple[int, ...], float]]  # some keys, and how many each stands for

SAMPLES = 256  # keys of each table by which ranges of about equal size are found
COPIES = 10  # of a range of keys that are in memory at a time: as read, merged, and on the way to a file
DIGITS = 4  # the first binary digits of the frequencies that share a file: those below 16 have a file each


@dataclass(frozen=True)
class TableFile:
    """A table in a file: for each patch the words of its key, then its frequency, as uint64 of this machine."""

    path: Path
    words: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a patch in the file."""
        return 8 * (self.words + 1)

    def __len__(self) -> int:
        return self.path.stat().st_size // self.row_bytes

    def read(self, start: int = 0, stop: int | None = None) -> Table:
        """The patches from `start` on, below `stop`."""
        n = (len(self) if stop is None else stop) - start
        rows = np.fromfile(self.path, np.uint64, n * (self.words + 1), offset=start * self.row_bytes)
        return _table(rows.reshape(n, self.words + 1))

    def __getitem__(self, i: int) -> np.ndarray:
        """The key of a patch: (words,), uint64."""
        return np.fromfile(self.path, np.uint64, self.words, offset=i * self.row_bytes)


def write(table: Table, path: Path) -> TableFile:
    """Put a table into a file, whole or not at all."""
    with whole_file(path) as partial:
        _rows(table).tofile(partial)
    return TableFile(path, table.keys.shape[1])


def _rows(table: Table) -> np.ndarray:
    return np.concatenate([table.keys, table.frequencies[:, None].astype(np.uint64)], axis=1)


def _table(rows: np.ndarray) -> Table:
    return Table(np.ascontiguousarray(rows[:, :-1]), rows[:, -1].astype(np.int64))


def merged(tables: Iterable[Table], size: int) -> Table:
    """Tables of patches of `size` bins as one."""
    left = sorted(tables, key=lambda table: -len(table.keys))
    while len(left) > 1:
        left.append(kernels.merge(left.pop(), left.pop()))
        left.sort(key=lambda table: -len(table.keys))
    return left[0] if left else kernels.empty_table(size)


def merge_files(files: Sequence[TableFile], size: int, memory: int) -> Iterator[Table]:
    """The tables of files as one, in parts that follow one another; about `memory` bytes are used."""
    rows = sum(map(len, files))
    n_ranges = -(-rows * 8 * (kernels.n_words(size) + 1) * COPIES // memory)
    starts = [0] * len(files)
    samples = itertools.chain.from_iterable(map(sample, files)) if n_ranges > 1 else ()
    for limit in [*splitters(samples, n_ranges), None]:
        stops = [len(file) if limit is None else kernels.place(file, limit) for file in files]
        parts = zip(files, starts, stops, strict=True)
        yield merged((file.read(start, stop) for file, start, stop in parts), size)
        starts = stops


def sample(keys: Sequence[np.ndarray]) -> Sample:
    """Some of the sorted keys of a table, in memory or in a file."""
    n = min(SAMPLES, len(keys))
    return [(tuple(keys[i * len(keys) // n].tolist()), len(keys) / n) for i in range(n)]


def splitters(samples: Iterable[tuple[tuple[int, ...], float]], n_ranges: int) -> list[tuple[int, ...]]:
    """Keys that divide the patches of sampled tables into so many ranges of about equal size."""
    found = sorted(samples)
    weights = np.cumsum([weight for _, weight in found])
    if n_ranges < 2 or not found:
        return []
    places = np.searchsorted(weights, weights[-1] * np.arange(1, n_ranges) / n_ranges)
    return sorted({found[i][0] for i in places})


def by_frequency(tables: Iterable[Table], folder: Path, memory: int, digits: int = DIGITS) -> Iterator[Table]:
    """Patches in the order of their frequencies, the highest first, those of one frequency as they come.

    What comes is put into files in `folder`, one for all frequencies with the same first binary digits. A file of a
    single frequency is in order, another is put in order in memory, or by more digits where `memory` bytes are too few.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        files: dict[int, TableFile] = {}
        for table in map(kernels.most_frequent_first, tables):
            rest = np.maximum(np.frexp(table.frequencies)[1] - digits, 0)
            classes = table.frequencies >> rest << rest
            starts = np.flatnonzero(np.diff(classes, prepend=0))
            for start, stop in itertools.pairwise([*starts.tolist(), len(classes)]):
                number = int(classes[start])
                file = files.setdefault(number, TableFile(Path(made) / f"{number}", table.keys.shape[1]))
                with file.path.open("ab") as out:
                    _rows(Table(table.keys[start:stop], table.frequencies[start:stop])).tofile(out)
        for number in sorted(files, reverse=True):
            file = files[number]
            n, step = len(file), max(1, memory // (file.row_bytes * COPIES))
            parts = (file.read(start, min(start + step, n)) for start in range(0, n, step))
            if number < 1 << digits:
                yield from parts
            elif n <= step:
                yield kernels.most_frequent_first(file.read())
            else:
                yield from by_frequency(parts, folder, memory, digits + DIGITS)
            file.path.unlink()
