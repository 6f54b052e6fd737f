"""Count motifs on a Dask cluster: the blocks that `extract` counts in threads, on any number of machines.

The worker that counted a block divides its table by ranges of keys. Each range is merged on one worker. The unique
patches come back one range at a time. Dask redistributes the work of lost workers.
"""

import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from neuralpile import cli
from neuralpile.corpus.rows import RowSource
from neuralpile.errors import BadInput
from neuralpile.motifs import extract as local
from neuralpile.motifs import kernels, spill
from neuralpile.motifs.kernels import Table

if TYPE_CHECKING:
    from distributed import Client, Future

Open = Callable[[str], RowSource]  # opens a data set by its reference

RANGES_PER_WORKER = 4  # more ranges than workers: a large one delays only its worker
CONNECT_SECONDS = 20


def extract(
    address: str,
    open_data_set: Open,
    data_set: RowSource,
    tokens: Sequence[int],
    p_n: int,
    p_t: int,
    work: Path,
    memory: int,
    advance: Callable[[int], object] = lambda _: None,
) -> tuple[int, Iterator[Table]]:
    """Count all rows of a data set on a cluster; otherwise as `motifs.extract.extract`.

    Parameters:
        address: of the scheduler: tcp://host:8786.
        open_data_set: opens the data set on a worker by its path or name; a function that Dask can send.
        data_set: where the rows are. Workers must see the same folder.
        tokens: tokens of each row.
        p_n, p_t: units and bins of a patch.
        work: folder on this machine for what does not fit in memory.
        memory: bytes to use on each worker, and here, about.
        advance: is called with the number of tokens after each block.

    Returns:
        The number of patches, and the motifs in parts, the most frequent first.

    Raises:
        BadInput: there is no such scheduler, or it has no worker.
    """
    client = connect(address)
    try:
        n_patches, ranges = _submit(client, open_data_set, data_set, tokens, p_n, p_t, memory, advance)
    except BaseException:
        client.close()  # otherwise it prints messages at exit that hide the error
        raise
    return n_patches, local.ordered(_gathered(client, ranges), work, memory)


def connect(address: str) -> "Client":
    """Connect to a Dask scheduler that has workers. Raises BadInput as `extract` does."""
    cli.need("distributed", "cluster", "--scheduler")
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS)
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TimeoutError) as error:
        found = str(error) or "no answer"
        do = "check that its scheduler and workers run, and that this machine reaches them"
        raise BadInput(address, "a Dask scheduler with workers, like tcp://host:8786", found, do) from None
    return client


def _submit(
    client: "Client",
    open_data_set: Open,
    data_set: RowSource,
    tokens: Sequence[int],
    p_n: int,
    p_t: int,
    memory: int,
    advance: Callable[[int], object],
) -> "tuple[int, list[Future[Table]]]":
    """Count all blocks. Return the number of patches, and the tables of ranges, which are merged meanwhile."""
    from distributed import as_completed

    # Results of "pure" tasks are cached by their arguments: rows that were built again would not be counted again.
    submit = partial(client.submit, pure=False)
    reference = reference_of(data_set)
    threads = sum(client.nthreads().values())
    parts = local.blocks(tokens, p_n * p_t, memory, threads)
    count = partial(submit, _count, open_data_set, reference, data_set.fingerprint)
    counted = {count(part, p_n, p_t, memory // threads): part for part in parts}
    samples = [submit(spill.sample, table) for table in counted]
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


def _gathered(client: "Client", ranges: "list[Future[Table]]") -> Iterator[Table]:
    """Yield the results one after the other, and release each. Closes the client."""
    with client:
        while ranges:
            yield ranges.pop(0).result()


def _total(table: Table) -> int:
    return int(table.frequencies.sum())


def reference_of(data_set: RowSource) -> str:
    """Return the path or name by which a worker opens a data set."""
    return str(data_set.folder.resolve()) if data_set.folder else data_set.name


@lru_cache(maxsize=1)
def opened(open_data_set: Open, reference: str, fingerprint: str) -> RowSource:
    """Open the data set on a worker. Raises BadInput if its rows are not those of the machine that submitted."""
    data_set = open_data_set(reference)
    if data_set.fingerprint != fingerprint:
        do = "wait until it is written, and check that all machines have the same files"
        raise BadInput(reference, "on a worker the rows that this command found", "others", do)
    return data_set


def _count(
    open_data_set: Open, reference: str, fingerprint: str, numbers: range, p_n: int, p_t: int, memory: int
) -> Table:
    return local.count_rows(opened(open_data_set, reference, fingerprint), numbers, p_n, p_t, memory)


def _limits(samples: list[spill.Sample], n_ranges: int) -> list[tuple[int, ...]]:
    return spill.splitters(itertools.chain.from_iterable(samples), n_ranges)


def _divided(table: Table, limits: list[tuple[int, ...]]) -> list[Table]:
    """Divide a table by keys."""
    starts = [0, *(kernels.place(table.keys, limit) for limit in limits), len(table.keys)]
    return [Table(table.keys[a:b], table.frequencies[a:b]) for a, b in itertools.pairwise(starts)]
