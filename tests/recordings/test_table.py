"""Tables of spikes: stated columns, a stated unit of time."""

import re

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import table
from neuralpile.spikes.session import Options

CSV = "neuron,t,amplitude\nb,10.5,1\na,30,2\nb,25,3\n"


@pytest.mark.parametrize(("suffix", "text"), [("csv", CSV), ("tsv", CSV.replace(",", "\t")), ("CSV", "\ufeff" + CSV)])
def test_columns_and_unit_of_time_are_stated(tmp_path, suffix, text):
    path = tmp_path / "sub-A" / f"day1.{suffix}"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    session = table.count_units(unit="neuron", time="t", seconds_per="ms")(path, Options())
    assert (session.subject_id, session.session_id) == ("sub-A", "day1")
    assert session.counts.tolist() == [[0, 1], [1, 1]]
    assert list(table.read_spike_trains(path, "neuron", "t").ids) == ["a", "b"]


@pytest.mark.parametrize(
    "units",
    [
        pa.array([7, 2, 7], pa.uint16()),
        pa.array([7.0, 2.0, 7.0]),
        pa.array(["7", "2", "7"]).dictionary_encode(),
        pa.array(["7", "2", "7"], pa.large_string()),
    ],
)
def test_parquet_of_any_type_of_unit(tmp_path, units):
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"unit": units, "time": pa.array([300, 600, 900], pa.int64())}), path)
    trains = table.read_spike_trains(path, seconds_per=1 / 30_000)
    assert list(trains.ids) == ["2", "7"]
    assert np.allclose(trains.times, [0.02, 0.01, 0.03])
    assert trains.ends.tolist() == [1, 3]


def test_numbers_sort_as_numbers(tmp_path):
    (tmp_path / "x.csv").write_text("unit,time\n10,1.5\n9,0.5\n")
    assert list(table.read_spike_trains(tmp_path / "x.csv").ids) == ["9", "10"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "expected columns unit and time, found a, b"),
        ("unit,time\n1,\n2,0.5\n", "0 lines without unit, 1 without time"),
        ("unit,time\n1,x\n", "expected numbers, found 'x' in line 1 of the data; correct or remove"),
        ("unit,time\n1.5,2\n", "expected whole numbers or text"),
        ("", "expected a whole table"),
        ("unit,time\n1,2,3\n", "expected a whole table"),
    ],
)
def test_what_is_no_table_of_spikes_is_one_clear_line(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(BadInput, match=message) as error:
        table.count_units()(tmp_path / "x.csv", Options())
    assert "\n" not in str(error.value)


SPIKES = [("b", 0.0105), ("a", 0.03), ("b", 1204.25), ("a", 0.5)]


def written(separator, number, head=("unit", "time"), start="", end="\n"):
    lines = [head, *((unit, number(time)) for unit, time in SPIKES)]
    return start + end.join(separator.join(cells) for cells in lines) + end


@pytest.mark.parametrize(
    "content",
    [
        written(";", lambda time: f"{time}".replace(".", ",")),  # decimal commas, as Excel of half of Europe
        written(";", str),
        written(",", lambda time: f'"{time}"'.replace(".", ",")),
        written(",", lambda time: f'"{time:,}"', ('"unit"', '"time"')),  # 1,204.25
        written(";", lambda time: f"{time:,}".translate(str.maketrans(",.", ".,"))),  # 1.204,25
        written("\t", str),
        written(" ", str, start="# "),  # numpy.savetxt(header=…) of text
        written(",", str, start="# day 1\n\n"),
        written(",", str, start="sep=,\n", end="\r\n"),
        written(",", str, end="\r"),
        written(",", str, end="\n\n"),
        written(",", str) + ",\n,\n",  # empty lines of a spreadsheet
        written(",", str, ("unit", "time,"), end=",\n").replace(",,", ","),
        written(",", str, ("unit", "time")).encode("utf-16"),
        written("\t", str).encode("utf-16-le"),
        written("\t", str).encode("utf-16-be"),
        written(",", str, ("unit", "time")).encode("utf-8-sig"),
        written(",", str, ("unit", "time,Größe"), end=",1\n").replace("ße,1", "ße").encode("latin-1"),
    ],
)
def test_tables_of_any_program_hold_the_same_spikes(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    trains = table.read_spike_trains(tmp_path / "x.csv")
    assert list(trains.ids) == ["a", "b"]
    assert trains.times.tolist() == [0.03, 0.5, 0.0105, 1204.25]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unit,time\n1,00:01:02.5\n", "expected seconds as numbers, found the clock time '00:01:02.5' in line 1"),
        ("unit,time\n1,00:01:02\n", "found the clock time '00:01:02' in line 1 of the data; write seconds since"),
        ("unit,time\n1,2024-01-01 00:01:02\n", "found the clock time"),
        ("unit,time\n1,0.5\nunit,time\n1,0.7\n", "the names of the columns again, in line 2 of the data; remove"),
        ("unit;time\n1;1,204\n1;950\n", "found '1,204', which is 1.204 or 1204; write 1.204 or 1204"),
        ("unit,time,time\n1,2.5,3\n", "expected one column time, found 2; rename or remove the others"),
        ("unit,time\n", "expected a line for each spike, found no spike"),
        ("\n \n", "found an empty file"),
        ("# nothing\n", "found only comments"),
        ("1,0.5\n2,0.7\n", "expected the names of the columns in the first line, found the numbers 1, 0.5"),
        ("unit,time\n1,0.5\n2\n", "2 cells in every line, found 1 in the line '2'; correct this line"),
        ("unit,time\nA,0.5\n,0.7\n", "1 line without unit, 0 without time, first line 2 of the data"),
        ("unit,time\n1,nan\n2,0.5\n", "0 lines without unit, 1 without time, first line 1 of the data"),
        ("unit,time\n1,0.5 s\n", "found '0.5 s' in line 1 of the data"),
    ],
)
def test_a_table_that_can_be_read_in_two_ways_or_none_is_refused(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(BadInput, match=re.escape(message)):
        table.read_spike_trains(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (b"\xb0", "'°' in line 4"),
        (b"3O", "'3O' in line 4"),
        (b"1.5x", "'1.5x' in line 4"),
        (b"\x07", "'\\x07' in line 4"),
    ],
)
def test_a_damaged_cell_among_numbers_of_units_makes_no_unit(tmp_path, cell, shown):
    (tmp_path / "x.csv").write_bytes(b"unit,time\n0,0.1\n1,0.2\n2,0.3\n" + cell + b",0.4\n1,0.5\n")
    with pytest.raises(BadInput, match=re.escape(f"found {shown} of the data; correct or remove this line")):
        table.read_spike_trains(tmp_path / "x.csv")


@pytest.mark.parametrize("name", ["a\x00", "a\ufffd"])
def test_a_name_that_cannot_be_printed_is_refused(tmp_path, name):
    parquet.write_table(pa.table({"unit": ["b", name, name], "time": [0.1, 0.2, 0.3]}), tmp_path / "x.parquet")
    with pytest.raises(BadInput, match=r"expected text that can be printed, found .* in line 2 of the data"):
        table.read_spike_trains(tmp_path / "x.parquet")


def test_names_among_numbers_are_units_and_noted(tmp_path):
    (tmp_path / "x.csv").write_text("unit,time\n0,0.1\nnoise,0.2\n 1,0.3\n1,0.4\nnoise ,0.5\n1,0.6\n")
    trains = table.read_spike_trains(tmp_path / "x.csv")
    assert list(trains.ids) == ["0", "1", "noise"]  # blanks make no unit
    assert trains.ends.tolist() == [1, 4, 6]
    assert trains.notes == ["units are whole numbers and names, each a unit: 'noise' first in line 2 of the data"]
    (tmp_path / "x.csv").write_text("unit,time\na,0.1\nb,0.2\n c,0.3\n  ,0.4\n")
    with pytest.raises(BadInput, match="1 line without unit"):
        table.read_spike_trains(tmp_path / "x.csv")


def test_times_of_a_coarse_type_are_judged_as_stored(tmp_path):
    times = np.linspace(0.5, 60, 200)
    for stored, scale in ((times.astype(np.float16), 1.0), ((times * 1000).astype(np.float16), 1e-3)):
        parquet.write_table(pa.table({"unit": np.arange(200) % 2, "time": stored}), tmp_path / "x.parquet")
        trains = table.read_spike_trains(tmp_path / "x.parquet", seconds_per=scale)
        assert trains.step == pytest.approx(1 / 32, rel=0.03)
        with pytest.raises(BadInput, match="expected spike times finer than a bin"):
            table.count_units(seconds_per=scale)(tmp_path / "x.parquet", Options())
    parquet.write_table(pa.table({"unit": [1], "time": np.array([0.3], np.float32)}), tmp_path / "x.parquet")
    assert table.read_spike_trains(tmp_path / "x.parquet").times.tolist() == [np.float32(0.3)]


@pytest.mark.parametrize(
    ("texts", "seconds"),
    [
        (["1", "2"], [1, 2]),
        (["1.204", "950"], [1.204, 950]),
        (["1.204", "+1"], [1.204, 1]),
        (["1,204", ",5"], [1.204, 0.5]),
    ],
)
def test_a_column_of_text_holds_plain_numbers(tmp_path, texts, seconds):
    parquet.write_table(pa.table({"unit": [1, 2], "time": texts}), tmp_path / "x.parquet")
    assert table.read_spike_trains(tmp_path / "x.parquet").times.tolist() == seconds


@pytest.mark.parametrize("text", ["", " ", ".", "+", "-,"])
def test_a_text_without_a_digit_is_no_time(tmp_path, text):
    parquet.write_table(pa.table({"unit": [1, 2], "time": ["1,5", text]}), tmp_path / "x.parquet")
    with pytest.raises(BadInput, match=r"expected numbers, found '.*' in line 2 of the data"):
        table.read_spike_trains(tmp_path / "x.parquet")


@pytest.mark.parametrize("times", [pa.array([1, 2], pa.timestamp("ms")), pa.array([1, 2], pa.time32("s"))])
def test_clock_times_of_parquet_are_refused(tmp_path, times):
    parquet.write_table(pa.table({"unit": [1, 2], "time": times}), tmp_path / "x.parquet")
    with pytest.raises(BadInput, match="expected seconds as numbers, found clock times"):
        table.read_spike_trains(tmp_path / "x.parquet")


def test_an_unknown_unit_of_time_is_refused_and_samples_as_seconds_are(tmp_path):
    with pytest.raises(Mismatch, match="unit of time"):
        table.count_units(seconds_per="minutes")
    lines = "\n".join(f"{i % 3},{i * 301}" for i in range(500))
    (tmp_path / "x.csv").write_text(f"unit,time\n{lines}\n")
    with pytest.raises(BadInput, match="only whole numbers"):
        table.count_units()(tmp_path / "x.csv", Options())
    assert table.count_units(seconds_per=1 / 30_000)(tmp_path / "x.csv", Options()).counts.sum() == 500


def test_files_that_are_not_there_or_damaged(tmp_path):
    with pytest.raises(BadInput, match="expected a file, found nothing of this name"):
        table.read_spike_trains(tmp_path / "x.csv")
    (tmp_path / "x.parquet").write_bytes(b"PAR1" + b"\0" * 100)
    with pytest.raises(BadInput, match="expected a whole table"):
        table.read_spike_trains(tmp_path / "x.parquet")
