"""The table of motifs is read as it was written, and every other file is reported in one line."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from neuralpile.errors import BadInput
from neuralpile.motifs import extract, kernels, parquet

COUNTS = np.random.default_rng(0).poisson(0.7, (6, 80)).astype(np.uint8)


@pytest.fixture
def table(tmp_path):
    tally = kernels.Tally(2, 4)
    tally.add(COUNTS)
    n = tally.n_patches
    counted = parquet.Counted("x", 2, 4, COUNTS.size, n)
    parquet.write([kernels.most_frequent_first(tally.table())], tmp_path / "x.parquet", counted, 3)
    return tmp_path / "x.parquet"


def test_the_first_motifs_are_those_that_were_counted(table):
    start = parquet.read_start(table, 7)
    expected = extract.count([COUNTS], 2, 4)
    assert start.counted == parquet.Counted("x", 2, 4, 480, 60)
    assert start.unique == len(expected.frequencies)
    assert start.motifs.patches.tolist() == expected.patches[:7].tolist()
    assert start.motifs.frequencies.tolist() == expected.frequencies[:7].tolist()


def changed(kind, table):
    """A table that is odd in one respect."""
    facts = dict(table.schema.metadata)
    n = len(table)
    if kind == "another type of patches":
        table = table.set_column(0, "patch", pa.array([[[0.5] * 4] * 2] * n))
    elif kind == "patches of another size":
        table = table.set_column(0, "patch", pa.array([[[1, 2]]] * n, parquet.PATCH))
    elif kind == "ragged patches":
        table = table.set_column(0, "patch", pa.array([[[1, 2, 3, 4], [1]]] * n, parquet.PATCH))
    elif kind == "a patch that is null":
        table = table.set_column(0, "patch", pa.array([None] * n, parquet.PATCH))
    elif kind == "a count that is null":
        table = table.set_column(0, "patch", pa.array([[[1, 2, 3, None]] * 2] * n, parquet.PATCH))
    elif kind == "no column of patches":
        table = table.drop_columns(["patch"])
    elif kind == "frequencies below 1":
        table = table.set_column(1, "frequency", pa.array([-5] * n, pa.int64()))
    elif kind == "frequencies that are not sorted":
        table = table.set_column(1, "frequency", pa.array(range(1, n + 1), pa.int64()))
    elif kind == "frequencies as text":
        table = table.set_column(1, "frequency", pa.array(["1"] * n))
    elif kind == "a frequency that is null":
        table = table.set_column(1, "frequency", pa.array([None] * n, pa.int64()))
    elif kind == "more motifs than patches":
        facts[b"patches"] = b"2"
    elif kind == "no metadata":
        facts = {}
    elif kind == "metadata that is not a number":
        facts[b"p_n"] = b"two"
    elif kind == "patches without units":
        facts[b"p_n"] = b"0"
    elif kind == "a negative number of patches":
        facts[b"patches"] = b"-60"
    elif kind == "metadata that is not text":
        facts[b"data_set"] = b"\xff\xfe"
    elif kind == "a number of endless digits":
        facts[b"patches"] = b"9" * 5_000
    return table.replace_schema_metadata(facts)


KINDS = [
    *("another type of patches", "patches of another size", "ragged patches", "a patch that is null"),
    *("a count that is null", "no column of patches", "frequencies below 1", "frequencies that are not sorted"),
    *("frequencies as text", "a frequency that is null", "more motifs than patches", "no metadata"),
    *("metadata that is not a number", "patches without units", "a negative number of patches"),
    *("metadata that is not text", "a number of endless digits"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_odd_table_is_reported_in_one_line(table, kind):
    pq.write_table(changed(kind, pq.read_table(table)), table)
    with pytest.raises(BadInput) as found:
        parquet.read_start(table, 7)
    assert str(found.value).startswith(f"{table}: expected a table of motifs, found ")
    assert str(found.value).endswith("; delete it, or run extract_motifs.py again")
    assert len(str(found.value)) < 500


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a table", b"PAR1" + bytes(50) + b"PAR1"])
def test_a_file_that_is_not_parquet_is_reported_in_one_line(table, content):
    table.write_bytes(content)
    with pytest.raises(BadInput, match="expected a table of motifs"):
        parquet.read_start(table, 7)
