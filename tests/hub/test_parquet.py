"""Our Parquet files, as pyarrow reads them."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuralpile.corpus import rows
from neuralpile.corpus.rows import Row
from neuralpile.hub import parquet

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
COUNTS = st.tuples(st.integers(0, 6), st.integers(0, 40), st.sampled_from([0, 1, 3, 15, 16, 255])).flatmap(
    lambda shape: arrays(np.uint8, shape[:2], elements=st.integers(0, shape[2]))
)
ROWS = st.lists(st.builds(Row, COUNTS, WORDS, WORDS, WORDS, WORDS), max_size=20)


def written(some_rows, schema=rows.MERGED_SCHEMA):
    file = io.BytesIO()
    writer = parquet.Writer(file, schema)
    for row in some_rows:
        writer.write(row)
    writer.close()
    assert writer.size == len(file.getvalue())
    return file.getvalue()


@given(ROWS, st.sampled_from([8, 16, 64, parquet.PAGE]))
def test_what_is_read_is_what_was_written(some_rows, page):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "PAGE", page)
        content = written(some_rows)
        assert written(some_rows) == content
    read = pq.read_table(io.BytesIO(content))
    expected = [
        {"spike_counts": row.counts.tolist()} | dict(zip(rows.MERGED_SCHEMA.names[1:], row[1:], strict=True))
        for row in some_rows
    ]
    assert read.to_pylist() == expected
    assert read.schema.types == rows.MERGED_SCHEMA.types
    facts = pq.read_metadata(io.BytesIO(content))
    assert facts.num_row_groups == facts.num_rows == len(some_rows)


@pytest.mark.parametrize("mean", [0.02, 0.5, 4, 200])
def test_sizes_of_the_metadata_are_those_of_the_file(mean):
    """Several pages of every width: the chunks follow each other without a gap, as their metadata say."""
    counts = np.random.default_rng(0).poisson(mean, (7, 40_000)).clip(0, 255).astype(np.uint8)
    content = written(
        [Row(counts, "sub", "ses", "segment_0"), Row(counts[:, ::2], "sub", "ses", "segment_1")], rows.SCHEMA
    )
    read = pq.read_table(io.BytesIO(content))
    for i, expected in enumerate([counts, counts[:, ::2]]):
        assert (rows.from_table(read.slice(i, 1)).counts == expected).all()
    facts, end = pq.read_metadata(io.BytesIO(content)), len(parquet.MAGIC)
    for group in map(facts.row_group, range(2)):
        chunks = [group.column(i) for i in range(4)]
        assert group.total_byte_size == sum(chunk.total_uncompressed_size for chunk in chunks)
        for chunk in chunks:
            assert (chunk.dictionary_page_offset or chunk.data_page_offset) == end
            end += chunk.total_compressed_size
    assert end < len(content)
    assert facts.row_group(0).column(0).num_values == counts.size


def test_metadata_of_the_schema_are_kept():
    schema = rows.SCHEMA.with_metadata({"a": "1", "features": "ü" * 300})
    assert pq.read_schema(io.BytesIO(written([], schema))).metadata == schema.metadata


def test_not_larger_than_the_general_writer_makes_it():
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.lognormal(-2.8, 1, (100, 1)), (100, 20_000)).astype(np.uint8)
    row = Row(counts, "sub", "ses", "segment_0")
    general = io.BytesIO()
    with pq.ParquetWriter(general, rows.SCHEMA, compression="zstd") as writer:
        writer.write_batch(rows.to_record_batch(row))
    assert len(written([row], rows.SCHEMA)) < len(general.getvalue())
