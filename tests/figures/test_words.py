"""What is in a data set, in words."""

import pyarrow as pa

from neuralpile.corpus import tables
from neuralpile.corpus.contents import contents
from neuralpile.figures.words import words


def said(*lines, area=""):
    same = {"source_dataset": "d", "subject_id": "s"}
    made = [same | {"session_id": str(i)} | line for i, line in enumerate(lines)]
    return words(contents(pa.Table.from_pylist(made, tables.SESSIONS), None), area)


def test_areas_animals_evaluation_data_and_terms_are_said():
    lines = [
        {"animal": "x", "n_units": 2, "tokens": 10, "evaluation": ["nlb:test", "falcon:train"], "restricted": False},
        {"animal": "x", "n_units": 2, "tokens": 5, "evaluation": ["nlb:test"], "restricted": None},
        {"animal": "x", "source_dataset": "other", "n_units": 1, "tokens": 1, "evaluation": None, "restricted": True},
        {"animal": "y", "source_dataset": "other", "areas": ["M1"], "n_units": 1, "evaluation": ["nlb:test"]},
        {"animal": "x", "source_dataset": "third", "evaluation": ["perich-within:reported~"], "tokens": 7},
        {"animal": None, "n_units": None, "tokens": None},
    ]
    assert said(*lines) == {
        "areas": "M1 (1 unit), not stated (5 units)",
        "animals": "x (4 sessions of d, other and third), y (1 session)",
        "evaluation data": "falcon:train (1 session, 10 tokens), nlb:test (3 sessions, 15 tokens), "
        "perich-within:reported (trials in 1 session, 7 tokens)",
        "redistribution restricted": "other (1 session)",
    }


def test_of_many_animals_the_first_are_named():
    lines = [{"animal": f"animal {i:02}"} for i in range(14)]
    assert said(*lines)["animals"].endswith("animal 11 (1 session) and 2 more")


def test_areas_of_recordings_that_contradict_those_of_the_data_set_are_said():
    lines = [{"areas": ["M1"], "n_units": 2}, {"areas": ["PMd"], "n_units": 1}]
    title = "areas by dataset.toml"
    assert title not in said(*lines, area="PMd, M1")
    assert title not in said(*lines)
    assert said(*lines, area="M1, PMd, S1")[title] == "M1, PMd, S1 (the recordings state fewer)"
    assert said(*lines, area="M1")[title] == "M1 (the recordings state others)"
    assert title not in said({"areas": [], "n_units": 2}, area="M1")  # they state none
