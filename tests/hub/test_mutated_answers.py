"""Damaged Parquet files and odd answers of the Hub: the right rows or one line, whatever the damage.

`make faults FAULTS_SEED=7` repeats a run.
"""

import json
import os
import random
import subprocess
import sys
from types import MappingProxyType

import numpy as np
import pytest
from helpers import ROOT
from helpers.builds import write_build
from helpers.loopback_hub import LEAVE, Blob, Commit, LoopbackHub

from neuralpile.corpus import rows
from neuralpile.corpus.rows import Row
from neuralpile.hub import publish
from neuralpile.open import open_data_set

SEED = int(os.environ.get("FAULTS_SEED", "0"))
FILES, ANSWERS = 200, 120  # mutations in a run
QUICK = {"NEURALPILE_RETRY_SECONDS": "0.001", "NEURALPILE_TIMEOUT": "5"}

# Reads Parquet files as those of a repository; prints for each what came of it.
READ_FILES = """
import sys
import pyarrow.parquet as pq
from neuralpile.corpus import rows
from neuralpile.errors import BadInput, Mismatch
from neuralpile.hub import reader
reader._open = lambda url, footer=None: pq.ParquetFile(
    url, metadata=footer, pre_buffer=True, page_checksum_verification=True)
for path in sys.argv[1:]:
    def read():
        file = reader._open(path)
        rows.check_schema(file.schema_arrow, large=True)
        return reader.HubRows(path, path, False, reader._groups([('train', path)], [file.metadata]))
    try:
        print(path, rows.digest(reader._damage_reported(path, read)), flush=True)
    except BadInput as error:
        print(path, "error:", error, flush=True)
"""


def spoilt_file(content, rng):
    """A Parquet file with one damage."""
    damaged = bytearray(content)
    n = len(damaged)
    footer = n - 8 - int.from_bytes(damaged[-8:-4], "little")
    place = rng.choice([rng.randrange(n), rng.randrange(footer, n)])
    damage = rng.choice(["bit", "byte", "cut", "zero", "repeat"])
    if damage == "bit":
        damaged[place] ^= 1 << rng.randrange(8)
    elif damage == "byte":
        damaged[place] = rng.choice([0, 127, 128, 255, rng.randrange(256)])
    elif damage == "cut":
        del damaged[place:]
    elif damage == "zero":
        damaged[place : place + 50] = bytes(len(damaged[place : place + 50]))
    else:
        damaged[place:place] = damaged[place : place + 20]
    return bytes(damaged)


@pytest.mark.faults
def test_a_damaged_parquet_file_gives_the_right_rows_or_one_line(tmp_path):
    counts = np.random.default_rng(SEED).poisson(1, (4, 4, 300)).astype(np.uint8)
    made = [Row(matrix, "s", f"{i}", "segment_0") for i, matrix in enumerate(counts)]
    publish.write_shard(tmp_path / "good", made, rows.SCHEMA)
    content = (tmp_path / "good").read_bytes()
    for i in range(FILES):
        (tmp_path / f"{i}").write_bytes(spoilt_file(content, random.Random(f"{SEED} {i}")))
    paths = [tmp_path / "good", *(tmp_path / f"{i}" for i in range(FILES))]
    done = subprocess.run([sys.executable, "-c", READ_FILES, *paths], cwd=ROOT, capture_output=True, text=True)
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 0, f"FAULTS_SEED={SEED}, after {list(found)[-1]}: {done.stderr}"
    assert len(found) == len(paths)
    assert found[str(paths[0])] == rows.digest(made)
    for path, line in found.items():
        assert line == rows.digest(made) or line.startswith("error: "), f"FAULTS_SEED={SEED}, {path}: {line}"


def test_a_footer_with_which_pyarrow_aborts_is_one_line(tmp_path):
    """The counts are made required in the schema; the histogram of their levels then has one number too many."""
    publish.write_shard(tmp_path / "bad", [Row(np.ones((2, 9), np.uint8), "s", "1", "segment_0")], rows.SCHEMA)
    content = (tmp_path / "bad").read_bytes()
    optional = b"\x35\x02\x18\x0cspike_counts"  # in Thrift's compact protocol: repetition 1, name
    assert content.count(optional) == 1
    (tmp_path / "bad").write_bytes(content.replace(optional, b"\x35\x00\x18\x0cspike_counts"))
    done = subprocess.run(
        [sys.executable, "-c", READ_FILES, tmp_path / "bad"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "error:" in done.stdout
    assert "expected whole Parquet files, found a damaged one" in done.stdout


ODD = ["hf_loopback", None, [], {}, -1, 0, 1e308, True, "", "x", "\x1b[2J", ["a"], {"a": 1}, 2**70]


def spoilt_answer(content, rng):
    """An answer in JSON with one value replaced or left out, or that is no JSON."""
    damage = rng.choice(["value", "value", "value", "value", "gone", "cut", "text", "deep"])
    if damage == "cut":
        return content[: rng.randrange(len(content))]
    if damage == "text":
        return rng.choice([b"", b"<html>log in</html>", b"\xff\xfe", b"null", b"[]", b"{}", b"1"])
    if damage == "deep":
        return b"[" * 100_000
    answer = [json.loads(content)]
    places = [(answer, 0)]
    for holder, key in places:
        inner = holder[key]
        places += (
            [(inner, each) for each in (inner if isinstance(inner, dict) else range(len(inner)))]
            if isinstance(inner, dict | list)
            else []
        )
    holder, key = rng.choice(places)
    if damage == "gone" and holder is not answer:
        del holder[key]
    else:
        holder[key] = rng.choice(ODD)
    return json.dumps(answer[0]).encode()


USE = """
import sys
from neuralpile.corpus import rows
from neuralpile.errors import BadInput
from neuralpile.hub import publish, reader, repository
from neuralpile.open import open_data_set
what, build, names = sys.argv[1], sys.argv[2], sys.argv[3:]
for name in names:
    try:
        if what == "read":
            found = reader.open_repository(name)
            print(name, rows.digest(found), found.manifest() is not None, flush=True)
        else:
            target = repository.Target(name, create_pr=what == "ask")
            print(name, publish.push(open_data_set(build), repository.Repository(target), {}), flush=True)
    except BadInput as error:
        print(name, "error:", error, flush=True)
"""


@pytest.mark.faults
@pytest.mark.parametrize("what", ["read", "push", "ask"])
def test_an_odd_answer_of_the_hub_is_one_line_and_leaves_a_whole_repository(tmp_path, what):
    """`what` is done to as many repositories as there are mutations; one answer about each is spoilt."""
    build = write_build(tmp_path / "one", 4, 1)
    publish.write_shard(tmp_path / "shard", open_data_set(str(build)), rows.SCHEMA)
    card = b"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n---\n"
    tree = MappingProxyType(
        {
            "README.md": Blob(card),
            "data/train-00000.parquet": Blob((tmp_path / "shard").read_bytes(), lfs=True),
            "manifest.json": Blob(b"{}"),
        }
    )
    old = MappingProxyType({"README.md": Blob(b"old")})
    names = [f"me/m{i}" for i in range(ANSWERS // 3)]
    answered: dict[str, int] = {}

    def spoil(method, path, content):
        name = next((name for name in names if f"{path}/".find(f"{name}/") > 0), None)
        if name is None:
            return content
        rng = random.Random(f"{SEED} {what} {name}")
        answered[name] = answered.get(name, 0) + 1
        return (
            spoilt_answer(content, rng) if answered[name] == rng.randrange(1, 8 if what == "read" else 6) else content
        )

    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        for name in names:
            hub.repos[name] = [Commit("first", tree if what == "read" else old)]
        hub.spoil = spoil
        command = [sys.executable, "-c", USE + LEAVE, what, str(build), *names]
        done = subprocess.run(command, cwd=ROOT, env=hub.env(**QUICK), capture_output=True, text=True, timeout=550)
        hub.spoil = None
        assert done.returncode == 0, f"FAULTS_SEED={SEED}: {done.stderr[-3000:]}"
        assert hub.token not in done.stdout + done.stderr
        assert "\x1b" not in done.stdout
        found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
        assert list(found) == names
        assert any(line.startswith("error: ") for line in found.values()), "no mutation had an effect"
        good = rows.digest(open_data_set(str(build)))
        pushed = {"README.md", "data/sessions.parquet", "data/train-00000.parquet"}
        for name, line in found.items():
            if line.startswith("error: "):
                continue
            if what == "read":
                assert line.split()[0] == good, f"FAULTS_SEED={SEED}, {name}: {line}"
            if what == "push":
                assert set(hub.files(name)) == pushed, name
        for name in names if what == "push" else []:
            for commit in hub.commits(name)[1:]:
                assert set(commit.tree) == pushed, f"FAULTS_SEED={SEED}, {name}"
