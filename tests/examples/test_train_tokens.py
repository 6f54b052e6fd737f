"""The example that trains a language model on tokens: it needs fewer bits than frequencies alone, and it continues."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT

from neuralpile import simulation
from neuralpile.corpus import arrow, merge, rows
from neuralpile.corpus.rows import Row
from neuralpile.corpus.split import SplitOptions
from neuralpile.open import open_data_set
from neuralpile.training.tokens import Tokenizer
from neuralpile.training.vocabulary import FIRST_MOTIF, fit_rows

torch = pytest.importorskip("torch", reason="torch is not installed (the extra `train`)")

BIN = 0.02  # seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus of 9 rows of one rhythm of 2 Hz, some of them for testing, and a tokenizer of it."""
    folder = tmp_path_factory.mktemp("tokens")
    rhythm = simulation.rhythm(np.arange(6750) * BIN)
    counts = np.random.default_rng(0).poisson(0.4 * rhythm, (15, 6750)).astype(np.uint8)
    made = [Row(counts[:, i * 750 :][:, :750], "sub", "ses", f"segment_{i}") for i in range(9)]
    arrow.write_rows(folder / "one" / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder / "one", [folder / "one" / "a.arrow"], rows.SCHEMA, "0" * 64)
    merge.merge([open_data_set(str(folder / "one"))], folder / "corpus", SplitOptions(0.2, 0))
    Tokenizer(fit_rows([counts], 1, 8, 60)).save(folder / "tokenizer")
    return folder


def run(folder, out, steps):
    script = [sys.executable, "examples/train_tokens.py", "--steps", f"{steps}", "--out_dir", str(out)]
    options = ["--repo_name", str(folder / "corpus"), "--tokens", str(folder / "tokenizer")]
    done = subprocess.run([*script, *options], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


@pytest.mark.slow
def test_tokens_cost_less_than_by_their_frequencies_and_a_run_that_continues_is_the_undisturbed_one(folder, tmp_path):
    whole = run(folder, tmp_path / "whole", 80)
    bits, by_frequencies = map(float, re.search(r"([\d.]+)  bits per token.*; ([\d.]+) by frequencies", whole).groups())
    tokenizer = Tokenizer.from_pretrained(folder / "tokenizer")
    test = open_data_set(str(folder / "corpus"), split="test")
    written = np.concatenate([tokenizer.encode(row.counts).ravel() for row in test])
    found = np.bincount(written) / len(written)
    entropy = -np.sum(found[found > 0] * np.log2(found[found > 0]))
    assert bits < 0.97 * entropy / 8  # of a code that knows how frequent the ids are in this very split
    fitted = tokenizer.vocabulary.motifs.frequencies
    costs = -np.log2(fitted / fitted.sum())[written.astype(int) - FIRST_MOTIF]
    n_tokens = sum(row.counts.size for row in test)
    assert by_frequencies == pytest.approx(costs.sum() / n_tokens, abs=1e-3)
    assert run(folder, tmp_path / "continued", 50) != whole
    assert run(folder, tmp_path / "continued", 80) == whole
    losses = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "continued")]
    assert losses[0]["losses"] == losses[1]["losses"]
