"""inspect_dataset.py prints what the tables of a data set say."""

import csv
import io
import json
import runpy

import pyarrow as pa
import pytest
from helpers import ROOT, in_process
from helpers.builds import write_build

from neuralpile.corpus import overview, tables

SESSIONS = [
    ("m2", "sub-MonkeyN-held-in-calib", "a", "chestek-n", ["M1"], 960, ["falcon:train"], False, "train"),
    ("temmar", "sub-Monkey-N", "b", "chestek-n", ["M1"], 9_600_000, [], False, "test+train"),
    ("h1", "sub-HumanPitt", "c", "pitt", ["M1", "S1"], 352, ["falcon:train", "nlb:test~"], True, "test"),
    ("mine", "x|y", "d", None, None, 10, [], None, "train"),
]
NAMES = (
    *("source_dataset", "subject_id", "session_id", "animal", "areas", "tokens", "evaluation", "restricted", "split"),
)
BOTH = ["test+train", "train"]  # splits
UNITS = [  # session, area, rate
    (0, "M1", 2.0),
    (0, "M1", 0.0),
    (1, "PMd", 4.0),
    (2, None, 1.0),
    (3, None, 3.0),
]


@pytest.fixture
def build(tmp_path):
    """A build with tables of sessions of four data sets."""
    folder = write_build(tmp_path / "build" / "some", 3, 0)
    sessions = [dict(zip(NAMES, line, strict=True)) for line in SESSIONS]
    units = [
        {name: sessions[i][name] for name in tables.KEYS}
        | {"unit": unit, "area": area, "rate": rate, "alive": rate > 0}
        for unit, (i, area, rate) in enumerate(UNITS)
    ]
    sessions[2]["licence"] = "DUA"
    made = pa.Table.from_pylist(sessions, tables.SESSIONS), pa.Table.from_pylist(units, tables.UNITS)
    tables.write(folder, *made)
    return folder


def inspect(build, *options):
    return in_process.run(build.parent, "inspect_dataset.py", "some", *options)


def found(build, table, *options):
    """The lines of a table, by way of JSON."""
    done = inspect(build, "--table", table, "--format", "json", *options)
    assert done.returncode == 0, done.stderr
    return [tuple(line.values()) for line in json.loads(done.stdout)]


def test_units_are_counted_by_area(build):
    """That of h1 states no area, and its session has two."""
    assert found(build, "areas") == [
        ("M1", ["m2"], 1, 2, 1, 960, 1.0),
        ("PMd", ["temmar"], 1, 1, 1, 9_600_000, 4.0),
        ("not stated", ["h1", "mine"], 2, 2, 2, 362, 2.0),
    ]


def test_animals_of_several_data_sets_come_first(build):
    assert found(build, "animals") == [
        ("chestek-n", ["m2", "temmar"], ["sub-Monkey-N", "sub-MonkeyN-held-in-calib"], None, 2, 9_600_960, BOTH),
        ("pitt", ["h1"], ["sub-HumanPitt"], None, 1, 352, ["test"]),
        ("not stated", ["mine"], ["x|y"], None, 1, 10, ["train"]),
    ]


def test_evaluation_data_and_restricted_data_sets(build):
    assert found(build, "evaluation") == [
        ("falcon:train", "h1", 1, 352, ["test"]),
        ("falcon:train", "m2", 1, 960, ["train"]),
        ("nlb:test~", "h1", 1, 352, ["test"]),
    ]
    assert found(build, "restricted") == [("h1", "DUA", 1, 352)]


def test_json_and_csv_have_all_columns(build):
    sessions = json.loads(inspect(build, "--format", "json").stdout)
    assert [list(line) for line in sessions] == [tables.SESSIONS.names] * 4
    lines = list(csv.DictReader(io.StringIO(inspect(build, "--format", "csv").stdout)))
    assert [line["areas"] for line in lines] == ["M1", "M1", "M1, S1", ""]
    units = list(csv.DictReader(io.StringIO(inspect(build, "--table", "units", "--format", "csv").stdout)))
    assert list(units[0]) == tables.UNITS.names
    assert len(units) == 5


def test_text_is_aligned_and_markdown_escaped(build):
    text = inspect(build, "--table", "restricted").stdout.splitlines()
    assert text == ["source_dataset  licence  sessions  tokens", "h1              DUA             1     352"]
    lines = inspect(build, "--format", "markdown").stdout.splitlines()
    assert lines[0] == "| source_dataset | subject_id | session_id | animal | areas | tokens | evaluation | split |"
    assert lines[1] == "|---|---|---|---|---|--:|---|---|"
    assert lines[3] == "| temmar | sub-Monkey-N | b | chestek-n | M1 | 9,600,000 |  | test+train |"
    assert "| x\\|y |" in lines[-1]


def test_an_empty_table_is_explained_and_rates_have_their_unit(build):
    for table, note in (
        ("evaluation", "note: no session is known to be evaluation data of a benchmark\n"),
        (
            "restricted",
            "note: no stated terms restrict redistribution; a licence that is not stated is not in this table\n",
        ),
    ):
        done = inspect(build, "--table", table, "--where", "session_id = 'd'")
        assert (done.returncode, done.stderr) == (0, note)
        assert inspect(build, "--table", table).stderr == ""
    assert inspect(build, "--table", "areas").stdout.splitlines()[0].endswith("  mean_rate (Hz)")
    assert "| rate (Hz) |" in inspect(build, "--table", "units", "--format", "markdown").stdout


def test_where_chooses_what_is_shown(build):
    done = inspect(build, "--where", "nope = 1")
    assert done.returncode == 2
    assert "columns area, source_dataset" in done.stderr and done.stderr.count("\n") == 1


def test_a_build_without_a_table_of_units_says_so(build):
    tables.delete(build)
    done = inspect(build, "--table", "units")
    assert done.returncode == 2
    assert "some: expected a table of units, found none: it was built without" in done.stderr
    assert "sub-0" in inspect(build).stdout
    assert "not stated" in inspect(build, "--table", "areas").stdout  # of sessions


def test_the_script_offers_what_the_library_has():
    script = runpy.run_path(str(ROOT / "inspect_dataset.py"))
    assert tuple(script["TABLES"]) == overview.TABLES
    assert script["FORMATS"] == overview.FORMATS


def test_a_column_of_empty_lists_is_left_out():
    made = pa.table({"a": [1, 2], "evaluation": pa.array([[], None], pa.list_(pa.string())), "areas": [[], ["M1"]]})
    assert overview.shown(made, "text").splitlines()[0].split() == ["a", "areas"]


def test_numbers_are_printed_as_short_as_they_are_read():
    values = [3.5444444444444, 0.02, 0.000123456, 1_234.5, 23_456.0, 100.0]
    text = overview.shown(pa.table({"rate": values}), "text").splitlines()[1:]
    assert [line.strip() for line in text] == ["3.544", "0.02", "0.0001235", "1,234.5", "23,456", "100"]
