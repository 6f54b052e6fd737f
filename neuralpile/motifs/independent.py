"""Compute the probability of patches, and their entropy, if units spiked independently.

The model: every unit of every row is a Poisson process with the unit's own mean rate in the row, independent of all
other units and without memory. A patch comes from one group of p_n neighbouring units of one row; which
one is not known, so probabilities are means over groups.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuralpile.cli import plural
from neuralpile.corpus.rows import RowSource

ROWS = 60  # whose rates are read at most, drawn by size: the counts of larger data sets are not read twice
SAMPLES = 20_000  # patches that are drawn from the model to estimate its entropy
VALUES = 2_000_000  # in an array at most
LOG_FACTORIALS = np.array([math.lgamma(n + 1) for n in range(256)])


class Groups(NamedTuple):
    """Groups of units that patches come from.

    Attributes:
        rates: mean spikes per bin of each unit, (groups, p_n), float64; 0 where the last group of a row is padded.
        weights: share of the patches that come from each group, (groups,), float64.
        rows: how many rows of how many they are from, in words.
    """

    rates: NDArray[np.float64]
    weights: NDArray[np.float64]
    rows: str = ""


def read_groups(data_set: RowSource, p_n: int, p_t: int, seed: int = 0) -> Groups:
    """Read the rates of all groups of p_n units, from at most `ROWS` rows.

    Of more rows, those are drawn by `drawn`, and the patches of each count 1 / probability times: sums over the rows
    that are drawn estimate those over all rows without bias (Horvitz & Thompson 1952, J Am Stat Assoc 47:663).
    """
    probability = np.ones(len(data_set))
    if len(data_set) > ROWS:
        probability = inclusion(np.array(data_set.tokens(), float), ROWS)
    chosen = drawn(probability, np.random.default_rng(seed))
    rates, patches = [np.empty((0, p_n))], [np.empty(0)]
    for i, row in zip(chosen.tolist(), data_set.read(chosen.tolist()), strict=True):
        if not row.counts.size:
            continue
        n_units, n_bins = row.counts.shape
        padded = np.zeros(-(-n_units // p_n) * p_n)
        padded[:n_units] = [unit.sum(dtype=np.int64) / n_bins for unit in row.counts]
        rates.append(padded.reshape(-1, p_n))
        patches.append(np.full(len(rates[-1]), -(-n_bins // p_t) / probability[i]))
    weights = np.concatenate(patches)
    rows = f"{len(chosen):,} of {plural(len(data_set), 'row')}"
    return Groups(np.concatenate(rates), weights / max(1.0, weights.sum()), rows)


def inclusion(sizes: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the probability with which each of some rows is drawn, in proportion to its size, and at most 1.

    Parameters:
        sizes: of the rows, (rows,), at least 0.
        n: rows to draw.

    Returns:
        (rows,), of sum n; less where fewer rows have a size.

    Example:
        >>> inclusion(np.array([8.0, 1.0, 1.0]), 2).tolist()
        [1.0, 0.5, 0.5]
    """
    found = np.zeros(len(sizes))
    left = sizes > 0
    while left.any():
        share = (n - np.count_nonzero(found)) * sizes / sizes[left].sum()
        if not (certain := left & (share >= 1)).any():
            found[left] = share[left]
            break
        found[certain] = 1
        left &= ~certain
    return found


def drawn(probability: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw rows, each at most once, with these probabilities: systematic sampling of rows in random order."""
    order = rng.permutation(len(probability))
    reached = np.floor(np.round(np.cumsum(probability[order]), 9) + rng.random())
    return np.sort(order[np.diff(reached, prepend=0) > 0])


def log2_probability(patches: NDArray[np.uint8], groups: Groups) -> NDArray[np.float64]:
    """Return log2 of the probability of each patch under the model.

    The probability of counts c[i, j] is the mean over groups of Π exp(−r[i]) r[i]^c[i, j] / c[i, j]!, which depends on
    the counts by the sums over j and by the factorials only.

    Parameters:
        patches: counts (n, p_n, p_t), uint8.
        groups: where patches come from.

    Returns:
        (n,), float64; −inf where no group can give a patch.
    """
    n_bins = patches.shape[2]
    sums, place = np.unique(patches.sum(axis=2, dtype=np.int64), axis=0, return_inverse=True)
    silent = groups.rates == 0
    log_rates = np.log(np.where(silent, 1.0, groups.rates)).T  # (p_n, groups)
    log_weights = np.log(groups.weights) - n_bins * groups.rates.sum(axis=1)
    step = max(1, VALUES // max(1, len(groups.weights)))
    found = np.empty(len(sums))
    for start in range(0, len(sums), step):
        some = sums[start : start + step]
        terms = some @ log_rates + log_weights
        terms[(some > 0).astype(float) @ silent.T.astype(float) > 0] = -math.inf  # a spike of a silent unit
        found[start : start + step] = np.logaddexp.reduce(terms, axis=1, initial=-math.inf)
    factorials = np.array([LOG_FACTORIALS[patch].sum() for patch in patches])
    return np.asarray((found[place.reshape(-1)] - factorials) / math.log(2))


def entropy(groups: Groups, p_t: int, seed: int = 0) -> float:
    """Estimate the entropy of the model's patches of p_t bins, in bits.

    It is the mean of −log2 of the probability of patches that are drawn from the model.
    """
    if not len(groups.weights):
        return 0.0
    rng = np.random.default_rng(seed)
    n = max(100, min(SAMPLES, VALUES // (groups.rates.shape[1] * p_t)))
    chosen = rng.choice(len(groups.weights), n, p=groups.weights)
    drawn = rng.poisson(groups.rates[chosen][:, :, None], (n, groups.rates.shape[1], p_t))
    return float(-log2_probability(np.minimum(drawn, 255).astype(np.uint8), groups).mean()) + 0.0
