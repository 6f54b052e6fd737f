"""References become rows: of one split or all, of a session in order of time, with a warning if some are missing."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralpile import catalog
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import MERGED_SCHEMA, SCHEMA, Names, Row, sessions_of
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set

# Two components have a session of one name, cut into segments that the splits share.
TRAIN = [
    ("one", "sub-A", "ses-1", 10),
    ("two", "sub-A", "ses-1", 0),
    ("one", "sub-A", "ses-1", 2),
    ("one", "sub-A", "ses-2", 0),
    ("one", "sub-A", "ses-1", 0),
]
TEST = [("one", "sub-A", "ses-1", 9), ("two", "sub-B", "ses-1", 0)]


def row(source, subject, session, segment):
    counts = np.full((2, 3 + segment), segment, np.uint8)
    return Row(counts, subject, session, f"segment_{segment}", source)


@pytest.fixture
def corpus(tmp_path):
    """A folder with a corpus in two splits."""
    for split, made in (("train", TRAIN), ("test", TEST)):
        path = tmp_path / "x" / split / "a.arrow"
        arrow.write_rows(path, [row(*its) for its in made], MERGED_SCHEMA)
        arrow.finish(path.parent, [path], MERGED_SCHEMA, split * 8, split)
    (tmp_path / "x" / arrow.SPLITS).write_text('{"splits": ["train", "test"]}')
    return str(tmp_path / "x")


def identities(opened):
    return [(r.source_dataset, r.subject_id, r.session_id, int(r.counts[0, 0])) for r in opened]


def test_a_split_holds_its_own_rows_only(corpus):
    for split, made in (("train", TRAIN), ("test", TEST)):
        part = open_data_set(corpus, split=split)
        assert len(part) == len(made)
        assert identities(part) == made
        assert identities(part.row(i) for i in range(len(made))) == made
        assert [(n.source_dataset, n.subject_id, n.session_id) for n in part.names()] == [its[:3] for its in made]
        assert part.tokens() == [2 * (3 + segment) for *_, segment in made]
        assert part.splits == {split: range(len(made))}
        with pytest.raises(IndexError):
            part.row(len(made))
    assert open_data_set(corpus, "train").fingerprint != open_data_set(corpus, "test").fingerprint


def test_without_a_split_all_rows_are_read_and_each_says_its_split(corpus):
    opened = open_data_set(corpus)
    assert identities(opened) == TRAIN + TEST
    assert [r.split for r in opened] == ["train"] * 5 + ["test"] * 2
    assert [opened.row(i).split for i in (6, 0)] == ["test", "train"]


def test_a_split_that_is_not_there_is_refused_with_those_that_are(corpus):
    with pytest.raises(BadInput, match="x: expected a split validation, found train, test"):
        open_data_set(corpus, split="validation")


@pytest.mark.parametrize("split", [None, "train", "test"])
def test_a_session_is_whole_and_in_order_of_time(corpus, split):
    """Segments come as 0, 2, 9, 10 from both splits, and none of another component's session of the same name."""
    session = open_data_set(corpus, split).session("one", "sub-A", "ses-1")
    assert identities(session) == [("one", "sub-A", "ses-1", segment) for segment in (0, 2, 9, 10)]
    assert [r.split for r in session] == ["train", "train", "test", "train"]


def test_a_session_that_is_not_there_is_refused_with_the_nearest_names(corpus):
    with pytest.raises(BadInput) as refused:
        open_data_set(corpus).session("one", "sub-A", "ses-3")
    assert "x: expected a session of this data set, found ('one', 'sub-A', 'ses-3')" in str(refused.value)
    assert "give source data set, subject and session, for example ('one', 'sub-A', 'ses-" in str(refused.value)
    with pytest.raises(BadInput, match="'two', 'sub-B', 'ses-1'"):
        open_data_set(corpus).session("sub-B", "ses-1")


def test_a_data_set_that_is_not_merged_needs_no_source(tmp_path):
    made = [row(None, "sub-A", "ses-1", segment) for segment in (1, 0)]
    arrow.write_rows(tmp_path / "a.arrow", made, SCHEMA)
    arrow.finish(tmp_path, [tmp_path / "a.arrow"], SCHEMA, "0" * 64)
    opened = open_data_set(str(tmp_path))
    first = opened.row(0)
    assert [r.segment_id for r in opened.session("sub-A", "ses-1")] == ["segment_0", "segment_1"]
    assert len(opened.session(first.source_dataset, first.subject_id, first.session_id)) == 2
    with pytest.raises(BadInput, match=r"give subject and session, for example \('sub-A', 'ses-1'\)"):
        opened.session("sub-A", "ses-2")


@given(st.permutations(range(12)), st.lists(st.sampled_from("ab"), min_size=12, max_size=12))
def test_each_session_has_all_its_segments_in_order(segments, sources):
    names = [Names("s", "1", f"segment_{n}", source) for n, source in zip(segments, sources, strict=True)]
    found = sessions_of(names)
    assert sorted(i for its in found.values() for i in its) == list(range(12))
    for (source, _, _), its in found.items():
        assert {sources[i] for i in its} == {source}
        assert [segments[i] for i in its] == sorted(segments[i] for i in its)


def test_a_build_that_lacks_sessions_is_opened_with_one_warning(tmp_path, capsys):
    arrow.write_rows(tmp_path / "x" / "a.arrow", [row(None, "sub-A", "ses-1", 0)], SCHEMA)
    arrow.finish(tmp_path / "x", [tmp_path / "x" / "a.arrow"], SCHEMA, "0" * 64)
    report = tmp_path / "x" / "report.json"
    report.write_text(json.dumps({"failed": {"b.nwb": "bad", "\x1b[2J.nwb": "worse"}}))
    for _ in range(2):
        assert len(open_data_set(str(tmp_path / "x"))) == 1
    assert capsys.readouterr().err == f"warning: x: 2 of its session files were not built (see {report})\n"


@pytest.mark.parametrize("report", ['{"failed": {}}', '{"failed": 3}', "[]", "{", None])
def test_whole_builds_and_reports_of_others_give_no_warning(tmp_path, capsys, report):
    arrow.write_rows(tmp_path / "a.arrow", [row(None, "sub-A", "ses-1", 0)], SCHEMA)
    arrow.finish(tmp_path, [tmp_path / "a.arrow"], SCHEMA, "0" * 64)
    if report is not None:
        (tmp_path / "report.json").write_text(report)
    open_data_set(str(tmp_path))
    assert capsys.readouterr().err == ""


def test_the_split_of_a_row_is_not_part_of_its_digest(corpus):
    opened = open_data_set(corpus)
    assert rows.digest(opened) == rows.digest(r._replace(split=None) for r in opened)


@pytest.mark.parametrize(
    "reference, remedy",
    [
        ("dmfc-rsg", "build it: python data/dmfc-rsg/preprocess.py"),
        (catalog.PILE, "merge data sets into it: python merge_datasets.py; or name another data set"),
        ("dmfc", "give the name of a local build (none is built yet), a Hub repository (someone/name) or a folder"),
    ],
)
def test_a_data_set_that_is_not_there_has_the_command_that_makes_it(tmp_path, monkeypatch, reference, remedy):
    monkeypatch.setattr(catalog, "BUILD", tmp_path)
    with pytest.raises(BadInput) as error:
        open_data_set(reference)
    assert str(error.value) == f"{reference}: expected a data set, found none of this name; {remedy}"
