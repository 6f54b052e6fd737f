"""The tables of sessions and of units: written whole, read by others, and chosen from by expressions."""

from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pytest

from neuralpile.corpus import tables
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
