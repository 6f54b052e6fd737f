"""Motifs counted on a Dask cluster: the blocks of rows that `motifs` counts in threads, on any number of machines.

Each block's table is divided by ranges of keys on the worker that made it; each range is merged on a worker; what
comes back is the unique patches, one range at a time. What a lost worker had is counted again by the others, which is
Dask's own doing.
"""

import itertools
import operator
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from neuralpile.corpus.rows import RowSource
from neuralpile.errors import BadInput
from neuralpile.motifs import extract as local
from neuralpile.motifs import kernels, spill
from neuralpile.motifs.kernels import Table
from neuralpile.open import open_data_set

if TYPE_CHECKING:
    import distributed

RANGES_PER_WORKER = 4  # so that those that turn out large wait for none
CONNECT_SECONDS = 20


def extract(
    address: str,
    data_set: RowSource,
    p_n: int,
    p_t: int,
    work: Path,
    memory: int,
    advance: Callable[[int], object] = lambda _: None,
) -> tuple[int, Iterator[Table]]:
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
    try:
        n_patches, ranges = _submit(client, data_set, p_n, p_t, memory, advance)
    except BaseException:
        client.close()  # what it would otherwise say at the end hides the error
        raise
    return n_patches, local.ordered(_gathered(client, ranges), work, memory)


def _submit(
    client: "distributed.Client", data_set: RowSource, p_n: int, p_t: int, memory: int, advance: Callable[[int], object]
) -> "tuple[int, list[distributed.Future]]":
    """Have all blocks counted: the number of patches, and the tables of ranges, which are then merged."""
    from distributed import as_completed

    submit = partial(client.submit, pure=False)  # "pure" tasks bring back what was counted of rows as they were
    reference = str(data_set.folder.resolve()) if data_set.folder else data_set.name
    threads, tokens = sum(client.nthreads().values()), data_set.tokens()
    parts = local.blocks(tokens, p_n * p_t, memory, threads)
    count = partial(submit, _count, reference, data_set.fingerprint)
    counted = {count(part, p_n, p_t): part for part in parts}
    samples = [submit(_sample, table) for table in counted]
    limits = submit(_limits, samples, RANGES_PER_WORKER * threads)
    divided = [submit(_divided, table, limits) for table in counted]
    totals = {submit(_total, table): part for table, part in counted.items()}
    n_patches = 0
    for future in as_completed(list(totals)):
        n_patches += future.result()
        advance(sum(tokens[i] for i in totals[future]))
    pieces = [[submit(operator.getitem, block, i) for block in divided] for i in range(len(limits.result()) + 1)]
    ranges = [submit(spill.merged, of_a_range, p_n * p_t) for of_a_range in pieces]
    return n_patches, ranges


def _gathered(client: "distributed.Client", ranges: "list[distributed.Future]") -> Iterator[Table]:
    """The results, one after the other, each forgotten then. Closes the client."""
    with client:
        while ranges:
            yield ranges.pop(0).result()


def _total(table: Table) -> int:
    return int(table.frequencies.sum())


@lru_cache(maxsize=1)
def _open(reference: str, fingerprint: str) -> RowSource:
    """The data set; a worker that had another one of this name open opens it anew."""
    data_set = open_data_set(reference)
    if data_set.fingerprint != fingerprint:
        do = "wait until it has been written, and see that all machines have the same files"
        raise BadInput(reference, "on a worker the rows that this command found", "others", do)
    return data_set


def _count(reference: str, fingerprint: str, numbers: range, p_n: int, p_t: int) -> Table:
    return local.count_rows(_open(reference, fingerprint), numbers, p_n, p_t)


def _sample(table: Table) -> spill.Sample:
    return spill.sample(table.keys)


def _limits(samples: list[spill.Sample], n_ranges: int) -> list[tuple[int, ...]]:
    return spill.splitters(itertools.chain.from_iterable(samples), n_ranges)


def _divided(table: Table, limits: list[tuple[int, ...]]) -> list[Table]:
    """The parts of a table below, between and from these keys on."""
    starts = [0, *(kernels.place(table.keys, limit) for limit in limits), len(table.keys)]
    return [Table(table.keys[a:b], table.frequencies[a:b]) for a, b in itertools.pairwise(starts)]
