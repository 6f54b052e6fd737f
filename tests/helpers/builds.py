"""Small builds."""

import hashlib
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from neuralpile.corpus import arrow, rows, store, tables
from neuralpile.corpus.rows import Row


def write_build(folder, n_rows, seed):
    """A small built data set, no row of which is in that of another seed."""
    rng = np.random.default_rng(seed)
    counts = [rng.integers(0, 256, (4, rng.integers(100, 400)), np.uint8) for _ in range(n_rows)]
    made = [Row(matrix, f"sub-{i % 2}", f"ses-{seed}", f"segment_{i}") for i, matrix in enumerate(counts)]
    arrow.write_rows(folder / "rows" / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "rows" / "a.arrow"], rows.SCHEMA, hashlib.sha256(bytes([seed])).hexdigest())
    return folder


def write_tables(folder):
    """The tables of such a build, worked out from its rows: a line for each subject, and for each of its four units."""
    sessions, units = [], []
    for subject in ("sub-0", "sub-1"):
        its = [row for row in store.open_folder(folder) if row.subject_id == subject]
        counts = np.concatenate([row.counts for row in its], axis=1)
        key = {"source_dataset": folder.name, "subject_id": subject, "session_id": its[0].session_id}
        start = datetime(2020, 1, 2, tzinfo=UTC)
        more = {"n_units": 4, "n_bins": counts.shape[1], "areas": ["M1"], "file": f"{subject}.nwb", "start_time": start}
        sessions.append(key | more)
        units += [{**key, "unit": i, "n_spikes": int(counts[i].sum()), "area": "M1", "x": 0.5} for i in range(4)]
    made = pa.Table.from_pylist(sessions, tables.SESSIONS), pa.Table.from_pylist(units, tables.UNITS)
    tables.write(folder, *made)
    return made
