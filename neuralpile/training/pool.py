"""Some rows of a data set in memory, from which `Windows` takes windows as from a data set on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neuralpile.corpus.rows import AllNames, DerivedRows, Row


@dataclass(frozen=True)
class Pool(DerivedRows):
    """A data set of which only some rows are in memory: of a `RowSource`, what `Windows` needs.

    Attributes:
        source: the data set.
        all_names: of all its rows.
        all_sessions: its table of sessions; None if it is not needed.
        held: the rows in memory, by the numbers that they have in the data set.
    """

    all_names: AllNames
    all_sessions: pa.Table | None
    held: Mapping[int, Row]

    def __len__(self) -> int:
        """Number of rows of the data set."""
        return len(self.all_names)

    def names(self) -> AllNames:
        """What the rows of the data set are called."""
        return self.all_names

    def sessions(self) -> pa.Table | None:
        """The table of sessions of the data set."""
        return self.all_sessions

    def row(self, i: int) -> Row:
        """A row that is in memory."""
        return self.held[i]

    @property
    def n_files(self) -> int:
        """Number of files: none, as the rows are in memory."""
        return 0

    def in_any_order(self) -> "Pool":
        """The same rows: those in memory can be read in any order."""
        return self

    def prefetch(self, i: int, units: npt.NDArray[np.int64], start: int, stop: int) -> None:
        """Do nothing: the rows are in memory."""

    def shapes(self) -> npt.NDArray[np.int64]:
        """Units and bins of each row of the data set: (rows, 2); 0 for those that are not in memory."""
        found = np.zeros((len(self), 2), np.int64)
        for i, row in self.held.items():
            found[i] = row.counts.shape
        return found
