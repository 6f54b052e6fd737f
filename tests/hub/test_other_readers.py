"""What is published is read by other programs: every common Parquet reader, and `datasets` from 2.14 to the newest."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.loopback_hub import LEAVE, LoopbackHub

from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.hub import publish

MADE = [
    Row(np.random.default_rng(0).poisson(0.5, (5, 70_000)).astype(np.uint8), "ä", "1", "segment_0", "one"),
    Row(np.zeros((0, 0), np.uint8), "ä", "1", "segment_1", "one"),  # no units
    Row(np.zeros((3, 0), np.uint8), "", "1", "segment_2", "one"),  # no bins
    Row(np.arange(256, dtype=np.uint8)[None].repeat(4, 0), "b", "2", "segment_0", "two"),
]
EXPECTED = [dict(zip(rows.MERGED_SCHEMA.names, (row.counts.tolist(), *row[1:5]), strict=True)) for row in MADE]


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "train-00000.parquet"
    publish.write_shard(path, MADE, rows.MERGED_SCHEMA)
    return path


def by_pyarrow(path):
    return pq.read_table(path).to_pylist()


def by_polars(path):
    return pytest.importorskip("polars").read_parquet(path).to_dicts()


def by_duckdb(path):
    """Through tuples: they do not depend on how Arrow is read."""
    found = pytest.importorskip("duckdb").sql(f"select * from read_parquet('{path}')")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def by_datafusion(path):
    """DataFusion reads with arrow-rs."""
    context = pytest.importorskip("datafusion").SessionContext()
    return context.read_parquet(str(path)).to_pylist()


@pytest.mark.parametrize("read", [by_pyarrow, by_polars, by_duckdb, by_datafusion])
def test_a_parquet_reader_gets_exactly_the_rows_with_and_without_counts(shard, read):
    assert read(shard) == EXPECTED


def test_a_row_is_a_row_group_whose_names_have_statistics(shard):
    facts = pq.read_metadata(shard)
    groups = [facts.row_group(i) for i in range(facts.num_row_groups)]
    assert [group.num_rows for group in groups] == [1] * len(MADE)
    for group, row in zip(groups, MADE, strict=True):
        columns = {column.path_in_schema: column for column in map(group.column, range(group.num_columns))}
        for name in rows.MERGED_SCHEMA.names[1:]:
            assert columns[name].statistics.min == columns[name].statistics.max == getattr(row, name)
            assert columns[name].has_column_index
            assert columns[name].has_offset_index
        counts = columns[publish.COUNTS]
        assert counts.compression == "ZSTD"
        assert counts.has_dictionary_page or not row.counts.size
        assert not counts.is_stats_set


def test_a_shard_is_smaller_than_the_default_writer_makes_it(tmp_path):
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.lognormal(-2.8, 1, (100, 1)), (100, 20_000)).astype(np.uint8)
    made = [Row(counts, "sub", "ses", "segment_0")]
    publish.write_shard(tmp_path / "ours", made, rows.SCHEMA)
    with pq.ParquetWriter(tmp_path / "default", rows.SCHEMA) as writer:
        writer.write_batch(rows.to_record_batch(made[0]))
    assert (tmp_path / "ours").stat().st_size < 0.8 * (tmp_path / "default").stat().st_size


HYPARQUET = """
import { readFileSync } from 'fs'
import { parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
const content = readFileSync(process.argv[2])
const file = content.buffer.slice(content.byteOffset, content.byteOffset + content.byteLength)
console.log(JSON.stringify(await parquetReadObjects({ file, compressors })))
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def skip_unless_it_answers(index, *command, **options):
    """Skip the test, naming the package index, if a small question to it is not answered."""
    if subprocess.run(command, capture_output=True, **options).returncode:
        pytest.skip(f"{index} cannot be reached")


@pytest.mark.slow
def test_hyparquet_in_node_gets_exactly_the_rows(shard, tmp_path):
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm, with which hyparquet is run, are not on this machine")
    skip_unless_it_answers("the npm registry", "npm", "view", "hyparquet", "version", cwd=tmp_path)
    run("npm", "install", "--silent", "hyparquet", "hyparquet-compressors", cwd=tmp_path)
    (tmp_path / "read.mjs").write_text(HYPARQUET)
    assert json.loads(run("node", "read.mjs", shard, cwd=tmp_path)) == EXPECTED


# Versions of `datasets`, each with what pip would not choose by itself: libraries of its time.
VERSIONS = {
    "2.14.7": ["pyarrow<15", "numpy<2"],
    "2.21.0": [],
    "3.6.0": [],
    "4.0.0": [],
    "4.8.5": [],
    "5.2.0": [],
}
LOAD = """
import json, sys
import datasets
shard, build, repository = sys.argv[1:]
datasets.config.USE_PARQUET_EXPORT = False
ways = {
    "load_from_disk": lambda: datasets.load_from_disk(build),
    "parquet": lambda: datasets.load_dataset("parquet", data_files=shard, split="train"),
    "load_dataset": lambda: datasets.load_dataset(repository, split="train"),
    "streaming": lambda: datasets.load_dataset(repository, split="train", streaming=True),
}
found = {}
for way, load in ways.items():
    rows = load()
    kinds = [str(kind).replace("element", "item") for kind in rows.features.arrow_schema.types]
    found[way] = [kinds, list(rows)]
print(datasets.__version__)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The rows as a build, and pushed to a stand-in for the Hub."""
    folder = tmp_path_factory.mktemp("published")
    build = folder / "build"
    arrow.write_rows(build / "rows" / "a.arrow", MADE, rows.MERGED_SCHEMA)
    arrow.finish(build, [build / "rows" / "a.arrow"], rows.MERGED_SCHEMA, "0" * 64)
    with LoopbackHub(folder / "hf", user="me") as hub:
        code = (
            "from neuralpile.hub import publish, repository\nfrom neuralpile.open import open_data_set\n"
            f"publish.push(open_data_set({str(build)!r}), repository.Repository(repository.Target('me/x')), {{}})"
        )
        done = hub.python(code)
        assert done.returncode == 0, done.stderr
        yield build, hub


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_datasets_loads_builds_and_what_is_published(published, shard, tmp_path, version):
    if version == "2.14.7" and sys.version_info >= (3, 12):
        pytest.skip("datasets 2.14 is of the time of Python 3.11")
    build, hub = published
    python = tmp_path / "venv" / "bin" / "python"
    pip = sys.executable, "-m", "pip"
    skip_unless_it_answers(
        "the Python package index", *pip, "download", "-q", "--no-deps", "-d", tmp_path / "pip", "idna"
    )
    run(sys.executable, "-m", "venv", "--without-pip", python.parent.parent)
    run(*pip, "--python", python, "install", "-q", f"datasets=={version}", *VERSIONS[version])
    environment = hub.env(HF_HOME=str(tmp_path / "hf"), HF_DATASETS_CACHE=str(tmp_path / "hf" / "datasets"))
    environment.pop("PYTHONPATH", None)
    loaded, found = run(python, "-c", LOAD + LEAVE, shard, build, "me/x", cwd=tmp_path, env=environment).splitlines()
    assert loaded == version
    kinds = ["list<item: list<item: uint8>>", *["string"] * 4]
    found = json.loads(found)
    for way in ("load_dataset", "streaming"):  # in a repository, each component has its own files
        found[way][1].sort(key=EXPECTED.index)
    assert found == {way: [kinds, EXPECTED] for way in ("load_from_disk", "parquet", "load_dataset", "streaming")}
