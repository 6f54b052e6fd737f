"""The tables of sessions and of units: written whole, read by others, and chosen from by expressions."""

from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pytest
from helpers.builds import write_build, write_tables

from neuralpile.corpus import merge, store, tables
from neuralpile.corpus.split import SplitOptions
from neuralpile.errors import BadInput

SESSIONS = pa.Table.from_pylist(
    [
        {
            "source_dataset": "perich",
            "subject_id": "sub-C",
            "session_id": "a",
            "areas": ["M1", "PMd"],
            "signal": "sorted units",
            "start_time": datetime(2016, 9, 9, 12, tzinfo=UTC),
            "n_units": 246,
            "evaluation": ["poyo:test"],
        },
        {"source_dataset": "kim", "subject_id": "sub-Z", "session_id": "b", "areas": ["V4"], "n_units": 11},
        {"source_dataset": "mine", "subject_id": "s", "session_id": "c", "areas": [], "n_units": 11},
        {"source_dataset": "mine", "subject_id": "s", "session_id": "d"},
    ],
    schema=tables.SESSIONS,
)
UNITS = pa.Table.from_pylist(
    [
        {"source_dataset": "perich", "subject_id": "sub-C", "session_id": "a", "unit": unit, "x": 0.5, "alive": True}
        for unit in range(300)
    ],
    schema=tables.UNITS,
)


def test_tables_are_read_as_they_were_written(tmp_path):
    tables.write(tmp_path, SESSIONS, UNITS)
    assert tables.read_sessions(tmp_path).equals(SESSIONS)
    assert tables.read_units(tmp_path).equals(UNITS)


def test_the_same_tables_give_the_same_bytes_and_leave_nothing_else(tmp_path):
    for folder in ("a", "b"):
        tables.write(tmp_path / folder, SESSIONS, UNITS)
    files = [{path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in ("a", "b")]
    assert files[0] == files[1]
    assert set(files[0]) == {"sessions.parquet", "units.parquet"}


def test_a_folder_without_tables_has_none(tmp_path):
    assert tables.read_sessions(tmp_path) is None
    assert tables.read_units(tmp_path) is None


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("areas", ["M1", None]),
        ("evaluation", [None]),
        ("unobserved", [{"start": None, "stop": 3}]),
        ("n_units", -1),
        ("session_id", None),
    ],
)
def test_a_table_with_impossible_values_is_refused(tmp_path, column, value):
    lines = SESSIONS.to_pylist()
    lines[1][column] = value
    tables.write(tmp_path, pa.Table.from_pylist(lines, tables.SESSIONS), UNITS)
    with pytest.raises(BadInput, match=f"a table of .*{column}.*; build or merge again"):
        tables.read_sessions(tmp_path)


def test_duckdb_reads_the_files(tmp_path):
    tables.write(tmp_path, SESSIONS, UNITS)
    sessions, units = tmp_path / tables.SESSIONS_FILE, tmp_path / tables.UNITS_FILE
    joined = f"FROM '{units}' u JOIN '{sessions}' s USING (source_dataset, subject_id, session_id)"
    assert duckdb.sql(f"SELECT count(*), min(n_units), max(u.x) {joined} WHERE u.alive").fetchall() == [(300, 246, 0.5)]


def test_a_damaged_table_is_reported(tmp_path):
    tables.write(tmp_path, SESSIONS, UNITS)
    path = tmp_path / tables.SESSIONS_FILE
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadInput, match=r"sessions\.parquet: expected a table of source_dataset"):
        tables.read_sessions(tmp_path)


def test_a_table_of_other_columns_is_reported(tmp_path):
    pa.parquet.write_table(pa.table({"a": [1]}), tmp_path / tables.UNITS_FILE)
    with pytest.raises(BadInput, match=r"units\.parquet: expected a table of source_dataset"):
        tables.read_units(tmp_path)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("area = 'M1'", [True, False, False, False]),
        ("area = 'M1' and n_units >= 64 and signal = 'sorted units'", [True, False, False, False]),
        ("area in ('PMd', 'V4')", [True, True, False, False]),
        ("area is null", [False, False, True, True]),
        ("n_units < 64", [False, True, True, False]),
        ("source_dataset in ('kim', 'mine') and n_units = 11", [False, True, True, False]),
        ("list_contains(evaluation, 'poyo:test')", [True, False, False, False]),
        ("start_time >= '2016-01-01' and year(start_time) = 2016", [True, False, False, False]),
        ("n_units = (select max(n_units) from sessions)", [True, False, False, False]),
        ("null", [False] * 4),
        ("true", [True] * 4),
        ("n_units > 1000", [False] * 4),
    ],
)
def test_an_expression_selects_sessions(expression, expected):
    assert tables.where(SESSIONS, expression).tolist() == expected


def test_no_sessions_are_selected_from_none():
    assert tables.where(SESSIONS[:0], "area = 'M1'").tolist() == []


@pytest.mark.parametrize(
    "expression",
    [
        "nope = 1",
        "",
        "area =",
        "area = 'M1') or (true",
        "true; drop table sessions",
        "n_units > 1, true",
        "count(*) > 1",
        "signal",  # no condition: text is not true or false
        "*",
        "exists(select * from read_csv('/etc/passwd'))",
        "exists(select * from '/etc/passwd')",
        "exists(select * from UNITS)",  # of this module: not a table that is offered
    ],
)
def test_what_is_no_expression_over_the_columns_is_one_line_that_lists_them(expression):
    with pytest.raises(BadInput) as error:
        tables.where(SESSIONS, expression)
    assert "columns area, source_dataset, subject_id, session_id, animal" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture
def corpus(tmp_path):
    """Two components with tables, merged; the folder of the corpus, and the tables of each component."""
    made = {name: write_tables(write_build(tmp_path / name, 12, seed)) for seed, name in enumerate(["a", "b"])}
    components = [store.open_folder(tmp_path / name) for name in made]
    merge.merge(components, tmp_path / "pile", SplitOptions(test_size=0.2))
    return tmp_path / "pile", components, made


def test_a_corpus_has_the_tables_of_its_components_with_their_splits(corpus):
    folder, _, made = corpus
    pile = store.open_folder(folder)
    found = pile.sessions()
    for name, (sessions, units) in made.items():
        its = found.filter(pa.compute.equal(found["source_dataset"], name))
        assert its.drop_columns("split").equals(sessions.drop_columns("split"))
        assert pile.units().filter(pa.compute.equal(pile.units()["source_dataset"], name)).equals(units)
    splits = {}
    for split, numbers in pile.splits.items():
        for row in pile.read(numbers):
            splits.setdefault((row.source_dataset, row.subject_id, row.session_id), set()).add(split)
    key = found.select(["source_dataset", "subject_id", "session_id"]).to_pylist()
    expected = ["+".join(sorted(splits[tuple(line.values())])) for line in key]
    assert found["split"].to_pylist() == expected
    assert {"train", "test+train"} >= set(expected) and "test+train" in expected


def test_check_compares_the_tables(corpus):
    folder, components, _ = corpus
    assert merge.check(store.open_folder(folder), components) == []
    pile = store.open_folder(folder)
    tables.write(folder, pile.sessions().slice(1), pile.units())
    line = "sessions.parquet: the lines of a are not those of the component"
    assert merge.check(store.open_folder(folder), components) == [line]
    tables.delete(folder)
    assert merge.check(store.open_folder(folder), components) == ["no tables sessions.parquet and units.parquet"]


def test_a_corpus_is_merged_again_when_only_tables_have_changed(corpus, tmp_path):
    folder, components, made = corpus
    sessions, units = made["a"]
    place = tables.SESSIONS.get_field_index("areas")
    changed = sessions.set_column(place, tables.SESSIONS.field("areas"), pa.array([["V4"]] * 2))
    tables.write(tmp_path / "a", changed, units)
    merge.merge(components, folder, SplitOptions(test_size=0.2))
    assert tables.where(store.open_folder(folder).sessions(), "area = 'V4'").sum() == 2


def test_tables_of_another_build_are_refused_before_rows_are_written(corpus, tmp_path):
    _, components, made = corpus
    sessions, units = made["a"]
    tables.write(tmp_path / "a", sessions.slice(1), units)
    lost = f"{sessions['subject_id'][0]}, {sessions['session_id'][0]}"
    with pytest.raises(
        BadInput, match=f"a line of session {lost}, of which there are rows, found none; build it again"
    ):
        merge.merge(components, tmp_path / "other", SplitOptions())
    assert not list(tmp_path.glob("other*/**/*.arrow"))


def test_a_split_that_is_lost_from_the_list_of_splits_is_noticed(corpus):
    folder, _, _ = corpus
    (folder / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(BadInput, match="expected the split test, whose folder is there"):
        store.open_folder(folder)


def test_components_without_tables_have_sessions_from_their_rows(tmp_path):
    write_tables(write_build(tmp_path / "a", 6, 0))
    write_build(tmp_path / "xiao", 6, 1)
    components = [store.open_folder(tmp_path / name) for name in ("a", "xiao")]
    merge.merge(components, tmp_path / "pile", SplitOptions())
    pile = store.open_folder(tmp_path / "pile")
    assert merge.check(pile, components) == []
    assert len(pile.units()) == 8
    lines = [line for line in pile.sessions().to_pylist() if line["source_dataset"] == "xiao"]
    assert [line["subject_id"] for line in lines] == ["sub-0", "sub-1"]
    for line in lines:
        rows = [row for row in components[1] if row.subject_id == line["subject_id"]]
        assert line["tokens"] == sum(row.counts.size for row in rows)
        assert (line["n_units"], line["n_bins"]) == (4, sum(row.counts.shape[1] for row in rows))
        assert (line["segments"], line["spikes"], line["areas"]) == (3, None, ["V1", "V2", "V4", "IT"])
        assert line["doi"] == "10.1038/s41593-024-01631-5"
