"""Score predicted spike counts: likelihoods, bits per spike, and the baselines that a model has to beat.

Counts are (..., units, bins). A score is a sum over the bins of one unit, so the scores of many windows can be added,
and grouped by component, area or animal. Bits per spike are those of the Neural Latents Benchmark (NLB): Pei, Ye et
al. 2021, NeurIPS Datasets and Benchmarks, and `bits_per_spike` of nlb_tools (github.com/neurallatents/nlb_tools,
nlb_tools/evaluation.py).
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, log_softmax, xlogy

from neuralpile.errors import BadInput

# Spikes per bin: stands for a predicted rate of 0, as in nlb_tools. One spike then costs 20.7 nats, and not infinity.
SMALLEST_RATE = 1e-9
HALF_A_SPIKE = (
    0.5  # what Jeffreys' prior of a Poisson rate adds to the spikes counted (Jeffreys 1946, Proc R Soc A 186)
)

Floats = npt.NDArray[np.float64]


class Scores(NamedTuple):
    """How well the counts of units were predicted: sums over their bins. All arrays have one shape, often (units,).

    Attributes:
        nll: float64, nats: negative log-likelihood of the counts.
        spikes: float64: number of spikes.
        bins: float64: number of bins that were observed.
        log_factorials: float64, nats: sum of log(count!), the part of a Poisson likelihood that no rate changes.
    """

    nll: Floats
    spikes: Floats
    bins: Floats
    log_factorials: Floats

    @property
    def null_nll(self) -> Floats:
        """Negative log-likelihood of NLB's null model, in nats: Poisson, each unit at its mean rate in these bins."""
        mean = np.divide(self.spikes, self.bins, out=np.zeros_like(self.spikes), where=self.bins > 0)
        nll: Floats = self.spikes - xlogy(self.spikes, mean) + self.log_factorials
        return nll

    @property
    def bits_per_spike(self) -> float:
        """How much better than the null model all units are predicted together; NaN if there are no spikes.

        As NLB defines it: the difference of the two log-likelihoods in bits, over the number of spikes. The null model
        knows each unit's mean rate in the very bins that are scored, so rates learned elsewhere can be below 0.
        """
        spikes = self.spikes.sum()
        return float((self.null_nll.sum() - self.nll.sum()) / spikes / np.log(2)) if spikes else float("nan")

    @property
    def nats_per_token(self) -> float:
        """Mean negative log-likelihood of a token, the cross entropy of the counts; NaN if no bin was observed."""
        bins = self.bins.sum()
        return float(self.nll.sum() / bins) if bins else float("nan")

    def by(self, labels: npt.ArrayLike) -> dict[str, "Scores"]:
        """Group units by component, area, animal, or whatever their labels say.

        Parameters:
            labels: a string for each unit, in the shape of the scores.

        Returns:
            The scores of each group's units, groups in alphabetical order.

        Example:
            >>> scores = poisson_nll([[0, 1], [2, 0], [1, 1]], 1.0)
            >>> {area: group.spikes.tolist() for area, group in scores.by(["V4", "M1", "V4"]).items()}
            {'M1': [2.0], 'V4': [1.0, 2.0]}
        """
        given = np.broadcast_to(np.asarray(labels, dtype=np.str_), self.nll.shape)
        return {str(label): _each(lambda a, of=given == label: a[of], self) for label in np.unique(given)}

    def merge(self, units: npt.ArrayLike) -> "Scores":
        """Add up the scores of each unit over several windows: its null model has one rate in all of them.

        Parameters:
            units: the number of each unit, int, from 0, in the shape of the scores. That of a unit without observed
                bins, such as a padded one, does not matter.

        Returns:
            Scores (units,), in the order of the numbers. A unit without a window has 0 bins.

        Example:
            >>> scores = poisson_nll([[[0, 1], [2, 0]], [[1, 1], [0, 0]]], 1.0)  # two windows of two units
            >>> scores.merge([[0, 1], [2, 0]]).spikes.tolist()
            [1.0, 2.0, 2.0]
        """
        given = np.broadcast_to(np.asarray(units), self.nll.shape)
        numbers = np.where(self.bins > 0, given, 0).ravel()
        n_units = int(given.max(initial=-1)) + 1  # units at the end can be unobserved
        return _each(lambda a: np.bincount(numbers, a.ravel(), n_units), self)


def _each(change: Callable[..., npt.NDArray[Any]], *scores: Scores) -> Scores:
    """Scores whose fields are a function of the fields of others."""
    return Scores(*(change(*fields) for fields in zip(*scores, strict=True)))


def concatenate(scores: Iterable[Scores]) -> Scores:
    """Scores of several windows or rows, one after another: (units of all of them,)."""
    return _each(lambda *fields: np.concatenate([field.ravel() for field in fields]), *scores)


def poisson_nll(counts: npt.ArrayLike, rates: npt.ArrayLike, observed: npt.ArrayLike = True) -> Scores:
    """Score rates: the Poisson negative log-likelihood r - n log(r) + log(n!) of count n at rate r, summed over bins.

    Parameters:
        counts: (..., units, bins). NaN counts as not observed, as in NLB.
        rates: spikes per bin, in a shape that broadcasts to that of the counts. 0 counts as `SMALLEST_RATE`.
        observed: bool, likewise: False where a bin is not scored, as in padded units.

    Returns:
        Scores (..., units).

    Raises:
        BadInput: a shape does not fit, or a rate or count that is scored is negative or not finite.

    Example:
        >>> scores = poisson_nll([[0, 0, 1, 1]], [[0.1, 0.1, 0.9, 0.9]])
        >>> scores.nll.round(3).tolist(), round(scores.bits_per_spike, 3)
        ([2.211], 0.848)
    """
    n, seen = _counts(counts, observed)
    r = np.where(seen, _like(n.shape, rates, "rates"), 0.0)
    _refuse("rates", r, ~((r >= 0) & np.isfinite(r)), "finite numbers >= 0", "give spikes per bin, not logarithms")
    r[seen & (r == 0)] = SMALLEST_RATE
    return _scores(r - xlogy(n, r) + gammaln(n + 1), n, seen)


def cross_entropy(counts: npt.ArrayLike, logits: npt.ArrayLike, observed: npt.ArrayLike = True) -> Scores:
    """Score a classifier of counts: the negative log-probability of the class of each count, summed over bins.

    Parameters:
        counts: (..., units, bins). NaN counts as not observed.
        logits: (..., units, bins, classes): unnormalised log-probabilities of the counts 0, 1, 2 …. The last class
            stands for all larger counts too.
        observed: bool, in a shape that broadcasts to that of the counts: False where a bin is not scored.

    Returns:
        Scores (..., units). Their bits per spike compare it with the Poisson null model.

    Raises:
        BadInput: a shape does not fit, a count is negative or no whole number, or a logit that is scored is NaN.

    Example:
        >>> round(cross_entropy([[0, 1]], np.log([0.9, 0.1])).nats_per_token, 3)
        1.204
    """
    n, seen = _counts(counts, observed)
    _refuse("counts", n, n != np.floor(n), "whole numbers", "give spike counts, not rates")
    log_p = log_softmax(np.asarray(logits, dtype=np.float64), axis=-1)
    log_p = _like((*n.shape, log_p.shape[-1]), log_p, "logits")
    chosen = np.minimum(n, log_p.shape[-1] - 1).astype(np.int64)
    nll = np.where(seen, -np.take_along_axis(log_p, chosen[..., None], axis=-1)[..., 0], 0.0)
    _refuse("logits", nll, np.isnan(nll), "numbers", "mask what the model did not predict")
    return _scores(nll, n, seen)


def bits_per_spike(counts: npt.ArrayLike, rates: npt.ArrayLike, observed: npt.ArrayLike = True) -> float:
    """Bits per spike as the Neural Latents Benchmark defines them, of trials of the same units.

    Parameters, errors: those of `poisson_nll`. Every unit's null rate is its mean over all trials. nlb_tools takes
    the rates first, and has (trials, bins, units).

    Example:
        >>> round(bits_per_spike([[0, 0, 1, 1]], [[0.1, 0.1, 0.9, 0.9]]), 3)
        0.848
    """
    scores = poisson_nll(counts, rates, observed)
    return scores.merge(np.arange(scores.nll.shape[-1])).bits_per_spike


def mean_rates(spikes: npt.ArrayLike, bins: npt.ArrayLike) -> Floats:
    """The first baseline: each unit's mean rate in the training data, in spikes per bin.

    Half a spike is added to those counted: the mean of the posterior of a Poisson rate under Jeffreys' prior. A unit
    that was silent in training then has a small rate and not 0, at which its first spike would cost infinitely much.

    Parameters:
        spikes: of each unit, in the training data.
        bins: how many bins of it were observed there, in the same shape.

    Returns:
        float64, in the same shape; NaN for a unit that was never observed.

    Example:
        >>> mean_rates([0, 99.5], [1000, 1000]).tolist()
        [0.0005, 0.1]
    """
    bins = np.asarray(bins, dtype=np.float64)
    rates: Floats = (np.asarray(spikes) + HALF_A_SPIKE) / np.where(bins > 0, bins, np.nan)
    return rates


def smoothed_rates(
    counts: npt.ArrayLike, mean: npt.ArrayLike, window: int = 50, observed: npt.ArrayLike = True
) -> Floats:
    """The second baseline: each unit's rate in the past second, without the bin that is predicted.

    The kernel is a boxcar over the last `window` bins before the bin. A second of spikes says little about a rate of
    one spike a second, so the unit's mean rate counts as another `window` bins: rate = (spikes + mean × window) /
    (bins + window), the posterior mean under a gamma prior. Where no bin precedes, the rate is the mean; it is 0 only
    where the mean is.

    Parameters:
        counts: (..., units, bins).
        mean: rate of each unit in spikes per bin, (..., units): `mean_rates`.
        window: bins in a second.
        observed: bool, in a shape that broadcasts to that of the counts: False where a bin is not counted.

    Returns:
        (..., units, bins), float64, spikes per bin.

    Example:
        >>> smoothed_rates([[1, 1, 0, 0]], [0.5], window=2).tolist()
        [[0.5, 0.6666666666666666, 0.75, 0.5]]
    """
    n, seen = _counts(counts, observed)
    prior = _like(n.shape[:-1], mean, "mean")[..., None]
    spikes, bins = _past(n, window), _past(seen.astype(np.float64), window)
    rates: Floats = (spikes + prior * window) / (bins + window)
    return rates


def _past(values: Floats, window: int) -> Floats:
    """Sums over the last `window` bins before each bin."""
    sums = np.cumsum(values, axis=-1) - values  # of all bins before
    sums[..., window:] -= sums[..., :-window].copy()
    return sums


def _counts(counts: npt.ArrayLike, observed: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Counts, 0 where they are not observed, and where they are."""
    n = np.asarray(counts, dtype=np.float64)
    if n.ndim < 2:
        raise BadInput("counts", "an array (..., units, bins)", f"shape {n.shape}", "add the axis that is missing")
    seen = ~np.isnan(n) & _like(n.shape, observed, "observed", np.bool_)
    n = np.where(seen, n, 0.0)
    _refuse("counts", n, ~((n >= 0) & np.isfinite(n)), "finite numbers >= 0", "mask what is no count")
    return n, seen


def _like(shape: tuple[int, ...], values: npt.ArrayLike, name: str, dtype: npt.DTypeLike = np.float64) -> npt.NDArray:
    """Values broadcast to a shape."""
    given = np.asarray(values, dtype=dtype)
    try:
        return np.broadcast_to(given, shape)
    except ValueError:
        raise BadInput(
            name, f"a shape that broadcasts to {shape}", str(given.shape), "transpose or reshape it"
        ) from None


def _refuse(name: str, values: Floats, wrong: npt.NDArray[np.bool_], expected: str, do: str) -> None:
    if wrong.any():
        raise BadInput(name, expected, f"{values[wrong][0]} and {wrong.sum() - 1} more", do)


def _scores(nll: Floats, n: Floats, seen: npt.NDArray[np.bool_]) -> Scores:
    """Sums over bins. Where a bin is not observed, `n` and `nll` are 0."""
    fields = (nll, n, seen.astype(np.float64), gammaln(n + 1))
    return Scores(*(field.sum(axis=-1) for field in fields))
