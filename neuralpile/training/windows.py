"""Windows of spike counts for training: window i of an epoch is a function of the seed, the epoch and i."""

import copy
import sys
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from resource import RUSAGE_SELF, getrusage
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from neuralpile.corpus.chosen import ChosenRows
from neuralpile.corpus.ordered import OrderedRows
from neuralpile.corpus.rows import LocalSource, RowSource
from neuralpile.errors import BadInput
from neuralpile.open import is_repository, open_data_set, opened
from neuralpile.training import selection
from neuralpile.training.arguments import FARTHEST, MOST, flag, whole, whole_numbers
from neuralpile.training.batches import Batch, Cut, Form, Formed, Layout, Window
from neuralpile.training.index import N_UNITS, Index, Places, Rules, Span, Units, runs
from neuralpile.training.mixture import MixBy, Mixture
from neuralpile.training.permutation import Integers, key_of

VIEWED = 512  # files whose rows are kept as views at most: each is a file handle, of which systems give 1,024


class Windows(Formed):
    """Windows of a data set's rows: a map-style source, as PyTorch's `DataLoader` and any sampler take it.

    `windows[i]` is the i-th window of the epoch, `windows.batch(numbers)` several in one array. An epoch has every
    window once, in an order that depends on `seed` and the number of the epoch (`windows.epoch(k)`).

    Parameters:
        data_set: a reference, as `open_data_set` takes it, or what that returns. A Hub repository is downloaded once.
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
            together, which mixes best, and which costs nothing once the rows are in the system's cache. Give 4 for rows
            that memory cannot hold: an epoch then reads them about once, and not many times (benchmarks/README.md).

    Raises:
        BadInput: there is no such data set, split, benchmark or group, no row is left, or an option has no meaning.

    Example:
        >>> windows = Windows("neural-pile-primate", n_bins=100, n_units=256, seed=0)  # doctest: +SKIP
        >>> windows.batch(range(64)).counts.shape  # doctest: +SKIP
        (64, 256, 100)
    """

    def __init__(
        self,
        data_set: str | PathLike[str] | RowSource,
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
        order: str | PathLike[str] | None = None,
        bin_size: float | None = None,
        observed: bool = False,
        locality: int | None = None,
    ) -> None:
        self._source = _local(data_set.source if isinstance(data_set, OrderedRows) else data_set)
        self._in_order: OrderedRows | None = None
        if order is not None:
            self._in_order = selection.in_order(self._source, order)
        elif isinstance(data_set, OrderedRows):
            self._in_order = OrderedRows(self._source, data_set.orders)
        self.data_set: RowSource = self._in_order or self._source
        self.pack, self.locality = (
            None if value is None else whole(name, value, 1) for name, value in (("pack", pack), ("locality", locality))
        )
        if pack is not None and n_units not in (None, N_UNITS):
            raise BadInput("n_units", "the units of a window or pack", "both", "give one of them")
        if pack is not None and locality is not None:
            raise BadInput("locality", "rows that are neighbours or pack", "both", "give one of them")
        rules = Rules.of(n_bins, n_units if pack is None else None, units, seed, shuffle, jitter)
        self._form = Form.of(rules, layout, dtype, bin_size is not None)
        mixture = Mixture.of(weights, temperature, cap, mix_by)
        self._names = self.data_set.names()
        self._in_parts = self._source.in_any_order()
        self._views: dict[int, npt.NDArray[np.uint8]] = {}  # of rows: to take one anew takes longer than a window
        self._reads_disk = True
        self._keeps_views = self._source.n_files <= VIEWED
        numbers = selection.select(self.data_set, self._names, split, where, exclude_evaluation)
        names = [self._names[i] for i in numbers.tolist()]
        summed = selection.bins_summed(self.data_set, names, bin_size)
        gaps = selection.Gaps(self.data_set) if flag("observed", observed) else None
        if gaps is not None:
            gaps.warn(names)
        rows = selection.shaped(numbers, names, self._source.shapes()[numbers], summed, gaps)
        selection.check_rows(rows, self.data_set, rules.n_bins)
        if self._in_order is not None:  # a row without an order is reported now, not in a later window
            for number, its in zip(rows.number.tolist(), rows.n_units.tolist(), strict=True):
                self._in_order.order(self._names[number], its)
        groups = mixture.groups(self.data_set, self._names, rows, rules)
        self._index = Index(rows, rules, groups, pack=self.pack, locality=self.locality)
        self._epoch, self._rank, self._world = 0, 0, 1
        if shuffle and (len(groups.names) > 1 or pack is not None):
            print(f"windows of an epoch: {self.describe()}", file=sys.stderr)

    def __len__(self) -> int:
        """Windows in an epoch, or in this process's part of it."""
        return max(0, -(-(self._index.in_all - self._rank) // self._world))

    def __getitem__(self, i: int) -> Window:
        """Window `i` of the epoch; negative numbers count from its end. Raises IndexError."""
        i = whole("window", i, None, None)
        if not -len(self) <= i < len(self):
            raise IndexError(f"window {i} of {len(self):,}")
        return next(self._windows(np.array([i % len(self)])))

    def __iter__(self) -> Iterator[Window]:
        return self.iterate()

    def iterate(self, first: int = 0) -> Iterator[Window]:
        """The windows of the epoch in their order, from one number on; faster than one by one."""
        for numbers in runs(whole("window", first), len(self)):
            yield from self._windows(numbers)

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        """What PyTorch's `DataLoader` calls for a batch; give it `collate_fn=default_convert`."""
        return self.batch(numbers)

    def batch(self, numbers: Sequence[int] | Integers) -> Batch:
        """Windows of the epoch in one array, by their numbers. Numbers from `len` on are those of the next epochs."""
        numbers = whole_numbers("window", numbers, FARTHEST // self._world - MOST)
        return self._batch(self._index.places(self._positions(numbers)))

    def at(self, positions: Sequence[int] | Integers) -> Batch:
        """Windows by their places in the stream of all epochs, whatever this process's part of it: see `Stream`."""
        return self._batch(self._index.places(whole_numbers("place", positions)))

    @property
    def n_packed(self) -> int:
        """Batches of an epoch that `packed` gives; 0 without `pack`."""
        return self._index.n_packed

    def packed(self, number: int) -> Batch:
        """Windows with similar numbers of units, in at most `pack` slots; padded to one of few numbers of units.

        Each window of an epoch is in one of its `n_packed` batches. Their order depends on the seed and the epoch.

        Parameters:
            number: which batch, of all epochs one after another, whatever this process's part of them: see `Stream`.

        Raises:
            BadInput: the windows were opened without `pack`.
        """
        number = whole("batch", number, None)
        if number < 0:
            raise IndexError(f"batch {number}: batches count from 0")
        return self._batch(*self._index.places_packed(number))

    def padding(self) -> float:
        """The share of the slots of an epoch's packed batches that is padding. Raises BadInput as `packed`."""
        return self._index.padding(self._epoch)

    def epoch(self, k: int) -> Self:
        """The windows of another epoch: other places, another order, the same rows and shares."""
        other = copy.copy(self)
        other._epoch = whole("epoch", k)
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

    @property
    def fingerprint(self) -> str:
        """A string that changes with the counts or the place of any window, in any epoch."""
        return f"{key_of(self.data_set.fingerprint, self._index.digest, str(self._form)):x}"

    def shares(self) -> dict[str, float]:
        """The share of each group in the windows of an epoch."""
        return self._index.shares()

    def describe(self) -> str:
        """Windows in an epoch, the share of each group, and what packing takes, in words."""
        return self._index.describe(self._epoch)

    def _positions(self, numbers: Integers) -> Integers:
        """Places in the stream of all epochs, of numbers of this process's part of one."""
        epochs, within = np.divmod(numbers, len(self))
        found: Integers = (self._epoch + epochs) * self._index.in_all + self._rank + within * self._world
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_views": {}}

    def _windows(self, numbers: Integers) -> Iterator[Window]:
        for span in self._index.spans(self._index.places(self._positions(numbers))):
            names = self._names[span.number]
            yield self._form.window(self._cut(span), span, names, names.source_dataset or self.data_set.name)

    def _cut(self, span: Span) -> Cut:
        order = None
        if self._in_order is not None:
            order = self._in_order.order(self._names[span.number], span.n_units)
        return self._form.cut(self._counts(span.number), span, order)

    def _counts(self, number: int) -> npt.NDArray[np.uint8]:
        """The counts of a row, a view of its file; pages that were read can be taken back by the system."""
        found = self._views.get(number)
        if found is None:
            found = self._in_parts.row(number).counts
            if self._keeps_views:
                self._views[number] = found
        return found

    def _prefetch(self, spans: Sequence[Span]) -> None:
        """Ask the system for the pages of all windows at once: a disk reads many pages faster than one after another.

        It takes 0.1 ms a window, so it is done only while the last batch was read from the disk.
        """
        for span in spans:
            stop = span.start + span.length * span.summed
            units = np.arange(span.first_unit, span.first_unit + span.taken)
            if span.taken < span.n_units and (self._form.random or self._in_order is not None):
                units = np.arange(span.n_units)  # more than are used, where these are not computed yet
            self._in_parts.prefetch(span.number, units, span.start, stop)

    def _batch(self, places: Places, most: int | None = None) -> Batch:
        """The windows at these places, padded to `most` units, or to those of the largest."""
        spans = self._index.spans(places)
        before = _blocks_read()
        if self._reads_disk:
            self._prefetch(spans)
        lengths = np.array([span.length for span in spans], np.int64)
        rows = self._index.rows.number[places.row]
        made = self._form.batch(map(self._cut, spans), places.n_units, lengths, places.start, rows, most)
        self._reads_disk = _blocks_read() > before
        return made


def _blocks_read() -> int:
    """How often this process read from a disk, in blocks; 0 where the system does not count."""
    return getrusage(RUSAGE_SELF).ru_inblock


def _local(data_set: str | PathLike[str] | RowSource) -> LocalSource:
    """A data set on this machine; one on the Hub is downloaded."""
    source = data_set if isinstance(data_set, str) else opened(data_set)
    if isinstance(source, ChosenRows) and source.folder is None:
        do = "give its name, and where= to Windows"
        raise BadInput(source.name, "a data set", "chosen rows of one on the Hub", do)
    if isinstance(source, str) and not is_repository(source):
        source = open_data_set(source)
    if not isinstance(source, str) and source.folder is not None:
        return cast(LocalSource, source)
    from neuralpile.hub import cache  # imports the Hub's clients, which takes two seconds

    return cache.downloaded(source if isinstance(source, str) else source.name)
