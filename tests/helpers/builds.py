"""Small builds."""

import hashlib

import numpy as np

from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row


def write_build(folder, n_rows, seed):
    """A small built data set, no row of which is in that of another seed."""
    rng = np.random.default_rng(seed)
    counts = [rng.integers(0, 256, (4, rng.integers(100, 400)), np.uint8) for _ in range(n_rows)]
    made = [Row(matrix, f"sub-{i % 2}", f"ses-{seed}", f"segment_{i}") for i, matrix in enumerate(counts)]
    arrow.write_rows(folder / "rows" / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "rows" / "a.arrow"], rows.SCHEMA, hashlib.sha256(bytes([seed])).hexdigest())
    return folder
