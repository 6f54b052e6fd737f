"""Motifs: all unique patches of (p_n units, p_t bins) of a data set, and how often each occurs.

Blocks of rows are counted one by one, several at a time, each into a table that fits in memory and is kept in a file
(so that a run that was killed goes on). The tables are then merged range by range, and put in order of frequency. What
counts is in `patches`, what merges in `tables`, what counts on a cluster in `cluster`.
"""

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from neuralpile import __version__, files
from neuralpile.corpus.rows import RowSource
from neuralpile.files import whole_file
from neuralpile.motifs import kernels, spill
from neuralpile.motifs.kernels import Table, Tally
from neuralpile.motifs.spill import TableFile

ROW_GROUP = 2**24  # bins in a row group of the Parquet file, about
MOST_DRAWN = 400  # motifs in a figure
MOST_PATCHES = 2**31  # that a Tally is given
BLOCK_TOKENS = 500_000_000  # counted at a time, where memory is not scarce: what a killed run loses at most
COPIES = 10  # of a table in memory while it is made
TOPS = (10, 100, 1_000, 32_000, 128_000)  # most frequent motifs whose shares the summary tells


@dataclass(frozen=True)
class Motifs:
    """Unique patches, the most frequent first, those of one frequency in lexicographic order."""

    patches: np.ndarray  # (motifs, p_n, p_t), uint8
    frequencies: np.ndarray  # (motifs,), int64


@dataclass
class Summary:
    """What the motifs of a data set come to. Patches at the edges are filled up with zeros, which are no tokens."""

    data_set: str
    p_n: int
    p_t: int
    tokens: int
    patches: int
    unique: int = 0
    coverage: dict[int, float] = field(default_factory=dict)  # share of the so many most frequent in all patches
    # Shannon's entropy of the distribution of patches, in bits; by token it is divided by p_n * p_t
    entropy_per_patch: float = 0.0
    entropy_per_token: float = 0.0


def count(rows: Iterable[np.ndarray], p_n: int, p_t: int) -> Motifs:
    """Count the unique patches of (p_n units, p_t bins) of all rows, exactly, in memory.

    Patches do not overlap; those at the far edges are filled up with zeros.

    Args:
        rows: counts (units, bins), uint8, of each row.
        p_n: units of a patch, at least 1.
        p_t: bins of a patch, at least 1.
    """
    tally, found = Tally(p_n, p_t), kernels.empty_table(p_n * p_t)
    for counts in rows:
        if tally.n_patches + n_patches(counts.shape, p_n, p_t) > MOST_PATCHES:
            found = kernels.merge(found, tally.table())
        tally.add(counts)
    found = kernels.merge(found, tally.table())
    return _motifs(kernels.most_frequent_first(found), p_n, p_t)


def n_patches(shape: tuple[int, int], p_n: int, p_t: int) -> int:
    """How many patches a row of (units, bins) has."""
    return -(-shape[0] // p_n) * -(-shape[1] // p_t)


def _motifs(table: Table, p_n: int, p_t: int) -> Motifs:
    return Motifs(kernels.bytes_of(table.keys, p_n * p_t).reshape(-1, p_n, p_t), table.frequencies)


def blocks(tokens: list[int], size: int, memory: int, at_once: int) -> list[range]:
    """Rows that are counted together: their patches fit in memory, whatever they are, while others are counted too.

    Args:
        tokens: of each row.
        size: bins of a patch.
        memory: bytes, of all blocks that are counted at a time.
        at_once: blocks that are counted at a time.
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
    data_set: RowSource, numbers: range, p_n: int, p_t: int, advance: Callable[[int], object] = lambda _: None
) -> Table:
    """The patches of some rows of a data set; `advance` is told of tokens that are counted."""
    tally = Tally(p_n, p_t)
    for row in data_set.read(numbers):
        tally.add(row.counts)
        advance(row.counts.size)
    return tally.table()


def extract(
    data_set: RowSource,
    p_n: int,
    p_t: int,
    work: Path,
    memory: int,
    jobs: int,
    advance: Callable[[int], object] = lambda _: None,
) -> tuple[int, Iterator[Table]]:
    """Count all rows in bounded memory, `jobs` blocks at a time.

    What is counted is kept in the folder `work`: an interrupted run goes on where it was.

    Returns:
        The number of patches, and the motifs, the most frequent first, in parts.
    """
    tokens = data_set.tokens()
    parts = blocks(tokens, p_n * p_t, memory, jobs)
    lengths = [len(part) for part in parts]
    work = _folder(work, [data_set.fingerprint, p_n, p_t, __version__, lengths])
    done: dict[int, Path] = {int(path.stem.split("-")[1]): path for path in work.glob("block-*.patches")}

    def one(i: int) -> tuple[int, Path]:
        table = count_rows(data_set, parts[i], p_n, p_t, advance)
        path = work / f"block-{i:05}-{table.frequencies.sum()}.patches"
        spill.write(table, path)
        return i, path

    advance(sum(tokens[row] for i in done for row in parts[i]))
    with ThreadPoolExecutor(jobs) as pool:  # threads: what takes long runs outside of Python
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
    """Parts of a table, the most frequent patches first; `folder` is for what does not fit in memory."""
    first = list(itertools.islice(parts, 2))
    if len(first) == 1 and first[0].nbytes * COPIES <= memory:
        return iter([kernels.most_frequent_first(first[0])])
    return spill.by_frequency(itertools.chain(first, parts), folder, memory)


def _folder(work: Path, job: list[object]) -> Path:
    """The folder of a job, which is no other's: another run may still write to that. Those of others are removed."""
    own = work / hashlib.sha256(json.dumps(job).encode()).hexdigest()[:16]
    for folder in work.glob("*"):
        if folder != own:
            shutil.rmtree(folder, ignore_errors=True)
    return own


def write_table(parts: Iterable[Table], path: Path, summary: Summary, top: int) -> tuple[Motifs, np.ndarray]:
    """Write motifs as Parquet: `patch` (p_n lists of p_t counts), `frequency`, `probability`; complete the summary.

    Gives the `top` most frequent, and all frequencies that there are, with how many motifs have each: (n, 2), int64,
    the highest first.
    """
    p_n, p_t, total = summary.p_n, summary.p_t, summary.patches
    facts = {"data_set": summary.data_set, "p_n": p_n, "p_t": p_t, "tokens": summary.tokens, "patches": total}
    schema = pa.schema(
        [("patch", pa.list_(pa.list_(pa.uint8()))), ("frequency", pa.int64()), ("probability", pa.float64())],
        metadata={key: str(value) for key, value in facts.items()},
    )
    group = max(1, ROW_GROUP // (p_n * p_t))
    first: list[Table] = []
    held = 0
    numbers: list[np.ndarray] = []
    with whole_file(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for part in _parts_of(group, parts):
            if held < top:
                first.append(Table(part.keys[: top - held], part.frequencies[: top - held]))
                held += len(first[-1].keys)
            numbers.append(np.stack(np.unique(part.frequencies, return_counts=True), axis=1))
            motifs = _motifs(part, p_n, p_t)
            writer.write_table(pa.table([*_columns_of(motifs), motifs.frequencies / total], schema=schema))
    spectrum = _spectrum(numbers)
    _complete(summary, spectrum)
    best = Table(*(np.concatenate(column) for column in zip(*first, strict=True)))
    return _motifs(best, p_n, p_t), spectrum


def _parts_of(n: int, parts: Iterable[Table]) -> Iterator[Table]:
    """The same in parts of n patches, the last one shorter: so that files do not depend on how it was counted."""
    held: list[Table] = []
    waiting = 0
    for part in parts:
        held.append(part)
        waiting += len(part.keys)
        if waiting >= n:
            whole = Table(*(np.concatenate(column) for column in zip(*held, strict=True)))
            stop = waiting // n * n
            yield from (Table(*(column[i : i + n] for column in whole)) for i in range(0, stop, n))
            held, waiting = [Table(*(column[stop:].copy() for column in whole))], waiting - stop
    if waiting:
        yield Table(*(np.concatenate(column) for column in zip(*held, strict=True)))


def _columns_of(motifs: Motifs) -> tuple[pa.Array, np.ndarray]:
    n, p_n, p_t = motifs.patches.shape
    values = pa.array(np.ascontiguousarray(motifs.patches).reshape(-1))
    units = pa.ListArray.from_arrays(np.arange(n * p_n + 1, dtype=np.int32) * p_t, values)
    return pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * p_n, units), motifs.frequencies


def _spectrum(numbers: list[np.ndarray]) -> np.ndarray:
    """Frequencies and how many motifs have each, the highest first, from those of parts."""
    pairs = np.concatenate(numbers)
    frequencies, place = np.unique(pairs[:, 0], return_inverse=True)
    n = np.zeros(len(frequencies), np.int64)
    np.add.at(n, place, pairs[:, 1])
    return np.stack([frequencies, n], axis=1)[::-1]


def _complete(summary: Summary, spectrum: np.ndarray) -> None:
    """Work out of the frequencies what the summary tells."""
    frequencies, n = spectrum.T
    ranks, counted = np.cumsum(n), np.cumsum(frequencies * n)
    summary.unique = int(ranks[-1])
    for top in TOPS:
        i = int(np.searchsorted(ranks, top))  # the first frequency whose motifs reach the rank
        held = counted[-1] if i == len(n) else counted[i] - (ranks[i] - top) * frequencies[i]
        summary.coverage[top] = float(held / summary.patches)
    share = frequencies / summary.patches
    summary.entropy_per_patch = float(-(n * share * np.log2(share)).sum()) + 0.0
    summary.entropy_per_token = summary.entropy_per_patch / (summary.p_n * summary.p_t)


def write_summary(summary: Summary, path: Path) -> None:
    """Write a summary as JSON."""
    files.write_text(path, json.dumps(asdict(summary), indent=2) + "\n")
