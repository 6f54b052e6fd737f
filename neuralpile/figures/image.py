"""Images of spike counts: pool units and bins to pixels, and give pixels their colours.

Where every bin has a pixel, colours stand for counts. Where bins share pixels, they stand for the mean rate: a maximum
of many bins would make 1 Hz and 10 Hz look alike. White means no spike at all, so even a single spike is visible.
"""

from itertools import pairwise
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from numpy.typing import NDArray

from neuralpile.training.unit_order import sums

LEAST = 1e-12  # below every rate above 0
RATES = np.array([0, LEAST, 1, 2, 5, 10, 20, 50, 100, 200, np.inf])  # Hz, where colours begin
PER_BIN = np.array([0, LEAST, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, np.inf])  # spikes per bin, of unknown width


def pool_max(counts: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Pool counts (units, bins) along time by maximum to (units, `width`).

    Each of the `width` groups has floor(bins / width) or ceil(bins / width) bins. Counts of no more than `width` bins
    are returned as they are. Nothing of the size of `counts` is allocated.
    """
    n_bins = counts.shape[1]
    if n_bins <= width:
        return counts
    return np.maximum.reduceat(counts, np.arange(width) * n_bins // width, axis=1)


def mean_rates(counts: NDArray[np.uint8], width: int, bin_width: float) -> NDArray[np.float64]:
    """Average counts (units, bins) over at most `width` stretches of time: rates (units, stretches), float64.

    They are in Hz where `bin_width` is in seconds, and in spikes per bin where it is 1.
    """
    summed = sums(counts, width)
    n, n_bins = summed.shape[1], counts.shape[1]
    return np.asarray(summed / np.diff(np.arange(n + 1) * n_bins // max(1, n)) / bin_width)


def mean_units(rates: NDArray[np.float64], height: int) -> NDArray[np.float64]:
    """Average rates (units, stretches) over neighbouring units to at most `height` lines."""
    n_units = len(rates)
    if n_units <= height:
        return rates
    starts = np.arange(height) * n_units // height
    return np.asarray(np.add.reduceat(rates, starts) / np.diff([*starts, n_units])[:, None])


class Scale(NamedTuple):
    """Colours, the values at which each begins and, last, where the scale ends, and their labels."""

    edges: NDArray[np.float64]
    labels: list[str]
    title: str

    @property
    def colours(self) -> ListedColormap:
        """One colour for each class."""
        return palette(len(self.labels))

    @property
    def norm(self) -> BoundaryNorm:
        """Which class a value belongs to."""
        return BoundaryNorm(self.edges, len(self.labels))


def count_scale(largest: int) -> Scale:
    """Return the scale for counts up to `largest`.

    Up to 9 spikes every count has its own colour. Beyond, classes double (0, 1, 2, 3–4, 5–8, …, 129–255): a few large
    counts leave single spikes as visible as ever, and no count is cut off.
    """
    if largest <= 9:
        edges = np.arange(max(largest, 1) + 2)
    else:
        doubling = [0, 1, *(2**k + 1 for k in range(8)), 256]
        edges = np.array(doubling[: np.searchsorted(doubling, largest, side="right") + 1])
    classes = zip(edges[:-1], edges[1:] - 1, strict=True)
    labels = [f"{first}" if first == last else f"{first}–{last}" for first, last in classes]
    return Scale(edges.astype(float), labels, "spikes per bin")


def rate_scale(largest: float, in_hz: bool) -> Scale:
    """Return the scale for rates up to `largest`, in Hz or in spikes per bin. Its steps are about equal ratios."""
    all_edges = RATES if in_hz else PER_BIN
    edges = all_edges[: max(3, int(np.searchsorted(all_edges, largest, side="right")) + 1)].copy()
    labels = ["0", f"< {edges[2]:g}"]
    labels += [f"≥ {a:g}" if b == np.inf else f"{a:g}–{b:g}" for a, b in pairwise(edges[2:])]
    edges[-1] = max(largest, edges[-2]) * 2 if edges[-1] == np.inf else edges[-1]
    return Scale(edges, labels, "mean rate, Hz" if in_hz else "mean spikes per bin")


def palette(n_colours: int) -> ListedColormap:
    """White for no spikes, then red to black in steps that look equal; lighter is always fewer, also without hue."""
    steps = matplotlib.colormaps["magma_r"](np.linspace(0.35, 1, n_colours - 1))
    return ListedColormap([(1.0, 1.0, 1.0, 1.0), *steps])
