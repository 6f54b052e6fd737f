"""Evaluation data of benchmarks: held out for testing, left out of the corpus, or reported."""

import json
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from unittest import mock

import datasets
import numpy as np
import pytest
from helpers import in_process
from hypothesis import given
from hypothesis import strategies as st

from neuralpile import catalog, evaluation
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus import arrow, rows, split
from neuralpile.corpus.manifest import CorpusManifest
from neuralpile.corpus.rows import Names, Row
from neuralpile.evaluation import Benchmark, Part
from neuralpile.hub import card

SCRIPT = "merge_datasets.py"
TOKENS = 20  # of each row
CALIB, MINIVAL, OUT = (f"sub-MonkeyL-held-{part}" for part in ("in-calib", "in-minival", "out-calib"))
SESSIONS = {
    "area2-bump": [("sub-Han", "sub-Han_desc-train_behavior+ecephys"), ("sub-Han", "sub-Han_desc-test_ecephys")],
    "m1-a": [
        (CALIB, f"{CALIB}_ses-20120924_behavior+ecephys"),
        (MINIVAL, f"{MINIVAL}_ses-20120924_behavior+ecephys"),
        (OUT, f"{OUT}_ses-20121004_behavior+ecephys"),
    ],
    "kim": [("sub-Z08115", f"sub-Z08115_ses-2019010{day}SL") for day in range(1, 9)],
    "perich": [("sub-C", "sub-C_ses-CO-20131003_behavior+ecephys")],
}
# By the list and its notes: the scored file of NLB; of FALCON all but what it gives for training, which is here of the
# day whose trials minival repeats.
NLB = {"sub-Han_desc-test_ecephys"}
FALCON = {session_id for _, session_id in SESSIONS["m1-a"]}


@pytest.fixture
def builds(tmp_path):
    """Builds of four data sets, two rows a session."""
    rng = np.random.default_rng(0)
    for name, sessions in SESSIONS.items():
        made = [
            Row(rng.poisson(1, (4, TOKENS // 4)).astype(np.uint8), *ids, f"segment_{i}")
            for ids in sessions
            for i in range(2)
        ]
        folder = tmp_path / "build" / name
        arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
        arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, rows.digest(made))


def test_a_benchmark_of_which_there_are_no_evaluation_data_is_named(builds, script):
    done = script(SCRIPT, "--components", "kim", "m1-a", "--hold_out", "falcon", "nlb", "--leave_out", "perich-within")
    assert done.returncode == 0, done.stderr
    for option, name in (("hold_out", "nlb"), ("leave_out", "perich-within")):
        assert f"warning: --{option} {name}: no session of these data sets is evaluation data of it; " in done.stderr
    assert "falcon" not in done.stderr


def test_a_merge_of_which_everything_is_left_out_says_why_and_what_to_do(builds, script):
    done = script(SCRIPT, "--components", "kim", "--signal", "trial averages")
    assert done.returncode == 2
    assert "left out: kim: sorted units" in done.stdout
    assert "a data set that is not left out, found none; see above why, or loosen --signal" in done.stderr


def sides(folder):
    """The sessions that have rows in each split."""
    return {name: set(part["session_id"]) for name, part in datasets.load_from_disk(str(folder)).items()}


def test_evaluation_data_are_held_out(builds, script, tmp_path):
    options = ["--hold_out", "falcon", "nlb", "--validation_size", "0.2"]
    done = script(SCRIPT, *options)
    assert done.returncode == 0, done.stderr
    pile = tmp_path / "build" / catalog.PILE
    found = sides(pile)
    assert found["test"] >= NLB | FALCON
    assert not (found["train"] | found["validation"]) & (NLB | FALCON)
    assert "sub-Han_desc-train_behavior+ecephys" in found["train"]  # what NLB gives for training
    manifest = json.loads((pile / "manifest.json").read_text())
    assert manifest["options"]["hold_out"] == ["falcon", "nlb"]
    assert {name: n for name, n in manifest["evaluation"].items() if n} == {"perich-within": TOKENS}
    assert script(SCRIPT, "--check").returncode == 0
    inode = (pile / "manifest.json").stat().st_ino
    assert script(SCRIPT, *options).returncode == 0
    assert (pile / "manifest.json").stat().st_ino == inode  # the same merge again does nothing


def test_evaluation_data_are_left_out_and_the_check_knows(builds, script, tmp_path):
    done = script(SCRIPT, "--leave_out", "nlb", "falcon")
    assert done.returncode == 0, done.stderr
    found = sides(tmp_path / "build" / catalog.PILE)
    everything = {session_id for sessions in SESSIONS.values() for _, session_id in sessions}
    assert found["train"] | found["test"] == everything - NLB - FALCON
    done = script(SCRIPT, "--check")
    assert (done.returncode, done.stdout.split()[0]) == (0, str(2 * (len(everything) - len(NLB | FALCON)))), done.stdout
    done = script(SCRIPT, "--components", "m1-a", "--leave_out", "falcon", "--out_dir", tmp_path / "none")
    assert done.returncode == 2
    assert "--leave_out: expected rows that are left, found nothing but evaluation data of falcon" in done.stderr
    assert not [path for path in tmp_path.iterdir() if path.name != "build"]


@pytest.mark.parametrize("hold_out", [["nlb"], ["falcon"], ["nlb", "falcon"]])
@pytest.mark.parametrize("leave_out", [[], ["nlb"], ["falcon"]])
def test_chosen_sessions_are_held_out_and_left_out_as_if_all_were_there(builds, tmp_path, hold_out, leave_out):
    """Without minival, whose trials repeat those of the calibration of its day, that is evaluation data as before."""
    where = "session_id not like '%minival%' and session_id not like '%desc-train%' and session_id not like '%107SL'"
    options = ["--where", where, "--hold_out", *hold_out, *(["--leave_out", *leave_out] if leave_out else [])]
    done = in_process.run(tmp_path / "build", SCRIPT, *options)
    assert done.returncode == 0, done.stderr
    everything = {session_id for sessions in SESSIONS.values() for _, session_id in sessions}
    those = {name for name in everything if not any(part in name for part in ("minival", "desc-train", "107SL"))}
    known = {"nlb": NLB, "falcon": FALCON}
    kept = those.difference(*(known[name] for name in leave_out))
    found = sides(tmp_path / "build" / catalog.PILE)
    assert found["train"] | found["test"] == kept
    held = set().union(*(known[name] for name in hold_out)) & kept
    assert found["test"] >= held
    assert not found["train"] & held
    done = in_process.run(tmp_path / "build", SCRIPT, "--check")
    assert done.returncode == 0, done.stdout


def test_a_merge_warns_of_evaluation_data_in_the_training_split(builds, script, tmp_path):
    done = script(SCRIPT, "--test_datasets", "kim")
    do = "--hold_out {0} puts them into the test split, --leave_out {0} leaves them out"
    assert done.stderr.splitlines() == [
        f"warning: {2 * TOKENS} tokens of the training split are evaluation data of nlb: {do.format('nlb')}",
        f"warning: {6 * TOKENS} tokens of the training split are evaluation data of falcon: {do.format('falcon')}",
        f"warning: {2 * TOKENS} tokens of the training split are of sessions with evaluation data of perich-within: "
        + do.format("perich-within"),
    ]


@pytest.mark.parametrize("option", ["--hold_out", "--leave_out"])
def test_an_unknown_benchmark_ends_in_a_line_that_lists_those_known(script, option):
    done = script(SCRIPT, option, "nlb", "imagenet")
    assert done.returncode == 2
    names = ", ".join(evaluation.benchmarks())
    assert done.stderr == f"error: {option}: expected names of benchmarks, found imagenet; choose from {names}\n"


def test_the_card_says_which_benchmarks_the_training_split_is_free_of(builds, script, tmp_path):
    assert script(SCRIPT, "--hold_out", "falcon").returncode == 0
    manifest = CorpusManifest.read(tmp_path / "build" / catalog.PILE)
    page = card.write("me/pile", {"train": card.Split({"kim": card.Part()})}, rows.MERGED_SCHEMA, {}, {})
    assert "Evaluation data" not in page
    splits = {"train": card.Split({"kim": card.Part()})}
    page = card.write("me/pile", splits, rows.MERGED_SCHEMA, {}, {}, evaluated=manifest.evaluation)
    free, _, rest = page.partition("The training split is free of")[2].partition("The training split has")
    held, _, missing = rest.partition("Not found, or in no data set")
    assert "by the list data/evaluation.toml" in free
    assert "- falcon: " in free
    assert f"- nlb: {2 * TOKENS} tokens" in held or f"- nlb: {TOKENS} tokens" in held
    assert "- falcon" not in held
    assert "NDT3" in missing
    assert "MC_RTT" in missing


NAMES = st.sampled_from(["a", "b", "c"])


@st.composite
def catalogued(draw):
    """Invented components and benchmarks, and the sessions that each benchmark's roles and repeats make evaluation."""
    benchmarks = {}
    for name in ("one", "two"):
        parts = draw(
            st.lists(
                st.builds(
                    Part,
                    data_set=st.sampled_from(["data-0", "data-1"]),
                    role=st.sampled_from(evaluation.ROLES),
                    source=st.just("a paper"),
                    subjects=st.lists(st.sampled_from(["*", "a*", "b*"]), min_size=1, max_size=2).map(tuple),
                    sessions=st.lists(st.sampled_from(["*", "day1*", "*x", "day2-y"]), max_size=2).map(tuple),
                    whole=st.booleans(),
                    repeats=st.booleans(),
                ),
                max_size=3,
            )
        )
        benchmarks[name] = Benchmark(title=name, url="https://x", parts=tuple(parts))
    parts, held = [], {"one": [], "two": []}
    for c in range(3):
        names = draw(
            st.lists(
                st.builds(
                    Names,
                    NAMES,
                    st.sampled_from(["day1-x", "day1-y", "day2-x", "day2-y"]),
                    st.sampled_from(["segment_0", "segment_1"]),
                ),
                min_size=1,
                max_size=12,
            )
        )
        info = DataSetInfo(
            name=f"data-{c}", folder=Path(), include=("*",), species=("human",), session_pattern=r"day\d"
        )
        tokens = draw(st.lists(st.integers(1, 100), min_size=len(names), max_size=len(names)))
        parts.append(split.Part.of(f"copy-of-{c}", names, tokens, info))
        for name, benchmark in benchmarks.items():
            mine = [
                p
                for p in benchmark.parts
                if p.data_set == f"data-{c}" and p.role in ("test", "validation", "adaptation", "reported")
            ]

            def listed(row, part):
                subject = any(fnmatchcase(row.subject_id, pattern) for pattern in part.subjects)
                return subject and any(fnmatchcase(row.session_id, pattern) for pattern in part.sessions)

            repeated = {(r.subject_id, r.session_id[:4]) for p in mine if p.repeats for r in names if listed(r, p)}
            held[name].append(
                [any(listed(r, p) for p in mine) or (r.subject_id, r.session_id[:4]) in repeated for r in names]
            )
    return parts, benchmarks, held


@given(
    catalogued(),
    st.sets(st.sampled_from(["one", "two"])),
    st.builds(
        split.SplitOptions,
        test_size=st.sampled_from([0.01, 0.5]),
        seed=st.integers(0, 3),
        split_by=st.sampled_from(split.SPLIT_BY),
        validation_size=st.sampled_from([0.0, 0.4]),
        test_subjects=st.sampled_from([(), (), ("a",)]),
    ),
)
def test_no_held_out_session_is_trained_on(drawn, hold_out, options):
    parts, benchmarks, held = drawn
    options = replace(options, hold_out=tuple(sorted(hold_out)))
    with mock.patch.object(evaluation, "benchmarks", lambda: benchmarks):
        assigned = split.assign(parts, options)
        for i, (part, found) in enumerate(zip(parts, assigned, strict=True)):
            expected = np.any([np.zeros(len(found), bool), *(held[name][i] for name in hold_out)], axis=0)
            assert (found[expected] == len(options.splits) - 1).all()
            assert (part.evaluated_by(hold_out) == expected).all()
            groups = part.groups(options.split_by).of_row
            assert all(len(set(found[groups == group])) == 1 for group in set(groups))
