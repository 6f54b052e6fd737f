"""What is in a data set: areas by unit, animals, evaluation data, added up from its tables."""

from collections import Counter

import pyarrow as pa
from helpers.unit_tables import units_of
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralpile.corpus import tables
from neuralpile.corpus.contents import contents

AREAS = st.lists(st.sampled_from(["M1", "V4", None]), min_size=1, max_size=6)
SESSIONS = st.lists(st.tuples(AREAS, st.integers(0, 50)), max_size=5)


def sessions_of(*lines):
    """A table of these sessions, with tokens where they have units and bins."""
    same = {"source_dataset": "d", "subject_id": "s"}
    made = [same | {"session_id": str(i)} | line for i, line in enumerate(lines)]
    for line in made:
        if line.get("n_bins") is not None:
            line["tokens"] = line["n_units"] * line["n_bins"]
    return pa.Table.from_pylist(made, tables.SESSIONS)


def areas_of(sessions, units):
    """Sessions, units and tokens of each area."""
    found = contents(sessions, units).areas.to_pylist()
    return {area["area"]: (area["sessions"], area["units"], area["tokens"]) for area in found}


@settings(max_examples=20)
@given(SESSIONS)
def test_every_unit_counts_for_its_area_in_each_session(made):
    lines = [{"n_units": len(areas), "n_bins": n_bins, "areas": ["S1", "A1"]} for areas, n_bins in made]
    parts = [units_of("d", "s", str(i), area=areas) for i, (areas, _) in enumerate(made)]
    units = pa.concat_tables(parts) if parts else tables.UNITS.empty_table()
    n_sessions, n_units, n_tokens = Counter(), Counter(), Counter()
    for areas, n_bins in made:
        n_sessions.update({area or "not stated" for area in areas})
        for area in areas:
            n_units[area or "not stated"] += 1
            n_tokens[area or "not stated"] += n_bins
    expected = {area: (n_sessions[area], n_units[area], n_tokens[area]) for area in n_units}
    found = areas_of(sessions_of(*lines), units)
    assert found == expected
    assert list(found) == sorted(
        expected, key=lambda area: (area == "not stated", -n_units[area], -n_tokens[area], area)
    )


def test_units_that_state_no_area_are_in_the_only_one_of_their_session():
    """Of several areas it is not stated which; and where some units state theirs, the others are elsewhere."""
    lines = [{"n_units": 2, "n_bins": 10, "areas": areas} for areas in (["M1"], ["M1", "PMd"], [], None, ["V4"])]
    expected = {"M1": (1, 2, 20), "V4": (1, 2, 20), "not stated": (3, 6, 60)}
    assert areas_of(sessions_of(*lines), None) == expected
    none_stated = pa.concat_tables([units_of("d", "s", str(i), area=[None, None]) for i in range(5)])
    assert areas_of(sessions_of(*lines), none_stated) == expected
    one_stated = units_of("d", "s", "4", area=["V4", None])
    assert areas_of(sessions_of(*lines), one_stated) == {
        "M1": (1, 2, 20),
        "V4": (1, 1, 10),
        "not stated": (4, 7, 70),
    }


def test_rows_of_unknown_shape_count_by_their_tokens():
    """The table of sessions of a Hub repository that was pushed without tables has no units and bins."""
    lines = [{"areas": ["M1"], "tokens": 30}, {"areas": ["M1"], "n_units": 2, "n_bins": 10}]
    assert areas_of(sessions_of(*lines), None) == {"M1": (2, 2, 50)}


def test_session_files_of_one_name_do_not_count_their_units_twice():
    """Two files of one session, of 2 units each; the table of units has a line for each unit of each file."""
    line = {"session_id": "1", "n_units": 2, "n_bins": 10}
    units = pa.concat_tables([units_of("d", "s", "1", area=["M1", "V4"])] * 2)
    assert areas_of(sessions_of(line, line), units) == {"M1": (2, 2, 20), "V4": (2, 2, 20)}
    longer = line | {"n_bins": 30}
    assert areas_of(sessions_of(line, longer), units) == {"M1": (2, 2, 40), "V4": (2, 2, 40)}
