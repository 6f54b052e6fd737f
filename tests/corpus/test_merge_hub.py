"""Merging what is on the Hub with what is here, with the real clients against a stand-in, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter

import datasets
import numpy as np
import pytest
from helpers import ROOT
from helpers.loopback_hub import LoopbackHub

from neuralpile import catalog
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.open import open_data_set

SCRIPT = "merge_datasets.py"
PUSH = """
import sys, datasets
datasets.load_from_disk(sys.argv[1]).push_to_hub(sys.argv[2])
"""
PUBLISH = """
import sys
from neuralpile.hub import publish, repository
from neuralpile.open import open_data_set
publish.push(open_data_set(sys.argv[1]), repository.Repository(repository.Target(sys.argv[2])), {})
"""
MANIFEST = {"data_set": "two", "sessions": [{"file": "a.nwb", "bytes": 3, "digest": "sha256:00"}]}


@pytest.fixture
def hub(tmp_path):
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        yield hub


def write(folder, n_rows, seed):
    rng = np.random.default_rng(seed)
    shapes = rng.integers(1, [30, 500], (n_rows, 2))
    made = [
        Row(rng.poisson(1, shape).astype(np.uint8), f"{seed}", f"{i}", "segment_0") for i, shape in enumerate(shapes)
    ]
    arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, f"{seed}" * 64)
    return made


def run(hub, code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    subprocess.run(command, cwd=ROOT, env=os.environ | hub.environment(), check=True, capture_output=True)


@pytest.fixture
def mix(hub, tmp_path):
    """Three data sets: one here; one on the Hub as `datasets` puts it there, many rows a row group; one as we do."""
    made = {
        "m1-a": write(tmp_path / "build" / "m1-a", 30, 1),
        "me/one": write(tmp_path / "one", 40, 2),
        "me/two": write(tmp_path / "two", 20, 3),
    }
    (tmp_path / "two" / "manifest.json").write_text(json.dumps(MANIFEST))
    run(hub, PUSH, tmp_path / "one", "me/one")
    run(hub, PUBLISH, tmp_path / "two", "me/two")
    return made


def identity(row):
    return (*row[1:5], row.counts.shape, row.counts.tobytes())


@pytest.mark.slow
def test_a_mix_of_local_and_hub_components_has_exactly_their_rows(hub, mix, script, tmp_path):
    """Exactly their rows; tokens told exactly; the same bytes when it is merged anew; proved by --check."""
    done = script(SCRIPT, "--components", *mix, "--test_size", 0.2, **hub.environment())
    assert done.returncode == 0, done.stderr
    pile = tmp_path / "build" / catalog.PILE
    expected = Counter(identity(row._replace(source_dataset=name)) for name, made in mix.items() for row in made)
    assert Counter(map(identity, open_data_set(str(pile)))) == expected
    for name, made in mix.items():
        total = sum(row.counts.size for row in made)
        line = next(line.split() for line in done.stdout.splitlines() if line.startswith(name))
        assert int(line[3].replace(",", "")) + int(line[6].replace(",", "")) == total
        test = [row for row in datasets.load_from_disk(str(pile))["test"] if row["source_dataset"] == name]
        held = sum(len(row["spike_counts"]) * len(row["spike_counts"][0]) for row in test)
        assert held == int(line[6].replace(",", ""))
        assert held == pytest.approx(0.2 * total, rel=0.1)
    manifest = json.loads((pile / "manifest.json").read_text())["components"]
    assert {name: made["manifest"] for name, made in manifest.items()} == {
        "m1-a": None,
        "me/one": None,
        "me/two": MANIFEST,
    }
    assert not (pile / "fetched").exists()
    options = ["--components", *mix, "--test_size", 0.2, "--out_dir", tmp_path / "again"]
    assert script(SCRIPT, *options, **hub.environment()).returncode == 0
    assert contents(tmp_path / "again") == contents(pile)
    done = script(SCRIPT, "--check", **hub.environment())
    assert done.returncode == 0, done.stderr
    assert "90 rows: exactly those of m1-a, me/one, me/two" in done.stdout


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Killed when it has written its `sys.argv[2]`-th file.
KILLED = """
import itertools, os, signal, sys
from pathlib import Path
from neuralpile.corpus import arrow, merge
from neuralpile.corpus.split import SplitOptions
from neuralpile.open import open_data_set
write_rows, files = arrow.write_rows, itertools.count(1)
def killed(path, *more):
    write_rows(path, *more)
    print(path.parent.name, path.name, flush=True)
    if next(files) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
arrow.write_rows, merge.SHARD = killed, 20_000
merge.merge([open_data_set(name) for name in ("me/one", "m1-a")], Path(sys.argv[1]), SplitOptions(0.1, 0))
"""


@pytest.mark.slow
def test_a_merge_killed_while_it_fetches_does_not_fetch_again(hub, mix, tmp_path):
    """What was fetched is not fetched again, and the corpus is the same to the last byte."""
    environment = os.environ | hub.environment() | {"NEURALPILE_BUILD": str(tmp_path / "build")}
    command = [sys.executable, "-c", KILLED]
    whole = subprocess.run(
        [*command, tmp_path / "undisturbed", "0"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert whole.returncode == 0, whole.stderr
    killed = subprocess.run([*command, tmp_path / "out", "3"], cwd=ROOT, env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    fetched = tmp_path / "out.partial" / "fetched"
    kept = len(list(fetched.rglob("*.arrow")))
    assert kept == 3
    again = subprocess.run([*command, tmp_path / "out", "0"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert whole.stdout.splitlines()[kept:] == again.stdout.splitlines()
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")
