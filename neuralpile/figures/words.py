"""What is in a data set, in words: its areas, animals, evaluation data of benchmarks, and what is restricted."""

from collections.abc import Sequence

from neuralpile.cli import plural
from neuralpile.corpus.contents import NOT_STATED, Contents

NAMED = 12  # areas or animals in a line of text


def words(of: Contents) -> dict[str, str]:
    """Say what is in a data set: its areas, animals, evaluation data, and what is restricted, where there is any."""
    uses = of.evaluation.group_by("benchmark", use_threads=False).aggregate([("sessions", "sum"), ("tokens", "sum")])
    lines = {
        "areas": [f"{area['area']} ({plural(area['units'], 'unit')})" for area in of.areas.to_pylist()],
        "animals": [
            f"{animal['animal']} ({plural(animal['sessions'], 'session')}{_of(animal['data_sets'])})"
            for animal in of.animals.to_pylist()
            if animal["animal"] != NOT_STATED
        ],
        "evaluation data": [
            f"{use['benchmark']} ({plural(use['sessions_sum'], 'session')}, {plural(use['tokens_sum'], 'token')})"
            for use in uses.to_pylist()
        ],
        "redistribution restricted": [
            f"{terms['source_dataset']} ({plural(terms['sessions'], 'session')})" for terms in of.restricted.to_pylist()
        ],
    }
    return {title: _some(names) for title, names in lines.items() if names}


def _of(data_sets: Sequence[str]) -> str:
    """Name the data sets of an animal that is in several."""
    return f" of {' and '.join(data_sets)}" if len(data_sets) > 1 else ""


def _some(names: Sequence[str]) -> str:
    """Join names; of many, the first."""
    left = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {left:,} more" if left > 0 else "")
