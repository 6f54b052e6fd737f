"""The tables of every data set hold what its files say, read here with h5py and numpy alone."""

from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
from helpers.nwb_miniatures import WRITERS

from neuralpile import catalog, evaluation
from neuralpile.build import workers
from neuralpile.open import open_data_set

# Columns of the files' tables of units; those that a data set does not name are null.
QUALITY = {"neupane-ppc": "KSLabel", "neupane-entorhinal": "quality", "kim": "is_sua", "moore": "quality"}
CHANNEL = {"neupane-entorhinal": "ch", "kim": "best_ch"}


@pytest.fixture
def in_this_process(monkeypatch):
    """Sessions are built without workers, whose start takes most of the time of a small build."""

    def results(read, tasks, jobs):
        yield from ((task, workers._attempt(read, task)) for task in tasks)

    monkeypatch.setattr(workers, "results", results)


def text(value):
    word = value.decode() if isinstance(value, bytes) else str(int(value))
    return word or None


def stated(name, path):
    """What a file says of its units: a dictionary for each, of columns that are not null."""
    with h5py.File(path) as file:
        table = next((file[place] for place in ("units", "processing/ecephys/units") if place in file), None)
        if table is None:  # a raster
            names = file.get("processing/ecephys/unit_names/unit_name")
            return None if names is None else [{"id": text(value)} for value in names]
        units = [{"id": text(value)} for value in table["id"]]
        for column, places in (("quality", QUALITY), ("electrode", CHANNEL)):
            for unit, value in zip(units, table[places[name]] if name in places else [], strict=False):
                unit[column] = text(value)
        if "electrodes" in table:
            electrodes = file["general/extracellular_ephys/electrodes"]
            assert list(table["electrodes_index"]) == list(range(1, len(units) + 1))  # one for each unit
            for unit, line in zip(units, table["electrodes"], strict=True):
                unit["electrode"] = str(electrodes["id"][line])
                unit["area"], unit["group"] = text(electrodes["location"][line]), text(electrodes["group_name"][line])
        return units


@pytest.mark.parametrize("name", WRITERS)
def test_tables_hold_what_the_files_say_and_what_the_rows_count(name, script, raw, tmp_path, in_this_process):
    files = WRITERS[name](raw)
    done = script(f"data/{name}/preprocess.py", "--data_dir", raw)
    assert done.returncode == 0, done.stderr
    built, info = open_data_set(str(tmp_path / "build" / name)), catalog.load(name)
    sessions, units = built.sessions().to_pylist(), built.units().to_pylist()
    assert len(sessions) == len(files) == len(built)  # every session of a miniature is one row
    for row, line, path in zip(built, sessions, files, strict=True):
        its = [unit for unit in units if unit["session_id"] == row.session_id]
        units = units[len(its) :]
        assert [unit["unit"] for unit in its] == list(range(len(row.counts)))
        expected = stated(name, path) or [{}] * len(its)
        for unit, says, counts in zip(its, expected, row.counts, strict=True):
            columns = ("id", "area", "electrode", "group", "quality", "x", "y", "z")
            assert {key: unit[key] for key in columns} == dict.fromkeys(columns) | says
            assert (unit["n_spikes"], unit["alive"]) == (counts.sum(), counts.any())
            assert unit["rate"] == pytest.approx(counts.sum() / (counts.size * line["bin_size"]))
        assert (line["source_dataset"], line["subject_id"]) == (name, row.subject_id)
        assert (line["n_units"], line["n_bins"], line["tokens"]) == (*row.counts.shape, row.counts.size)
        assert (line["spikes"], line["segments"]) == (row.counts.sum(), 1)
        assert line["silent_units"] == sum(not unit.any() for unit in row.counts)
        areas = list(dict.fromkeys(says["area"] for says in expected if says.get("area"))) or info.area.split(", ")
        assert line["areas"] == areas
        assert line["start_time"] == datetime(2020, 1, 1, tzinfo=UTC)
        assert line["animal"] == info.animal(row.subject_id)
        assert line["evaluation"] == evaluation.uses(name, row.subject_id, row.session_id)
        assert line["file"] == path.relative_to(raw).as_posix()
        slow = name == "athalye" and "monk-g" in path.name
        assert line["bin_size"] == pytest.approx(1 / 60 if slow else 0.02)
        with h5py.File(path) as file:
            observed = file.get("units/obs_intervals")
            assert (line["observed_fraction"] is None) == (observed is None and name != "moore")
            if observed is not None:
                begins = np.arange(line["n_bins"]) * 0.02
                merged = observed[()]
                covered = [any(start <= b + 1e-5 and b + 0.02 <= stop + 1e-5 for start, stop in merged) for b in begins]
                # Bins that only two intervals together cover count as observed too.
                assert line["observed_fraction"] >= np.mean(covered) - 1e-9
                assert line["observed_fraction"] <= np.mean(covered) + len(merged) / line["n_bins"]
    assert not units
