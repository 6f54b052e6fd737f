"""Motifs counted on a Dask cluster: the blocks of rows that `motifs` counts in threads, on any number of machines.

Each block's table is divided by ranges of keys on the worker that made it; each range is merged on a worker; what
comes back is the unique patches, one range at a time. What a lost worker had is counted again by the others, which is
Dask's own doing.
"""

import itertools
import math
import operator
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from neuralpile import motifs, patches, store, tables
from neuralpile.errors import BadInput
from neuralpile.patches import Table
from neuralpile.store import DataSetOnDisk

if TYPE_CHECKING:
    import distributed

RANGES_PER_WORKER = 4  # so that those that turn out large wait for none
CONNECT_SECONDS = 20


def extract(
    address: str,
    data_set: DataSetOnDisk,
    shapes: list[tuple[int, int]],
    p_n: int,
    p_t: int,
    work: Path,
    memory: int,
    advance: Callable[[int], object],
) -> Iterator[Table]:
    """As `motifs.extract`, on the cluster whose scheduler is at `address`; workers must see the data set's folder.

    Raises BadInput where there is no such scheduler, or no worker.
    """
    try:
        from distributed import Client
    except ImportError:
        raise BadInput("--scheduler", "the package distributed", "none", "pip install distributed") from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TimeoutError) as error:
        found = str(error) or type(error).__name__
        do = "see whether its scheduler and workers run, and are reached from here"
        raise BadInput(address, "a Dask scheduler with workers, like tcp://host:8786", found, do) from None
    return motifs.ordered(_merged(client, data_set, shapes, (p_n, p_t), memory, advance), work, memory)


def _merged(
    client: "distributed.Client",
    data_set: DataSetOnDisk,
    shapes: list[tuple[int, int]],
    shape: tuple[int, int],
    memory: int,
    advance: Callable[[int], object],
) -> Iterator[Table]:
    """The unique patches of all rows, range by range in the order of their keys. Closes the client."""
    from distributed import as_completed

    with client:
        submit = partial(client.submit, pure=False)  # "pure" tasks bring back what was counted of rows as they were
        reference = str(data_set.folder.resolve()) if data_set.folder else data_set.name
        threads = sum(client.nthreads().values())
        parts = motifs.blocks(shapes, *shape, memory, threads)
        counted = {submit(_count, reference, part, *shape): part for part in parts}
        limits = submit(_splitters, next(iter(counted)), RANGES_PER_WORKER * threads)
        divided = [submit(_divided, table, limits) for table in counted]
        for future in as_completed(list(counted)):
            future.result()
            advance(sum(math.prod(shapes[i]) for i in counted[future]))
        ranges = []
        for i in range(len(limits.result()) + 1):
            pieces = [submit(operator.getitem, tables_of_a_block, i) for tables_of_a_block in divided]
            ranges.append(submit(tables.merged, pieces, shape[0] * shape[1]))
        while ranges:
            yield ranges.pop(0).result()


@lru_cache(maxsize=1)
def _open(reference: str) -> DataSetOnDisk:
    return store.open_data_set(reference)


def _count(reference: str, numbers: range, p_n: int, p_t: int) -> Table:
    return motifs.count_rows(_open(reference), numbers, p_n, p_t)


def _splitters(table: Table, n_ranges: int) -> list[tuple[int, ...]]:
    """Keys that divide a table into so many equal ranges."""
    places = {i * len(table.keys) // n_ranges for i in range(1, n_ranges)}
    return sorted({tuple(table.keys[i].tolist()) for i in places})


def _divided(table: Table, limits: list[tuple[int, ...]]) -> list[Table]:
    """The parts of a table below, between and from these keys on."""
    starts = [0, *(patches.place(table.keys, limit) for limit in limits), len(table.keys)]
    return [Table(table.keys[a:b], table.frequencies[a:b]) for a, b in itertools.pairwise(starts)]
