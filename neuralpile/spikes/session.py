"""spikes.session: split from rows."""

from dataclasses import dataclass, field

import numpy as np

from neuralpile.errors import BadInput

TOKEN_COUNT_LIMIT = 10_000_000  # tokens in a row: that of the published corpus


@dataclass(frozen=True)
class Options:
    """How recordings become rows: everything that a user can choose and that changes the rows."""

    bin_size: float = 0.02  # seconds
    token_count_limit: int = TOKEN_COUNT_LIMIT
    as_published: bool = False
    # Off by default, because they change the shape; not every data set offers each.
    trim: bool = False
    drop_duplicates: bool = False
    mask_unobserved: bool = False
    epochs: bool = False
    min_quality: str | None = None
    own_bin: float | None = None  # seconds: the bins in which the recordings come; None for spike times

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
    """What a `preprocess.py` makes of a recording."""

    subject_id: str
    session_id: str
    counts: np.ndarray  # (units, bins), uint8
    notes: list[str] = field(default_factory=list)  # what a user should know: spikes left out, warnings in the file
    whole: bool = False  # one row, whatever its size: where the published session is not cut
