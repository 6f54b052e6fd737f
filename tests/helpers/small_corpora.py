"""Small data sets of given counts."""

import numpy as np

from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.open import open_data_set


def write_rows_of(folder, matrices, digest="0" * 64):
    """Write one row, of a session of its own, for each matrix (units, bins), and open the data set."""
    made = [Row(counts, "sub-A", f"ses-{i}", "segment_0") for i, counts in enumerate(matrices)]
    arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, digest)
    return open_data_set(str(folder))


def numbered(n_units, n_bins, of):
    """Counts that tell where they are from: row, unit and bin decide the count."""
    units, bins = np.mgrid[:n_units, :n_bins]
    return ((of * 37 + units * 11 + bins * 3) % 251).astype(np.uint8)


def write_big_and_small(folder):
    """Write a corpus of two data sets, and open it: nine rows of big, one of small, all of 4 units and 100 bins."""
    made = [Row(numbered(4, 100, i), "sub-A", f"ses-{i}", "segment_0", "big") for i in range(9)]
    made.append(Row(numbered(4, 100, 9), "sub-B", "ses-0", "segment_0", "small"))
    arrow.write_rows(folder / "a.arrow", made, rows.MERGED_SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.MERGED_SCHEMA, "0" * 64)
    return open_data_set(str(folder))
