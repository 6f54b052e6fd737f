"""Windows and batches of counts, and how they are cut from rows and padded."""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from neuralpile.corpus.rows import Names
from neuralpile.errors import BadInput
from neuralpile.training.arguments import check_word
from neuralpile.training.index import Rules, Span
from neuralpile.training.permutation import Integers, subset

Layout = Literal["units", "time"]


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


class Cut(NamedTuple):
    """The counts of a window, (units, bins), and which units these are."""

    counts: npt.NDArray[Any]
    units: Integers | slice


class Form(NamedTuple):
    """What windows look like: how many bins, which units, in which layout and dtype."""

    n_bins: int
    n_units: int | None
    random: bool  # units of a row that has more
    layout: Layout
    dtype: np.dtype[Any]
    largest: float  # count that the dtype can hold; for bool, which says whether there is a spike, there is none

    @classmethod
    def of(cls, rules: Rules, layout: Layout, dtype: npt.DTypeLike | None, summed: bool) -> "Form":
        """The form that a user asked for; `summed` says that bins are. Raises BadInput if it has no meaning."""
        check_word("layout", layout, get_args(Layout))
        try:
            chosen = np.dtype((np.uint16 if summed else np.uint8) if dtype is None else dtype)
        except TypeError:  # no dtype, or that of another library
            chosen = np.dtype(object)
        if chosen.kind not in "iufb":
            raise BadInput("dtype", "numbers of NumPy", str(dtype)[:80], "give 'uint8', 'float32' or another")
        largest = float("inf")
        if chosen.kind != "b":
            largest = np.iinfo(chosen).max if chosen.kind in "iu" else float(np.finfo(chosen).max)
        return cls(rules.n_bins, rules.n_units, rules.units == "random", layout, chosen, largest)

    def cut(self, counts: npt.NDArray[np.uint8], span: Span, order: Integers | None = None) -> Cut:
        """The counts of a window.

        Parameters:
            counts: of its row, (units, bins).
            span: what is cut.
            order: the unit at each place, if the window's units are places in an order: (units,).
        """
        units: Integers | slice = slice(span.first_unit, span.first_unit + span.taken)  # copied faster than an array
        if span.taken < span.n_units and self.random:
            units = subset(span.taken, span.n_units, np.uint64(span.key))
        lines = units if order is None else order[units]
        cut: npt.NDArray[Any] = counts[lines, span.start : span.start + span.length * span.summed]
        if span.summed > 1:
            cut = cut.reshape(span.taken, -1, span.summed).sum(axis=2, dtype=np.int64)
        if 255 * span.summed > self.largest:  # counts saturate, and never wrap
            cut = cut.clip(max=self.largest)
        return Cut(cut, units)

    def window(self, cut: Cut, span: Span, names: Names, source: str) -> Window:
        """A window of what was cut."""
        counts, units = cut
        if isinstance(units, slice):
            units = np.arange(units.start, units.stop)
        counts = np.ascontiguousarray(counts.T) if self.layout == "time" else counts
        return Window(counts.astype(self.dtype, copy=False), units, span.start, span.number, names, source)

    def batch(
        self,
        cuts: Iterable[Cut],
        n_units: Integers,
        n_bins: Integers,
        starts: Integers,
        rows: Integers,
        most: int | None = None,
    ) -> Batch:
        """Windows side by side in one array, padded.

        Parameters:
            cuts: of the windows.
            n_units, n_bins, starts, rows: of each of them, (windows,).
            most: units of the array; by default those of a window at most, or of the largest one.
        """
        n, most = len(n_units), most or self.n_units or int(n_units.max(initial=0))
        across = self.layout == "units"
        counts = np.zeros((n, most, self.n_bins) if across else (n, self.n_bins, most), self.dtype)
        unit = np.arange(most)
        mask = unit < n_units[:, np.newaxis]
        bin_mask = np.arange(self.n_bins) < n_bins[:, np.newaxis]
        units = np.where(mask, unit, -1)
        for k, ((cut, which), taken, length) in enumerate(zip(cuts, n_units.tolist(), n_bins.tolist(), strict=True)):
            if across:
                counts[k, :taken, :length] = cut
            else:
                counts[k, :length, :taken] = cut.T
            if not isinstance(which, slice):
                units[k, :taken] = which
            elif which.start:
                units[k, :taken] += which.start
        return Batch(counts, mask, bin_mask, units, starts, rows)


class Formed:
    """What windows look like, as attributes of a source of them."""

    _form: Form

    @property
    def n_bins(self) -> int:
        """Bins in a window."""
        return self._form.n_bins

    @property
    def n_units(self) -> int | None:
        """Units in a window at most; None for all of a row."""
        return self._form.n_units

    @property
    def layout(self) -> Layout:
        """The axes of a window: `units` for (units, bins), `time` for (bins, units)."""
        return self._form.layout

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the counts."""
        return self._form.dtype
