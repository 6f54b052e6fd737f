"""Orders of units in a raster: by rate, and by similarity."""

import numpy as np
from numpy.typing import NDArray

from neuralpile.figures.image import sums

STRETCHES = 4_000  # of time in which units are compared
SMOOTH = 3.0  # bins: standard deviation of a Gaussian. With 2 to 5, 20 s are enough to separate units that share a 1 Hz
# rhythm, at mean rates of 3 Hz, from others; without smoothing it takes 80 s
MOST_OPTIMAL = 1_000  # units whose leaves are sorted optimally: the time grows faster than with their square


def by_rate(counts: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the order of units (units,) in which the most active comes first."""
    return np.argsort(-sums(counts, 1).sum(axis=1), kind="stable")


def by_similarity(counts: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return an order of units (units,) in which those with similar activity are neighbours; silent ones come last.

    Activity is summed over at most `STRETCHES` stretches of time, and smoothed where these are short. Distance is
    1 − the correlation, clusters are joined by average linkage, and leaves are sorted optimally (Bar-Joseph, Gifford &
    Jaakkola 2001, Bioinformatics 17:S22) for up to `MOST_OPTIMAL` units.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage  # takes a third of a second to import
    from scipy.ndimage import gaussian_filter1d
    from scipy.spatial.distance import squareform

    if not counts.size:
        return np.arange(len(counts))
    coarse = sums(counts, STRETCHES)
    width = SMOOTH * coarse.shape[1] / counts.shape[1]
    smooth = gaussian_filter1d(coarse, width, axis=1, output=float, mode="nearest")
    varies = np.ptp(smooth, axis=1) > 1e-9  # more than rounding errors
    active, silent = np.flatnonzero(varies), np.flatnonzero(~varies)
    if len(active) > 2:
        distances = squareform(1 - np.corrcoef(smooth[active]).clip(-1, 1), checks=False)
        tree = linkage(distances, "average", optimal_ordering=len(active) <= MOST_OPTIMAL)
        active = active[leaves_list(tree)]
    return np.concatenate([active, silent])
