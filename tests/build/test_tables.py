"""The tables of a build, from what is kept with its sessions' rows."""

import subprocess
import sys
from datetime import UTC, datetime

import msgspec
import numpy as np
from helpers import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralpile import catalog
from neuralpile.build import tables as build_tables
from neuralpile.build.record import SessionFacts
from neuralpile.corpus import arrow, rows, tables
from neuralpile.corpus.rows import Row

ZEROS = {"zero_bins": 0, "silent_units": 0, "largest_count": 0, "saturated_bins": 0}


def facts(**known):
    named = {"file": "a.nwb", "bytes": 1, "subject_id": "s", "session_id": "a", "units": 2, "bins": 50, "tokens": 100}
    return SessionFacts(**named, segments=1, spikes=7, **ZEROS, notes=[], rows_sha256="", counts_sha256="", **known)


def made(path, units, **known):
    """Both tables of a build of one session, as Python lists."""
    arrow.write_rows(path, [], rows.SCHEMA, {"units": units})
    both = build_tables.of_build(catalog.load("perich"), 0.02, [(facts(**known), path)], {"a.nwb": "md5:0"})
    return [table.to_pylist() for table in both]


words = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
counted = st.integers(0, 2**62)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(words, numbers, counted), min_size=2, max_size=2),
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
)
def test_whatever_is_kept_of_units_is_in_the_table(tmp_path_factory, kept, start):
    areas, positions, n_spikes = map(list, zip(*kept, strict=True))
    columns = {"area": areas, "x": positions, "n_spikes": n_spikes}
    path = tmp_path_factory.mktemp("rows") / "a.arrow"
    (session,), units = made(path, columns, start_time=start.isoformat())
    assert [(unit["area"], unit["x"], unit["n_spikes"]) for unit in units] == kept
    assert [unit["unit"] for unit in units] == [0, 1]
    assert [unit["alive"] for unit in units] == [n > 0 for n in n_spikes]
    assert [unit["rate"] for unit in units] == (np.array(n_spikes, np.int64) / 1.0).tolist()  # 50 bins of 20 ms
    assert {unit["quality"] for unit in units} == {None}
    assert session["start_time"] == start
    assert session["areas"] == (list(dict.fromkeys(area for area in areas if area is not None)) or ["M1", "PMd"])
    assert (session["checksum"], session["animal"], session["split"]) == ("md5:0", "perich/s", None)


WRITE = """
import sys
from pathlib import Path
import msgspec
from neuralpile import catalog
from neuralpile.build import tables as build_tables
from neuralpile.build.record import SessionFacts
from neuralpile.corpus import arrow, rows, tables
folder, facts = Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=SessionFacts)
made = build_tables.of_build(catalog.load("perich"), 0.02, [(facts, folder / "a.arrow")], {})
tables.write(folder, *made)
assert tables.are(folder, *made)
arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
print("pandas" in sys.modules)
"""


def test_finishing_a_build_does_not_import_pandas(tmp_path):
    """It takes as long to import as a small session to build."""
    its = [Row(np.ones((2, 50), np.uint8), "s", "a", f"segment_{i}") for i in range(2)]
    arrow.write_rows(tmp_path / "a.arrow", its, rows.SCHEMA, {"units": {"area": ["M1", None], "n_spikes": [7, 0]}})
    command = [sys.executable, "-c", WRITE, tmp_path, msgspec.json.encode(facts(start_time="2020-01-01T00:00:00Z"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("False\n", "")
    units = tables.read_units(tmp_path).to_pylist()
    assert [(unit["area"], unit["n_spikes"], unit["alive"]) for unit in units] == [("M1", 7, True), (None, 0, False)]
