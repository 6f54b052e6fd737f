"""The example that trains a model: it beats the baselines, and a killed run continues as if nothing had happened."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT

from neuralpile import simulation
from neuralpile.corpus import arrow, merge, rows
from neuralpile.corpus.rows import Row
from neuralpile.corpus.split import SplitOptions
from neuralpile.open import open_data_set

torch = pytest.importorskip("torch", reason="torch is not installed (the extra `train`)")

STEPS = 150
BIN = 0.02  # seconds


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two data sets of one session each, cut into 8 rows of 15 s: all units follow one rhythm of 2 Hz."""
    folder = tmp_path_factory.mktemp("train")
    rng = np.random.default_rng(0)
    rhythm = simulation.rhythm(np.arange(6000) * BIN)
    for name, n_units in (("one", 12), ("two", 20)):
        counts = rng.poisson(0.3 * rhythm, (n_units, 6000)).astype(np.uint8)
        made = [Row(counts[:, i * 750 :][:, :750], "sub", f"ses-{name}", f"segment_{i}") for i in range(8)]
        arrow.write_rows(folder / name / "a.arrow", made, rows.SCHEMA)
        arrow.finish(folder / name, [folder / name / "a.arrow"], rows.SCHEMA, name * 8)
    merge.merge([open_data_set(str(folder / name)) for name in ("one", "two")], folder / "corpus", SplitOptions(0.2, 0))
    return folder / "corpus"


def command(corpus: Path, out: Path) -> list[str]:
    return [
        sys.executable,
        "examples/train.py",
        "--repo_name",
        str(corpus),
        "--out_dir",
        str(out),
        "--steps",
        f"{STEPS}",
    ]


ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}  # sums of floats depend on how many threads share them


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory):
    """What a run prints that nothing disturbs, and its folder."""
    out = tmp_path_factory.mktemp("undisturbed")
    done = subprocess.run(command(corpus, out), cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return done.stdout, out


def saved(out: Path) -> dict:
    return torch.load(out / "checkpoint.pt", weights_only=True)


@pytest.mark.slow
def test_the_model_beats_both_baselines_on_a_rhythm_and_draws_it(undisturbed):
    printed, out = undisturbed
    bits = {name: float(value) for value, name in re.findall(r"^ +(-?[\d.]+)  ([^(\n]+?) \(", printed, re.M)}
    assert len(bits) == 3
    assert bits["model"] > 0.2  # a model that knows the rhythm gains (1 - ln 2) / ln 2 = 0.44 bits a spike
    assert bits["model"] > 0.1 + max(bits["mean rate in training"], bits["rate in the past second"])
    assert bits["mean rate in training"] < 0
    assert re.findall(r"one -?[\d.]+, two -?[\d.]+", printed)
    assert (out / "predicted.png").stat().st_size > 10_000
    assert len(saved(out)["losses"]) == STEPS


@pytest.mark.slow
@pytest.mark.faults
def test_a_killed_run_continues_with_the_same_losses_to_the_last_bit(undisturbed, corpus, tmp_path, faults_seed):
    step = int(np.random.default_rng(faults_seed).integers(51, STEPS))  # after the first checkpoint
    with subprocess.Popen(command(corpus, tmp_path), cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE) as run:
        shown = b""
        while not any(int(at) >= step for at in re.findall(rb"(\d+)/%d " % STEPS, shown)):
            shown = shown[-200:] + run.stderr.read1()
        run.kill()
    assert run.returncode < 0, "it was not killed"
    assert 50 <= len(saved(tmp_path)["losses"]) < STEPS
    subprocess.run(command(corpus, tmp_path), cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True)
    whole, continued = saved(undisturbed[1]), saved(tmp_path)
    assert continued["losses"] == whole["losses"]
    for name, weights in whole["model"].items():
        assert torch.equal(continued["model"][name], weights), name
    assert (tmp_path / "predicted.png").read_bytes() == (undisturbed[1] / "predicted.png").read_bytes()


@pytest.mark.slow
def test_checkpoints_of_other_corpora_damaged_ones_and_folders_that_cannot_be_written_are_one_line(
    undisturbed, corpus, tmp_path
):
    _, out = undisturbed
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "checkpoint.pt").write_bytes((out / "checkpoint.pt").read_bytes()[:2000])
    (tmp_path / "file").write_text("not a folder")
    cases = [
        (
            corpus.parent / "one",
            out,
            "expected a checkpoint of these windows, found one of other rows or options; give",
        ),
        (corpus, tmp_path / "half", "checkpoint.pt: expected a whole checkpoint, found "),
        (corpus, tmp_path / "file", "Not a directory"),
        (corpus.parent / "none", tmp_path, "expected a data set, found none of this name; "),
    ]
    for data_set, folder, message in cases:
        run = subprocess.run(command(data_set, folder), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
        assert run.returncode == 2
        assert "Traceback" not in run.stderr
        error = run.stderr.splitlines()[-1]
        assert error.startswith("error: ")
        assert message in error
