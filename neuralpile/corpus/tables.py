"""Tables of sessions and of units, in Parquet files beside the rows: who was recorded, where, when, and how much.

A line of the table of sessions is one session; a line of the table of units is one unit, a row of its session's counts.
What a recording does not say is null. `source_dataset`, `subject_id` and `session_id` are those of the rows.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from neuralpile import evaluation
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput
from neuralpile.files import whole_file
from neuralpile.spikes.session import UNIT_COLUMNS

SESSIONS_FILE, UNITS_FILE = "sessions.parquet", "units.parquet"

KEY = [("source_dataset", pa.string()), ("subject_id", pa.string()), ("session_id", pa.string())]
SESSIONS = pa.schema(
    [
        *KEY,
        ("animal", pa.string()),  # one name across data sets
        ("species", pa.string()),
        ("areas", pa.list_(pa.string())),  # those of the units, or else of the data set
        ("task", pa.string()),
        ("signal", pa.string()),  # one of `catalog.SIGNALS`
        ("start_time", pa.timestamp("us", tz="UTC")),  # null where the recording states none, or an invented one
        ("bin_size", pa.float64()),  # seconds
        ("n_units", pa.int64()),
        ("n_bins", pa.int64()),
        ("tokens", pa.int64()),
        ("spikes", pa.int64()),
        ("segments", pa.int64()),  # rows
        ("silent_units", pa.int64()),
        ("observed_fraction", pa.float64()),  # of the bins; null where the recording does not say
        ("evaluation", pa.list_(pa.string())),  # uses in public benchmarks, "nlb:test"; see `neuralpile.evaluation`
        ("licence", pa.string()),
        ("restricted", pa.bool_()),  # the terms forbid, or may forbid, redistribution
        ("doi", pa.string()),  # of the paper
        ("file", pa.string()),  # path of the recording in the data set
        ("digest", pa.string()),  # checksum of the file, "<algorithm>:<hex>"
        ("split", pa.string()),  # of a corpus: the splits that have rows of it, joined by "+"
    ]
)
UNITS = pa.schema(
    [
        *KEY,
        ("unit", pa.int64()),  # which row of the counts
        *((name, pa.string() if kind is str else pa.float64()) for name, kind in UNIT_COLUMNS.items()),
        ("n_spikes", pa.int64()),
        ("rate", pa.float64()),  # Hz, over the whole session
        ("alive", pa.bool_()),  # has at least one spike
    ]
)


def write(folder: Path, sessions: pa.Table, units: pa.Table) -> None:
    """Write both tables into a folder, each file whole or not at all. The same tables give the same bytes.

    Parameters:
        folder: of a build or a corpus.
        sessions: a table of the schema `SESSIONS`.
        units: a table of the schema `UNITS`.
    """
    for name, table, schema in ((SESSIONS_FILE, sessions, SESSIONS), (UNITS_FILE, units, UNITS)):
        with whole_file(folder / name) as partial:
            parquet.write_table(table.cast(schema), partial, compression="zstd")


def delete(folder: Path) -> None:
    """Delete both tables of a folder, if they are there."""
    for name in (SESSIONS_FILE, UNITS_FILE):
        (folder / name).unlink(missing_ok=True)


def are(folder: Path, sessions: pa.Table, units: pa.Table) -> bool:
    """Whether the tables in a folder are these."""
    try:
        there = read_sessions(folder), read_units(folder)
    except BadInput:
        return False
    return all(found is not None and found.equals(table) for found, table in zip(there, (sessions, units), strict=True))


def read_sessions(folder: Path) -> pa.Table | None:
    """The table of sessions in a folder, of the schema `SESSIONS`; None if there is none.

    Raises:
        BadInput: the file is damaged, or another table.
    """
    return _read(folder / SESSIONS_FILE, SESSIONS)


def read_units(folder: Path) -> pa.Table | None:
    """The table of units in a folder, of the schema `UNITS`; None if there is none.

    Raises:
        BadInput: the file is damaged, or another table.
    """
    return _read(folder / UNITS_FILE, UNITS)


def _read(path: Path, schema: pa.Schema) -> pa.Table | None:
    try:
        # Read whole and by this process alone: the file can be replaced later.
        table = parquet.ParquetFile(pa.BufferReader(path.read_bytes())).read()
        return table.select(schema.names).cast(schema)
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError, KeyError) as error:
        expected, do = f"a table of {', '.join(schema.names)}", "build or merge again"
        raise BadInput(path, expected, str(error), do) from None


def where(sessions: pa.Table, expression: str) -> npt.NDArray[np.bool_]:
    """Which sessions an expression selects: boolean (sessions,).

    Parameters:
        sessions: a table of the schema `SESSIONS`.
        expression: in SQL, as DuckDB reads it, over the columns of the table and `area`: `area = 'M1'` selects the
            sessions one of whose `areas` is M1. An expression that is null selects nothing.

    Raises:
        BadInput: it is not an expression over these columns.

    Example:
        >>> sessions = pa.table({"areas": [["M1", "PMd"], ["V4"], None], "n_units": [192, 40, 96]})
        >>> where(sessions, "area = 'PMd' or n_units < 64")
        array([ True,  True, False])
    """
    import duckdb

    chosen = np.zeros(len(sessions), bool)
    numbered = sessions.append_column("row", pa.array(range(len(sessions)), pa.int64()))
    # No file and no address can be read from within the expression.
    with duckdb.connect() as connection:
        for option in ("enable_external_access", "python_enable_replacements"):
            connection.execute(f"SET {option} = false")
        connection.execute("SET lock_configuration = true")
        connection.register("sessions", numbered)
        by_area = connection.sql("SELECT s.*, area FROM sessions s LEFT JOIN unnest(s.areas) AS a(area) ON true")
        try:
            rows = by_area.filter(duckdb.SQLExpression(expression)).select("row").fetchnumpy()["row"]
        except duckdb.Error as error:
            columns = ", ".join(["area", *sessions.column_names])
            found = f"{expression!r} ({str(error).splitlines()[0]})"
            do = "for example: area = 'M1' and n_units >= 64"
            raise BadInput("--where", f"an expression over the columns {columns}", found, do) from None
    chosen[rows] = True
    return chosen


def known_of(name: str, info: DataSetInfo | None, subject_id: str, session_id: str) -> dict[str, Any]:
    """The columns of `SESSIONS` that follow from a session's names and from its data set.

    Parameters:
        name: of the data set.
        info: what is known of it; None if nothing is.
        subject_id, session_id: as in the rows.
    """
    line: dict[str, Any] = {
        "source_dataset": name,
        "subject_id": subject_id,
        "session_id": session_id,
        "evaluation": evaluation.uses(name, subject_id, session_id),
    }
    if info is None:
        return line
    return line | {
        "animal": info.animal(subject_id),
        "species": ", ".join(info.species),
        "areas": info.area.split(", ") if info.area else [],
        "task": info.task or None,
        "signal": info.signal or None,
        "licence": info.licence,
        "restricted": info.restricted,
        "doi": info.paper_doi or None,
    }
