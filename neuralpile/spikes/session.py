"""A session, as a `preprocess.py` returns it, and the options by which it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from neuralpile.errors import BadInput

TOKEN_COUNT_LIMIT = 10_000_000  # tokens in a row: that of the published corpus


@dataclass(frozen=True)
class Options:
    """How recordings become rows: everything that a user can choose and that changes the rows.

    The options from `trim` to `min_quality` are off by default, because they change the shape of the rows; a data set
    offers those that its script supports.

    Attributes:
        bin_size: width of a bin in seconds.
        token_count_limit: the most tokens (units × bins) in a row.
        as_published: reproduce the published values, errors included.
        trim: drop the bins before the first and after the last spike of a session.
        drop_duplicates: skip the files that repeat others.
        mask_unobserved: cut out the bins in which nothing was recorded.
        epochs: lay out the epochs of a restarted clock one after another.
        min_quality: keep only units with at least this quality label.
        poisson: a seed: draw counts from a Poisson process with the recording's rates; None for no chance.
        own_bin: width in seconds of the recordings' own bins; None where they hold spike times.
        subject: who was recorded in all recordings, where dataset.toml states it; "" for each recording's own subject.
    """

    bin_size: float = 0.02
    token_count_limit: int = TOKEN_COUNT_LIMIT
    as_published: bool = False
    trim: bool = False
    drop_duplicates: bool = False
    mask_unobserved: bool = False
    epochs: bool = False
    min_quality: str | None = None
    poisson: int | None = None
    own_bin: float | None = None
    subject: str = ""

    @property
    def own_bins(self) -> int:
        """How many of the recordings' own bins make one bin. Raises BadInput if dataset.toml does not state `own_bin`.

        Example:
            >>> Options(bin_size=0.02, own_bin=0.001).own_bins
            20
        """
        if self.own_bin is None:
            raise BadInput("dataset.toml", "own_bin, the width of the recordings' bins in seconds", "none", "add it")
        return round(self.bin_size / self.own_bin)


@dataclass
class Session:
    """What one recording holds, as it becomes rows.

    Attributes:
        subject_id: who was recorded; "" where neither the file nor its name shows it. The build then takes the name of
            a folder, or else that of the data set.
        session_id: which recording.
        counts: spike counts, (units, bins), uint8.
        notes: what a user should know: spikes left out, warnings in the file. One sentence each.
        whole: write one row, whatever its size, as the published corpus does for one data set.
        facts: what else report.json says of the session, such as how the counts were derived.

    Example:
        >>> Session("sub-A", "ses-1", np.zeros((3, 50), np.uint8)).counts.shape
        (3, 50)
    """

    subject_id: str
    session_id: str
    counts: np.ndarray
    notes: list[str] = field(default_factory=list)
    whole: bool = False
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
