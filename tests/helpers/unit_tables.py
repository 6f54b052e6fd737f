"""Tables of units, made by hand."""

import pyarrow as pa

from neuralpile.corpus.tables import UNITS


def units_of(source, subject, session, **columns):
    """The units of one session, with these columns and null in the others."""
    n_units = len(next(iter(columns.values())))
    same = {"source_dataset": source, "subject_id": subject, "session_id": session}
    lines = [same | {"unit": i, **{name: values[i] for name, values in columns.items()}} for i in range(n_units)]
    return pa.Table.from_pylist(lines, UNITS)
