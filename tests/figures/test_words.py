"""What is in a data set, in words."""

import pyarrow as pa

from neuralpile.corpus import tables
from neuralpile.corpus.contents import contents
from neuralpile.figures.words import words


def said(*lines):
    same = {"source_dataset": "d", "subject_id": "s"}
    made = [same | {"session_id": str(i)} | line for i, line in enumerate(lines)]
    return words(contents(pa.Table.from_pylist(made, tables.SESSIONS), None))


def test_areas_animals_evaluation_data_and_terms_are_said():
    lines = [
        {"animal": "x", "n_units": 2, "tokens": 10, "evaluation": ["nlb:test", "falcon:train"], "restricted": False},
        {"animal": "x", "n_units": 2, "tokens": 5, "evaluation": ["nlb:test"], "restricted": None},
        {"animal": "x", "source_dataset": "other", "n_units": 1, "tokens": 1, "evaluation": None, "restricted": True},
        {"animal": "y", "source_dataset": "other", "areas": ["M1"], "n_units": 1, "evaluation": ["nlb:test"]},
        {"animal": None, "n_units": None, "tokens": None},
    ]
    assert said(*lines) == {
        "areas": "M1 (1 unit), not stated (5 units)",
        "animals": "x (3 sessions of d and other), y (1 session)",
        "evaluation data": "falcon:train (1 session, 10 tokens), nlb:test (3 sessions, 15 tokens)",
        "redistribution restricted": "other (1 session)",
    }


def test_of_many_animals_the_first_are_named():
    lines = [{"animal": f"animal {i:02}"} for i in range(14)]
    assert said(*lines)["animals"].endswith("animal 11 (1 session) and 2 more")
