"""Windows of rows that are read one after another, from the Hub too, without a copy on this machine."""

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from os import PathLike
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from neuralpile.corpus.rows import Row, RowSource
from neuralpile.errors import BadInput
from neuralpile.open import opened
from neuralpile.training import selection
from neuralpile.training.arguments import flag, whole
from neuralpile.training.batches import Batch, Cut, Form, Formed, Layout, Window
from neuralpile.training.index import N_UNITS, Index, Rules, Units, runs
from neuralpile.training.mixture import MixBy, Mixture
from neuralpile.training.permutation import Integers, key_of, permute

POOL = 16  # rows: at most 160 MB


class StreamedWindows(Formed):
    """Windows of a data set that is read row by row, in place: of a Hub repository, nothing is kept on this machine.

    An epoch reads every row once, in an order that depends on `seed` and the epoch, and takes from it the windows
    that `Windows` takes in this epoch with the same options. The windows of `pool` rows are shuffled together. Row
    groups that have several rows are read whole, so their rows stay together.

    Iterating gives the windows of an epoch, from where this object is, and leaves it at the start of the next one;
    `batches` never ends. In a worker of PyTorch's `DataLoader`, iterating gives the worker's part of the rows.

    Parameters:
        data_set: a reference, as `open_data_set` takes it, or what that returns.
        pool: rows in memory, whose windows are shuffled together.
        split, n_bins, n_units, seed, shuffle, jitter, units, weights, temperature, cap, mix_by, where,
            exclude_evaluation, layout, dtype, order, bin_size, observed: as `Windows` takes them. A mixture needs the
            sizes of all rows before the first one is read: of a repository on the Hub, its row groups must have one
            row each, and its table of sessions the units, as merge_datasets.py pushes them.

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
        data_set: str | PathLike[str] | RowSource,
        split: str | None = "train",
        *,
        pool: int = POOL,
        n_bins: int = 100,
        n_units: int | None = N_UNITS,
        seed: int = 0,
        shuffle: bool = True,
        jitter: bool = True,
        units: Units | None = None,
        weights: Mapping[str, float] | None = None,
        temperature: float | None = None,
        cap: int | None = None,
        mix_by: MixBy = "source_dataset",
        where: str | None = None,
        exclude_evaluation: Sequence[str] = (),
        layout: Layout = "units",
        dtype: npt.DTypeLike | None = None,
        order: str | PathLike[str] | None = None,
        bin_size: float | None = None,
        observed: bool = False,
    ) -> None:
        self.data_set = opened(data_set)
        if order is not None:
            self.data_set = selection.in_order(self.data_set, order)
        self._pool = whole("pool", pool, 1)
        self._rules = Rules.of(n_bins, n_units, units, seed, shuffle, jitter)
        self._form = Form.of(self._rules, layout, dtype, bin_size is not None)
        mixture = Mixture.of(weights, temperature, cap, mix_by)
        self._names = self.data_set.names()
        numbers = selection.select(self.data_set, self._names, split, where, exclude_evaluation)
        names = [self._names[i] for i in numbers.tolist()]
        summed = selection.bins_summed(self.data_set, names, bin_size)
        self._gaps = selection.Gaps(self.data_set) if flag("observed", observed) else None
        if self._gaps is not None:
            self._gaps.warn(names)
        self._plan: Index | None = None  # of the windows of all rows, where a mixture decides how many each row has
        if not mixture.is_plain:
            shapes = selection.shapes(self.data_set)[numbers]
            rows = selection.shaped(numbers, names, shapes, summed, self._gaps)
            selection.check_rows(rows, self.data_set, self._rules.n_bins)
            self._plan = Index(rows, self._rules, mixture.groups(self.data_set, self._names, rows, self._rules))
            possible = np.isin(numbers, rows.number[self._plan.groups.quota[self._plan.groups.of_row] > 0])
            numbers, summed = numbers[possible], summed[possible]
            print(f"windows of an epoch: {self._plan.describe()}", file=sys.stderr)
        self._numbers, self._summed = numbers, summed  # of the rows, ascending; own bins in one of a window
        self._together = selection.together(self.data_set)[numbers]
        options = f"{self._rules} {self._form} {bin_size} {observed} {mixture}"
        self._content = f"{key_of(self.data_set.fingerprint, numbers.tolist(), self._pool, options):x}"
        self._rank, self._world = 0, 1
        self.epoch, self._row, self._taken = 0, 0, 0
        if loader := sys.modules.get("torch.utils.data"):
            loader.IterableDataset.register(StreamedWindows)  # so that PyTorch iterates

    def shares(self) -> dict[str, float]:
        """The share of each group in the windows of an epoch. Raises BadInput: the windows have no mixture."""
        if self._plan is None:
            do = "use Windows, or give weights, temperature or cap"
            raise BadInput("shares", "windows of a mixture", "rows that are not counted before they are read", do)
        return self._plan.shares()

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
            order = self._part()._order(self.epoch).tolist() if self._row == self._taken == 0 else []
            some = False
            for window in self:
                some = True
                yield window
            if some or not order or self._plan is not None:  # of a mixture, each row has windows in some epochs
                continue
            empty.update(order)
            same = not self._rules.shuffle or self._together[0] == self._together[-1]  # rows in every epoch
            if same or len(empty) == len(self._numbers):
                raise BadInput(self.data_set.name, "rows with units and bins", "none", "choose other rows")

    def collate(self, windows: Sequence[Window]) -> Batch:
        """Windows in one `Batch`, padded to `n_units` or the largest: for PyTorch's `DataLoader` as `collate_fn`."""
        counts = [window.counts if self.layout == "units" else window.counts.T for window in windows]
        n_units, n_bins = np.array([its.shape for its in counts], np.int64).reshape(-1, 2).T
        if (n_bins > self.n_bins).any() or (self.n_units is not None and (n_units > self.n_units).any()):
            of = f"{n_units.max()} units and {n_bins.max()} bins"
            raise BadInput("collate", "windows of this object", of, "give those that it gave")
        starts, rows = (np.array([getattr(window, name) for window in windows], np.int64) for name in ("start", "row"))
        cuts = (Cut(its, window.units) for its, window in zip(counts, windows, strict=True))
        return self._form.batch(cuts, n_units, n_bins, starts, rows)

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
        epoch, taken = whole("epoch", state["epoch"]), whole("window", state["window"])
        row = whole("row", state["row"], 0, max(len(self._order(epoch)) - 1, 0))
        self.epoch, self._row, self._taken = epoch, row, taken

    def _rest_of_epoch(self) -> Iterator[Window]:
        begins, some = self._row, self._taken > 0
        order = self._order(self.epoch)
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

    def _order(self, epoch: int) -> Integers:
        """The numbers of this part's rows that have windows in an epoch, in the order of the epoch."""
        run = np.cumsum([0, *(np.diff(self._together) != 0)])  # rows that are read together
        n_runs = int(run[-1]) + 1
        order = self._numbers
        if self._rules.shuffle:
            key = key_of(self._rules.seed, epoch, "rows")
            place = permute(np.arange(n_runs), np.full(n_runs, n_runs), np.full(n_runs, key))
            order = order[np.argsort(place[run], kind="stable")]
        begin, end = (len(order) * part // self._world for part in (self._rank, self._rank + 1))
        order = order[begin:end]
        if self._plan is not None:
            order = order[np.isin(order, self._plan.rows.number[self._plan.epoch(epoch).slots > 0])]
        return order

    def _of_pool(self, rows: dict[int, Row]) -> Iterator[Window]:
        """The windows of these rows in this epoch, from the next one on."""
        index = self._index_of(rows)
        n = 0 if index is None else index.in_all
        if self._taken > n:
            raise BadInput("window", f"a checkpoint's window of at most {n:,}", f"{self._taken:,}", "give another")
        if index is not None:
            for numbers in runs(self._taken, n):
                for span in index.spans(index.places(self.epoch * n + numbers)):
                    names = self._names[span.number]
                    cut = self._form.cut(rows[span.number].counts, span)
                    yield self._form.window(cut, span, names, names.source_dataset or self.data_set.name)

    def _index_of(self, rows: dict[int, Row]) -> Index | None:
        """Where the windows of these rows in this epoch are; None if they have none."""
        numbers = np.array(sorted(rows), np.int64)
        names = [self._names[i] for i in numbers.tolist()]
        shapes = np.array([rows[i].counts.shape for i in numbers.tolist()], np.int64)
        summed = self._summed[np.searchsorted(self._numbers, numbers)]
        held = selection.shaped(numbers, names, shapes, summed, self._gaps)
        slots = None
        if self._plan is not None:
            ends = (np.searchsorted(self._plan.rows.number, numbers, side) for side in ("left", "right"))
            here = np.concatenate([np.arange(*both) for both in zip(*ends, strict=True)])  # pieces of these rows
            slots = self._plan.epoch(self.epoch).slots[here]
            if not all(map(np.array_equal, held, (values[here] for values in self._plan.rows))):
                found = "others in rows than in its tables"
                raise BadInput(self.data_set.name, "units and bins as they are stated", found, "use Windows")
        return Index(held, self._rules, slots=slots) if len(held.number) and (slots is None or slots.any()) else None


def _worker() -> tuple[int, int]:
    """The number of this worker of PyTorch's `DataLoader`, and of how many; (0, 1) outside of one."""
    loader = sys.modules.get("torch.utils.data")
    worker = loader.get_worker_info() if loader else None
    return (0, 1) if worker is None else (worker.id, worker.num_workers)
