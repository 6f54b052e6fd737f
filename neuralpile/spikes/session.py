"""A session, as a `preprocess.py` returns it, and the options by which it is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from neuralpile.errors import BadInput, Mismatch, printable

# What a recording can say of a unit, and the type of it; in the table of units of a build.
UNIT_COLUMNS: dict[str, type] = {
    "id": str,  # in the recording; "0", "1", … where it lists units without names
    "area": str,
    "electrode": str,
    "group": str,  # of electrodes: an array or a probe
    "x": float,  # position of the electrode, in the recording's own unit
    "y": float,
    "z": float,
    "quality": str,  # in the recording's own words
}
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
        units: what the recording says of its units: some of `UNIT_COLUMNS`, each with a value or None for each row of
            `counts`.
        start_time: when the session began, as the recording states it; times without a zone count as UTC.
        observed: in which bins the recording was made, (bins,) bool, where it says so.
        bin_size: width of the bins in seconds, where it is not that of the options.

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
    units: Mapping[str, Sequence[object]] = field(default_factory=dict)
    start_time: datetime | None = None
    observed: np.ndarray | None = None
    bin_size: float | None = None

    @property
    def observed_fraction(self) -> float | None:
        """Share of the bins in which the recording was made; None where it does not say, or has no bins."""
        return None if self.observed is None or not len(self.observed) else float(self.observed.mean())

    def stated_units(self) -> dict[str, list[str | float | None]]:
        """The columns of `units` that say something: NaN becomes None, and control codes become escapes.

        Raises:
            Mismatch: a column has another name, another type, or not a value for each row of `counts`.
        """
        columns: dict[str, list[str | float | None]] = {}
        for name, values in self.units.items():
            kind = UNIT_COLUMNS.get(name)
            if kind is None:
                raise Mismatch(f"columns of units {', '.join(UNIT_COLUMNS)}", name)
            if len(values) != len(self.counts):
                raise Mismatch(f"{name} of {len(self.counts):,} units, one for each row of counts", f"{len(values):,}")
            try:
                known = [None if value is None or value != value else kind(value) for value in values]  # NaN is none
            except (TypeError, ValueError) as error:
                raise Mismatch(f"{name} of units as {kind.__name__}", str(error)) from None
            if any(value is not None for value in known):
                columns[name] = [printable(value) if isinstance(value, str) else value for value in known]
        return columns
