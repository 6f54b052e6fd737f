"""Merging, as users run it."""

import hashlib
import json
import math
import shutil

import datasets
import numpy as np
import pytest
from conftest import ROOT

from neuralpile import catalog, merge, rows, store
from neuralpile.errors import BadInput
from neuralpile.files import whole_folder
from neuralpile.rows import Row

SCRIPT = "merge_datasets.py"


def write_component(folder, n_rows, seed):
    """A small built data set; every row is another."""
    rng = np.random.default_rng(seed)
    made = [
        Row(
            rng.poisson(0.3, (rng.integers(1, 6), rng.integers(1, 50))).astype(np.uint8),
            f"sub-{i % 2}",
            f"ses-{i}",
            "segment_0",
        )
        for i in range(n_rows)
    ]
    store.write_rows(folder / "rows" / "a.arrow", made, rows.SCHEMA)
    store.finish(folder, [folder / "rows" / "a.arrow"], rows.SCHEMA, hashlib.sha256(bytes([seed])).hexdigest())
    return made


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def identity(row):
    return (*row[1:], row.counts.shape, row.counts.tobytes())


@pytest.fixture
def components(tmp_path):
    """Three built data sets of the catalog under tmp_path/build."""
    sizes = {"m1-a": 120, "dmfc-rsg": 2, "area2-bump": 3}
    return {name: write_component(tmp_path / "build" / name, n, n) for name, n in sizes.items()}


def test_merge_everything_that_is_built(components, script, tmp_path):
    write_component(tmp_path / "build" / "simulated-motor", 4, 9)
    done = script(SCRIPT, "--test_size", "0.05")
    assert done.returncode == 0, done.stderr
    pile = tmp_path / "build" / catalog.PILE
    loaded = datasets.load_from_disk(str(pile))
    assert list(loaded) == ["train", "test"]
    assert loaded["train"].features["source_dataset"] == datasets.Value("string")
    expected = sorted(identity(row._replace(source_dataset=name)) for name, made in components.items() for row in made)
    assert sorted(map(identity, store.open_data_set(str(pile)))) == expected  # each row once, with where it is from
    assert len(loaded["test"]) == math.ceil(0.05 * 125)
    n_tokens = sum(row.counts.size for made in components.values() for row in made)
    last = done.stdout.splitlines()[5].split()  # name, then rows and tokens of both splits
    assert int(last[2].replace(",", "")) + int(last[4].replace(",", "")) == n_tokens
    missing = done.stdout.partition("not built, so not in it: ")[2].splitlines()[0].split(", ")
    assert sorted([*missing, *components]) == sorted(d.name for d in catalog.published())


def test_same_seed_same_bytes(components, script, tmp_path):
    for out, order, seed in [
        ("a", ["m1-a", "dmfc-rsg"], 1),
        ("b", ["dmfc-rsg", "m1-a"], 1),
        ("c", ["m1-a", "dmfc-rsg"], 2),
    ]:
        done = script(SCRIPT, "--components", *order, "--seed", seed, "--out_dir", tmp_path / out)
        assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_rows_are_shuffled(components, tmp_path):
    opened = store.open_data_set(str(tmp_path / "build" / "m1-a"))
    merge.merge([opened], tmp_path / "out", 0.01, 0)
    order = [row.session_id for row in store.open_data_set(str(tmp_path / "out"))]
    assert order != [row.session_id for row in opened]
    assert sorted(order) == sorted(row.session_id for row in opened)


def test_shards(components, tmp_path, monkeypatch):
    """However small the files, the rows are the same in the same order."""
    opened = store.open_data_set(str(tmp_path / "build" / "m1-a"))
    merge.merge([opened], tmp_path / "one", 0.1, 0)
    monkeypatch.setattr(merge, "SHARD", 500)
    merge.merge([opened], tmp_path / "many", 0.1, 0)
    assert len(list((tmp_path / "many" / "train").glob("*.arrow"))) > 3
    one, many = (list(map(identity, store.open_data_set(str(tmp_path / name)))) for name in ("one", "many"))
    assert one == many


@pytest.mark.parametrize("n_rows", [1, 2, 100, 101])
def test_split_is_a_partition(n_rows):
    splits = merge.split_rows(n_rows, 0.01, 0)
    assert sorted([*splits["train"], *splits["test"]]) == list(range(n_rows))
    assert len(splits["test"]) == {1: 0, 2: 1, 100: 1, 101: 2}[n_rows]


def test_one_row_is_for_training(script, tmp_path):
    write_component(tmp_path / "build" / "m1-a", 1, 1)
    assert script(SCRIPT).returncode == 0
    loaded = datasets.load_from_disk(str(tmp_path / "build" / catalog.PILE))
    assert (len(loaded["train"]), len(loaded["test"])) == (1, 0)


def test_merge_again_replaces_the_corpus(components, script, tmp_path):
    assert script(SCRIPT).returncode == 0
    assert script(SCRIPT, "--components", "dmfc-rsg").returncode == 0
    assert len(store.open_data_set(str(tmp_path / "build" / catalog.PILE))) == 2
    assert {p.name for p in (tmp_path / "build").iterdir() if p.is_dir()} == {*components, catalog.PILE}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--components", "nope"], "expected a data set, found none of this name"),
        (["--components", "m1-a", "m1-a"], "each of another name"),
        (["--components", "tests"], "expected a finished data set"),
        (["--components", "m1-a", "--out_dir", str(ROOT)], "expected a new folder, or a merged corpus to replace"),
        (["--test_size", "1"], "expected a number between 0 and 1"),
        (["--test_size", "x"], "expected a number above 0"),
        (["--seed", "-1"], "expected a whole number from 0"),
    ],
)
def test_wrong_arguments(components, script, arguments, message):
    done = script(SCRIPT, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_corpora_and_repeated_rows_are_refused(components, script, tmp_path):
    assert script(SCRIPT).returncode == 0
    before = contents(tmp_path / "build" / catalog.PILE)
    done = script(SCRIPT, "--components", catalog.PILE, "m1-a")
    assert "expected a data set, not yet merged with others, found a merged corpus" in done.stderr
    assert done.returncode == 2
    (tmp_path / "copy").symlink_to(tmp_path / "build" / "m1-a")
    shutil.copytree(tmp_path / "build" / "m1-a", tmp_path / "copied")
    done = script(SCRIPT, "--components", tmp_path / "copied", "m1-a")
    assert "expected different data sets, found the same rows in copied and m1-a" in done.stderr
    assert contents(tmp_path / "build" / catalog.PILE) == before


def test_doubts_are_told(components, script, tmp_path):
    options = {"bin_size": 0.02, "as_published": False}
    reports = {
        "m1-a": {"options": options | {"bin_size": 0.1}, "failed": {}},
        "dmfc-rsg": {"options": options, "failed": {"x.nwb": "bad"}},
        "area2-bump": {"options": options | {"as_published": True}, "failed": {}},
    }
    for name, report in reports.items():
        (tmp_path / "build" / name / "report.json").write_text(json.dumps(report))
    done = script(SCRIPT)
    assert done.returncode == 0
    assert "warning: m1-a: built with --bin_size 0.1" in done.stderr
    assert "warning: dmfc-rsg: 1 of its session files were not built" in done.stderr
    assert "warning: some of the data sets were built with --as_published, others without" in done.stderr


def test_linked_folder(components, script, tmp_path):
    """A link to another disk stays a link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    for _ in range(2):
        assert script(SCRIPT, "--out_dir", tmp_path / "link").returncode == 0
    assert (tmp_path / "link").is_symlink()
    assert len(store.open_data_set(str(tmp_path / "disk"))) == 125


def test_two_merges_at_once(components, tmp_path):
    opened = [store.open_data_set(str(tmp_path / "build" / "m1-a"))]
    with (
        whole_folder(tmp_path / "out"),
        pytest.raises(BadInput, match="no other process at work on this folder"),
    ):
        merge.merge(opened, tmp_path / "out", 0.1, 0)


def test_nothing_is_built(script):
    done = script(SCRIPT)
    assert done.returncode == 2
    assert "expected recorded data sets that are built, found none" in done.stderr


def test_interrupted_merge_leaves_the_old_corpus(components, tmp_path, monkeypatch):
    opened = store.open_data_set(str(tmp_path / "build" / "m1-a"))
    merge.merge([opened], tmp_path / "out", 0.1, 0)
    before = contents(tmp_path / "out")

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        merge.merge([opened], tmp_path / "out", 0.1, 1)
    assert contents(tmp_path / "out") == before
