"""Tables of patches that may not fit in memory: keep them in files, merge them by ranges, sort them by frequency."""

import itertools
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuralpile.files import room_for, whole_file
from neuralpile.motifs import kernels
from neuralpile.motifs.kernels import Table, Words

Sample = list[tuple[tuple[int, ...], float]]  # some keys, and how many patches each stands for

SAMPLES = 256  # keys of each table, from which ranges of about equal size are estimated
COPIES = 10  # of a range of keys that are in memory at a time: as it is read, merged and written
DIGITS = 4  # frequencies with the same first binary digits share a file; those below 16 have one each


@dataclass(frozen=True)
class TableFile:
    """A table in a file: for each patch the words of its key, then its frequency, as uint64 in native byte order.

    Attributes:
        path: the file.
        words: words of a key.
    """

    path: Path
    words: int

    @property
    def row_bytes(self) -> int:
        """Bytes of a patch in the file."""
        return 8 * (self.words + 1)

    def __len__(self) -> int:
        return self.path.stat().st_size // self.row_bytes

    def read(self, start: int = 0, stop: int | None = None) -> Table:
        """Read the patches from `start` up to, not including, `stop`."""
        n = (len(self) if stop is None else stop) - start
        rows = np.fromfile(self.path, np.uint64, n * (self.words + 1), offset=start * self.row_bytes)
        return _table(rows.reshape(n, self.words + 1))

    def key(self, i: int) -> tuple[int, ...]:
        """Read the key of one patch."""
        return tuple(np.fromfile(self.path, np.uint64, self.words, offset=i * self.row_bytes).tolist())


def write(table: Table, path: Path) -> TableFile:
    """Write a table to a file, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_bytes(_rows(table).data)
    return TableFile(path, table.keys.shape[1])


def _rows(table: Table) -> Words:
    return np.concatenate([table.keys, table.frequencies[:, None].astype(np.uint64)], axis=1)


def _table(rows: Words) -> Table:
    return Table(np.ascontiguousarray(rows[:, :-1]), rows[:, -1].astype(np.int64))


def merged(tables: Iterable[Table], size: int) -> Table:
    """Merge tables of patches of `size` bins, the smallest first."""
    left = sorted(tables, key=lambda table: -len(table.keys))
    while len(left) > 1:
        left.append(kernels.merge(left.pop(), left.pop()))
        left.sort(key=lambda table: -len(table.keys))
    return left[0] if left else kernels.empty_table(size)


def merge_files(files: Sequence[TableFile], size: int, memory: int) -> Iterator[Table]:
    """Merge the tables in files, using about `memory` bytes.

    Returns:
        The merged table in parts, each a range of keys, in ascending order.
    """
    rows = sum(map(len, files))
    n_ranges = -(-rows * 8 * (kernels.n_words(size) + 1) * COPIES // memory)
    starts = [0] * len(files)
    samples = itertools.chain.from_iterable(map(sample_file, files)) if n_ranges > 1 else ()
    for limit in [*splitters(samples, n_ranges), None]:
        stops = [len(file) if limit is None else _place(file, limit) for file in files]
        parts = zip(files, starts, stops, strict=True)
        yield merged((file.read(start, stop) for file, start, stop in parts), size)
        starts = stops


def _place(file: TableFile, key: tuple[int, ...]) -> int:
    """Return how many keys of a file are below `key`."""
    return bisect_left(range(len(file)), key, key=file.key)


def sample(table: Table) -> Sample:
    """Return some of the keys of a table, evenly spaced."""
    return _spaced(len(table.keys), lambda i: tuple(table.keys[i].tolist()))


def sample_file(file: TableFile) -> Sample:
    """Return some of the keys of a table in a file, evenly spaced."""
    return _spaced(len(file), file.key)


def _spaced(length: int, key: Callable[[int], tuple[int, ...]]) -> Sample:
    n = min(SAMPLES, length)
    return [(key(i * length // n), length / n) for i in range(n)]


def splitters(samples: Iterable[tuple[tuple[int, ...], float]], n_ranges: int) -> list[tuple[int, ...]]:
    """Return keys that divide the patches of sampled tables into `n_ranges` ranges of about equal size."""
    found = sorted(samples)
    weights = np.cumsum([weight for _, weight in found])
    if n_ranges < 2 or not found:
        return []
    places = np.searchsorted(weights, weights[-1] * np.arange(1, n_ranges) / n_ranges)
    return sorted({found[i][0] for i in places})


def by_frequency(tables: Iterable[Table], folder: Path, memory: int, digits: int = DIGITS) -> Iterator[Table]:
    """Sort patches by frequency, the highest first. Patches of one frequency keep their order.

    Patches are distributed over files in `folder`, one for all frequencies with the same first binary digits. A file
    of a single frequency is sorted already; another is sorted in memory, or by more digits where it exceeds `memory`.

    Parameters:
        tables: parts of a table.
        folder: a folder of this job; temporary files are deleted when all parts have been read.
        memory: bytes to use, about.
        digits: binary digits of the frequency that decide in which file a patch is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with room_for(folder), tempfile.TemporaryDirectory(dir=folder) as made:
        files: dict[int, TableFile] = {}
        for table in map(kernels.most_frequent_first, tables):
            rest = np.maximum(np.frexp(table.frequencies)[1] - digits, 0)
            classes = table.frequencies >> rest << rest
            starts = np.flatnonzero(np.diff(classes, prepend=0))
            for start, stop in itertools.pairwise([*starts.tolist(), len(classes)]):
                number = int(classes[start])
                file = files.setdefault(number, TableFile(Path(made) / f"{number}", table.keys.shape[1]))
                with file.path.open("ab") as out:
                    out.write(_rows(Table(table.keys[start:stop], table.frequencies[start:stop])).data)
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
