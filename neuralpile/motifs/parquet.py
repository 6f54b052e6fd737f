"""The Parquet table of motifs: write it, and read its first rows.

Columns: `patch` (p_n lists of p_t counts, uint8), `frequency` (int64), `probability` (float64, the share of all
patches). Rows are sorted by frequency, the highest first, those of one frequency in lexicographic order. The schema's
metadata has `data_set`, `p_n`, `p_t`, `tokens` and `patches`, as text; and `order`, unless units are as stored.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from neuralpile.errors import BadInput
from neuralpile.files import whole_file
from neuralpile.motifs.extract import Motifs, motifs_of
from neuralpile.motifs.kernels import Table

ROW_GROUP = 2**24  # bins in a row group, about
PATCH = pa.list_(pa.list_(pa.uint8()))
COLUMNS = {"patch": PATCH, "frequency": pa.int64(), "probability": pa.float64()}


@dataclass(frozen=True)
class Counted:
    """What was counted.

    Attributes:
        data_set: its name.
        p_n, p_t: units and bins of a patch.
        tokens: units × bins of all rows.
        patches: number of patches. Those at the far edges are padded with zeros, which are not tokens.
        order: by what the units were ordered; None where they are as stored.
    """

    data_set: str
    p_n: int
    p_t: int
    tokens: int
    patches: int
    order: str | None = None


def write(parts: Iterable[Table], path: Path, counted: Counted, top: int) -> tuple[Motifs, NDArray[np.int64]]:
    """Write motifs as Parquet, whole or not at all.

    Parameters:
        parts: the motifs, the most frequent first.
        path: the file.
        counted: what they are motifs of.
        top: how many of the most frequent are returned.

    Returns:
        The `top` most frequent motifs; and each frequency with the number of motifs that have it, the highest first:
        (frequencies, 2), int64.
    """
    p_n, p_t = counted.p_n, counted.p_t
    facts = {key: str(value) for key, value in asdict(counted).items() if value is not None}
    schema = pa.schema(list(COLUMNS.items()), metadata=facts)
    group = max(1, ROW_GROUP // (p_n * p_t))
    first: list[Table] = []
    held = 0
    numbers: list[NDArray[np.int64]] = []
    with (
        whole_file(path) as partial,
        partial.open("wb") as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        for part in _parts_of(group, parts):
            if held < top:
                first.append(Table(part.keys[: top - held], part.frequencies[: top - held]))
                held += len(first[-1].keys)
            numbers.append(np.stack(np.unique(part.frequencies, return_counts=True), axis=1))
            motifs = motifs_of(part, p_n, p_t)
            columns = [_nested(motifs.patches), motifs.frequencies, motifs.frequencies / counted.patches]
            writer.write_table(pa.table(columns, schema=schema))
    best = Table(*(np.concatenate(column) for column in zip(*first, strict=True)))
    return motifs_of(best, p_n, p_t), _spectrum(numbers)


def _parts_of(n: int, parts: Iterable[Table]) -> Iterator[Table]:
    """Regroup parts into parts of n patches, the last one shorter: row groups do not depend on how blocks were cut."""
    held: list[Table] = []
    waiting = 0
    for part in parts:
        held.append(part)
        waiting += len(part.keys)
        if waiting >= n:
            whole = Table(*(np.concatenate(column) for column in zip(*held, strict=True)))
            stop = waiting // n * n
            yield from (Table(whole.keys[i : i + n], whole.frequencies[i : i + n]) for i in range(0, stop, n))
            held, waiting = [Table(whole.keys[stop:].copy(), whole.frequencies[stop:].copy())], waiting - stop
    if waiting:
        yield Table(*(np.concatenate(column) for column in zip(*held, strict=True)))


def _nested(patches: NDArray[np.uint8]) -> pa.Array:
    """Return patches (n, p_n, p_t) as lists of lists."""
    n, p_n, p_t = patches.shape
    values = pa.array(np.ascontiguousarray(patches).reshape(-1))
    units = pa.ListArray.from_arrays(np.arange(n * p_n + 1, dtype=np.int32) * p_t, values)
    return pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * p_n, units)


def _spectrum(numbers: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Add up the frequencies of parts, and the number of motifs that have each: the highest first."""
    pairs = np.concatenate(numbers)
    frequencies, place = np.unique(pairs[:, 0], return_inverse=True)
    n = np.zeros(len(frequencies), np.int64)
    np.add.at(n, place, pairs[:, 1])
    return np.stack([frequencies, n], axis=1)[::-1]


@dataclass(frozen=True)
class TableStart:
    """The first rows of a table of motifs.

    Attributes:
        counted: what was counted.
        unique: number of motifs in the table.
        motifs: the most frequent.
    """

    counted: Counted
    unique: int
    motifs: Motifs


def read_start(path: Path, n: int, do: str = "delete it, or run extract_motifs.py again") -> TableStart:
    """Read the `n` most frequent motifs of a table that `write` wrote.

    Parameters:
        path: the file.
        n: how many motifs.
        do: what a user can do about a damaged file.

    Raises:
        BadInput: the file is not such a table, or its parts contradict each other.
    """
    try:
        with pq.ParquetFile(path) as file:
            counted = _counted(file.schema_arrow)
            unique = file.metadata.num_rows
            batch = next(file.iter_batches(n, columns=list(COLUMNS)), None)
            if batch is not None:
                batch.validate(full=True)
        motifs = _motifs_in(batch, counted) if batch is not None else _no_motifs(counted)
        if not len(motifs.frequencies) <= unique <= counted.patches or motifs.frequencies.sum() > counted.patches:
            raise ValueError(f"{unique:,} motifs of {counted.patches:,} patches")
    except (OSError, ValueError, KeyError, OverflowError, pa.ArrowException) as error:
        found = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise BadInput(path, "a table of motifs", found, do) from None
    return TableStart(counted, unique, motifs)


def _counted(schema: pa.Schema) -> Counted:
    """Read the metadata of a table. Raises ValueError if it is not that of a table of motifs."""
    for name, kind in COLUMNS.items():
        if name not in schema.names or not schema.field(name).type.equals(kind):
            found = schema.field(name).type if name in schema.names else "none"
            raise ValueError(f"no column {name} of type {kind}: {found}")
    facts = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    missing = [key for key in ("data_set", "p_n", "p_t", "tokens", "patches") if key not in facts]
    if missing:
        raise ValueError(f"no metadata {', '.join(missing)}")
    numbers = {key: int(facts[key]) for key in ("p_n", "p_t", "tokens", "patches")}
    if min(numbers["p_n"], numbers["p_t"]) < 1 or min(numbers["tokens"], numbers["patches"]) < 0:
        raise ValueError(f"metadata with {numbers}")
    return Counted(facts["data_set"], **numbers, order=facts.get("order"))


def _no_motifs(counted: Counted) -> Motifs:
    return Motifs(np.empty((0, counted.p_n, counted.p_t), np.uint8), np.empty(0, np.int64))


def _motifs_in(batch: pa.RecordBatch, counted: Counted) -> Motifs:
    """Read motifs from a batch of a table. Raises ValueError if they are not patches of one size, sorted."""
    units = batch.column("patch").flatten()
    values = units.flatten()
    nulls = [column.null_count for column in (*batch.columns, units, values)]
    lengths = batch.column("patch").value_lengths().to_numpy(zero_copy_only=False)
    bins = units.value_lengths().to_numpy(zero_copy_only=False)
    if any(nulls) or (lengths != counted.p_n).any() or (bins != counted.p_t).any():
        raise ValueError(f"patches that are not all of {counted.p_n} units × {counted.p_t} bins")
    frequencies = batch.column("frequency").to_numpy()
    if (frequencies < 1).any() or (np.diff(frequencies) > 0).any():
        raise ValueError("frequencies that are not sorted, or below 1")
    return Motifs(values.to_numpy().reshape(-1, counted.p_n, counted.p_t), frequencies)
