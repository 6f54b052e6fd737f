"""Data sets on the Hub, read by row groups from a stand-in with the real clients, in processes of their own."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import ROOT
from helpers.loopback_hub import LoopbackHub

from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.hub import publish, reader

PUSH = """
import sys, datasets
datasets.load_from_disk(sys.argv[1]).push_to_hub("me/x")
"""
READ = """
import json, sys
from neuralpile.open import open_data_set
data_set = open_data_set("me/x")
numbers = json.loads(sys.argv[1])
read = [data_set.row(i) for i in numbers] if numbers else list(data_set)
print(json.dumps([[*row[1:5], row.counts.shape, int(row.counts.sum())] for row in read]))
"""


@pytest.fixture
def hub(tmp_path):
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        yield hub


@pytest.fixture
def local(hub, tmp_path):
    """Rows that are on the Hub as the default writer puts them there, and here."""
    rng = np.random.default_rng(0)
    shapes = rng.integers(1, [200, 20_000], (25, 2))
    made = [Row(rng.poisson(1, s).astype(np.uint8), "s", f"{i}", "segment_0") for i, s in enumerate(shapes)]
    folder = tmp_path / "x"
    arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
    run(hub, PUSH, str(folder))
    return made


def run(hub, code, *arguments, status=0):
    command = [sys.executable, "-c", code, *arguments]
    env = os.environ | hub.environment()
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done.stdout


def told(made):
    return [[*row[1:5], list(row.counts.shape), int(row.counts.sum())] for row in made]


def test_all_rows_in_their_order(hub, local):
    assert json.loads(run(hub, READ, "[]")) == told(local)


SESSION = """
import json
from neuralpile.open import open_data_set
part = open_data_set("me/x", split="train")
print(json.dumps([len(part), [row.segment_id for row in part.session("s", "7")], [row.split for row in part]]))
"""


def test_a_split_and_a_session_are_those_of_the_repository(hub, local):
    assert json.loads(run(hub, SESSION)) == [len(local), ["segment_0"], ["train"] * len(local)]


def test_names_in_the_footers_are_those_of_the_rows(tmp_path):
    """Our own files have one row a row group: nothing but the footer is read. Others' statistics can be cut off."""
    made = [Row(np.ones((2, 9), np.uint8), name, f"{name}-1", "segment_0", "x") for name in ("ä", "", "sub-A" * 30)]
    publish.write_shard(tmp_path / "a.parquet", made, rows.MERGED_SCHEMA)
    footer = pq.read_metadata(tmp_path / "a.parquet")
    groups = [reader.Group("train", "nowhere", i, 1, 18, footer) for i in range(3)]
    assert [reader._stated(group, rows.Names._fields) for group in groups] == [[rows.Names(*r[1:5])] for r in made]
    table = pq.read_table(tmp_path / "a.parquet")
    pq.write_table(table, tmp_path / "b.parquet", write_statistics=["segment_id"])
    assert reader._stated(replace(groups[0], footer=pq.read_metadata(tmp_path / "b.parquet")), ["subject_id"]) is None
    assert reader._stated(replace(groups[0], rows=3), ["segment_id"]) is None


@pytest.mark.slow
def test_nothing_is_read_twice(hub, local):
    """All rows of a row group are in what is fetched for the first of them."""
    size = sum(len(content) for path, content in hub.files("me/x").items() if path.endswith(".parquet"))
    hub.sent = 0
    run(hub, READ, "[]")
    assert size * 0.9 < hub.sent < size * 1.1


@pytest.mark.slow
def test_some_rows_can_be_taken_in_any_order(hub, local):
    assert json.loads(run(hub, READ, "[24, 0, 7]")) == told([local[i] for i in (24, 0, 7)])


@pytest.mark.slow
@pytest.mark.parametrize("failure", [500, 429, "reset", "stall"])
def test_temporary_failures_are_retried(hub, local, failure):
    lines = ["HEAD .*README", "GET /api/datasets/me/x/revision", "GET /api/datasets/me/x/tree", "GET .*parquet$"]
    faults = [hub.fail(line, failure) for line in lines]
    code = "from neuralpile import http_client; http_client.RETRY_SECONDS, http_client.SILENT_SECONDS = 0.01, 1" + READ
    assert json.loads(run(hub, code, "[3]")) == told([local[3]])
    assert [fault.left for fault in faults] == [0, 0, 0, 0]


@pytest.mark.slow
def test_motifs_of_a_repository_are_those_of_the_local_data_set(hub, local, script, tmp_path):
    """The same table as of the local data set."""
    for name, environment in (("me/x", hub.environment()), (str(tmp_path / "x"), {})):
        options = ["--p_n", 2, "--p_t", 5, "--repo_name", name, "--out_dir", tmp_path / "out"]
        done = script("extract_motifs.py", *options, **environment)
        assert done.returncode == 0, done.stderr
    there, here = sorted((tmp_path / "out").glob("*.parquet"))
    assert pq.read_table(there).equals(pq.read_table(here))
    tokens = [json.loads(path.read_text())["tokens"] for path in (tmp_path / "out").glob("*_summary.json")]
    assert tokens == [sum(row.counts.size for row in local)] * 2


def test_a_repository_that_does_not_exist_is_refused(hub, script):
    done = script("extract_motifs.py", "--p_n", 1, "--p_t", 8, "--repo_name", "me/nothing", **hub.environment())
    assert done.returncode == 2
    assert "error: me/nothing: expected a data set on the Hub" in done.stderr


OTHERS = """
import datasets, sys
from neuralpile.corpus import rows
features = datasets.Features.from_arrow_schema(rows.SCHEMA)
made = {"spike_counts": [[[1, 2]]], "subject_id": ["a"], "session_id": [None], "segment_id": ["c"]}
for column in ("spike_counts", "session_id"):
    datasets.Dataset.from_dict(made, features).remove_columns(column).push_to_hub(f"me/no-{column}")
datasets.Dataset.from_dict(made, features).push_to_hub("me/null")
"""


@pytest.mark.slow
def test_data_sets_without_the_columns_are_refused(hub, script):
    run(hub, OTHERS)
    for name, said in {
        "no-spike_counts": "a column spike_counts of lists of lists of uint8, found None",
        "no-session_id": "a column session_id of strings, found None",
        "null": "a session_id of every row, found null",
    }.items():
        done = script("merge_datasets.py", "--components", f"me/{name}", **hub.environment())
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: me/{name}: expected {said}")
