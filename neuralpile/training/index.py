"""Which windows an epoch has, and where each of them is: a function of the rows' shapes. No counts are read here.

An epoch is an order of slots. Each row of the corpus has as many slots as windows fit into it, or more or fewer where
components are weighted. A slot has a place in time, which jitters from epoch to epoch, and some of the row's units.
Nothing is drawn one after another, so any process can compute any window, and a run resumes from a number.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from neuralpile.errors import BadInput
from neuralpile.training.arguments import check_word, flag, whole
from neuralpile.training.permutation import Integers, below, hashes, key_of, permute

Units = Literal["random", "block", "all"]
N_UNITS = 256  # in a window at most, if nothing else is wanted: 95 % of the published corpus' rows have fewer
SIMILAR = 0.8  # packed windows have at least this share of the units of the largest one beside them
TOGETHER = 1_024  # windows whose places are computed together
EPOCHS_KEPT = 4  # whose slots are in memory: 16 bytes a row each
_key_of = lru_cache(1 << 12)(key_of)  # of an epoch: to make a key takes as long as to find ten windows


class Rules(NamedTuple):
    """How rows are cut into windows; `Windows` says what each of these means."""

    n_bins: int
    n_units: int | None
    units: Units
    seed: int
    shuffle: bool
    jitter: bool

    @classmethod
    def of(
        cls, n_bins: int, n_units: int | None, units: Units | None, seed: int, shuffle: bool, jitter: bool
    ) -> "Rules":
        """The rules that a user gave. Raises BadInput if one has no meaning."""
        chosen: Units = ("random" if jitter else "all") if units is None else units
        check_word("units", chosen, get_args(Units))
        most = None if n_units is None else whole("n_units", n_units, 1)
        bins, number = whole("n_bins", n_bins, 1), whole("seed", seed, None, None)
        return cls(bins, most, chosen, number, flag("shuffle", shuffle), flag("jitter", jitter))


class Rows(NamedTuple):
    """The rows that windows are taken from, or pieces of rows: arrays of (rows,)."""

    number: Integers  # in the data set, ascending
    first: Integers  # own bin at which the piece begins
    n_units: Integers
    n_bins: Integers  # of the window's width
    summed: Integers  # own bins in one of these


class Groups(NamedTuple):
    """Rows in groups, each of which has a number of the windows of an epoch."""

    names: Sequence[str]
    of_row: Integers  # the group of each row
    quota: Integers  # windows of each group in an epoch


class Places(NamedTuple):
    """Where windows are: one number each."""

    row: Integers  # place in `Rows`
    start: Integers  # in the row's own bins
    first_unit: Integers
    n_units: Integers
    key: npt.NDArray[np.uint64]  # of a random subset of units


class Span(NamedTuple):
    """What one window is cut from."""

    number: int  # of the row in the data set
    n_units: int  # of the row
    first_unit: int
    taken: int  # units
    key: int  # of a random subset of units
    start: int  # in the row's own bins
    length: int  # bins of the window
    summed: int  # own bins in one of these


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


class Index:
    """Where the windows of all epochs are.

    Parameters:
        rows: that windows are taken from.
        rules: how.
        groups: of the mixture.
        slots: instead, the windows of each row, in every epoch.
        pack: slots of a packed batch; None where nothing is packed.
        locality: rows that are shuffled together; None for all.

    Raises:
        BadInput: a row has more units than fit into a packed batch.
    """

    def __init__(
        self,
        rows: Rows,
        rules: Rules,
        groups: Groups | None = None,
        slots: Integers | None = None,
        pack: int | None = None,
        locality: int | None = None,
    ) -> None:
        self.rows, self.rules, self._locality = rows, rules, locality
        self._slots = windows_of(rows, rules) if slots is None else slots
        self.groups = groups or Groups([""], np.zeros_like(rows.number), self._slots.sum(keepdims=True))
        self.bucket, tops = _buckets(rows.n_units, pack)
        self._cell = self.groups.of_row * len(tops) + self.bucket  # rows that share a number of windows
        self._quota = self._divided(self.groups.quota, len(tops))
        self.packed = None if pack is None else _packed(self.bucket, tops, pack, self._quota.sum(axis=0))
        self.in_all = int(self._quota.sum())  # windows of an epoch

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "epoch"}

    @cached_property
    def digest(self) -> str:
        """A string that changes with the place of any window."""
        sha = hashlib.sha256(repr((self.rules, self._locality, self.packed is not None)).encode())
        packed = () if self.packed is None else (self.packed.units, self.packed.each)
        for values in (*self.rows, self._slots, self._cell, self._quota, *packed):
            sha.update(values.tobytes())
        return sha.hexdigest()

    def shares(self) -> dict[str, float]:
        """The share of each group in the windows of an epoch."""
        of_group = zip(self.groups.names, self._quota.sum(axis=1), strict=True)
        return {group: int(n) / max(1, self.in_all) for group, n in of_group}

    def describe(self, epoch: int = 0) -> str:
        """Windows in an epoch, the share of each group, and what packing takes, in words."""
        shares = ", ".join(f"{group} {share:.1%}" for group, share in self.shares().items())
        of_groups = f" ({shares})" if len(self.groups.names) > 1 else ""
        packing = f", packed in {self.n_packed:,} batches, {self.padding(epoch):.1%} padding" if self.packed else ""
        return f"{self.in_all:,}{of_groups}{packing}"

    @property
    def n_packed(self) -> int:
        """Packed batches of an epoch; 0 without `pack`."""
        return 0 if self.packed is None else int(self.packed.batch_ends[-1])

    def padding(self, epoch: int) -> float:
        """The share of the slots of an epoch's packed batches that is padding. Raises BadInput without `pack`."""
        if self.packed is None:
            raise _not_packed()
        held = self.epoch(epoch).slots
        return 1 - float((held * self.rows.n_units).sum() / (held * self.packed.units[self.bucket]).sum())

    @cached_property
    def epoch(self) -> Callable[[int], _Epoch]:
        """The slots of an epoch, by its number."""
        return lru_cache(EPOCHS_KEPT)(self._epoch)

    def _epoch(self, epoch: int) -> _Epoch:
        """How many windows each row has in an epoch, and the order of the blocks of rows."""
        slots = np.empty_like(self._slots)
        for cell in np.unique(self._cell).tolist():
            rows = np.flatnonzero(self._cell == cell)
            held = np.cumsum([0, *self._slots[rows]], dtype=np.int64)
            # Where a cell has more or fewer windows than its rows hold, which rows have them changes with the epoch.
            phase = int(_key_of(self.rules.seed, epoch, "rows", cell)) % int(held[-1])
            slots[rows] = np.diff((held * int(self._quota.flat[cell]) + phase) // held[-1])
        ends = np.cumsum([0, *slots], dtype=np.int64)
        step = self._locality if self._locality and self.rules.shuffle else len(slots)
        first = np.flatnonzero(np.diff(self.rows.number, prepend=-1))[::step]  # of the pieces of a row
        sizes = np.diff(ends[np.append(first, len(slots))])
        key = _key_of(self.rules.seed, epoch, "blocks")
        order = permute(np.arange(len(first)), np.full(len(first), len(first)), np.full(len(first), key))
        packed_ends = np.cumsum([0, *(slots[self.packed.rows] if self.packed else ())], dtype=np.int64)
        block_ends = np.cumsum([0, *sizes[order]], dtype=np.int64)
        return _Epoch(slots, ends, packed_ends, order, block_ends, ends[first][order])

    def places(self, positions: Integers) -> Places:
        """Where the windows at these places of the stream of all epochs are."""
        epochs, within = np.divmod(positions, self.in_all)
        found = [np.empty(len(positions), np.int64) for _ in range(4)]
        keys = np.empty(len(positions), np.uint64)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            some = self._places_of_epoch(epoch, within[here])
            for all_of_them, part in zip([*found, keys], some, strict=True):
                all_of_them[here] = part
        return Places(found[0], found[1], found[2], found[3], keys)

    def _places_of_epoch(self, epoch: int, numbers: Integers) -> Places:
        slots = self.epoch(epoch)
        if self.rules.shuffle:
            block = np.searchsorted(slots.block_ends, numbers, side="right") - 1
            sizes = slots.block_ends[block + 1] - slots.block_ends[block]
            keys = hashes(_key_of(self.rules.seed, epoch, "order"), slots.block_order[block])
            numbers = slots.block_start[block] + permute(numbers - slots.block_ends[block], sizes, keys)
        row = np.searchsorted(slots.ends, numbers, side="right") - 1
        return self._placed(epoch, row, numbers - slots.ends[row])

    def places_packed(self, number: int) -> tuple[Places, int]:
        """Where the windows of a packed batch are, of all epochs one after another, and the units of the batch.

        Raises:
            BadInput: nothing is packed.
        """
        if self.packed is None:
            raise _not_packed()
        epoch, batch = divmod(number, self.n_packed)
        if self.rules.shuffle:
            key = _key_of(self.rules.seed, epoch, "packed")
            batch = int(permute(np.array([batch]), np.array([self.n_packed]), np.array([key]))[0])
        pack, slots = self.packed, self.epoch(epoch)
        bucket = int(np.searchsorted(pack.batch_ends, batch, side="right")) - 1
        first, size = int(pack.ends[bucket]), int(pack.ends[bucket + 1] - pack.ends[bucket])
        each = int(pack.each[bucket])
        start = (batch - int(pack.batch_ends[bucket])) * each
        numbers = np.arange(start, min(start + each, size))
        if self.rules.shuffle:
            keys = hashes(_key_of(self.rules.seed, epoch, "order"), np.full(len(numbers), bucket))
            numbers = permute(numbers, np.full(len(numbers), size), keys)
        at = np.searchsorted(slots.packed_ends, first + numbers, side="right") - 1
        places = self._placed(epoch, pack.rows[at], first + numbers - slots.packed_ends[at])
        return places, int(pack.units[bucket])

    def _placed(self, epoch: int, row: Integers, slot: Integers) -> Places:
        """Where the windows of these slots of rows are."""
        n_bins, n_units, seed = self.rules.n_bins, self.rules.n_units, self.rules.seed
        n_slots = self.epoch(epoch).slots[row]
        of_these = Rows(*(values[row] for values in self.rows))
        parts = _parts(of_these, self.rules)
        when, part = np.divmod(slot, parts)
        strata = -(-n_slots // parts)
        which = of_these.number + (of_these.first << 32)  # the number alone at the start of a row
        of_row = hashes(_key_of(seed, epoch, "time"), which)
        if self.rules.jitter:
            # The possible starts are divided among the row's windows; each window takes one of its own.
            starts = np.maximum(of_these.n_bins - n_bins, 0) + 1
            first = when * starts // strata
            width = np.maximum((when + 1) * starts // strata - first, 1)
            start = np.minimum(first + below(hashes(of_row, when), width), starts - 1)
        else:
            in_time = _in_time(of_these, self.rules)
            shift = np.where(strata == in_time, 0, below(of_row, in_time))
            start = (when + shift) % in_time * n_bins
        key = hashes(hashes(of_row, when), part)
        if n_units is None:
            first_unit, taken = np.zeros_like(row), of_these.n_units
        elif self.rules.units == "all":
            first_unit = part * n_units
            taken = np.minimum(of_these.n_units - first_unit, n_units)
        else:
            taken = np.minimum(of_these.n_units, n_units)
            first_unit = below(key, of_these.n_units - taken + 1)
        return Places(row, of_these.first + start * of_these.summed, first_unit, taken, key)

    def spans(self, places: Places) -> list[Span]:
        """What the windows at these places are cut from."""
        number, begin, n_units, n_bins, summed = (values[places.row] for values in self.rows)
        length = np.minimum(self.rules.n_bins, n_bins - (places.start - begin) // summed)
        values = (number, n_units, places.first_unit, places.n_units, places.key, places.start, length, summed)
        return [Span(*one) for one in zip(*(its.tolist() for its in values), strict=True)]

    def _divided(self, quota: Integers, n_buckets: int) -> Integers:
        """Windows of each group in each bucket, (groups, buckets), in proportion to what the buckets hold."""
        held = np.bincount(self._cell, self._slots, len(quota) * n_buckets).reshape(len(quota), n_buckets)
        share = held / np.maximum(held.sum(axis=1, keepdims=True), 1)
        return np.stack([rounded(its * int(n), int(n)) for its, n in zip(share, quota, strict=True)])


def runs(first: int, stop: int) -> Iterator[Integers]:
    """The numbers from one to before another, in runs whose windows are placed together."""
    for begin, end in pairwise([*range(first, stop, TOGETHER), stop]):
        yield np.arange(begin, end)


def windows_of(rows: Rows, rules: Rules) -> Integers:
    """Windows that fit into each row, (rows,)."""
    return _in_time(rows, rules) * _parts(rows, rules)


def _parts(rows: Rows, rules: Rules) -> Integers:
    """Windows that share the units of each row between them."""
    if rules.n_units is None or rules.units != "all":
        return np.ones_like(rows.n_units)
    return -(-rows.n_units // rules.n_units)


def _in_time(rows: Rows, rules: Rules) -> Integers:
    """Windows that fit side by side into each row; without jitter, a last shorter one too."""
    return np.maximum(rows.n_bins // rules.n_bins, 1) if rules.jitter else -(-rows.n_bins // rules.n_bins)


def rounded(wanted: npt.NDArray[np.float64], total: int) -> Integers:
    """Whole numbers near these that add up to a total: the largest remainders are rounded up."""
    found = np.floor(wanted).astype(np.int64)
    short = total - int(found.sum())
    found[np.argsort(found - wanted, kind="stable")[:short]] += 1
    return found


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


def _packed(bucket: Integers, tops: Integers, pack: int, windows: Integers) -> _Pack:
    """How buckets are packed. `windows` are those of each bucket in an epoch."""
    each = pack // tops
    ends = np.cumsum([0, *windows], dtype=np.int64)
    return _Pack(np.argsort(bucket, kind="stable"), tops, each, ends, np.cumsum([0, *-(-windows // each)]))


def _not_packed() -> BadInput:
    return BadInput("pack", "windows that were opened with the slots of a batch", "none", "give Windows pack=2048")
