"""The Python examples of the README, run on a small corpus; the one for PyTorch only where this is installed."""

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers import ROOT
from helpers.loopback_hub import LoopbackHub

from neuralpile import catalog
from neuralpile.corpus import arrow, merge, rows
from neuralpile.corpus.rows import Row
from neuralpile.open import open_data_set

EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
EXAMPLES = [example for example in EXAMPLES if "neural-pile-primate" in example]


@pytest.fixture
def corpus(tmp_path):
    """A corpus of one human and one monkey data set under tmp_path/build."""
    rng = np.random.default_rng(0)
    opened = []
    for name in ("h2", "m1-a"):
        made = [
            Row(rng.poisson(1, (70, 300)).astype(np.uint8), "s", f"{name}-{i // 2}", f"segment_{i % 2}")
            for i in range(20)
        ]
        folder = tmp_path / "build" / name
        arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
        arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, name * 8)
        opened.append(open_data_set(str(folder)))
    opened[1] = replace(opened[1], name="me/m1-a")  # as one from the Hub is called
    merge.merge(opened, tmp_path / "build" / catalog.PILE, 0.1, 0)


def test_the_examples_are_those_below():
    assert len(EXAMPLES) == 3


def test_a_session(corpus, script):
    done = script("-c", next(example for example in EXAMPLES if "names()" in example))
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 2
    assert len({line[1] for line in lines}) == 1
    assert {tuple(line[3:]) for line in lines} == {("(70,", "300)")}


def test_a_species(corpus, script):
    done = script("-c", next(example for example in EXAMPLES if "species" in example))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("me/m1-a [") == 20
    assert "h2" not in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_training_from_the_hub(corpus, tmp_path):
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        environment = os.environ | hub.environment()
        push = "import datasets, sys; datasets.load_from_disk(sys.argv[1]).push_to_hub('me/neural-pile-primate')"
        command = [sys.executable, "-c", push, str(tmp_path / "build" / catalog.PILE)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        example = next(example for example in EXAMPLES if "torch" in example)
        done = subprocess.run([sys.executable, "-c", example], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "torch.Size([8, 64, 100]) torch.uint8\n"
