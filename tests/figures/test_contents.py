"""What is in a data set: areas by unit, animals, evaluation data, added up from its tables."""

import pyarrow as pa
from helpers.unit_tables import units_of
from hypothesis import given
from hypothesis import strategies as st

from neuralpile.corpus import tables
from neuralpile.figures.contents import Amount, contents, words

AREAS = st.lists(st.sampled_from(["M1", "V4", None]), min_size=1, max_size=6)
SESSIONS = st.lists(st.tuples(AREAS, st.integers(0, 50)), max_size=5)


def sessions_of(*lines):
    same = {"source_dataset": "d", "subject_id": "s"}
    return pa.Table.from_pylist([same | {"session_id": str(i)} | line for i, line in enumerate(lines)], tables.SESSIONS)


@given(SESSIONS)
def test_every_unit_counts_for_its_area_in_each_session(made):
    lines = [{"n_units": len(areas), "n_bins": n_bins, "areas": ["S1", "A1"]} for areas, n_bins in made]
    parts = [units_of("d", "s", str(i), area=areas) for i, (areas, _) in enumerate(made)]
    units = pa.concat_tables(parts) if parts else tables.UNITS.empty_table()
    found = contents(sessions_of(*lines), units).areas
    expected = {}
    for areas, n_bins in made:
        for area in areas:
            n_units, tokens = expected.get(area, (0, 0))
            expected[area] = (n_units + 1, tokens + n_bins)
    assert {area: (amount.units, amount.tokens) for area, amount in found.items()} == expected
    for area, amount in found.items():
        assert amount.sessions == sum(area in areas for areas, _ in made)


def test_units_that_state_no_area_are_in_the_only_one_of_their_session():
    """Of several areas it is not known which; and where some units state theirs, the others are elsewhere."""
    lines = [{"n_units": 2, "n_bins": 10, "areas": areas} for areas in (["M1"], ["M1", "PMd"], [], None, ["V4"])]
    units = units_of("d", "s", "4", area=["V4", None])
    assert contents(sessions_of(*lines), units).areas == {
        "M1": Amount(1, 2, 20),
        "V4": Amount(1, 1, 10),
        None: Amount(4, 7, 70),
    }
    assert contents(sessions_of(*lines), None).areas == {
        "M1": Amount(1, 2, 20),
        "V4": Amount(1, 2, 20),
        None: Amount(3, 6, 60),
    }


def test_session_files_of_one_name_do_not_count_their_units_twice():
    """Two files of one session, of 2 units each; the table of units has a line for each unit of each file."""
    line = {"session_id": "1", "n_units": 2, "n_bins": 10, "tokens": 20}
    units = pa.concat_tables([units_of("d", "s", "1", area=["M1", "V4"])] * 2)
    assert contents(sessions_of(line, line), units).areas == {"M1": Amount(2, 2, 20), "V4": Amount(2, 2, 20)}


def test_animals_evaluation_data_and_terms_are_said():
    lines = [
        {"animal": "x", "n_units": 2, "tokens": 10, "evaluation": ["nlb:test", "falcon:train"], "restricted": False},
        {"animal": "x", "n_units": 2, "tokens": 5, "evaluation": ["nlb:test"], "restricted": None},
        {"animal": "x", "source_dataset": "other", "n_units": 1, "tokens": 1, "evaluation": None, "restricted": True},
        {"animal": None, "n_units": None, "tokens": None},
    ]
    found = contents(sessions_of(*lines), None)
    assert found.animals == {("x", "d"): Amount(2, 4, 15), ("x", "other"): Amount(1, 1, 1)}
    assert words(found) == {
        "areas": "not stated (5 units)",
        "animals": "x (3 sessions of d and other)",
        "evaluation data": "nlb:test (2 sessions, 15 tokens), falcon:train (1 session, 10 tokens)",
        "redistribution restricted": "other (1 session)",
    }


def test_of_many_animals_the_first_are_named():
    lines = [{"animal": f"animal {i}"} for i in range(14)]
    assert words(contents(sessions_of(*lines), None))["animals"].endswith("animal 11 (1 session) and 2 more")
