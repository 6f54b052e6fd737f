"""Merging, as users run it."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import datasets
import numpy as np
import pytest
from helpers import ROOT
from helpers.reports import write_report

from neuralpile import catalog
from neuralpile.corpus import arrow, merge, rows
from neuralpile.corpus.rows import Row
from neuralpile.corpus.split import SplitOptions
from neuralpile.errors import BadInput
from neuralpile.files import whole_folder
from neuralpile.open import open_data_set

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
    arrow.write_rows(folder / "rows" / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "rows" / "a.arrow"], rows.SCHEMA, hashlib.sha256(bytes([seed])).hexdigest())
    return made


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def identity(row):
    return (*row[1:5], row.counts.shape, row.counts.tobytes())


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
    assert sorted(map(identity, open_data_set(str(pile)))) == expected  # each row once, with where it is from
    total = sum(row.counts.size for row in components["m1-a"])
    made = [row for row in loaded["test"] if row["source_dataset"] == "m1-a"]
    held = sum(len(row["spike_counts"]) * len(row["spike_counts"][0]) for row in made)
    assert abs(held - 0.05 * total) <= 250  # a row has at most that
    n_tokens = sum(row.counts.size for made in components.values() for row in made)
    last = done.stdout.splitlines()[5].split()  # name, then rows, sessions and tokens of both splits
    assert int(last[3].replace(",", "")) + int(last[6].replace(",", "")) == n_tokens
    missing = done.stdout.partition("not built, so not in it: ")[2].splitlines()[0].split(", ")
    assert sorted([*missing, *components]) == sorted(d.name for d in catalog.published())


def test_the_same_seed_yields_the_same_bytes(components, script, tmp_path):
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
    opened = open_data_set(str(tmp_path / "build" / "m1-a"))
    merge.merge([opened], tmp_path / "out", SplitOptions(0.01, 0))
    order = [row.session_id for row in open_data_set(str(tmp_path / "out"))]
    assert order != [row.session_id for row in opened]
    assert sorted(order) == sorted(row.session_id for row in opened)


def test_rows_and_their_order_do_not_depend_on_the_shard_size(components, tmp_path, monkeypatch):
    """However small the files, the rows are the same in the same order."""
    opened = open_data_set(str(tmp_path / "build" / "m1-a"))
    merge.merge([opened], tmp_path / "one", SplitOptions(0.1, 0))
    monkeypatch.setattr(merge, "SHARD", 500)
    merge.merge([opened], tmp_path / "many", SplitOptions(0.1, 0))
    assert len(list((tmp_path / "many" / "train").glob("*.arrow"))) > 3
    one, many = (list(map(identity, open_data_set(str(tmp_path / name)))) for name in ("one", "many"))
    assert one == many


def test_another_component_moves_nothing(components, tmp_path):
    """Sides and order of a component's rows are the same beside others; another seed gives others."""

    def placed(names, seed):
        merge.merge(
            [open_data_set(str(tmp_path / "build" / name)) for name in names], tmp_path / "out", SplitOptions(0.1, seed)
        )
        loaded = datasets.load_from_disk(str(tmp_path / "out"))
        return [
            (split, row["session_id"])
            for split in loaded
            for row in loaded[split].remove_columns("spike_counts")
            if row["source_dataset"] == "m1-a"
        ]

    alone = placed(["m1-a"], 0)
    assert placed(["m1-a", "dmfc-rsg", "area2-bump"], 0) == alone
    assert placed(["m1-a"], 1) != alone


def test_from_the_hub_or_not_the_split_is_the_same(components, tmp_path):
    opened, found = open_data_set(str(tmp_path / "build" / "m1-a")), []
    for component in (opened, replace(opened, name="me/m1-a")):
        merge.merge([component], tmp_path / "out", SplitOptions(0.1, 0))
        corpus = datasets.load_from_disk(str(tmp_path / "out"))
        assert set(corpus["test"]["source_dataset"]) == {component.name}
        found.append({split: corpus[split]["session_id"][:] for split in corpus})
    assert found[0] == found[1]


def test_the_table_tells_both_sides(components, script, tmp_path):
    done = script(SCRIPT, "--test_size", "0.2", "--split_by", "session")
    assert done.returncode == 0, done.stderr
    line = next(line.split() for line in done.stdout.splitlines() if line.startswith("m1-a"))
    loaded = datasets.load_from_disk(str(tmp_path / "build" / catalog.PILE))
    for split, (n_rows, n_sessions, n_tokens) in {"train": line[1:4], "test": line[4:7]}.items():
        made = [row for row in loaded[split] if row["source_dataset"] == "m1-a"]
        assert int(n_rows) == len(made)
        assert int(n_sessions) == len({row["session_id"] for row in made})
        assert int(n_tokens.replace(",", "")) == sum(len(r["spike_counts"]) * len(r["spike_counts"][0]) for r in made)


# Killed before it writes its `sys.argv[3]`-th row.
KILLED = """
import itertools, os, signal, sys
from pathlib import Path
from neuralpile.corpus import arrow, merge
from neuralpile.corpus.split import SplitOptions
from neuralpile.open import open_data_set
write_rows, to_record_batch, rows = arrow.write_rows, arrow.to_record_batch, itertools.count()
def told(path, *more):
    print(path.name, flush=True)
    write_rows(path, *more)
def killed(row):
    if next(rows) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return to_record_batch(row)
arrow.write_rows, arrow.to_record_batch, merge.SHARD = told, killed, 500
merge.merge([open_data_set(sys.argv[1])], Path(sys.argv[2]), SplitOptions(0.1, 0))
"""


def test_the_table_has_room_for_long_names(components, script, tmp_path):
    (tmp_path / "build" / "m1-a").rename(tmp_path / "a-folder-with-a-long-name")
    done = script(SCRIPT, "--components", tmp_path / "a-folder-with-a-long-name", "dmfc-rsg")
    lines = done.stdout.splitlines()[1:5]
    assert [line.split()[0] for line in lines] == ["train", "a-folder-with-a-long-name", "dmfc-rsg", "all"]
    assert len({len(line) for line in lines}) == 1


def test_a_merge_killed_and_run_again_yields_the_same_bytes(components, tmp_path):
    """In the midst of a file: those that were complete are kept, and the corpus is the same to the last byte."""
    source = str(tmp_path / "build" / "m1-a")
    command = [sys.executable, "-c", KILLED, source]
    subprocess.run([*command, str(tmp_path / "undisturbed"), "-1"], cwd=ROOT, check=True, capture_output=True)
    out, partial = tmp_path / "out", tmp_path / "out.partial"
    killed = subprocess.run([*command, str(out), "41"], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(partial.glob("train/*.arrow"))) >= 3
    assert list(partial.glob("train/*.partial"))
    assert not out.exists()
    kept = {path.name for path in partial.glob("train/*.arrow")}
    again = subprocess.run([*command, str(out), "-1"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert not kept & set(again.stdout.split()[: -len(list((out / "test").glob("*.arrow")))])
    assert contents(out) == contents(tmp_path / "undisturbed")
    assert not partial.exists()


def test_check_proves_a_corpus_or_names_what_is_wrong(components, script, tmp_path):
    """The corpus is proved, or what is wrong with it is told."""
    assert script(SCRIPT).returncode == 0
    done = script(SCRIPT, "--check")
    assert done.returncode == 0
    assert "125 rows: exactly those of area2-bump, dmfc-rsg, m1-a" in done.stdout
    write_component(tmp_path / "build" / "dmfc-rsg", 2, 77)
    done = script(SCRIPT, "--check")
    assert done.returncode == 1
    assert done.stdout.count("not in the component, or twice") == 2
    assert "missing: 2 rows of dmfc-rsg" in done.stdout
    done = script(SCRIPT, "--check", "--out_dir", tmp_path / "build" / "m1-a")
    assert done.returncode == 2
    assert "expected a merged corpus" in done.stderr


def test_check_needs_no_recorded_builds(components, script, tmp_path):
    """The manifest names the components, of whatever kind."""
    write_component(tmp_path / "build" / "simulated-motor", 4, 9)
    out = ["--out_dir", tmp_path / "simulated-pile"]
    assert script(SCRIPT, "--components", "simulated-motor", *out).returncode == 0
    for name in components:
        shutil.rmtree(tmp_path / "build" / name)
    done = script(SCRIPT, "--check", *out)
    assert (done.returncode, done.stdout) == (0, "4 rows: exactly those of simulated-motor\n"), done.stderr


def test_the_manifest_states_options_and_components(components, script, tmp_path):
    assert script(SCRIPT, "--seed", 3, "--split_by", "session").returncode == 0
    manifest = json.loads((tmp_path / "build" / catalog.PILE / "manifest.json").read_text())
    assert manifest["options"] == {"seed": 3, "test_size": 0.01, "split_by": "session", "min_test_rows": 1}
    assert list(manifest["components"]) == ["area2-bump", "dmfc-rsg", "m1-a"]
    sides = manifest["components"]["m1-a"]["sides"]
    assert sum(sides["rows"].values()) == 120
    assert sum(sides["tokens"].values()) == sum(row.counts.size for row in components["m1-a"])
    assert manifest["components"]["m1-a"]["manifest"] is None  # these builds have none


def test_one_row_is_for_training(script, tmp_path):
    write_component(tmp_path / "build" / "m1-a", 1, 1)
    assert script(SCRIPT).returncode == 0
    loaded = datasets.load_from_disk(str(tmp_path / "build" / catalog.PILE))
    assert (len(loaded["train"]), len(loaded["test"])) == (1, 0)


def test_a_component_without_rows_is_skipped_and_a_corpus_without_rows_refused(components, script, tmp_path):
    write_component(tmp_path / "build" / "kim", 0, 5)
    done = script(SCRIPT, "--components", "kim", "m1-a")
    assert done.returncode == 0, done.stderr
    assert len(open_data_set(str(tmp_path / "build" / catalog.PILE))) == 120
    done = script(SCRIPT, "--components", "kim")
    assert done.returncode == 2
    assert "expected data sets with rows, found none" in done.stderr


def test_rows_of_one_name_stay_together_and_in_order(tmp_path):
    """A file that is there twice: its rows are neighbours, on one side."""
    made = [Row(np.full((1, 5), i, np.uint8), "s", f"{i % 10}", "segment_0") for i in range(20)]
    arrow.write_rows(tmp_path / "x" / "a.arrow", made, rows.SCHEMA)
    arrow.finish(tmp_path / "x", [tmp_path / "x" / "a.arrow"], rows.SCHEMA, "0" * 64)
    merge.merge([open_data_set(str(tmp_path / "x"))], tmp_path / "out", SplitOptions(0.3, 0))
    found = [int(row.counts[0, 0]) for row in open_data_set(str(tmp_path / "out"))]
    assert len(found) == 20
    assert [second - first for first, second in zip(found[::2], found[1::2], strict=True)] == [10] * 10


def test_the_same_merge_again_does_nothing(components, script, tmp_path):
    pile = tmp_path / "build" / catalog.PILE

    def state():
        return {path: path.stat().st_ino for path in pile.rglob("*")}

    first = script(SCRIPT)
    made = state()
    again = script(SCRIPT)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert state() == made
    assert script(SCRIPT, "--seed", 1).returncode == 0
    assert not set(state().values()) & set(made.values())
    shutil.rmtree(tmp_path / "build" / "m1-a")
    write_component(tmp_path / "build" / "m1-a", 7, 8)
    assert script(SCRIPT, "--seed", 1).returncode == 0
    assert len(open_data_set(str(pile))) == 12


@pytest.mark.slow
def test_a_damaged_corpus_is_made_again(components, script, tmp_path):
    assert script(SCRIPT).returncode == 0
    pile = tmp_path / "build" / catalog.PILE
    whole, file = contents(pile), pile / "train" / "data-00000.arrow"
    for damage in (file.unlink, lambda: file.write_bytes(file.read_bytes()[:-500])):
        damage()
        done = script(SCRIPT, "--check")
        assert done.returncode == 2
        assert "merge_datasets.py again" in done.stderr
        assert script(SCRIPT).returncode == 0
        assert contents(pile) == whole


@pytest.mark.slow
def test_check_of_a_corpus_without_a_manifest(components, script, tmp_path):
    assert script(SCRIPT).returncode == 0
    path = tmp_path / "build" / catalog.PILE / "manifest.json"
    path.unlink()
    for manifest in (None, "[]", "{", '{"components": {"m1-a": {}}}'):
        if manifest is not None:
            path.write_text(manifest)
        done = script(SCRIPT, "--check")
        assert done.returncode == 2
        assert "expected a manifest.json that names its components, found none" in done.stderr
    assert script(SCRIPT, "--check", "--components", *components).returncode == 0
    assert script(SCRIPT).returncode == 0  # and merging makes one again
    assert script(SCRIPT, "--check").returncode == 0


def test_merge_again_replaces_the_corpus(components, script, tmp_path):
    assert script(SCRIPT).returncode == 0
    assert script(SCRIPT, "--components", "dmfc-rsg").returncode == 0
    assert len(open_data_set(str(tmp_path / "build" / catalog.PILE))) == 2
    assert {p.name for p in (tmp_path / "build").iterdir() if p.is_dir()} == {*components, catalog.PILE}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--components", "nope"], "expected a data set, found none of this name"),
        (["--components", "m1-a", "m1-a"], "data sets with different names"),
        (["--components", "tests"], "expected a finished data set"),
        (["--components", "m1-a", "--out_dir", str(ROOT)], "expected a new folder, or a merged corpus to replace"),
        (["--test_size", "1"], "expected a number between 0 and 1"),
        (["--test_size", "x"], "expected a number above 0"),
        (["--seed", "-1"], "expected a whole number from 0"),
        (["--check", "--exclude_restricted"], "unrecognized arguments: --exclude_restricted"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(components, script, arguments, message):
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


def test_a_session_in_two_components_is_refused(components, script, tmp_path):
    """One built of all files and one of some of them: the digests in their manifests tell."""
    for name, digests in {"m1-a": ["aa", "bb"], "dmfc-rsg": ["cc", rows.digest([])], "area2-bump": ["bb"]}.items():
        manifest = {"sessions": [{"rows_sha256": digest} for digest in digests]}
        (tmp_path / "build" / name / "manifest.json").write_text(json.dumps(manifest))
    done = script(SCRIPT)
    assert done.returncode == 2
    assert "expected different data sets, found the same rows in area2-bump and m1-a" in done.stderr
    manifest = {"sessions": [{"rows_sha256": rows.digest([])}]}  # a session without rows
    (tmp_path / "build" / "area2-bump" / "manifest.json").write_text(json.dumps(manifest))
    assert script(SCRIPT).returncode == 0


def test_other_data_sets_are_not_replaced(components, script, tmp_path):
    """A folder of splits, as `datasets` saves any: it stays as it is."""
    made = datasets.load_from_disk(str(tmp_path / "build" / "m1-a"))
    for name, data in {"text": datasets.Dataset.from_dict({"text": ["precious"]}), "counts": made}.items():
        folder = tmp_path / name
        datasets.DatasetDict({"train": data}).save_to_disk(str(folder))
        before = contents(folder)
        done = script(SCRIPT, "--components", "m1-a", "--out_dir", folder)
        assert done.returncode == 2
        assert "expected a new folder, or a merged corpus to replace, found something else" in done.stderr
        assert contents(folder) == before


def test_damaged_reports_are_reported(components, script, tmp_path):
    for name, report in zip(components, ("{", "[]", '{"failed": {}, "options": 3}'), strict=True):
        (tmp_path / "build" / name / "report.json").write_text(report)
    done = script(SCRIPT)
    assert done.returncode == 0, done.stderr
    for name in components:
        report = tmp_path / "build" / name / "report.json"
        assert f"warning: {report}: expected the report of a build, found" in done.stderr


def test_doubts_are_reported(components, script, tmp_path):
    write_report(tmp_path / "build" / "m1-a", bin_size=0.1)
    write_report(tmp_path / "build" / "dmfc-rsg", {"x.nwb": "bad"})
    write_report(tmp_path / "build" / "area2-bump", as_published=True)
    done = script(SCRIPT)
    assert done.returncode == 0
    assert "warning: m1-a: built with --bin_size 0.1" in done.stderr
    assert "warning: dmfc-rsg: 1 of its session files were not built" in done.stderr
    assert "warning: some of the data sets were built with --as_published, others without" in done.stderr


def test_a_link_to_another_disk_stays_a_link(components, script, tmp_path):
    """A link to another disk stays a link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    for _ in range(2):
        assert script(SCRIPT, "--out_dir", tmp_path / "link").returncode == 0
    assert (tmp_path / "link").is_symlink()
    assert len(open_data_set(str(tmp_path / "disk"))) == 125


def test_a_second_merge_into_a_folder_is_refused(components, tmp_path):
    opened = [open_data_set(str(tmp_path / "build" / "m1-a"))]
    with (
        whole_folder(tmp_path / "out"),
        pytest.raises(BadInput, match="no other process at work on this folder"),
    ):
        merge.merge(opened, tmp_path / "out", SplitOptions(0.1, 0))


def test_a_merge_without_builds_is_refused(script):
    done = script(SCRIPT)
    assert done.returncode == 2
    assert "expected recorded data sets that are built, found none" in done.stderr


def test_killed_while_it_deletes_the_old_corpus(components, tmp_path, monkeypatch):
    """The new one is in its place and complete; the same merge again deletes what is left of the old one."""
    opened = open_data_set(str(tmp_path / "build" / "m1-a"))
    merge.merge([opened], tmp_path / "out", SplitOptions(0.1, 0))
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", lambda *_, **__: None)
        merge.merge([opened], tmp_path / "out", SplitOptions(0.1, 1))
    before = {path.name for path in tmp_path.iterdir()}
    made = contents(tmp_path / "out")
    merge.merge([opened], tmp_path / "out", SplitOptions(0.1, 1))
    assert before - {path.name for path in tmp_path.iterdir()} == {"out.old.partial"}
    assert contents(tmp_path / "out") == made


def test_interrupted_merge_leaves_the_old_corpus(components, tmp_path, monkeypatch):
    opened = open_data_set(str(tmp_path / "build" / "m1-a"))
    merge.merge([opened], tmp_path / "out", SplitOptions(0.1, 0))
    before = contents(tmp_path / "out")

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(arrow, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        merge.merge([opened], tmp_path / "out", SplitOptions(0.1, 1))
    assert contents(tmp_path / "out") == before


def test_every_data_set_has_test_rows_and_the_table_says_where_they_are_many(components, script, tmp_path):
    done = script(SCRIPT)
    assert (done.returncode, done.stderr) == (0, "")
    shares = {line.split()[0]: line.split()[-1] for line in done.stdout.splitlines()[2:6]}
    loaded = datasets.load_from_disk(str(tmp_path / "build" / catalog.PILE))
    tested = Counter(loaded["test"]["source_dataset"])
    assert set(tested) == set(components)
    assert tested["dmfc-rsg"] == tested["area2-bump"] == 1
    for name, made in components.items():
        names = {row["session_id"] for row in loaded["test"] if row["source_dataset"] == name}
        share = sum(row.counts.size for row in made if row.session_id in names) / sum(row.counts.size for row in made)
        assert shares[name] == f"{share:.2%}" + "*" * (name != "m1-a")
    assert "\n* more than --test_size 0.01, for --min_test_rows 1\n" in done.stdout
    assert "*" not in script(SCRIPT, "--min_test_rows", 0).stdout


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        (
            ["--split_by", "animal", "--min_test_rows", "0"],
            "no test split: no animal is small enough for --test_size 0.01; try a larger --test_size, "
            "--min_test_rows 1, or name sessions with --test_sessions",
        ),
        (
            ["--split_by", "animal", "--validation_size", "0.1"],
            "no validation split: all that is left for training is one animal; try --split_by session",
        ),
        (["--as_published"], "no test split: 1 % of all rows are drawn together; merge without --as_published"),
    ],
)
def test_each_data_set_without_rows_in_a_split_is_named_in_a_warning(components, script, options, warning):
    done = script(SCRIPT, *options)
    assert done.returncode == 0, done.stderr
    named = components if "--as_published" not in options else ["area2-bump", "dmfc-rsg"]
    assert done.stderr.splitlines() == [f"warning: {name}: {warning}" for name in sorted(named)]


@pytest.mark.parametrize(
    ("split_by", "warning"),
    [
        ("row", "all of it is one row; to test on it, name it with --test_datasets"),
        ("session", "all of it is one session; try --split_by row"),
        ("subject", "all of it is one animal; try --split_by session"),
    ],
)
def test_one_group_is_for_training_and_the_warning_says_so(components, script, tmp_path, split_by, warning):
    write_component(tmp_path / "build" / "kim", 1, 1)
    done = script(SCRIPT, "--split_by", split_by)
    assert done.stderr.splitlines() == [f"warning: kim: no test split: {warning}"]


def test_a_split_as_published_is_over_all_rows(components, script, tmp_path):
    done = script(SCRIPT, "--as_published", "--seed", "5")
    assert done.returncode == 0, done.stderr
    loaded = datasets.load_from_disk(str(tmp_path / "build" / catalog.PILE))
    rows = [(name, row.session_id) for name in sorted(components) for row in components[name]]
    drawn = datasets.Dataset.from_dict({"row": range(125)}).train_test_split(0.01, seed=5)
    for part in ("train", "test"):
        found = zip(loaded[part]["source_dataset"], loaded[part]["session_id"], strict=True)
        assert list(found) == [rows[i] for i in drawn[part]["row"]]
    manifest = json.loads((tmp_path / "build" / catalog.PILE / "manifest.json").read_text())
    assert manifest["options"] == {"as_published": True, "seed": 5}
    for option in (["--test_size", "0.2"], ["--split_by", "session"], ["--test_subjects", "sub-1"]):
        done = script(SCRIPT, "--as_published", *option)
        assert done.returncode == 2
        assert f"{option[0]}: not allowed with --as_published" in done.stderr


@pytest.mark.slow
def test_a_new_users_animal_has_one_name_through_their_dataset_toml(script, tmp_path):
    """A lab's own recordings of an animal of churchland; a change of what they say of it is a new merge."""
    for name, subjects in {"churchland": ("sub-Jenkins", "sub-Nitschke"), "my-lab": ("J", "K", "L")}.items():
        made = [
            Row(np.full((2, 5), i + len(name), np.uint8), subject, f"{i}", "segment_0")
            for subject in subjects
            for i in range(3)
        ]
        folder = tmp_path / "build" / name
        arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
        arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, rows.digest(made))
    toml = tmp_path / "data" / "my-lab" / "dataset.toml"
    toml.parent.mkdir(parents=True)
    own = '[source]\ninclude = ["*.npz"]\n[recording]\nspecies = ["Macaca mulatta"]\n[[animals]]\nname = "{}"\n'
    own += 'subjects = ["{}"]\nsource = "our records"\nprobable = true\n'
    found = set()
    for subject in "JKL":
        toml.write_text(own.format("shenoy-jenkins", subject))
        done = script(SCRIPT, "--split_by", "subject", NEURALPILE_DATA=str(tmp_path / "data"))
        assert done.returncode == 0, done.stderr
        loaded = datasets.load_from_disk(str(tmp_path / "build" / catalog.PILE))
        sides = {part: set(loaded[part]["subject_id"]) for part in loaded}
        assert not sides["train"] & sides["test"]
        assert [side for side in sides if subject in sides[side]] == [s for s in sides if "sub-Jenkins" in sides[s]]
        found.add((subject in sides["test"], *sorted(sides["test"])))
    assert len(found) > 1


def test_test_rows_can_be_named_and_a_validation_split_made(components, script, tmp_path):
    options = ["--test_subjects", "sub-1", "--test_datasets", "area2-bump", "--validation_size", "0.1"]
    done = script(SCRIPT, *options)
    assert done.returncode == 0, done.stderr
    loaded = datasets.load_from_disk(str(tmp_path / "build" / catalog.PILE))
    assert list(loaded) == ["train", "validation", "test"]
    test = {(row["source_dataset"], row["subject_id"]) for row in loaded["test"]}
    assert test == {("area2-bump", "sub-0"), ("area2-bump", "sub-1"), ("m1-a", "sub-1"), ("dmfc-rsg", "sub-1")}
    assert set(loaded["train"]["subject_id"]) == {"sub-0"}
    assert 1 <= len(loaded["validation"]) <= 20
    assert sum(map(len, loaded.values())) == 125
    assert script(SCRIPT, *options).stdout == done.stdout
    assert script(SCRIPT, "--check").returncode == 0


@pytest.mark.slow
def test_names_of_test_rows_that_nothing_has_are_refused(components, script, tmp_path):
    for option in ("--test_subjects", "--test_sessions", "--test_datasets"):
        done = script(SCRIPT, option, "nope")
        assert done.returncode == 2
        assert f"error: {option}: expected names that the data sets have, found nope" in done.stderr
        assert {path.name for path in (tmp_path / "build").iterdir()} == set(components)
    done = script(SCRIPT, "--test_subjects", "sub-1", "--test_size", "0.5")
    assert "--test_size: not allowed with --test_subjects" in done.stderr


def test_data_sets_are_chosen_by_their_signal(components, script, tmp_path):
    done = script(SCRIPT, "--signal", "sorted units")
    assert done.returncode == 0, done.stderr
    assert "left out: m1-a: multi-unit threshold crossings" in done.stdout
    assert "m1-a" not in done.stdout.partition("not built, so not in it: ")[2]  # it is built
    loaded = datasets.load_from_disk(str(tmp_path / "build" / catalog.PILE))
    found = {name for part in loaded.values() for name in part["source_dataset"]}
    assert found == {"dmfc-rsg", "area2-bump"}
    assert script(SCRIPT, "--signal", "spikes").returncode == 2


@pytest.mark.parametrize(
    ("licence", "why"),
    [
        ("", "its licence is not stated"),
        ('[licence]\nlicence = "Unknown"', "its licence is Unknown"),
        ("[licence]\nrestricted = true", "its terms restrict redistribution"),
        ('[licence]\nlicence = "CC0-1.0"', None),
    ],
)
def test_data_sets_without_a_stated_licence_count_as_restricted(components, script, tmp_path, licence, why):
    toml = tmp_path / "data" / "my-lab" / "dataset.toml"
    toml.parent.mkdir(parents=True)
    toml.write_text(f'[source]\ninclude = ["*.npz"]\n[recording]\nspecies = ["Macaca mulatta"]\n{licence}')
    write_component(tmp_path / "build" / "my-lab", 4, 9)
    write_component(tmp_path / "elsewhere", 4, 10)
    chosen = "--components", "m1-a", "my-lab", tmp_path / "elsewhere"
    done = script(SCRIPT, *chosen, "--exclude_restricted", NEURALPILE_DATA=str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    left_out = {line for line in done.stdout.splitlines() if line.startswith("left out: ")}
    expected = {"left out: elsewhere: its licence is not known"}
    remedy = f"; if it is known, state it as `licence` in {toml}" if why and "licence" in why else ""
    assert left_out == expected | ({f"left out: my-lab: {why}{remedy}"} if why else set())
