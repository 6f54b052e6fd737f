"""What is in a data set, in words: its areas, animals, evaluation data of benchmarks, and what is restricted."""

from collections.abc import Sequence

from neuralpile.cli import plural
from neuralpile.corpus.contents import NOT_STATED, Contents

NAMED = 12  # areas or animals in a line of text


def words(of: Contents, area: str = "") -> dict[str, str]:
    """Say what is in a data set: its areas, animals, evaluation data, and what is restricted, where there is any.

    Parameters:
        of: what is in it.
        area: its areas by `dataset.toml`; stated where those of the recordings are not the same.
    """
    by_use = of.evaluation.group_by("benchmark", use_threads=False).aggregate([("sessions", "sum"), ("tokens", "sum")])
    lines = {
        "areas": [f"{line['area']} ({plural(line['units'], 'unit')})" for line in of.areas.to_pylist()],
        "areas by dataset.toml": _other_areas(of, area),
        "animals": [
            f"{line['animal']} ({plural(line['sessions'], 'session')}{_of(line['data_sets'])})"
            for line in of.animals.to_pylist()
            if line["animal"] != NOT_STATED
        ],
        "evaluation data": [
            f"{line['benchmark'].rstrip('~')} ({'trials in ' * line['benchmark'].endswith('~')}"
            f"{plural(line['sessions_sum'], 'session')}, {plural(line['tokens_sum'], 'token')})"
            for line in by_use.sort_by("benchmark").to_pylist()
        ],
        "redistribution restricted": [
            f"{line['source_dataset']} ({plural(line['sessions'], 'session')})" for line in of.restricted.to_pylist()
        ],
    }
    return {title: _some(names) for title, names in lines.items() if names}


def _other_areas(of: Contents, area: str) -> list[str]:
    """State the areas of `dataset.toml`, if the recordings state some, and not the same."""
    stated, recorded = set(filter(None, area.split(", "))), set(of.areas["area"].to_pylist()) - {NOT_STATED}
    if not stated or not recorded or stated == recorded:
        return []
    return [f"{area} (the recordings state {'fewer' if recorded < stated else 'others'})"]


def _of(data_sets: Sequence[str]) -> str:
    """Name the data sets of an animal that is in several."""
    *others, last = data_sets
    return f" of {', '.join(others)} and {last}" if others else ""


def _some(names: Sequence[str]) -> str:
    """Join names; of many, the first."""
    left = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {left:,} more" if left > 0 else "")
