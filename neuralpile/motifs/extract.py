"""Count motifs: all unique patches of (p_n units, p_t bins) of a data set, and how often each occurs.

Blocks of rows are counted one by one, several at a time. Each block gives a table that fits in memory; it is kept in a
file, and a killed run continues from there. The tables are then merged range by range, and sorted by frequency.
`kernels` counts, `spill` merges, `cluster` counts on several machines, `parquet` writes the result.
"""

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuralpile import __version__
from neuralpile.corpus.rows import RowSource
from neuralpile.motifs import kernels, spill
from neuralpile.motifs.kernels import Table, Tally
from neuralpile.motifs.spill import TableFile

MOST_PATCHES = 2**31  # that one Tally counts
BLOCK_TOKENS = 500_000_000  # in a block at most: what a killed run has to count again
COPIES = 10  # of a table that are in memory while it is made


@dataclass(frozen=True)
class Motifs:
    """Unique patches, the most frequent first, those of one frequency in lexicographic order.

    Attributes:
        patches: counts (motifs, p_n, p_t), uint8.
        frequencies: how often each occurs, (motifs,), int64.
    """

    patches: NDArray[np.uint8]
    frequencies: NDArray[np.int64]


def count(rows: Iterable[NDArray[np.uint8]], p_n: int, p_t: int) -> Motifs:
    """Count the unique patches of all rows, exactly, in memory.

    Patches do not overlap. Those at the far edges are padded with zeros.

    Parameters:
        rows: counts (units, bins), uint8, of each row.
        p_n: units of a patch, at least 1.
        p_t: bins of a patch, at least 1.

    Returns:
        All motifs.

    Example:
        >>> counted = count([np.array([[0, 1, 0, 1, 0, 0]], np.uint8)], p_n=1, p_t=2)
        >>> counted.patches.tolist(), counted.frequencies.tolist()
        ([[[0, 1]], [[0, 0]]], [2, 1])
    """
    tally, found = Tally(p_n, p_t), kernels.empty_table(p_n * p_t)
    for counts in rows:
        if tally.n_patches + n_patches(counts.shape, p_n, p_t) > MOST_PATCHES:
            found = kernels.merge(found, tally.table())
        tally.add(counts)
    found = kernels.merge(found, tally.table())
    return motifs_of(kernels.most_frequent_first(found), p_n, p_t)


def n_patches(shape: tuple[int, ...], p_n: int, p_t: int) -> int:
    """Return the number of patches in a row of (units, bins)."""
    return -(-shape[0] // p_n) * -(-shape[1] // p_t)


def motifs_of(table: Table, p_n: int, p_t: int) -> Motifs:
    """Return the patches of a table as counts, in the table's order."""
    return Motifs(kernels.bytes_of(table.keys, p_n * p_t).reshape(-1, p_n, p_t), table.frequencies)


def blocks(tokens: Sequence[int], size: int, memory: int, at_once: int) -> list[range]:
    """Divide rows into blocks whose tables fit in memory together, whatever the patches are.

    Parameters:
        tokens: tokens of each row.
        size: bins of a patch.
        memory: bytes for all blocks that are counted at the same time.
        at_once: number of these.

    Returns:
        The numbers of the rows of each block. A row that does not fit is a block by itself.
    """
    most = memory // (at_once * COPIES * 8 * (kernels.n_words(size) + 1)) * size
    most = min(BLOCK_TOKENS, most, sum(tokens) // (4 * at_once))
    found, start, held = [], 0, 0
    for i, n in enumerate(tokens):
        if i > start and held + n > most:
            found.append(range(start, i))
            start, held = i, 0
        held += n
    return [*found, range(start, len(tokens))]


def count_rows(
    data_set: RowSource,
    numbers: range,
    p_n: int,
    p_t: int,
    memory: int,
    advance: Callable[[int], object] = lambda _: None,
) -> Table:
    """Count the patches of some rows of a data set.

    Parameters:
        data_set: where the rows are.
        numbers: which rows.
        p_n, p_t: units and bins of a patch.
        memory: bytes; the buffers take a part of them.
        advance: is called with the number of tokens after each row.
    """
    tally = Tally(p_n, p_t, min(kernels.BUFFER_BYTES, memory // COPIES))
    for row in data_set.read(numbers):
        tally.add(row.counts)
        advance(row.counts.size)
    return tally.table()


def extract(
    data_set: RowSource,
    tokens: Sequence[int],
    p_n: int,
    p_t: int,
    work: Path,
    memory: int,
    jobs: int,
    advance: Callable[[int], object] = lambda _: None,
) -> tuple[int, Iterator[Table]]:
    """Count all rows of a data set in bounded memory.

    Parameters:
        data_set: where the rows are.
        tokens: tokens of each row.
        p_n, p_t: units and bins of a patch.
        work: folder for the tables of blocks; a run that was interrupted continues from them.
        memory: bytes to use, about.
        jobs: blocks that are counted at the same time.
        advance: is called with the number of tokens after each row.

    Returns:
        The number of patches, and the motifs in parts, the most frequent first.
    """
    parts = blocks(tokens, p_n * p_t, memory, jobs)
    lengths = [len(part) for part in parts]
    work = _own_folder(work, [data_set.fingerprint, p_n, p_t, __version__, lengths])
    done: dict[int, Path] = {int(path.stem.split("-")[1]): path for path in work.glob("block-*.patches")}

    def one(i: int) -> tuple[int, Path]:
        table = count_rows(data_set, parts[i], p_n, p_t, memory // jobs, advance)
        path = work / f"block-{i:05}-{table.frequencies.sum()}.patches"
        spill.write(table, path)
        return i, path

    advance(sum(tokens[row] for i in done for row in parts[i]))
    with ThreadPoolExecutor(jobs) as pool:  # threads: the kernels run without the interpreter lock
        futures = [pool.submit(one, i) for i in range(len(parts)) if i not in done]
        try:
            done |= dict(future.result() for future in as_completed(futures))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    found = [TableFile(done[i], kernels.n_words(p_n * p_t)) for i in sorted(done)]
    total = sum(int(file.path.stem.split("-")[2]) for file in found)
    return total, ordered(spill.merge_files(found, p_n * p_t, memory), work, memory)


def ordered(parts: Iterator[Table], folder: Path, memory: int) -> Iterator[Table]:
    """Sort parts of a table by frequency, the highest first; `folder` holds what does not fit in memory."""
    first = list(itertools.islice(parts, 2))
    if len(first) == 1 and first[0].nbytes * COPIES <= memory:
        return iter([kernels.most_frequent_first(first[0])])
    return spill.by_frequency(itertools.chain(first, parts), folder, memory)


def _own_folder(work: Path, job: list[object]) -> Path:
    """Return a folder that only this job uses, and delete those of other jobs.

    Another run may still write to its own folder, so runs of different jobs never share one.
    """
    own = work / hashlib.sha256(json.dumps(job).encode()).hexdigest()[:16]
    for folder in work.glob("*"):
        if folder != own:
            shutil.rmtree(folder, ignore_errors=True)
    return own
