"""Tables of spikes: stated columns, a stated unit of time."""

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
        ("unit,time\n1,x\n", "expected numbers, found string"),
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
