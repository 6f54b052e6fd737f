"""Tables of sessions and of units, in Parquet files beside the rows: who was recorded, where, when, and how much.

A line of the table of sessions is one session; a line of the table of units is one unit, a row of its session's counts.
What a recording does not say is null. `source_dataset`, `subject_id` and `session_id` are those of the rows.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from neuralpile import evaluation
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus.manifest import info_named, info_of
from neuralpile.corpus.rows import Names, RowSource
from neuralpile.errors import BadInput
from neuralpile.files import whole_file
from neuralpile.spikes.session import UNIT_COLUMNS

SESSIONS_FILE, UNITS_FILE = "sessions.parquet", "units.parquet"
LEVEL = 9  # of zstd: two thirds of the bytes of level 1; higher levels add nothing
SEPARATOR = "\0"  # between parts of names: in no name

KEYS = ("source_dataset", "subject_id", "session_id")  # what joins the tables and the rows
SESSIONS = pa.schema(
    [
        *((name, pa.string()) for name in KEYS),
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
        # Runs of bins of the session in which nothing was recorded; null where the recording does not say
        ("unobserved", pa.list_(pa.struct([("start", pa.int32()), ("stop", pa.int32())]))),
        ("evaluation", pa.list_(pa.string())),  # uses in public benchmarks, "nlb:test"; see `neuralpile.evaluation`
        ("licence", pa.string()),
        ("restricted", pa.bool_()),  # the terms forbid, or may forbid, redistribution
        ("doi", pa.string()),  # of the paper
        ("file", pa.string()),  # path of the recording in the data set
        ("checksum", pa.string()),  # of the file, "<algorithm>:<hex>"
        ("split", pa.string()),  # of a corpus: the splits that have rows of it, joined by "+"
    ]
)
UNITS = pa.schema(
    [
        *((name, pa.string()) for name in KEYS),
        ("unit", pa.int64()),  # which row of the counts
        ("order", pa.int64()),  # of rows that were reordered: which row of the counts it was; else null
        *((name, pa.string() if kind is str else pa.float64()) for name, kind in UNIT_COLUMNS.items()),
        ("n_spikes", pa.int64()),
        ("rate", pa.float64()),  # Hz, over the whole session
        ("alive", pa.bool_()),  # has at least one spike
    ]
)


class Tables(NamedTuple):
    """The tables of a data set or a corpus.

    Attributes:
        sessions: of the schema `SESSIONS`.
        units: of the schema `UNITS`.
    """

    sessions: pa.Table
    units: pa.Table


def write(folder: Path, sessions: pa.Table, units: pa.Table) -> None:
    """Write both tables into a folder, each file whole or not at all. The same tables give the same bytes.

    Parameters:
        folder: of a build or a corpus.
        sessions: a table of the schema `SESSIONS`.
        units: a table of the schema `UNITS`.
    """
    write_parts(folder, [Tables(sessions, units)])


def write_parts(folder: Path, parts: Iterable[Tables]) -> None:
    """Write tables that come in parts, one of them in memory, as `write` does."""
    with (
        whole_file(folder / SESSIONS_FILE) as sessions,
        whole_file(folder / UNITS_FILE) as units,
        sessions.open("wb") as sessions_out,
        units.open("wb") as units_out,
        parquet.ParquetWriter(sessions_out, SESSIONS, compression="zstd", compression_level=LEVEL) as sessions_writer,
        parquet.ParquetWriter(units_out, UNITS, compression="zstd", compression_level=LEVEL) as units_writer,
    ):
        for part in parts:
            sessions_writer.write_table(part.sessions.combine_chunks())
            units_writer.write_table(part.units.combine_chunks())


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
        return parse(path.read_bytes(), schema, str(path))
    except FileNotFoundError:
        return None


def parse(content: bytes, schema: pa.Schema, where: str) -> pa.Table:
    """The table in a Parquet file.

    Parameters:
        content: of the file.
        schema: SESSIONS or UNITS.
        where: what the file is called, for the error.

    Raises:
        BadInput: the file is damaged, or another table.
    """
    try:
        found = parquet.ParquetFile(pa.BufferReader(content)).read()
        for name in {"order", "unobserved"} & {*schema.names} - {
            *found.column_names
        }:  # as written before there was one
            found = found.append_column(schema.field(name), pa.nulls(len(found), schema.field(name).type))
        found = found.select(schema.names)
        return found if found.schema.equals(schema) else found.cast(schema)  # a cast loads pyarrow.compute
    except (pa.ArrowException, OSError, KeyError) as error:
        expected = f"a table of {', '.join(schema.names)}"
        raise BadInput(where, expected, str(error), "build or merge again") from None


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


def keys_of(sessions: pa.Table) -> list[tuple[str, str, str]]:
    """Source data set, subject and session of each line of a table of sessions."""
    return list(zip(*(sessions[name].to_pylist() for name in KEYS), strict=True))


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


def of_rows(source: RowSource) -> pa.Table:
    """The table of sessions of a data set that has none, from its rows: without what only recordings say.

    Of the counts, one row of each session is looked at, and only where the rows are on disk; elsewhere the numbers of
    units and bins are null.
    """
    tokens = source.tokens()
    numbers: dict[tuple[str | None, str, str], list[int]] = {}
    for i, names in enumerate(source.names()):
        numbers.setdefault((names.source_dataset, names.subject_id, names.session_id), []).append(i)
    lines = []
    for (merged_from, subject_id, session_id), its in numbers.items():
        name = merged_from or source.name
        info = info_of(source) if merged_from is None else info_named(name)
        n_units = len(source.row(its[0]).counts) if source.folder else None
        n_tokens = sum(tokens[i] for i in its)
        lines.append(
            {
                **known_of(name, info, subject_id, session_id),
                "n_units": n_units,
                "n_bins": n_tokens // n_units if n_units else None,
                "tokens": n_tokens,
                "segments": len(its),
            }
        )
    return pa.Table.from_pylist(lines, SESSIONS)


def stored(source: RowSource) -> Tables | None:
    """The tables of a data set, if it was built with tables."""
    units = source.units()
    return None if units is None else Tables(source.sessions(), units)


def own_name(source: RowSource) -> str:
    """What the tables of a data set that is not merged call it, whatever its folder is called."""
    own = stored(source)
    return own.sessions["source_dataset"][0].as_py() if own and len(own.sessions) else source.name


def of(source: RowSource) -> Tables:
    """The tables of a data set: those that it was built with, or else sessions from its rows, and no units."""
    return stored(source) or Tables(source.sessions(), UNITS.empty_table())


def of_component(name: str, own: Tables, chosen: Sequence[tuple[Names, str]]) -> Tables:
    """The tables of a component as they are in a corpus: with its name there, and the splits of its sessions.

    Sessions of which the corpus has no rows are left out.

    Parameters:
        name: the component's name in the rows of the corpus.
        own: its tables.
        chosen: the names of its rows that are in the corpus, each with its split.
    """
    splits: dict[tuple[str, str], set[str]] = {}
    for row, split in chosen:
        splits.setdefault((row.subject_id, row.session_id), set()).add(split)
    keys = list(zip(*(own.sessions[column].to_pylist() for column in ("subject_id", "session_id")), strict=True))
    sessions = own.sessions.filter(pa.array([key in splits for key in keys], pa.bool_()))
    units = own.units if len(sessions) == len(keys) else own.units.filter(of_sessions(own.units, sessions))
    values = pa.array(["+".join(sorted(splits[key])) for key in keys if key in splits], pa.string())
    sessions = sessions.set_column(SESSIONS.get_field_index("split"), SESSIONS.field("split"), values)
    return Tables(_named(sessions, name), _named(units, name))


def of_sessions(units: pa.Table, sessions: pa.Table) -> pa.Array:
    """Which lines of a table of units are of sessions in a table of sessions: boolean (units,)."""
    import pyarrow.compute as pc

    both = [pc.binary_join_element_wise(*(table[name] for name in KEYS), SEPARATOR) for table in (units, sessions)]
    return pc.is_in(both[0], both[1].combine_chunks())


def _named(table: pa.Table, name: str) -> pa.Table:
    return table.set_column(0, table.schema.field(0), pa.repeat(pa.scalar(name, pa.string()), len(table)))


def digest(source: RowSource) -> str:
    """SHA-256 of the tables of a data set; "" if it has none."""
    if (own := stored(source)) is None:
        return ""
    sha = hashlib.sha256()
    for table in own:
        sink = pa.BufferOutputStream()
        parquet.write_table(table.combine_chunks(), sink)
        sha.update(sink.getvalue())
    return sha.hexdigest()


def differences(
    corpus: RowSource, components: Iterable[RowSource], chosen: Mapping[str, Sequence[tuple[Names, str]]]
) -> list[str]:
    """Compare the tables of a corpus with those of its components.

    Parameters:
        corpus: a merged corpus.
        components: the data sets it was merged from.
        chosen: for each of them the names of the rows of the corpus, each with its split.

    Returns:
        The differences in words.
    """
    import pyarrow.compute as pc

    there = stored(corpus)
    if there is None:
        return [f"no tables {SESSIONS_FILE} and {UNITS_FILE}"]
    found = []
    for component in components:
        expected = of_component(component.name, of(component), chosen[component.name])
        for title, table, own in zip((SESSIONS_FILE, UNITS_FILE), there, expected, strict=True):
            if component.folder is None and stored(component) is None:  # of the Hub: merged from a copy on disk
                continue
            if not table.filter(pc.equal(table["source_dataset"], component.name)).equals(own):
                found.append(f"{title}: the lines of {component.name} are not those of the component")
    return found
