"""Windows of rows that are read one after another, from the Hub too, without a copy on this machine."""

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from neuralpile.corpus.rows import Row, RowSource
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.training import selection
from neuralpile.training.permutation import Integers, key_of, permute
from neuralpile.training.pool import Pool
from neuralpile.training.windows import N_UNITS, Batch, Layout, Units, Window, Windows, whole

POOL = 16  # rows: at most 160 MB


class StreamedWindows:
    """Windows of a data set that is read row by row, in place: of a Hub repository, nothing is kept on this machine.

    An epoch reads every row once, in an order that depends on `seed` and the epoch, and takes from it the windows
    that `Windows` takes in this epoch with the same options. The windows of `pool` rows are shuffled together. Row
    groups that have several rows are read whole, so their rows stay together.

    Iterating gives the windows of an epoch, from where this object is, and leaves it at the start of the next one;
    `batches` never ends. In a worker of PyTorch's `DataLoader`, iterating gives the worker's part of the rows.

    Parameters:
        data_set: a reference, as `open_data_set` takes it, or an opened data set.
        pool: rows in memory, whose windows are shuffled together.
        split, n_bins, n_units, seed, shuffle, jitter, units, where, exclude_evaluation, layout, dtype, bin_size: as
            `Windows` takes them.

    Attributes:
        data_set: the opened data set; `data_set.row(window.row)` reads the row of a window again.
        epoch: the number of the epoch.

    Raises:
        BadInput: there is no such data set, split or benchmark, no row is left, or an option has no meaning.

    Example:
        >>> windows = StreamedWindows("someone/neural-pile-primate", n_bins=100)  # doctest: +SKIP
        >>> for batch in windows.batches(64):  # doctest: +SKIP
        ...     train(batch.counts, batch.mask)
    """

    def __init__(
        self,
        data_set: str | RowSource,
        split: str | None = "train",
        *,
        pool: int = POOL,
        n_bins: int = 100,
        n_units: int | None = N_UNITS,
        seed: int = 0,
        shuffle: bool = True,
        jitter: bool = True,
        units: Units | None = None,
        where: str | None = None,
        exclude_evaluation: Sequence[str] = (),
        layout: Layout = "units",
        dtype: npt.DTypeLike | None = None,
        bin_size: float | None = None,
    ) -> None:
        pool, n_bins, seed = whole("pool", pool, 1), whole("n_bins", n_bins, 1), whole("seed", seed, None, None)
        n_units = None if n_units is None else whole("n_units", n_units, 1)
        self.data_set = open_data_set(data_set) if isinstance(data_set, str) else data_set
        self.n_bins, self.n_units, self.layout = n_bins, n_units, layout
        self._seed, self._shuffle, self._pool = seed, shuffle, pool
        self._options: dict[str, Any] = {
            "n_bins": n_bins,
            "n_units": n_units,
            "seed": seed,
            "shuffle": shuffle,
            "jitter": jitter,
            "units": units,
            "layout": layout,
            "dtype": None if dtype is None else np.dtype(dtype),
            "bin_size": bin_size,
        }
        self._names = self.data_set.names()
        self._sessions = None if bin_size is None else self.data_set.sessions()
        self._numbers = selection.select(self.data_set, self._names, split, where, exclude_evaluation)
        names = [self._names[i] for i in self._numbers.tolist()]
        summed = selection.bins_summed(self.data_set, names, bin_size)
        self._summed = dict(zip(self._numbers.tolist(), summed.tolist(), strict=True))
        first = int(self._numbers[0])
        self._windows({first: Row(np.zeros((1, int(summed[0])), np.uint8), *names[0])})  # checks the options
        self._together = _together(self.data_set)[self._numbers]
        self._content = f"{key_of(self.data_set.fingerprint, self._numbers.tolist(), pool, str(self._options)):x}"
        self._rank, self._world = 0, 1
        self.epoch, self._row, self._taken = 0, 0, 0

    def __iter__(self) -> Iterator[Window]:
        part = self._part()
        for window in part._rest_of_epoch():
            self.epoch, self._row, self._taken = part.epoch, part._row, part._taken
            yield window
        self.epoch, self._row, self._taken = part.epoch, part._row, part._taken

    def batches(self, size: int) -> Iterator[Batch]:
        """Batches of so many windows, epoch after epoch, without end.

        Raises:
            BadInput: the rows of this part have no window, in any epoch.
        """
        size, windows = whole("size", size, 1), self._endless()
        while True:
            yield self.collate(list(islice(windows, size)))

    def _endless(self) -> Iterator[Window]:
        """The windows of this epoch and all that follow."""
        empty: set[int] = set()  # rows of whole epochs without a window
        while True:
            order = self._part()._order().tolist() if self._row == self._taken == 0 else []
            some = False
            for window in self:
                some = True
                yield window
            if some or not order:
                continue
            empty.update(order)
            same = not self._shuffle or self._together[0] == self._together[-1]  # rows in every epoch
            if same or len(empty) == len(self._numbers):
                raise BadInput(self.data_set.name, "rows with units and bins", "none", "choose other rows")

    def collate(self, windows: Sequence[Window]) -> Batch:
        """Windows in one `Batch`, padded to `n_units` or the largest: for PyTorch's `DataLoader` as `collate_fn`."""
        across = self.layout == "units"
        shapes = [window.counts.shape if across else window.counts.shape[::-1] for window in windows]
        n, most = len(windows), self.n_units or max(n_units for n_units, _ in shapes)
        shape = (n, most, self.n_bins) if across else (n, self.n_bins, most)
        counts = np.zeros(shape, windows[0].counts.dtype)
        mask, bin_mask = np.zeros((n, most), bool), np.zeros((n, self.n_bins), bool)
        units = np.full((n, most), -1, np.int64)
        for k, (window, (n_units, n_bins)) in enumerate(zip(windows, shapes, strict=True)):
            counts[k, : window.counts.shape[0], : window.counts.shape[1]] = window.counts
            mask[k, :n_units] = True
            bin_mask[k, :n_bins] = True
            units[k, :n_units] = window.units
        starts, rows = (np.array([getattr(window, name) for window in windows], np.int64) for name in ("start", "row"))
        return Batch(counts, mask, bin_mask, units, starts, rows)

    def shard(self, rank: int, world: int) -> Self:
        """The windows of one process of several: each reads a part of the rows, and together they read all, once.

        The parts of an epoch have as many rows each, and not as many windows: `batches` goes on into the next epoch.

        Raises:
            BadInput: the rank is not one of 0 to `world` - 1, or there are fewer rows than processes.
        """
        rank, world = whole("rank", rank, None), whole("world", world, None)
        if not 0 <= rank < world or self._world * world > len(self._numbers):
            found = f"rank {rank} of {world}, and {len(self._numbers):,} rows"
            raise BadInput("shard", "a rank from 0 to below the number of processes", found, "use fewer processes")
        other = copy.copy(self)
        other._rank, other._world = self._rank * world + rank, self._world * world
        return other

    def _part(self) -> Self:
        """The part of the rows that this worker of PyTorch's `DataLoader` reads; all outside of one."""
        worker, workers = _worker()
        return self if workers == 1 else self.shard(worker, workers)

    @property
    def _identity(self) -> str:
        """A string that changes with the windows of any epoch."""
        return f"{self._content}, part {self._rank} of {self._world}"

    def state_dict(self) -> dict[str, Any]:
        """Where the next window is, for a checkpoint: the epoch, the row and the window."""
        return {"epoch": self.epoch, "row": self._row, "window": self._taken, "of": self._identity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at a checkpoint: the windows that follow are those that would have followed there.

        Raises:
            BadInput: the checkpoint is of other rows, other options, or another process's part, or is none.
        """
        if not isinstance(state, Mapping) or not {"epoch", "row", "window", "of"} <= state.keys():
            raise BadInput("state", "a checkpoint of these windows", repr(state)[:80], "give another")
        if state["of"] != self._identity:
            found = "one of another data set, commit, process or options"
            raise BadInput("state", "a checkpoint of these windows", found, "open them as they were")
        last = len(self._order()) - 1
        row, taken = whole("row", state["row"], 0, last), whole("window", state["window"])
        self.epoch, self._row, self._taken = whole("epoch", state["epoch"]), row, taken

    def _rest_of_epoch(self) -> Iterator[Window]:
        begins, some = self._row, self._taken > 0
        order = self._order()
        reading = self.data_set.read(order[begins:].tolist())
        while self._row < len(order):
            numbers = order[self._row : self._row + self._pool].tolist()
            for window in self._of_pool(dict(zip(numbers, islice(reading, len(numbers)), strict=True))):
                self._taken += 1
                some = True
                yield window
            self._row, self._taken = self._row + len(numbers), 0
        if self._world == 1 and begins == 0 and not some:
            raise BadInput(self.data_set.name, "rows with units and bins", "none", "choose other rows")
        self.epoch, self._row, self._taken = self.epoch + 1, 0, 0

    def _order(self) -> Integers:
        """The numbers of this part's rows, in the order of the epoch."""
        run = np.cumsum([0, *(np.diff(self._together) != 0)])  # rows that are read together
        n_runs = int(run[-1]) + 1
        if self._shuffle:
            key = key_of(self._seed, self.epoch, "rows")
            place = permute(np.arange(n_runs), np.full(n_runs, n_runs), np.full(n_runs, key))
            order = self._numbers[np.argsort(place[run], kind="stable")]
        else:
            order = self._numbers
        begin, end = (len(order) * part // self._world for part in (self._rank, self._rank + 1))
        return order[begin:end]

    def _of_pool(self, rows: dict[int, Row]) -> Iterator[Window]:
        """The windows of these rows in this epoch, from the next one on."""
        held = {i: row for i, row in rows.items() if row.counts.size and row.counts.shape[1] >= self._summed[i]}
        windows = self._windows(held).epoch(self.epoch) if held else None
        if self._taken > (n := 0 if windows is None else len(windows)):
            raise BadInput("window", f"a checkpoint's window of at most {n:,}", f"{self._taken:,}", "give another")
        if windows is not None:
            yield from windows.iterate(self._taken)

    def _windows(self, rows: dict[int, Row]) -> Windows:
        pool = Pool(self.data_set, self._names, self._sessions, rows)
        return Windows(cast(RowSource, pool), split=None, **self._options)


def _together(data_set: RowSource) -> Integers:
    """A number for each row; rows of one number, and no others, are read together."""
    groups = getattr(data_set, "groups", None)  # row groups, of a repository on the Hub
    if groups is None:
        return np.arange(len(data_set))
    return np.repeat(np.arange(len(groups)), [group.rows for group in groups])


def _worker() -> tuple[int, int]:
    """The number of this worker of PyTorch's `DataLoader`, and of how many; (0, 1) outside of one."""
    loader = sys.modules.get("torch.utils.data")
    worker = loader.get_worker_info() if loader else None
    return (0, 1) if worker is None else (worker.id, worker.num_workers)
