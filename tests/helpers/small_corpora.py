"""Small data sets of given counts."""

from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.open import open_data_set


def write_rows_of(folder, matrices, digest="0" * 64):
    """Write one row, of a session of its own, for each matrix (units, bins), and open the data set."""
    made = [Row(counts, "sub-A", f"ses-{i}", "segment_0") for i, counts in enumerate(matrices)]
    arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, digest)
    return open_data_set(str(folder))
