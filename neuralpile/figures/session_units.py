"""What is known of the units of a row, from the table of units beside the rows."""

import pyarrow as pa
import pyarrow.compute as pc

from neuralpile.corpus.rows import Row


def of_row(units: pa.Table | None, row: Row, data_set: str) -> pa.Table | None:
    """Return the lines of the units of a row, in its order; None if there is not just one for each.

    Parameters:
        units: a table of the schema `corpus.tables.UNITS`; None if there is none.
        row: the row.
        data_set: name of the data set, for rows that do not name theirs.
    """
    if units is None:
        return None
    source = row.source_dataset or data_set.rpartition("/")[2]
    same = (pc.field("source_dataset") == source) & (pc.field("subject_id") == row.subject_id)
    chosen = units.filter(same & (pc.field("session_id") == row.session_id)).sort_by("unit")
    return chosen if chosen.column("unit").to_pylist() == list(range(len(row.counts))) else None
