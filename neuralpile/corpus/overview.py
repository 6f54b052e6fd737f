"""What is known of a data set as text: its tables of sessions and units, and what they add up to."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from neuralpile.corpus.contents import Contents, contents
from neuralpile.corpus.rows import RowSource
from neuralpile.errors import BadInput, printable

TABLES = ("sessions", "units", *Contents._fields)
FORMATS = ("text", "markdown", "csv", "json")
# Of the table of sessions, what fits beside each other on a terminal; CSV and JSON have all columns.
SHOWN = (
    *("source_dataset", "subject_id", "session_id", "animal", "areas", "start_time", "n_units", "silent_units"),
    *("tokens", "evaluation", "split"),
)
RATES = ("rate", "mean_rate")  # whose unit text and Markdown state


def table(data_set: RowSource, which: str) -> pa.Table:
    """One of `TABLES` of a data set.

    Raises:
        BadInput: it has no table of units, and that is wanted.
    """
    if which == "sessions":
        return data_set.sessions()
    units = data_set.units()
    if which != "units":
        return getattr(contents(data_set.sessions(), units), which)
    if units is None:
        do = "build it again, or see its sessions with --table sessions"
        raise BadInput(data_set.name, "a table of units", "none: it was built without", do)
    return units


def shown(found: pa.Table, form: str) -> str:
    """A table as one of `FORMATS`. Text and Markdown leave out columns without any value.

    Example:
        >>> print(shown(pa.table({"area": ["M1", "PMd"], "units": [1_200, 96]}), "text"))
        area  units
        M1    1,200
        PMd      96
    """
    if form == "json":
        return json.dumps([{k: _plain(v) for k, v in line.items()} for line in found.to_pylist()], indent=1)
    if form == "csv":
        sink = io.StringIO()
        lines = csv.writer(sink, lineterminator="\n")
        lines.writerow(found.column_names)
        lines.writerows([[_cell(value) for value in line.values()] for line in found.to_pylist()])
        return sink.getvalue().rstrip("\n")
    if set(SHOWN) <= set(found.column_names):
        found = found.select(SHOWN)
    found = found.select([name for name in found.column_names if _says(found[name]) or not len(found)])
    numbers = [pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in found.schema.types]
    cells = [[printable(_with_commas(value)) for value in line.values()] for line in found.to_pylist()]
    names = [f"{name} (Hz)" if name in RATES else name for name in found.column_names]
    return (_markdown if form == "markdown" else _text)(names, cells, numbers)


def _says(column: pa.ChunkedArray) -> bool:
    """Whether a column has a value: not only null or empty lists."""
    return any(value not in (None, []) for value in column.to_pylist())


def _text(names: Sequence[str], cells: Sequence[Sequence[str]], numbers: Sequence[bool]) -> str:
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    aligned: list[Callable[[str, int], str]] = [str.rjust if number else str.ljust for number in numbers]
    return "\n".join(
        "  ".join(align(cell, width) for align, cell, width in zip(aligned, line, widths, strict=True)).rstrip()
        for line in (names, *cells)
    )


def _markdown(names: Sequence[str], cells: Sequence[Sequence[str]], numbers: Sequence[bool]) -> str:
    rule = ["--:" if number else "---" for number in numbers]
    escaped = [[cell.replace("\\", "\\\\").replace("|", "\\|") for cell in line] for line in cells]
    return "\n".join([f"| {' | '.join(names)} |", f"|{'|'.join(rule)}|", *(f"| {' | '.join(c)} |" for c in escaped)])


def _plain(value: Any) -> Any:
    """A value for JSON: times as ISO 8601."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _cell(value: Any) -> str:
    """A value as text: lists joined, nothing for null."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(_plain(value))


def _with_commas(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}".removesuffix(".0")
    return f"{value:%Y-%m-%d %H:%M}" if hasattr(value, "strftime") else _cell(value)
