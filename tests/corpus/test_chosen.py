"""Rows of the sessions that an expression selects, of builds and of corpora."""

import pyarrow as pa
import pytest
from helpers.builds import write_build, write_tables

from neuralpile.corpus import chosen, merge, rows, store, tables
from neuralpile.corpus.split import SplitOptions
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set


@pytest.fixture
def corpus(tmp_path):
    """A corpus of two components of two subjects each."""
    for seed, name in enumerate("ab"):
        write_tables(write_build(tmp_path / name, 12, seed))
    components = [store.open_folder(tmp_path / name) for name in "ab"]
    merge.merge(components, tmp_path / "pile", SplitOptions(test_size=0.3))
    return store.open_folder(tmp_path / "pile")


def test_rows_are_those_of_the_sessions_in_the_same_order(corpus):
    found = open_data_set(str(corpus.folder), where="source_dataset = 'b' and subject_id = 'sub-1'")
    expected = [row for row in corpus if (row.source_dataset, row.subject_id) == ("b", "sub-1")]
    assert len(found) == len(expected) == 6
    assert rows.digest(found) == rows.digest(expected)
    assert [*found.names()] == [
        name for name in corpus.names() if (name.source_dataset, name.subject_id) == ("b", "sub-1")
    ]
    assert found.tokens() == [row.counts.size for row in expected]
    assert rows.digest(found.row(i) for i in range(6)) == rows.digest(expected)
    assert found.is_merged and found.name == corpus.name
    assert len({corpus.fingerprint, found.fingerprint, chosen.where(corpus, "true").fingerprint}) == 3


def test_splits_sessions_and_tables_are_those_of_what_is_chosen(corpus):
    found = chosen.where(corpus, "source_dataset = 'b'")
    for split, numbers in found.splits.items():
        expected = [row for row in corpus.read(corpus.splits[split]) if row.source_dataset == "b"]
        assert rows.digest(found.read(numbers)) == rows.digest(expected) == rows.digest(found.only(split))
        whole = open_data_set(str(corpus.folder), split, where="source_dataset = 'b'")
        assert rows.digest(whole) == rows.digest(expected)
    assert set(found.sessions()["source_dataset"].to_pylist()) == {"b"}
    assert (len(found.sessions()), len(found.units())) == (2, 8)
    segments = [int(row.segment_id.rpartition("_")[2]) for row in found.session("b", "sub-0", "ses-1")]
    assert segments == [0, 2, 4, 6, 8, 10]
    with pytest.raises(BadInput):
        found.session("a", "sub-0", "ses-0")
    with pytest.raises(IndexError):
        found.row(len(found))


def test_a_build_is_chosen_from_whatever_its_folder_is_called(tmp_path):
    write_tables(write_build(tmp_path / "a", 6, 0))
    (tmp_path / "a").rename(tmp_path / "other")
    found = open_data_set(str(tmp_path / "other"), where="subject_id = 'sub-1'")
    assert [row.segment_id for row in found] == ["segment_1", "segment_3", "segment_5"]


def test_a_data_set_without_tables_is_chosen_from_by_what_its_rows_say(tmp_path):
    write_build(tmp_path / "xiao", 6, 0)
    assert len(open_data_set(str(tmp_path / "xiao"), where="subject_id = 'sub-1' and area = 'IT' and n_units = 4")) == 3


def test_a_merged_corpus_without_tables_names_the_data_sets_of_its_sessions(corpus):
    tables.delete(corpus.folder)
    assert corpus.units() is None
    keys = corpus.sessions().select(["source_dataset", "subject_id", "session_id"]).to_pylist()
    assert sorted(tuple(key.values()) for key in keys) == [
        (name, subject, f"ses-{seed}") for seed, name in enumerate("ab") for subject in ("sub-0", "sub-1")
    ]


@pytest.mark.parametrize("expression", ["nope = 1", "subject_id = 'nobody'"])
def test_an_expression_that_is_wrong_or_selects_nothing_is_one_line(corpus, expression):
    with pytest.raises(BadInput) as error:
        open_data_set(str(corpus.folder), where=expression)
    assert "\n" not in str(error.value)
    assert "--where" in str(error.value)


def test_a_corpus_is_merged_of_chosen_sessions_and_checked(tmp_path, script):
    for seed, name in enumerate("ab"):
        write_tables(write_build(tmp_path / name, 12, seed))
    write_tables(write_build(tmp_path / "c", 3, 9))
    sources = [tmp_path / name for name in "abc"]
    options = "--where", "subject_id = 'sub-1' and session_id in ('ses-0', 'ses-1')"
    done = script("merge_datasets.py", "--components", *sources, "--out_dir", tmp_path / "pile", *options)
    assert done.returncode == 0, done.stderr
    assert "left out: c: --where selects none of its sessions" in done.stdout
    pile = store.open_folder(tmp_path / "pile")
    assert {(row.source_dataset, row.subject_id) for row in pile} == {("a", "sub-1"), ("b", "sub-1")}
    assert (len(pile), len(pile.sessions()), len(pile.units())) == (12, 2, 8)
    check = "merge_datasets.py", "--check", "--out_dir", tmp_path / "pile", "--components", *sources[:2]
    done = script(*check)  # the manifest says what was chosen
    assert (done.returncode, done.stdout) == (0, "12 rows: exactly those of a, b\n"), done.stderr


@pytest.mark.parametrize(
    ("expression", "do"),
    [
        ("areas = 'M1'", "areas and evaluation are lists: write area = 'M1', or list_contains(evaluation, 'nlb:test')"),
        ("evaluation like '%nlb%'", "areas and evaluation are lists"),
        ("area = M1", "write M1 as text in single quotes: 'M1'"),
        ("subject = 'x'", "write subject_id, or subject as text in single quotes: 'subject'"),
        ("n_units >= 64 and", "for example: area = 'M1' and n_units >= 64"),
    ],
)
def test_an_expression_that_is_refused_says_how_to_write_it(expression, do):
    sessions = pa.Table.from_pylist([{"areas": ["M1"], "evaluation": ["nlb:test"]}], tables.SESSIONS)
    with pytest.raises(BadInput) as error:
        tables.where(sessions, expression)
    assert error.value.do.startswith(do)
