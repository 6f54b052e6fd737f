"""Summarize the motifs of a data set: how many there are, what share the most frequent have, and their entropy.

The entropy of a sample of patches is too low where most patches occur once: it cannot exceed log2 of the number of
patches. So three numbers stand beside one another: the entropy of the sample, an estimate that corrects for the
patches that did not occur, and the entropy of independent units of the same rates (see `independent`).
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuralpile import files
from neuralpile.cli import percent, plural
from neuralpile.motifs.parquet import Counted

TOPS = (10, 100, 1_000, 32_000, 128_000)  # most frequent motifs whose shares are given
SMALL_COVERAGE = 0.9  # of a sample; below, its entropy says more about its size than about the data


@dataclass(frozen=True)
class Summary:
    """The motifs of a data set in numbers. Entropies are in bits; by token they are divided by p_n × p_t.

    Attributes:
        data_set, p_n, p_t, tokens, patches, order: as in `parquet.Counted`.
        unique: number of motifs.
        singletons: motifs that occur once.
        sample_coverage: estimated probability that the next patch is one of the motifs: 1 − singletons / patches
            (Good 1953, Biometrika 40:237).
        coverage: share of all patches that the most frequent 10, 100, … motifs have.
        entropy_per_patch, entropy_per_token: Shannon's entropy of the sample.
        entropy_corrected_per_patch, entropy_corrected_per_token: estimate by `corrected_entropy`.
        entropy_independent_per_patch, entropy_independent_per_token: of independent units of the same rates.
        independent_rows: whose rates these are, in words.
    """

    data_set: str
    p_n: int
    p_t: int
    tokens: int
    patches: int
    order: str | None
    unique: int
    singletons: int
    sample_coverage: float
    coverage: dict[int, float]
    entropy_per_patch: float
    entropy_per_token: float
    entropy_corrected_per_patch: float
    entropy_corrected_per_token: float
    entropy_independent_per_patch: float
    entropy_independent_per_token: float
    independent_rows: str

    @property
    def title(self) -> str:
        """The data set and the order of its units."""
        return f"{self.data_set}, units by {self.order}" if self.order else self.data_set


def summarize(counted: Counted, spectrum: NDArray[np.int64], independent: float, rows: str = "") -> Summary:
    """Summarize motifs.

    Parameters:
        counted: what was counted.
        spectrum: each frequency and the number of motifs that have it, the highest first: (frequencies, 2), int64.
        independent: entropy of independent units of the same rates, bits a patch.
        rows: whose rates these are.
    """
    frequencies, n = spectrum.T
    ranks, held = np.cumsum(n), np.cumsum(frequencies * n)
    coverage = {}
    for top in TOPS:
        i = int(np.searchsorted(ranks, top))  # the first frequency whose motifs reach the rank
        share = held[-1] if i == len(n) else held[i] - (ranks[i] - top) * frequencies[i]
        coverage[top] = float(share / counted.patches)
    singletons = int(n[frequencies == 1].sum())
    size = counted.p_n * counted.p_t
    plain, corrected = entropy(spectrum), corrected_entropy(spectrum)
    return Summary(
        **asdict(counted),
        unique=int(ranks[-1]),
        singletons=singletons,
        sample_coverage=1 - singletons / counted.patches,
        coverage=coverage,
        entropy_per_patch=plain,
        entropy_per_token=plain / size,
        entropy_corrected_per_patch=corrected,
        entropy_corrected_per_token=corrected / size,
        entropy_independent_per_patch=independent,
        entropy_independent_per_token=independent / size,
        independent_rows=rows,
    )


def entropy(spectrum: NDArray[np.int64]) -> float:
    """Return Shannon's entropy of a sample, in bits.

    Parameters:
        spectrum: each frequency and the number of motifs that have it: (frequencies, 2), int64.

    Example:
        >>> entropy(np.array([[1, 4]]))  # four motifs, once each
        2.0
    """
    frequencies, n = spectrum.T
    share = frequencies / (frequencies * n).sum()
    return float(-(n * share * np.log2(share)).sum()) + 0.0


def corrected_entropy(spectrum: NDArray[np.int64]) -> float:
    """Estimate the entropy of the distribution that a sample is from, in bits.

    The estimator of Chao, Wang & Jost 2013 (Methods Ecol Evol 4:1091, equation 7): the first part is unbiased for all
    that longer samples cannot change; the second estimates the rest from the motifs that occur once and twice. It has
    much less bias than the correction of Miller and Madow where most motifs occur once; then it is still a lower bound
    rather than the truth.

    Parameters:
        spectrum: each frequency and the number of motifs that have it: (frequencies, 2), int64.
    """
    from scipy.special import digamma  # takes a sixth of a second to import

    frequencies, n = spectrum.T
    total = int((frequencies * n).sum())
    seen = float((n * (frequencies / total) * (digamma(total) - digamma(frequencies))).sum())
    once, twice = (int(n[frequencies == k].sum()) for k in (1, 2))
    if not once:
        return seen / math.log(2) + 0.0
    a = 2 * twice / ((total - 1) * once + 2 * twice) if twice else 2 / ((total - 1) * (once - 1) + 2)
    # The second part is once / total × Σ (1 − a)^(k + 1) / (total + k) over k from 0, which equals the integral of
    # (1 − a) e^(−total t) / (1 − (1 − a) e^(−t)) over t. With t = e^v / total the integrand is smooth in v.
    v = np.linspace(-80, 7, 8_000)
    u = np.exp(v)
    integrand = (1 - a) * np.exp(-u) * u / (total * (a + (1 - a) * -np.expm1(-u / total)))
    return (seen + once / total * float(np.trapezoid(integrand, v))) / math.log(2)


def write(summary: Summary, path: Path) -> None:
    """Write a summary as JSON."""
    files.write_text(path, json.dumps(asdict(summary), indent=2) + "\n")


def lines(summary: Summary) -> list[str]:
    """Return the summary as the lines that extract_motifs.py prints."""
    text = [f"{summary.title}, patches of {plural(summary.p_n, 'unit')} × {plural(summary.p_t, 'bin')}"]
    for name in ("tokens", "patches", "unique", "singletons"):
        text.append(f"{name:28}{getattr(summary, name):>20,}")
    text += [
        f"{f'share of top {n:,}':28}{share:>20.4%}" for n, share in summary.coverage.items() if n <= summary.unique
    ]
    for what in ("patch", "token"):
        for kind, words in (("", ""), ("corrected_", ", corrected"), ("independent_", ", independent")):
            note = f"  of {summary.independent_rows}" if kind == "independent_" and summary.independent_rows else ""
            value = getattr(summary, f"entropy_{kind}per_{what}")
            text.append(f"{f'bits a {what}{words}':28}{value:>20.4f}{note}")
    if summary.sample_coverage < SMALL_COVERAGE:
        text.append(
            f"⚠ {percent(summary.singletons, summary.patches)} of the patches occur once: there are too few patches "
            "of this size to estimate their entropy; in this sample it cannot exceed "
            f"{np.log2(summary.patches):.2f} bits a patch"
        )
    return text
