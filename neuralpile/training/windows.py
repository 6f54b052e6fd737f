"""Windows of spike counts for training: window i of an epoch is a function of the seed, the epoch and i.

An epoch is an order of slots. Each row of the corpus has as many slots as windows fit into it, or more or fewer where
components are weighted. A slot has a place in time, which jitters from epoch to epoch, and some of the row's units.
Nothing is drawn one after another, so any process can compute any window, and a run resumes from a number.
"""

import copy
import operator
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from resource import RUSAGE_SELF, getrusage
from typing import Any, Literal, NamedTuple, Self, cast, get_args

import numpy as np
import numpy.typing as npt

from neuralpile.corpus import ordered
from neuralpile.corpus.chosen import ChosenRows
from neuralpile.corpus.contents import NOT_STATED
from neuralpile.corpus.ordered import OrderedRows
from neuralpile.corpus.rows import LocalSource, Names, RowSource
from neuralpile.errors import BadInput
from neuralpile.open import is_repository, open_data_set
from neuralpile.training import selection
from neuralpile.training.permutation import Integers, below, hashes, key_of, permute, subset
from neuralpile.training.pool import Pool

Units = Literal["random", "block", "all"]
Layout = Literal["units", "time"]
MixBy = Literal["source_dataset", "animal", "area"]
N_UNITS = 256  # in a window at most, if nothing else is wanted: 95 % of the published corpus' rows have fewer
SIMILAR = 0.8  # packed windows have at least this share of the units of the largest one beside them
VIEWED = 512  # files whose rows are kept as views at most: each is a file handle, of which systems give 1,024
_key_of = lru_cache(1 << 12)(key_of)  # of an epoch: to make a key takes as long as to find ten windows
TOGETHER = 1_024  # windows whose places are computed together
MOST = 1 << 31  # of what is counted: products of two stay within 64 bits
EPOCHS_KEPT = 4  # whose slots are in memory: 16 bytes a row each


class Window(NamedTuple):
    """A window of one row.

    Attributes:
        counts: (units, bins), or (bins, units) with `layout="time"`. Fewer of either where the row has fewer.
        units: which of the row's units: (units,).
        start: bin of the row at which it starts, in the row's own bins.
        row: number of the row in the data set, over all splits: `windows.data_set.row(window.row)`.
        names: of the row: subject, session, segment and, in a corpus, source data set.
        source: name of the data set that the row is from.
    """

    counts: npt.NDArray[Any]
    units: Integers
    start: int
    row: int
    names: Names
    source: str


class Batch(NamedTuple):
    """Windows side by side in one array, padded with zeros.

    Attributes:
        counts: (windows, units, bins), or (windows, bins, units) with `layout="time"`.
        mask: (windows, units): False where there is padding instead of a unit.
        bin_mask: (windows, bins): False where there is padding after the end of a row.
        units: (windows, units): which of the row's units; -1 for padding.
        starts: (windows,): bin of the row at which each starts.
        rows: (windows,): number of each one's row in the data set.
    """

    counts: npt.NDArray[Any]
    mask: npt.NDArray[np.bool_]
    bin_mask: npt.NDArray[np.bool_]
    units: Integers
    starts: Integers
    rows: Integers


class _Places(NamedTuple):
    """Where windows are: one number each."""

    row: Integers  # place in `_Rows`
    start: Integers  # in the row's own bins
    first_unit: Integers
    n_units: Integers
    key: npt.NDArray[np.uint64]  # of a random subset of units


class _Span(NamedTuple):
    """What one window is cut from."""

    number: int  # of the row in the data set
    n_units: int  # of the row
    first_unit: int
    taken: int  # units
    key: int  # of a random subset of units
    start: int  # in the row's own bins
    length: int  # bins of the window
    summed: int  # own bins in one of these


class _Rows(NamedTuple):
    """The rows that windows are taken from, or pieces of rows: arrays of (rows,)."""

    number: Integers  # in the data set
    first: Integers  # own bin at which the piece begins
    n_units: Integers
    n_bins: Integers  # of the window's width
    summed: Integers  # own bins in one of these


class _Pack(NamedTuple):
    """Buckets of rows with similar numbers of units, whose windows are packed together."""

    rows: Integers  # in the order of their buckets
    units: Integers  # of the largest row of each bucket: what its batches are padded to
    each: Integers  # windows in a batch of each
    ends: Integers  # windows of an epoch before each, and in all
    batch_ends: Integers  # batches before each, and in all


class _Epoch(NamedTuple):
    """The slots of an epoch, in blocks of rows that are shuffled together."""

    slots: Integers  # of each row
    ends: Integers  # slots before each row, and in all
    packed_ends: Integers  # likewise, of the rows in the order of their buckets; empty without `pack`
    block_order: Integers  # the number of each block, in the order of the epoch
    block_ends: Integers  # slots before each of them, in this order, and in all
    block_start: Integers  # the first slot of each of them


class Windows:
    """Windows of a data set's rows: a map-style source, as PyTorch's `DataLoader` and any sampler take it.

    `windows[i]` is the i-th window of the epoch, `windows.batch(numbers)` several in one array. An epoch has every
    window once, in an order that depends on `seed` and the number of the epoch (`windows.epoch(k)`).

    Parameters:
        data_set: a reference, as `open_data_set` takes it, or an opened data set. A Hub repository is downloaded once.
        split: the windows are of this split; None for all rows.
        n_bins: bins in a window.
        n_units: units in a window at most; None for all of a row.
        pack: instead, windows have all units of their row, and a batch has as many windows as fit into this number of
            slots. A slot is one unit over the bins of a window: a batch of 21 windows, padded to 96 units, takes 2,016
            slots. Windows that are packed together have similar numbers of units, at least 0.8 of the largest.
            `packed` gives these batches, and `Stream` one after another; `describe` says what share of them is padding.
        seed: of everything that is random.
        shuffle: False for the order of the rows.
        jitter: windows start anywhere, at other places in each epoch. False for windows that lie side by side from the
            start of a row and cover each bin once; the last one of a row can be shorter.
        units: which units of a row that has more than `n_units`: a `random` subset, a `block` of neighbours, or `all`,
            in consecutive windows. By default `random`, and `all` without jitter: then windows cover everything once.
        weights: shares of the windows by group; groups that are not named share what is left, as they are. Where all
            are named, only their proportions matter.
        temperature: instead, shares in proportion to (windows of a group) ** temperature: 1 as they are, 0 all equal.
        cap: tokens of a group in an epoch at most.
        mix_by: the groups: components (`source_dataset`), animals or areas of the table of sessions.
        where: only rows of sessions for which this expression over the table of sessions is true.
        exclude_evaluation: benchmarks (`nlb`, `falcon`, …) whose evaluation data are left out.
        layout: `units` for (units, bins), `time` for (bins, units).
        dtype: of the counts; by default uint8, and uint16 where bins are summed. Sums saturate.
        order: units in the order that reorder_units.py made: `similarity`, `rate` or `area`, or the folder of its
            result. Windows are then those of the rows that it writes; `units` are places in this order.
        bin_size: seconds, a multiple of the rows' own bin size, whose bins are summed; what is left over at the end
            of a row is dropped.
        observed: no window has bins in which nothing was recorded, as the table of sessions says (`unobserved`). What
            is between two gaps counts as a row of its own: where it is shorter than a window, the window is padded.
            Sessions that do not say count as observed; how many these are is printed.
        locality: only this many rows, neighbours on disk, are shuffled together, and then the next: windows that are
            near each other in the epoch are read from one part of the disk. None, the default, shuffles all rows
            together, which mixes best, and which costs nothing once the rows are in the system's cache. For rows that
            memory cannot hold, 4 was 18 times as fast from a cold disk (benchmarks/README.md).

    Raises:
        BadInput: there is no such data set, split, benchmark or group, no row is left, or an option has no meaning.

    Example:
        >>> windows = Windows("neural-pile-primate", n_bins=100, n_units=256, seed=0)  # doctest: +SKIP
        >>> windows.batch(range(64)).counts.shape  # doctest: +SKIP
        (64, 256, 100)
    """

    def __init__(
        self,
        data_set: str | RowSource,
        split: str | None = "train",
        *,
        n_bins: int = 100,
        n_units: int | None = N_UNITS,
        pack: int | None = None,
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
        order: str | None = None,
        bin_size: float | None = None,
        observed: bool = False,
        locality: int | None = None,
    ) -> None:
        self._source = _local(data_set.source if isinstance(data_set, OrderedRows) else data_set)
        self._in_order: OrderedRows | None = None
        if order is not None:
            self._in_order = ordered.rows(self._source, order)
        elif isinstance(data_set, OrderedRows):
            self._in_order = OrderedRows(self._source, data_set.orders)
        self.data_set: RowSource = self._in_order or self._source
        n_units, self.pack, self.locality = (
            None if value is None else whole(name, value, 1)
            for name, value in (("n_units", n_units), ("pack", pack), ("locality", locality))
        )
        self.n_bins, self.n_units = whole("n_bins", n_bins, 1), n_units if pack is None else None
        self.seed = whole("seed", seed, None, None)
        self.shuffle, self.jitter, self.layout = shuffle, jitter, layout
        self.units: Units = units or ("random" if jitter else "all")
        self._check_options(n_units)
        _check_mixture(weights, temperature, cap, mix_by)
        self.dtype = np.dtype(dtype or (np.uint8 if bin_size is None else np.uint16))
        self._names = self.data_set.names()
        self._in_parts = self._source.in_any_order()
        self._views: dict[int, npt.NDArray[np.uint8]] = {}  # of rows: to take one anew takes longer than a window
        self._reads_disk = True
        self._keeps_views = self._source.n_files <= VIEWED
        numbers = selection.select(self.data_set, self._names, split, where, exclude_evaluation)
        self._rows = self._shaped(numbers, bin_size, observed)
        if self._in_order is not None:  # a row without an order is reported now, not in a later window
            for number, n_units in zip(self._rows.number.tolist(), self._rows.n_units.tolist(), strict=True):
                self._in_order.order(self._names[number], n_units)
        self._groups, self._group = self._grouped(mix_by)
        self._slots = self._windows_of_rows()
        self._bucket, tops = _buckets(self._rows.n_units, pack)
        self._cell = self._group * len(tops) + self._bucket  # rows that share a number of windows
        self._quota = self._divided(self._quotas(weights, temperature, cap), len(tops))
        self._packed = None if pack is None else _packed(self._bucket, tops, pack, self._quota.sum(axis=0))
        self._epoch, self._rank, self._world = 0, 0, 1
        several = len(self._groups) > 1 or self._packed is not None
        if several and shuffle and not isinstance(self.data_set, Pool):
            print(f"windows of an epoch: {self.describe()}", file=sys.stderr)

    def __len__(self) -> int:
        """Windows in an epoch, or in this process's part of it."""
        return max(0, -(-(self._in_all - self._rank) // self._world))

    def __getitem__(self, i: int) -> Window:
        """Window `i` of the epoch. Raises IndexError."""
        i = whole("window", i, None, None)
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        return self._window(self._spans(self._places(self._positions(np.array([i % len(self)]))))[0])

    def __iter__(self) -> Iterator[Window]:
        return self.iterate()

    def iterate(self, first: int = 0) -> Iterator[Window]:
        """The windows of the epoch in their order, from one number on; faster than one by one."""
        for begin, end in pairwise([*range(first, len(self), TOGETHER), len(self)]):
            for span in self._spans(self._places(self._positions(np.arange(begin, end)))):
                yield self._window(span)

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        """What PyTorch's `DataLoader` calls for a batch; give it `collate_fn=default_convert`."""
        return self.batch(numbers)

    def batch(self, numbers: Sequence[int] | Integers) -> Batch:
        """Windows of the epoch in one array, by their numbers. Numbers from `len` on are those of the next epochs."""
        numbers = _whole_numbers(numbers)
        if numbers.size and numbers.min() < 0:
            raise IndexError(int(numbers.min()))
        return self._batch(self._places(self._positions(numbers)))

    def at(self, positions: Sequence[int] | Integers) -> Batch:
        """Windows by their places in the stream of all epochs, whatever this process's part of it: see `Stream`."""
        return self._batch(self._places(_whole_numbers(positions)))

    @property
    def n_packed(self) -> int:
        """Batches of an epoch that `packed` gives; 0 without `pack`."""
        return 0 if self._packed is None else int(self._packed.batch_ends[-1])

    def packed(self, number: int) -> Batch:
        """Windows with similar numbers of units, in at most `pack` slots; padded to one of few numbers of units.

        Each window of an epoch is in one of its `n_packed` batches. Their order depends on the seed and the epoch.

        Parameters:
            number: which batch, of all epochs one after another, whatever this process's part of them: see `Stream`.

        Raises:
            BadInput: the windows were opened without `pack`.
        """
        if self._packed is None:
            raise _not_packed()
        number = whole("batch", number, None)
        if number < 0:
            raise IndexError(number)
        epoch, batch = divmod(number, self.n_packed)
        if self.shuffle:
            key = _key_of(self.seed, epoch, "packed")
            batch = int(permute(np.array([batch]), np.array([self.n_packed]), np.array([key]))[0])
        pack, slots = self._packed, self._made(epoch)
        bucket = int(np.searchsorted(pack.batch_ends, batch, side="right")) - 1
        first, size = int(pack.ends[bucket]), int(pack.ends[bucket + 1] - pack.ends[bucket])
        each = int(pack.each[bucket])
        start = (batch - int(pack.batch_ends[bucket])) * each
        numbers = np.arange(start, min(start + each, size))
        if self.shuffle:
            keys = hashes(_key_of(self.seed, epoch, "order"), np.full(len(numbers), bucket))
            numbers = permute(numbers, np.full(len(numbers), size), keys)
        at = np.searchsorted(slots.packed_ends, first + numbers, side="right") - 1
        places = self._placed(epoch, pack.rows[at], first + numbers - slots.packed_ends[at])
        return self._batch(places, int(pack.units[bucket]))

    def padding(self) -> float:
        """The share of the slots of an epoch's packed batches that is padding. Raises BadInput as `packed`."""
        if self._packed is None:
            raise _not_packed()
        held = self._made(self._epoch).slots
        return 1 - float((held * self._rows.n_units).sum() / (held * self._packed.units[self._bucket]).sum())

    def epoch(self, k: int) -> Self:
        """The windows of another epoch: other places, another order, the same rows and shares."""
        other = copy.copy(self)
        other._epoch = whole("epoch", k, None)
        return other

    def shard(self, rank: int, world: int) -> Self:
        """The windows of one process of several: each has every `world`-th one, and together they have all, once.

        Raises:
            BadInput: the rank is not one of 0 to `world` - 1.
        """
        rank, world = whole("rank", rank, None), whole("world", world, None)
        if not 0 <= rank < min(world, len(self)):
            found = f"rank {rank} of {world}, and {len(self):,} windows"
            raise BadInput("shard", "a rank from 0 to below the number of processes", found, "use fewer processes")
        other = copy.copy(self)
        other._rank, other._world = self._rank + rank * self._world, self._world * world
        return other

    def shares(self) -> dict[str, float]:
        """The share of each group in the windows of an epoch."""
        total = max(1, self._in_all)
        return {group: int(n) / total for group, n in zip(self._groups, self._quota.sum(axis=1), strict=True)}

    def describe(self) -> str:
        """Windows in an epoch, the share of each group, and what packing takes, in words."""
        shares = ", ".join(f"{group} {share:.1%}" for group, share in self.shares().items())
        packed = f", packed in {self.n_packed:,} batches, {self.padding():.1%} padding" if self._packed else ""
        return f"{self._in_all:,}" + (f" ({shares})" if len(self._groups) > 1 else "") + packed

    @property
    def _in_all(self) -> int:
        return int(self._quota.sum())

    def _window(self, span: _Span) -> Window:
        counts, units = self._cut(span)
        if isinstance(units, slice):
            units = np.arange(units.start, units.stop)
        counts = np.ascontiguousarray(counts.T) if self.layout == "time" else counts
        names = self._names[span.number]
        source = names.source_dataset or self.data_set.name
        return Window(counts.astype(self.dtype, copy=False), units, span.start, span.number, names, source)

    def _check_options(self, n_units: int | None) -> None:
        _check_word("units", self.units, get_args(Units))
        _check_word("layout", self.layout, get_args(Layout))
        if self.pack is not None and n_units not in (None, N_UNITS):
            raise BadInput("n_units", "the units of a window or pack", "both", "give one of them")
        if self.pack is not None and self.locality is not None:
            raise BadInput("locality", "rows that are neighbours or pack", "both", "give one of them")

    def _grouped(self, mix_by: MixBy) -> tuple[list[str], Integers]:
        """The names of the groups of the mixture, and the group of each row."""
        rows = [self._names[i] for i in self._rows.number.tolist()]
        if mix_by == "source_dataset":
            names = [row.source_dataset or self.data_set.name for row in rows]
        else:
            column = "animal" if mix_by == "animal" else "areas"
            names = [_word(value) for value in selection.of_sessions(self.data_set, rows, column)]
        groups, of_row = np.unique(names, return_inverse=True)
        return [str(group) for group in groups], of_row.astype(np.int64)

    def _shaped(self, numbers: Integers, bin_size: float | None, observed: bool) -> _Rows:
        """The rows that have units and bins, or what of them was observed, and their shapes."""
        n_units, n_bins = self._source.shapes()[numbers].T
        names = [self._names[i] for i in numbers.tolist()]
        summed = selection.bins_summed(self.data_set, names, bin_size)
        row, first = np.arange(len(numbers)), np.zeros_like(numbers)
        if observed:
            row, first, n_bins = selection.observed(self.data_set, names, n_bins)
        number, n_units, summed = numbers[row], n_units[row], summed[row]
        some = (n_units > 0) & (n_bins >= summed)
        if not some.any():
            raise BadInput(self.data_set.name, "rows with units and bins", "none", "choose other rows")
        return _Rows(number[some], first[some], n_units[some], (n_bins // summed)[some], summed[some])

    def _parts(self, row: Integers | slice) -> Integers:
        """Windows that share the units of rows between them."""
        n_units = self._rows.n_units[row]
        if self.n_units is None or self.units != "all":
            return np.ones_like(n_units)
        return -(-n_units // self.n_units)

    def _in_time(self, row: Integers | slice) -> Integers:
        """Windows that fit side by side into rows; without jitter, a last shorter one too."""
        n_bins = self._rows.n_bins[row]
        return np.maximum(n_bins // self.n_bins, 1) if self.jitter else -(-n_bins // self.n_bins)

    def _windows_of_rows(self) -> Integers:
        return self._in_time(slice(None)) * self._parts(slice(None))

    def _quotas(self, weights: Mapping[str, float] | None, temperature: float | None, cap: int | None) -> Integers:
        """Windows of each group in an epoch."""
        held = np.bincount(self._group, self._slots, len(self._groups)).astype(np.int64)
        wanted = held / held.sum()
        if weights:
            wanted = _weighted(wanted, self._groups, weights)
        elif temperature is not None:
            wanted = (held / held.max()) ** float(temperature)  # of the largest: no power is too large for a float
            wanted /= wanted.sum()
        quota: Integers = _rounded(wanted * held.sum(), int(held.sum()))
        if cap is not None:
            units = self._rows.n_units if self.n_units is None else np.minimum(self._rows.n_units, self.n_units)
            tokens = units * np.minimum(self._rows.n_bins, self.n_bins) * self._rows.summed * self._slots
            of_window = np.bincount(self._group, tokens, len(self._groups)) / np.maximum(held, 1)
            quota = np.minimum(quota, np.maximum(float(cap) // np.maximum(of_window, 1), 1)).astype(np.int64)
        return quota

    def _divided(self, quota: Integers, n_buckets: int) -> Integers:
        """Windows of each group in each bucket, (groups, buckets), in proportion to what the buckets hold."""
        held = np.bincount(self._cell, self._slots, len(quota) * n_buckets).reshape(len(quota), n_buckets)
        share = held / np.maximum(held.sum(axis=1, keepdims=True), 1)
        return np.stack([_rounded(its * int(n), int(n)) for its, n in zip(share, quota, strict=True)])

    def _positions(self, numbers: Integers) -> Integers:
        """Places in the stream of all epochs, of numbers of this process's part of one."""
        epochs, within = np.divmod(numbers, len(self))
        found: Integers = (self._epoch + epochs) * self._in_all + self._rank + within * self._world
        return found

    @cached_property
    def _made(self) -> Callable[[int], _Epoch]:
        return lru_cache(EPOCHS_KEPT)(self._slots_of_epoch)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_made"} | {"_views": {}}

    def _slots_of_epoch(self, epoch: int) -> _Epoch:
        """How many windows each row has in an epoch, and the order of the blocks of rows."""
        slots = np.empty_like(self._slots)
        for cell in np.unique(self._cell).tolist():
            rows = np.flatnonzero(self._cell == cell)
            held = np.cumsum([0, *self._slots[rows]], dtype=np.int64)
            # Where a cell has more or fewer windows than its rows hold, which rows have them changes with the epoch.
            phase = int(_key_of(self.seed, epoch, "rows", cell)) % int(held[-1])
            slots[rows] = np.diff((held * int(self._quota.flat[cell]) + phase) // held[-1])
        ends = np.cumsum([0, *slots], dtype=np.int64)
        step = self.locality if self.locality and self.shuffle else len(slots)
        first = np.flatnonzero(np.diff(self._rows.number, prepend=-1))[::step]  # of the pieces of a row
        sizes = np.diff(ends[np.append(first, len(slots))])
        key = _key_of(self.seed, epoch, "blocks")
        order = permute(np.arange(len(first)), np.full(len(first), len(first)), np.full(len(first), key))
        packed_ends = np.cumsum([0, *(slots[self._packed.rows] if self._packed else ())], dtype=np.int64)
        block_ends = np.cumsum([0, *sizes[order]], dtype=np.int64)
        return _Epoch(slots, ends, packed_ends, order, block_ends, ends[first][order])

    def _places(self, positions: Integers) -> _Places:
        """Where the windows at these places of the stream are."""
        epochs, within = np.divmod(positions, self._in_all)
        found = [np.empty(len(positions), np.int64) for _ in range(4)]
        keys = np.empty(len(positions), np.uint64)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            some = self._places_of_epoch(epoch, within[here])
            for whole, part in zip([*found, keys], some, strict=True):
                whole[here] = part
        return _Places(found[0], found[1], found[2], found[3], keys)

    def _places_of_epoch(self, epoch: int, numbers: Integers) -> _Places:
        slots = self._made(epoch)
        if self.shuffle:
            block = np.searchsorted(slots.block_ends, numbers, side="right") - 1
            sizes = slots.block_ends[block + 1] - slots.block_ends[block]
            keys = hashes(_key_of(self.seed, epoch, "order"), slots.block_order[block])
            numbers = slots.block_start[block] + permute(numbers - slots.block_ends[block], sizes, keys)
        row = np.searchsorted(slots.ends, numbers, side="right") - 1
        return self._placed(epoch, row, numbers - slots.ends[row])

    def _placed(self, epoch: int, row: Integers, slot: Integers) -> _Places:
        """Where the windows of these slots of rows are."""
        n_slots = self._made(epoch).slots[row]
        parts, n_bins = self._parts(row), self._rows.n_bins[row]
        when, part = np.divmod(slot, parts)
        strata = -(-n_slots // parts)
        which = self._rows.number[row] + (self._rows.first[row] << 32)  # the number alone at the start of a row
        of_row = hashes(_key_of(self.seed, epoch, "time"), which)
        if self.jitter:
            # The possible starts are divided among the row's windows; each window takes one of its own.
            starts = np.maximum(n_bins - self.n_bins, 0) + 1
            first = when * starts // strata
            width = np.maximum((when + 1) * starts // strata - first, 1)
            start = np.minimum(first + below(hashes(of_row, when), width), starts - 1)
        else:
            in_time = self._in_time(row)
            shift = np.where(strata == in_time, 0, below(of_row, in_time))
            start = (when + shift) % in_time * self.n_bins
        key = hashes(hashes(of_row, when), part)
        n_units = self._rows.n_units[row]
        if self.n_units is None:
            first_unit, taken = np.zeros_like(row), n_units
        elif self.units == "all":
            first_unit = part * self.n_units
            taken = np.minimum(n_units - first_unit, self.n_units)
        else:
            taken = np.minimum(n_units, self.n_units)
            first_unit = below(key, n_units - taken + 1)
        return _Places(row, self._rows.first[row] + start * self._rows.summed[row], first_unit, taken, key)

    def _spans(self, places: _Places) -> list[_Span]:
        """What the windows at these places are cut from."""
        number, begin, n_units, n_bins, summed = (values[places.row] for values in self._rows)
        length = np.minimum(self.n_bins, n_bins - (places.start - begin) // summed)
        values = (number, n_units, places.first_unit, places.n_units, places.key, places.start, length, summed)
        return [_Span(*one) for one in zip(*(its.tolist() for its in values), strict=True)]

    def _cut(self, span: _Span) -> tuple[npt.NDArray[Any], Integers | slice]:
        """The counts (units, bins) of a window, and its units."""
        units: Integers | slice = slice(span.first_unit, span.first_unit + span.taken)  # copied faster than an array
        if span.taken < span.n_units and self.units == "random":
            units = subset(span.taken, span.n_units, np.uint64(span.key))
        lines = units
        if self._in_order is not None:
            lines = self._in_order.order(self._names[span.number], span.n_units)[units]
        counts = self._counts(span.number)
        cut: npt.NDArray[Any] = counts[lines, span.start : span.start + span.length * span.summed]
        if span.summed > 1:
            cut = cut.reshape(span.taken, -1, span.summed).sum(axis=2, dtype=np.int64)
            if self.dtype.kind in "iu":
                cut = cut.clip(max=np.iinfo(self.dtype).max)
        return cut, units

    def _counts(self, number: int) -> npt.NDArray[np.uint8]:
        """The counts of a row, a view of its file; pages that were read can be taken back by the system."""
        found = self._views.get(number)
        if found is None:
            found = self._in_parts.row(number).counts
            if self._keeps_views:
                self._views[number] = found
        return found

    def _prefetch(self, spans: Sequence[_Span]) -> None:
        """Ask the system for the pages of all windows at once: a disk reads many pages faster than one after another.

        It takes 0.1 ms a window, so it is done only while the last batch was read from the disk.
        """
        for span in spans:
            stop = span.start + span.length * span.summed
            units = np.arange(span.first_unit, span.first_unit + span.taken)
            if span.taken < span.n_units and (self.units == "random" or self._in_order is not None):
                units = np.arange(span.n_units)  # more than are used, where these are not computed yet
            self._in_parts.prefetch(span.number, units, span.start, stop)

    def _batch(self, places: _Places, most: int | None = None) -> Batch:
        """The windows at these places, padded to `most` units, or to those of the largest."""
        n, most = len(places.row), most or self.n_units or int(places.n_units.max(initial=0))
        counts = np.zeros((n, most, self.n_bins) if self.layout == "units" else (n, self.n_bins, most), self.dtype)
        unit = np.arange(most)
        mask = unit < places.n_units[:, np.newaxis]
        units = np.where(mask, places.first_unit[:, np.newaxis] + unit, -1)
        spans = self._spans(places)
        before = _blocks_read()
        if self._reads_disk:
            self._prefetch(spans)
        bin_mask = np.arange(self.n_bins) < np.array([span.length for span in spans])[:, np.newaxis]
        for k, span in enumerate(spans):
            cut, which = self._cut(span)
            if self.layout == "units":
                counts[k, : span.taken, : span.length] = cut
            else:
                counts[k, : span.length, : span.taken] = cut.T
            if not isinstance(which, slice):
                units[k, : span.taken] = which
        self._reads_disk = _blocks_read() > before
        return Batch(counts, mask, bin_mask, units, places.start, self._rows.number[places.row])


def _blocks_read() -> int:
    """How often this process read from a disk, in blocks; 0 where the system does not count."""
    return getrusage(RUSAGE_SELF).ru_inblock


def _buckets(n_units: Integers, pack: int | None) -> tuple[Integers, Integers]:
    """The bucket of each row, and the units of the largest row of each bucket; one bucket without `pack`.

    Raises:
        BadInput: a row has more units than fit into a batch.
    """
    counts, of_row = np.unique(-n_units, return_inverse=True)  # from the largest
    if pack is None:
        return np.zeros_like(n_units), -counts[:1]
    if pack < (most := -int(counts[0])):
        do = f"give as many, or where='n_units <= {pack}'"
        raise BadInput("pack", f"at least {most:,} slots, the units of the largest row", f"{pack:,}", do)
    tops: list[int] = []
    bucket = []
    for count in (-counts).tolist():
        if not tops or count < SIMILAR * tops[-1]:
            tops.append(count)
        bucket.append(len(tops) - 1)
    return np.array(bucket)[of_row], np.array(tops)


def _not_packed() -> BadInput:
    return BadInput("pack", "windows that were opened with the slots of a batch", "none", "give Windows pack=2048")


def _packed(bucket: Integers, tops: Integers, pack: int, windows: Integers) -> _Pack:
    """How buckets are packed. `windows` are those of each bucket in an epoch."""
    each = pack // tops
    ends = np.cumsum([0, *windows], dtype=np.int64)
    return _Pack(np.argsort(bucket, kind="stable"), tops, each, ends, np.cumsum([0, *-(-windows // each)]))


def _local(data_set: str | RowSource) -> LocalSource:
    """A data set on this machine; one on the Hub is downloaded."""
    if not isinstance(data_set, str) and (isinstance(data_set, Pool) or data_set.folder is not None):
        return cast(LocalSource, data_set)
    if isinstance(data_set, ChosenRows):
        do = "give its name, and where= to Windows"
        raise BadInput(data_set.name, "a data set", "chosen rows of one on the Hub", do)
    if isinstance(data_set, str) and not is_repository(data_set):
        return cast(LocalSource, open_data_set(data_set))
    from neuralpile.hub import cache  # imports the Hub's clients, which takes two seconds

    return cache.downloaded(data_set if isinstance(data_set, str) else data_set.name)


def _word(value: Any) -> str:
    """A group's name from a value of the table of sessions."""
    if isinstance(value, list):
        return " + ".join(sorted(set(filter(None, value)))) or NOT_STATED
    return value or NOT_STATED


def _check_word(name: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        raise BadInput(name, f"one of {', '.join(known)}", str(word), "give one of these")


def whole(name: str, value: object, least: int | None = 0, most: int | None = MOST) -> int:
    """A whole number, of Python or numpy, as Python has it.

    Parameters:
        name: what it is called in the error.
        value: what a user gave.
        least, most: its range; None for no bound.

    Raises:
        BadInput: it is none, or outside of the range.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or (least is not None and number < least):
        of = "" if least is None else f" of at least {least}"
        kind, found = ("a whole number", repr(value)) if number is None else ("a number", str(number))
        raise BadInput(name, kind + of, found, "give another")
    if most is not None and number > most:
        raise BadInput(name, f"a whole number of at most {most}", f"{number:,}"[:80], "give another")
    return number


def _whole_numbers(values: Sequence[int] | Integers) -> Integers:
    """Whole numbers as an array. Raises BadInput."""
    try:
        found = np.asarray(values)
    except ValueError:  # lists of several lengths
        found = np.empty(1, object)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise BadInput("numbers", "whole numbers, one after another", repr(values)[:80], "give others")
    return found.astype(np.int64)


def _check_number(name: str, value: object, least: int, found: str) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not least <= value <= sys.float_info.max:  # type: ignore[operator]
        raise BadInput(name, f"numbers of at least {least}", found, "give another")


def _check_mixture(
    weights: Mapping[str, float] | None, temperature: float | None, cap: int | None, mix_by: MixBy
) -> None:
    """Raise BadInput if an option has no meaning, whatever groups there are."""
    _check_word("mix_by", mix_by, get_args(MixBy))
    if temperature is not None:
        _check_number("temperature", temperature, 0, str(temperature))
    if cap is not None:
        _check_number("cap", cap, 1, str(cap))
    if weights is not None and not isinstance(weights, Mapping):
        raise BadInput("weights", "a share for each group's name", repr(weights), "give weights={'name': 0.5}")
    if weights and temperature is not None:
        raise BadInput("temperature", "weights or a temperature", "both", "give one of them")


def _weighted(held: npt.NDArray[np.float64], groups: Sequence[str], weights: Mapping[str, float]) -> Any:
    """Shares of groups: those that are given, and the others in proportion to what they hold."""
    for name, weight in weights.items():
        if name not in groups:
            raise BadInput("weights", f"some of {', '.join(groups)}", name, "name one of these")
        _check_number("weights", weight, 0, f"{name} {weight}")
    named = np.array([group in weights for group in groups])
    given = np.array([weights.get(group, 0.0) for group in groups])
    left = held * ~named
    if left.sum() == 0:
        if given.max() == 0:
            raise BadInput("weights", "a share above 0", "none", "give one")
        given = np.ldexp(given, -np.frexp(given.max())[1])  # exact, and no sum is too large for a float
        return given / given.sum()
    if (total := sum(given.tolist())) > 1:
        raise BadInput("weights", "shares of at most 1 in all", f"{total:g}", "give smaller ones")
    return given + left / left.sum() * (1 - given.sum())


def _rounded(wanted: npt.NDArray[np.float64], total: int) -> Integers:
    """Whole numbers near these that add up to a total: the largest remainders are rounded up."""
    found = np.floor(wanted).astype(np.int64)
    short = total - int(found.sum())
    found[np.argsort(found - wanted, kind="stable")[:short]] += 1
    return found
