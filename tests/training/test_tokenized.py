"""tokenize_dataset.py: rows of ids and a report, the same bytes however they are made, also after kills."""

import json
import math
import os
import re
import subprocess
import sys
from collections import Counter

import datasets
import numpy as np
import pytest
from helpers import ROOT
from helpers.in_process import run
from helpers.loopback_hub import LoopbackHub
from helpers.small_corpora import write_rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neuralpile import catalog
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.motifs import extract
from neuralpile.open import open_data_set
from neuralpile.training import Windows, loss, tokenized, vocabulary
from neuralpile.training.tokens import Tokenizer
from neuralpile.training.vocabulary import ESCAPE, FIRST_COUNT, FIRST_MOTIF, fit_rows

SCRIPT = "tokenize_dataset.py"
DRAW = loss.draw


def write_corpus(folder):
    """Two components in two splits, some rows of which are dense: their patches are mostly not in a vocabulary."""
    rng = np.random.default_rng(3)
    made = [
        Row(
            rng.poisson([0.2, 0.9][i % 2], (5 + i, 83)).astype(np.uint8),
            f"sub-{i}",
            f"ses-{i}",
            "segment_0",
            "xy"[i % 2],
        )
        for i in range(9)
    ]
    parts = {"train": made[:6], "test": made[6:]}
    for split, part in parts.items():
        arrow.write_rows(folder / split / "a.arrow", part, rows.MERGED_SCHEMA)
        arrow.finish(folder / split, [folder / split / "a.arrow"], rows.MERGED_SCHEMA, "0" * 64, split)
    (folder / arrow.SPLITS).write_text('{"splits": ["train", "test"]}')
    return parts


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "build" / catalog.PILE)


@pytest.fixture
def tokenize(tmp_path, corpus, monkeypatch):
    """Tokenize the corpus, in patches of 2 × 4 and with 30 motifs unless other options are given; draw nothing."""
    monkeypatch.setattr(loss, "draw", lambda _, path: path.touch())

    def tokenize(name, *options):
        shape = () if "--p_n" in options else ("--p_n", 2, "--p_t", 4, "--vocabulary", 30)
        done = run(tmp_path / "build", SCRIPT, *shape, "--out_dir", tmp_path / name, *options)
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    return tokenize


def content(folder):
    """The bytes of all files, by path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def padded_patches(counts, p_n, p_t):
    padded = np.pad(counts, [(0, -counts.shape[0] % p_n), (0, -counts.shape[1] % p_t)])
    return padded.reshape(-1, p_n, padded.shape[1] // p_t, p_t).swapaxes(1, 2)


def entropy(counter):
    total = counter.total()
    return -sum(n * math.log2(n / total) for n in counter.values())


def test_rows_keep_their_names_splits_and_lengths_and_decode_to_what_the_report_says(tokenize, corpus):
    folder = tokenize("out")
    found, tokenizer = datasets.load_from_disk(str(folder)), Tokenizer.from_pretrained(folder)
    assert found["train"].features["tokens"] == datasets.List(datasets.List(datasets.Value("uint16")))
    report = json.loads((folder / "report.json").read_text())
    assert list(found) == ["train", "test"] == list(report["splits"])
    for split, expected in corpus.items():
        before, after, exact, error, added, removed = Counter(), Counter(), 0, 0, 0, 0
        for row, source in zip(found[split], expected, strict=True):
            assert (row["subject_id"], row["session_id"], row["segment_id"], row["source_dataset"]) == source[1:5]
            assert (row["n_units"], row["n_bins"]) == source.counts.shape
            decoded = tokenizer.decode(row["tokens"])
            own, theirs = padded_patches(source.counts, 2, 4), padded_patches(decoded, 2, 4)
            before.update(patch.tobytes() for patch in own.reshape(-1, 8))
            after.update(patch.tobytes() for patch in theirs.reshape(-1, 8))
            exact += (own == theirs).all(axis=(2, 3)).sum()
            differ = theirs.astype(int) - own
            error += np.abs(differ).sum()
            added += np.maximum(differ.sum(axis=3), 0).sum()
            removed += np.maximum(-differ.sum(axis=3), 0).sum()
        facts = report["splits"][split]
        n = sum(row.counts.size for row in expected)
        assert (facts["rows"], facts["tokens"], facts["patches"]) == (len(expected), n, before.total())
        assert facts["spikes"] == sum(int(row.counts.sum()) for row in expected)
        assert facts["exact"] == pytest.approx(exact / before.total())
        assert (facts["spikes_added"], facts["spikes_removed"]) == (added, removed)
        assert facts["mean_absolute_count_error"] == pytest.approx(error / n)
        assert facts["bits_per_token_before"] == pytest.approx(entropy(before) / n)
        assert facts["bits_per_token_after"] == pytest.approx(entropy(after) / n)


def test_components_and_splits_add_up_and_rates_are_those_of_units(tokenize, corpus):
    folder = tokenize("out", "--p_n", 1, "--p_t", 83, "--vocabulary", 7)  # no padding: units of whole rows
    report = json.loads((folder / "report.json").read_text())
    found, tokenizer = datasets.load_from_disk(str(folder)), Tokenizer.from_pretrained(folder)
    for key in ("rows", "tokens", "patches", "spikes", "spikes_added", "spikes_removed", "ids"):
        for kind in ("components", "splits"):
            assert sum(facts[key] for facts in report[kind].values()) == report["all"][key]
    rates, after = [], []
    for split, expected in corpus.items():
        for row, source in zip(found[split], expected, strict=True):
            rates += source.counts.mean(axis=1).tolist()
            after += tokenizer.decode(row["tokens"]).mean(axis=1).tolist()
    rates, after = np.array(rates), np.array(after)
    facts = report["all"]
    assert facts["unit_rate_before"] == pytest.approx(rates.mean())
    assert facts["unit_rate_after"] == pytest.approx(after.mean())
    assert facts["unit_rate_change"] == pytest.approx(np.abs(after - rates).sum() / rates.sum())
    assert facts["largest_unit_rate_change"] == pytest.approx(
        (np.abs(after - rates)[rates > 0] / rates[rates > 0]).max()
    )


def test_the_vocabulary_is_of_the_training_rows_alone(tokenize, corpus):
    found = Tokenizer.from_pretrained(tokenize("out")).vocabulary
    counted = extract.count([row.counts for row in corpus["train"]], 2, 4)
    assert (found.motifs.patches == counted.patches[:30]).all()
    assert (found.motifs.frequencies == counted.frequencies[:30]).all()
    assert found.fitted_on.split == "train"
    assert found.fitted_on.coverage[256] == counted.frequencies[:256].sum() / counted.frequencies.sum()
    other = Tokenizer.from_pretrained(tokenize("other", "--split_for_fit", "test")).vocabulary
    assert other.fitted_on.tokens == sum(row.counts.size for row in corpus["test"])


def test_a_given_vocabulary_makes_two_data_sets_share_their_ids(tokenize, tmp_path):
    first = tokenize("first")
    dense = np.random.default_rng(8).poisson(0.9, (6, 83)).astype(np.uint8)
    write_rows_of(tmp_path / "build" / "own", [dense])
    given = "--p_n", 2, "--p_t", 4, "--vocabulary", first
    folder = tokenize("second", "--repo_name", "own", *given)
    for name in [path.name for path in first.glob("vocabulary*")]:
        assert (folder / name).read_bytes() == (first / name).read_bytes()
    (row,) = datasets.load_from_disk(str(folder))["train"]
    assert row["tokens"] == Tokenizer.from_pretrained(first).encode(dense).tolist()
    assert json.loads((folder / "report.json").read_text())["vocabulary"]["data_set"] == catalog.PILE
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert tokenize("second", "--repo_name", "own", *given) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
    assert tokenize("second", "--repo_name", "own") == folder  # with a vocabulary of its own, it is another one
    assert json.loads((folder / "report.json").read_text())["vocabulary"]["data_set"] == "own"


UPLOAD = """
import sys
from huggingface_hub import HfApi
for folder in sys.argv[1:]:
    name = "me/" + folder.rpartition("/")[2]
    HfApi().create_repo(name, repo_type="dataset")
    HfApi().upload_folder(repo_id=name, repo_type="dataset", folder_path=folder)
"""


@pytest.mark.slow
def test_a_vocabulary_on_the_hub_is_used_and_one_that_is_damaged_or_not_there_is_refused_in_one_line(corpus, tmp_path):
    fitted = fit_rows([row.counts for row in corpus["test"]], 2, 4, 30)
    for name in ("whole", "cut", "empty"):
        fitted.save(tmp_path / name)
        (tmp_path / name / "README.md").write_text("a vocabulary")
    (table,) = (tmp_path / "cut").glob("*.parquet")
    table.write_bytes(table.read_bytes()[:-9])
    for path in (tmp_path / "empty").glob("vocabulary*"):
        path.unlink()
    refused = {
        "me/cut": "expected a table of motifs, found .*; delete it and copy or download it again, or fit",
        "me/empty": "me/empty: expected a data set with vocabulary.json, found none; give a tokenized data set, or fit",
        "me/none": "me/none: expected a data set on the Hub, found none of this name, or one that your token may not",
    }
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        hub.run(UPLOAD, *(str(tmp_path / name) for name in ("whole", "cut", "empty")))
        env = os.environ | hub.environment() | {"NEURALPILE_BUILD": str(tmp_path / "build")}
        for name in ("me/whole", *refused):
            out = tmp_path / "out" / name
            command = [sys.executable, SCRIPT, "--p_n", "2", "--p_t", "4", "--vocabulary", name, "--out_dir", str(out)]
            done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
            if name in refused:
                assert done.returncode == 2
                assert re.fullmatch(f"error: .*{refused[name]}.*", done.stderr.splitlines()[-1])
                assert "Traceback" not in done.stderr
                assert not out.exists()
            else:
                assert done.returncode == 0, done.stderr
                assert Tokenizer.from_pretrained(out).vocabulary.sha256 == fitted.sha256
                tokens = datasets.load_from_disk(str(out))["train"]["tokens"][0]
                assert tokens == Tokenizer(fitted).encode(corpus["train"][0].counts).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--vocabulary: expected patches of 1 × 8, found 2 × 4; give --p_n 2 --p_t 4, or another vocabulary"),
        (["--split_for_fit", "train"], "--split_for_fit: nothing is fitted where --vocabulary names a vocabulary"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused_in_one_line(corpus, tmp_path, options, message):
    fit_rows([corpus["train"][0].counts], 2, 4, 30).save(tmp_path / "other")
    shape = "--p_n", 1, "--p_t", 8
    done = run(
        tmp_path / "build", SCRIPT, *shape, "--vocabulary", tmp_path / "other", "--out_dir", tmp_path / "out", *options
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def in_order(corpus, tmp_path):
    """Orders of the corpus by rate."""
    assert run(tmp_path / "build", "reorder_units.py", "--by", "rate", "--orders_only").returncode == 0


def test_tokens_in_an_order_are_those_of_reordered_rows_and_decode_to_rows_as_recorded(corpus, tmp_path, monkeypatch):
    build = tmp_path / "build"
    assert run(build, "reorder_units.py", "--by", "rate").returncode == 0
    monkeypatch.setattr(loss, "draw", lambda _, path: path.touch())
    given = "--p_n", 2, "--p_t", 4, "--vocabulary", 30, "--lossless"
    for options in (("--order", "rate"), ("--repo_name", f"{catalog.PILE}-by-rate", "--out_dir", tmp_path / "there")):
        assert run(build, SCRIPT, *given, *options).returncode == 0
    folder = build / f"{catalog.PILE}-by-rate-tokens"
    found, there = datasets.load_from_disk(str(folder)), datasets.load_from_disk(str(tmp_path / "there"))
    tokenizer = Tokenizer.from_pretrained(folder)
    moved = 0
    for split, expected in corpus.items():
        assert found[split]["tokens"][:] == there[split]["tokens"][:]
        for row, source in zip(found[split], expected, strict=True):
            counts = tokenizer.decode(row["tokens"], (row["n_units"], row["n_bins"]), row["order"])
            assert (counts == source.counts).all()
            moved += row["order"] != sorted(row["order"])
    assert moved > 5
    assert tokenizer.vocabulary.fitted_on.order == "rate"
    assert Tokenizer.from_pretrained(tmp_path / "there").vocabulary.fitted_on.order == "rate"
    assert json.loads((folder / "report.json").read_text())["order"] == "rate"


def test_windows_in_an_order_have_the_ids_of_rows_in_that_order(in_order, tokenize, tmp_path, monkeypatch):
    folder = tokenize("out", "--order", "rate")
    monkeypatch.setattr(catalog, "BUILD", tmp_path / "build")
    options = {"n_bins": 8, "jitter": False, "shuffle": False, "split": "test"}
    windows = Windows(catalog.PILE, order="rate", **options)
    tokenizer = Tokenizer.from_pretrained(folder)
    found = datasets.load_from_disk(str(folder))
    rows = [np.array(row["tokens"]) for split in found.values() for row in split]
    assert len(windows) > 20
    for window in windows:
        first = window.start // 4
        assert (tokenizer.encode(window.counts) == rows[window.row][:, first : first + 2]).all()


@pytest.mark.parametrize(
    ("fitted", "used", "message"),
    [
        ("rate", None, "expected motifs of units as recorded, found units by rate; give --order rate, or another"),
        (None, "rate", "expected motifs of units by rate, found units as recorded; take the data set without an order"),
    ],
)
def test_a_vocabulary_of_another_order_is_refused_unless_patches_have_one_unit(
    in_order, tokenize, tmp_path, fitted, used, message
):
    options = {by: ("--order", by) if by else () for by in (fitted, used)}
    for shape in ((2, 4), (1, 4)):
        given = "--p_n", shape[0], "--p_t", shape[1], "--vocabulary"
        folder = tokenize(f"fitted-{shape[0]}", *given, 30, *options[fitted])
        done = run(tmp_path / "build", SCRIPT, *given, folder, "--out_dir", tmp_path / f"{shape[0]}", *options[used])
        assert done.returncode == (2 if shape[0] > 1 else 0)
        assert message in done.stderr or shape[0] == 1


def test_lossless_tokens_give_all_counts_back(tokenize, corpus):
    folder = tokenize("out", "--lossless")
    found, tokenizer = datasets.load_from_disk(str(folder)), Tokenizer.from_pretrained(folder)
    report = json.loads((folder / "report.json").read_text())
    for split, expected in corpus.items():
        ids, escapes = Counter(), 0
        for row, source in zip(found[split], expected, strict=True):
            counts = tokenizer.decode(row["tokens"], (row["n_units"], row["n_bins"]))
            assert (counts == source.counts).all()
            ids.update(i for group in row["tokens"] for i in group)
        escapes = ids[ESCAPE]
        assert escapes > 0
        assert sum(n for i, n in ids.items() if FIRST_COUNT <= i < FIRST_MOTIF) == 8 * escapes
        facts = report["splits"][split]
        assert facts["ids"] == ids.total()
        assert facts["exact"] == pytest.approx(1 - escapes / facts["patches"])
        assert facts["bits_per_token_after"] == pytest.approx(entropy(ids) / facts["tokens"])
        assert facts["spikes_added"] == facts["spikes_removed"] == facts["mean_absolute_count_error"] == 0


def test_jobs_and_memory_do_not_change_a_byte(tokenize, monkeypatch):
    monkeypatch.setattr(loss, "draw", DRAW)
    one = content(tokenize("a", "--jobs", 1))
    monkeypatch.setattr(tokenized._Others, "add", lambda self, table: (self.held.append(table), self.flush()))
    assert content(tokenize("b", "--jobs", 3, "--memory", "1MB")) == one
    assert set(one) >= {"report.json", "coverage.png", "vocabulary.json", "dataset_dict.json", "train/state.json"}
    assert not [path for path in one if ".work" in path or "partial" in path]


def test_coverage_is_what_a_plain_count_gives_for_every_size_component_and_split(tokenize, corpus, monkeypatch):
    sizes = (2, 4, 8, 16, 64, 512)  # 64 are more than the vocabulary has, and 512 more than there are
    monkeypatch.setattr(loss, "SIZES", sizes)
    monkeypatch.setattr(vocabulary, "SIZES", sizes)
    report = json.loads((tokenize("out") / "report.json").read_text())
    fitted = Counter(p.tobytes() for row in corpus["train"] for p in padded_patches(row.counts, 2, 4).reshape(-1, 8))
    ranked = sorted(fitted, key=lambda patch: (-fitted[patch], patch))
    assert 64 < len(ranked) < 512

    def expected(some, sizes):
        patches = [p.tobytes() for row in some for p in padded_patches(row.counts, 2, 4).reshape(-1, 8)]
        firsts = {n: set(ranked[:n]) for n in sizes}
        return {str(n): sum(p in first for p in patches) / len(patches) for n, first in firsts.items()}

    assert report["vocabulary"]["coverage"] == pytest.approx(expected(corpus["train"], sizes))
    rows = [row for part in corpus.values() for row in part]
    parts = {name: [row for row in rows if row.source_dataset == name] for name in "xy"}
    for kind, its in {"components": parts, "splits": corpus}.items():
        for name, some in its.items():
            assert report[kind][name]["coverage"] == pytest.approx(expected(some, (2, 4, 8, 16, 30)))


@pytest.mark.slow
def test_two_machines_make_the_same_bytes(corpus, tmp_path):
    """Processes that differ in what machines differ in: seeds of hashes, threads, memory, language, time, places."""
    machines = [
        {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        {"PYTHONHASHSEED": "99", "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "TZ": "Asia/Tokyo"},
    ]
    made = []
    for i, machine in enumerate(machines):
        build = tmp_path / f"machine-{i}"
        (tmp_path / "build").rename(build)
        command = [sys.executable, SCRIPT, "--p_n", "2", "--p_t", "4", "--vocabulary", "30", "--jobs", str(1 + 2 * i)]
        command += ["--out_dir", str(tmp_path / f"out-{i}"), "--memory", ["1MB", "2GB"][i]]
        (tmp_path / f"tmp-{i}").mkdir()
        env = os.environ | machine | {"NEURALPILE_BUILD": str(build), "TMPDIR": str(tmp_path / f"tmp-{i}")}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        build.rename(tmp_path / "build")
        made.append(content(tmp_path / f"out-{i}"))
    assert made[0] == made[1]


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 8), (2, 4), (15, 1)]), st.sampled_from([0.1, 0.6, 3.0]))
def test_what_is_lost_of_a_row_is_what_decoding_shows(seed, shape, rate):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rate, (shape[0] * 3, shape[1] * 9)).astype(np.uint8)
    tokenizer = Tokenizer(fit_rows([rng.poisson(rate, counts.shape).astype(np.uint8)], *shape, 12))
    ids, others = tokenizer.lookup.find(counts)
    found = loss.measure(counts, ids, others, tokenizer.vocabulary, ids.reshape(-1))
    decoded = tokenizer.decode(ids, counts.shape)
    own, theirs = padded_patches(counts, *shape), padded_patches(decoded, *shape)
    net = theirs.sum(axis=3, dtype=int) - own.sum(axis=3, dtype=int)
    before, after = counts.mean(axis=1), decoded.mean(axis=1)
    assert found.exact == (own == theirs).all(axis=(2, 3)).sum()
    assert (found.added, found.removed) == (net[net > 0].sum(), -net[net < 0].sum())
    assert found.count_error == np.abs(theirs.astype(int) - own).sum()
    assert (found.rate, found.rate_after) == (pytest.approx(before.sum()), pytest.approx(after.sum()))
    assert found.rate_change == pytest.approx(np.abs(after - before).sum())
    assert found.largest_change == pytest.approx(
        max(np.abs(after - before)[before > 0] / before[before > 0], default=0)
    )
    described = loss.describe(found, [others.table])
    bits = [
        entropy(Counter(patch.tobytes() for patch in its.reshape(-1, counts.size // ids.size))) for its in (own, theirs)
    ]
    assert described["bits_per_token_before"] == pytest.approx(bits[0] / counts.size)
    assert described["bits_per_token_after"] == pytest.approx(bits[1] / counts.size)


def test_a_finished_data_set_is_left_as_it_is_and_another_job_replaces_it(tokenize, monkeypatch):
    folder = tokenize("out")
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert tokenize("out") == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
    tokenize("out", "--lossless")
    assert json.loads((folder / "report.json").read_text())["lossless"]


def test_a_data_set_of_one_split_names_itself_as_the_source(tmp_path):
    rng = np.random.default_rng(0)
    write_rows_of(tmp_path / "build" / "own", [rng.poisson(0.5, (4, 50)).astype(np.uint8) for _ in range(3)])
    done = run(tmp_path / "build", SCRIPT, "--p_n", 1, "--p_t", 8, "--repo_name", "own")
    assert done.returncode == 0, done.stderr
    found = datasets.load_from_disk(str(tmp_path / "build" / "own-tokens"))
    assert found["train"]["source_dataset"][:] == ["own"] * 3
    assert "100%" in done.stdout


def test_shards_that_are_complete_are_not_encoded_again(corpus, tmp_path, monkeypatch):
    data_set = open_data_set(str(tmp_path / "build" / catalog.PILE))
    monkeypatch.setattr(tokenized, "SHARD", 1)
    encoded = []

    def encode(data_set, numbers, tokenizer, lossless):
        for number in numbers:
            if number in stop_at:
                raise KeyboardInterrupt
            encoded.append(number)
            yield tokenized.encode(data_set, data_set.row(number), tokenizer, lossless)

    def tokenize(name):
        fitted = data_set.only("train")

        def count(**given):
            return extract.extract(fitted, jobs=1, **given)

        return tokenized.run(data_set, tokenized.Job(2, 4, 30), count, encode, 10**8, tmp_path / name)

    stop_at = {4}
    with pytest.raises(KeyboardInterrupt):
        tokenize("a")
    stop_at = set()
    monkeypatch.setattr(tokenized.vocabulary, "fit", None)  # the vocabulary is there
    tokenize("a")
    assert encoded == list(range(9))
    monkeypatch.undo()
    monkeypatch.setattr(tokenized, "SHARD", 1)
    tokenize("b")
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--p_n", "0", "--p_t", "8"], "argument --p_n: expected a whole number from 1, found '0'"),
        (["--p_n", "1", "--p_t", "8", "--vocabulary", "2000000"], "--vocabulary: expected at most 1,000,000"),
        (["--p_n", "1", "--p_t", "8", "--split_for_fit", "x"], "expected a split x, found train, test"),
        (
            ["--p_n", "1", "--p_t", "8", "--vocabulary", "nope"],
            "nope/vocabulary.json: expected the JSON of a vocabulary",
        ),
        (["--p_n", "1", "--p_t", "84"], "and 83 bins; take a smaller --p_n or --p_t"),
        (["--p_n", "1", "--p_t", "8", "--repo_name", "nope"], "nope: expected a data set, found none of this name"),
        (["--p_n", "1", "--p_t", "8", "--private"], "expected --hf_repo_name with them, found none"),
        (["--p_n", "1", "--p_t", "8", "--scheduler", "x"], "x: expected a Dask scheduler with workers"),
    ],
)
def test_wrong_arguments_give_one_line_and_write_nothing(corpus, tmp_path, arguments, message):
    done = run(tmp_path / "build", SCRIPT, *arguments, "--out_dir", tmp_path / "out")
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_not_replaced(corpus, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    done = run(tmp_path / "build", SCRIPT, "--p_n", 1, "--p_t", 8, "--out_dir", tmp_path / "out")
    assert done.returncode == 2
    assert "expected a new folder, or a tokenized data set to replace, found something else" in done.stderr
    assert (tmp_path / "out" / "letter.txt").read_text() == "dear"


def test_the_figure_is_drawn_for_many_components_and_where_nothing_is_lost(tmp_path):
    coverage = {256: 0.5, 512: 0.9, 1024: 1.0}
    facts = {"data_set": "c$_d$", "p_n": 1, "p_t": 8, "motifs": 1024, "unique": 1024, "split": "train"}
    for components in ({f"${i}_$": {"coverage": coverage} for i in range(30)}, {"one": {"coverage": {4: 1.0}}}):
        shown = coverage if len(components) > 1 else dict.fromkeys(coverage, 1.0)
        report = {
            "data_set": "a$_b$",
            "order": "rate",
            "vocabulary": facts | {"coverage": shown},
            "components": components,
        }
        loss.draw(report, tmp_path / "x.png")
        with Image.open(tmp_path / "x.png") as image:
            assert image.size[0] > 800


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes(dask, corpus, tmp_path):
    address, _ = dask
    folders = []
    for name, options in (("here", []), ("there", ["--scheduler", address])):
        folders.append(tmp_path / name)
        command = [sys.executable, SCRIPT, "--p_n", "2", "--p_t", "4", "--vocabulary", "30", *options]
        env = os.environ | {"NEURALPILE_BUILD": str(tmp_path / "build")}
        command += ["--out_dir", str(folders[-1])]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert content(folders[0]) == content(folders[1])


@pytest.mark.slow
def test_what_is_pushed_is_read_and_decoded_to_units_as_recorded(in_order, corpus, tmp_path):
    folder = tmp_path / "out"
    command = [sys.executable, SCRIPT, "--p_n", "2", "--p_t", "4", "--vocabulary", "30", "--lossless"]
    command += ["--order", "rate", "--out_dir", str(folder), "--hf_repo_name", "me/tokens"]
    read = """
import datasets
from neuralpile.training.tokens import Tokenizer
tokenizer = Tokenizer.from_pretrained("me/tokens")
for split in ("train", "test"):
    for row in datasets.load_dataset("me/tokens", split=split):
        counts = tokenizer.decode(row["tokens"], (row["n_units"], row["n_bins"]), row["order"])
        print(*counts.sum(axis=1))
"""
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        env = os.environ | hub.environment() | {"NEURALPILE_BUILD": str(tmp_path / "build")}
        for _ in range(2):
            done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        assert len(hub.commits("me/tokens")) == 2  # the empty one, and one of the same bytes
        card = hub.commits("me/tokens")[-1].tree["README.md"].data.decode()
        found = subprocess.run([sys.executable, "-c", read], cwd=ROOT, env=env, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    expected = [row.counts.sum(axis=1).tolist() for part in corpus.values() for row in part]
    assert [list(map(int, line.split())) for line in found.stdout.splitlines()] == expected
    assert f"# Tokens of {catalog.PILE}, units by rate" in card
    assert 'row["order"]' in card
    assert "written as an escape and its counts" in card
