"""Tables of sessions and of units, in Parquet files beside the rows: who was recorded, where, when, and how much.

A line of the table of sessions is one session; a line of the table of units is one unit, a row of its session's counts.
What a recording does not say is null. `source_dataset`, `subject_id` and `session_id` are those of the rows.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neuralpile import evaluation
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus.arrow import raise_if_short
from neuralpile.corpus.manifest import info_named, info_of
from neuralpile.corpus.rows import TOGETHER, AllNames, RowSource, array_of, strings, values_of
from neuralpile.errors import BadInput
from neuralpile.files import whole_file
from neuralpile.spikes.session import UNIT_COLUMNS

if TYPE_CHECKING:
    import duckdb

SESSIONS_FILE, UNITS_FILE = "sessions.parquet", "units.parquet"
LEVEL = 9  # of zstd: two thirds of the bytes of level 1; higher levels add nothing
SEPARATOR = "\0"  # between parts of names: in no name
NOT_NULL = ("source_dataset", "subject_id", "session_id", "unit")  # columns that every line has
LINES = 65_536  # of a table, which are in memory at a time

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

SCHEMAS = {SESSIONS_FILE: SESSIONS, UNITS_FILE: UNITS}


class Tables(NamedTuple):
    """The tables of a data set or a corpus.

    Attributes:
        sessions: of the schema `SESSIONS`.
        units: of the schema `UNITS`.
    """

    sessions: pa.Table
    units: pa.Table


class Parts(NamedTuple):
    """The tables of a data set or a corpus in parts, of which one is in memory; see `Tables`."""

    sessions: Iterable[pa.Table]
    units: Iterable[pa.Table]


def write(folder: Path, sessions: pa.Table, units: pa.Table) -> None:
    """Write both tables into a folder, each file whole or not at all. The same tables give the same bytes.

    Parameters:
        folder: of a build or a corpus.
        sessions: a table of the schema `SESSIONS`.
        units: a table of the schema `UNITS`.
    """
    write_parts(folder, [Parts([sessions], [units])])


def write_parts(folder: Path, tables: Iterable[Parts]) -> None:
    """Write tables one after another, a part of them in memory, as `write` does."""
    from pyarrow import parquet  # takes 25 ms, for which a command's help need not wait

    with (
        whole_file(folder / SESSIONS_FILE) as sessions,
        whole_file(folder / UNITS_FILE) as units,
        sessions.open("wb") as sessions_out,
        units.open("wb") as units_out,
        parquet.ParquetWriter(sessions_out, SESSIONS, compression="zstd", compression_level=LEVEL) as sessions_writer,
        parquet.ParquetWriter(units_out, UNITS, compression="zstd", compression_level=LEVEL) as units_writer,
    ):
        for its in tables:
            for part in its.sessions:
                sessions_writer.write_table(part.combine_chunks())
            for part in its.units:
                units_writer.write_table(part.combine_chunks())


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
    from pyarrow import parquet

    with _damage(where, schema):
        return _checked(parquet.ParquetFile(pa.BufferReader(content)).read(), schema)


@contextmanager
def _damage(where: str, schema: pa.Schema) -> Iterator[None]:
    """Raise BadInput if what is read from the file of a table is none."""
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise_if_short(error)
        expected = f"a table of {', '.join(schema.names)}"
        raise BadInput(where, expected, str(error), "build or merge again") from None


def _checked(found: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of a schema, of its types. Raises pyarrow's errors, and KeyError for a column that is missing."""
    import pyarrow.compute as pc

    found = found.select(schema.names)
    found = (found if found.schema.equals(schema) else found.cast(schema)).replace_schema_metadata()
    found.validate(full=True)  # names that are not UTF-8 would end in Python's error
    for name, column in zip(found.column_names, found.columns, strict=True):
        if column.null_count and name in NOT_NULL:
            raise pa.ArrowInvalid(f"a line without {name}")
        if pa.types.is_integer(column.type) and (pc.min(column).as_py() or 0) < 0:
            raise pa.ArrowInvalid(f"{name} below 0")
        if pa.types.is_list(column.type) and _lacks(column.combine_chunks().flatten()):
            raise pa.ArrowInvalid(f"a value missing in {name}")
    return found


def _lacks(values: pa.Array) -> bool:
    """Whether there is a null in values, or in a field of values of several fields."""
    fields = values.flatten() if pa.types.is_struct(values.type) else []
    return bool(values.null_count or any(field.null_count for field in fields))


def in_parts(source: RowSource, file: str) -> Iterator[pa.Table]:
    """A table of a data set, as it was written, in parts; of one that was built without units, there is no part.

    Parameters:
        source: the data set; of one of which only some rows were chosen, the tables have all lines.
        file: SESSIONS_FILE or UNITS_FILE.

    Raises:
        BadInput: the file is damaged, or another table.
    """
    path = source.folder and source.folder / file
    schema = SCHEMAS[file]
    if path is None:
        whole = source.sessions() if file == SESSIONS_FILE else source.units()
        yield from () if whole is None else (whole,)
    elif not path.is_file():
        yield from _parts_of_rows(source) if file == SESSIONS_FILE else ()
    else:
        with _damage(str(path), schema):
            yield from _read_in_parts(path, schema)


def _read_in_parts(path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    from pyarrow import parquet

    file = parquet.ParquetFile(pa.BufferReader(path.read_bytes()))
    for batch in file.iter_batches(LINES, use_threads=False):
        yield _checked(pa.Table.from_batches([batch]), schema)


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
    with database() as connection:
        for option in ("enable_external_access", "python_enable_replacements"):
            connection.execute(f"SET {option} = false")
        connection.execute("SET lock_configuration = true")
        connection.register("sessions", numbered)
        by_area = connection.sql("SELECT s.*, area FROM sessions s LEFT JOIN unnest(s.areas) AS a(area) ON true")
        try:
            rows = by_area.filter(duckdb.SQLExpression(expression)).select("row").fetchnumpy()["row"]
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            columns = ", ".join(["area", *sessions.column_names])
            found = f"{expression!r} ({str(error).splitlines()[0]})"
            do = _remedy(expression, str(error), sessions.column_names)
            raise BadInput("--where", f"an expression over the columns {columns}", found, do) from None
    chosen[rows] = True
    return chosen


def _remedy(expression: str, error: str, columns: Sequence[str]) -> str:
    """What to do about an expression that DuckDB refuses."""
    if re.search(r"\b(areas|evaluation|unobserved)\b", expression, re.IGNORECASE):
        return "areas and evaluation are lists: write area = 'M1', or list_contains(evaluation, 'nlb:test')"
    if unknown := re.search(r'Referenced column "(.*?)" not found', error):
        name = unknown[1]
        begin_so = [column for column in columns if column.startswith(name.lower())]
        near = get_close_matches(name.lower(), ["area", *columns], 1) or begin_so
        return f"write {f'{near[0]}, or ' if near else ''}{name} as text in single quotes: '{name}'"
    return "for example: area = 'M1' and n_units >= 64"


@contextmanager
def database() -> Iterator["duckdb.DuckDBPyConnection"]:
    """An empty database in memory, for small tables. Raises MemoryError where there is too little of it."""
    import duckdb

    try:
        # one thread: where memory is short, DuckDB's threads end the process
        with duckdb.connect(config={"threads": 1}) as connection:
            yield connection
    except duckdb.OutOfMemoryException as error:
        raise MemoryError(str(error).splitlines()[0]) from None


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
    return pa.concat_tables([pa.Table.from_batches([], SESSIONS), *_parts_of_rows(source)])


def _parts_of_rows(source: RowSource) -> Iterator[pa.Table]:
    """The table of sessions as `of_rows` gives it, in parts."""
    names = source.names()
    of_row = values_of(joined(names.table, KEYS).dictionary_encode().indices)
    n_rows = np.bincount(of_row)
    tokens = np.zeros(len(n_rows), np.int64)
    np.add.at(tokens, of_row, source.tokens())
    info_by_name = cache(lambda name: info_of(source) if name is None else info_named(name))

    def line(session: int, row: int) -> dict[str, Any]:
        its = names[row]
        info = info_by_name(its.source_dataset)
        n_units = len(source.row(row).counts) if source.folder else None
        return {
            **known_of(its.source_dataset or source.name, info, its.subject_id, its.session_id),
            "n_units": n_units,
            "n_bins": int(tokens[session]) // n_units if n_units else None,
            "tokens": int(tokens[session]),
            "segments": int(n_rows[session]),
        }

    firsts = np.unique(of_row, return_index=True)[1]  # the first row of each session
    for start in range(0, len(firsts), TOGETHER):
        lines = [line(start + i, row) for i, row in enumerate(firsts[start : start + TOGETHER].tolist())]
        yield pa.Table.from_pylist(lines, SESSIONS)


def stored(source: RowSource) -> Tables | None:
    """The tables of a data set, if it was built with tables."""
    units = source.units()
    return None if units is None else Tables(source.sessions(), units)


def own_name(source: RowSource) -> str:
    """What the tables of a data set that is not merged call it, whatever its folder is called."""
    if source.folder is None:
        own = stored(source)
        found = _first_name(own.sessions) if own else None
    else:
        path = source.folder / SESSIONS_FILE
        found = _name_in(source.folder, path.stat().st_mtime_ns) if path.is_file() else None
    return found or source.name.rpartition("/")[2]


@lru_cache(maxsize=64)
def _name_in(folder: Path, _written: int) -> str | None:
    """The name in the table of sessions in a folder; read again if it was written again."""
    sessions = read_sessions(folder)
    return None if sessions is None else _first_name(sessions)


def _first_name(sessions: pa.Table) -> str | None:
    name: str | None = sessions["source_dataset"][0].as_py() if len(sessions) else None
    return name


def of(source: RowSource) -> Tables:
    """The tables of a data set: those that it was built with, or else sessions from its rows, and no units."""
    return stored(source) or Tables(source.sessions(), UNITS.empty_table())


def of_component(source: RowSource, names: AllNames, assigned: npt.NDArray[np.uint8], splits: Sequence[str]) -> Parts:
    """The tables of a component as they are in a corpus: with its name there, and the splits of its sessions.

    Sessions of which the corpus has no rows are left out.

    Parameters:
        source: the component; its name is the one in the rows of the corpus.
        names: of its rows.
        assigned: the split of each row, as an index into `splits`; another number if the corpus does not have it.
        splits: of the corpus.

    Raises:
        BadInput: the table of sessions lacks one of which the corpus has rows: it is of another build.
    """
    import pyarrow.compute as pc

    known = joined(names.table, KEYS[1:]).dictionary_encode()
    of_row = values_of(known.indices)
    held = np.zeros(len(known.dictionary) + 1, np.int64)  # the splits of each session, as bits; at the end, of no one
    for i in range(len(splits)):
        held[of_row[assigned == i]] |= 1 << i
    text = ["+".join(sorted(its for i, its in enumerate(splits) if bits >> i & 1)) for bits in range(1 << len(splits))]

    def of_parts(file: str) -> Iterator[pa.Table]:
        lacking = held > 0
        for part in in_parts(source, file):
            nowhere = array_of(np.full(len(part), len(known.dictionary), np.int32))
            sessions = values_of(pc.coalesce(pc.index_in(joined(part, KEYS[1:]), known.dictionary), nowhere))
            lacking[sessions] = False
            of_line = held[sessions]
            chosen = part if of_line.all() else part.take(array_of(np.flatnonzero(of_line)))
            if file == SESSIONS_FILE:
                split = strings(text).take(array_of(of_line[of_line > 0]))
                chosen = chosen.set_column(SESSIONS.get_field_index("split"), SESSIONS.field("split"), split)
            yield _named(chosen, source.name)
        if file == SESSIONS_FILE and lacking.any():
            name = known.dictionary[int(lacking.argmax())].as_py().replace(SEPARATOR, ", ")
            where = source.folder / file if source.folder else source.name
            raise BadInput(where, f"a line of session {name}, of which there are rows", "none", "build it again")

    return Parts(of_parts(SESSIONS_FILE), of_parts(UNITS_FILE))


def lines_of(table: pa.Table, sessions: pa.Table, keys: Sequence[str] = KEYS) -> pa.Array:
    """The numbers of the lines of a table of units, or of names, that are of sessions in a table of sessions."""
    import pyarrow.compute as pc

    return pc.indices_nonzero(pc.is_in(joined(table, keys), joined(sessions, keys)))


def joined(table: pa.Table, columns: Sequence[str]) -> pa.Array:
    """Several names of each line as one string, (lines,); null counts as an empty name."""
    import pyarrow.compute as pc

    separator = strings([SEPARATOR])[0]
    options = pc.JoinOptions(null_handling="replace", null_replacement="")
    return pc.binary_join_element_wise(*(table[name] for name in columns), separator, options=options).combine_chunks()


def _named(table: pa.Table, name: str) -> pa.Table:
    return table.set_column(0, table.schema.field(0), strings([name]).take(array_of(np.zeros(len(table), np.int8))))


def digest(source: RowSource) -> str:
    """SHA-256 of the tables of a data set on this machine; "" if it has none, or is on the Hub.

    The fingerprint of a data set on the Hub names the commit, and so its tables.
    """
    sha = hashlib.sha256()
    for name in (SESSIONS_FILE, UNITS_FILE):
        if source.folder is None or not (source.folder / name).is_file():
            return ""
        with (source.folder / name).open("rb") as file:
            sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()


def differences(corpus: RowSource, components: Iterable[RowSource]) -> list[str]:
    """Compare the tables of a corpus with those of its components.

    Parameters:
        corpus: a merged corpus.
        components: the data sets it was merged from.

    Returns:
        The differences in words.
    """
    import pyarrow.compute as pc

    if not _has_units(corpus):
        return [f"no tables {SESSIONS_FILE} and {UNITS_FILE}"]
    found = []
    names = corpus.names().table
    assigned = np.repeat(np.arange(len(corpus.splits), dtype=np.uint8), [len(its) for its in corpus.splits.values()])
    for component in components:
        if component.folder is None and not _has_units(component):  # of the Hub: merged from a copy on disk
            continue
        its = pc.indices_nonzero(pc.equal(names["source_dataset"], component.name))
        held = AllNames(names.take(its)), assigned[values_of(its)]
        for file, own in zip(SCHEMAS, of_component(component, *held, [*corpus.splits]), strict=True):
            there = (part.filter(pc.equal(part["source_dataset"], component.name)) for part in in_parts(corpus, file))
            if not _same(own, there, SCHEMAS[file]):
                found.append(f"{file}: the lines of {component.name} are not those of the component")
    return found


def _has_units(source: RowSource) -> bool:
    """Whether a data set has a table of units."""
    return (source.folder / UNITS_FILE).is_file() if source.folder else source.units() is not None


def _same(ours: Iterable[pa.Table], theirs: Iterator[pa.Table], schema: pa.Schema) -> bool:
    """Whether two tables of a schema are equal that come in parts, whatever their parts are."""
    ahead = pa.Table.from_batches([], schema)
    for part in ours:
        while len(ahead) < len(part):
            if (more := next(theirs, None)) is None:
                return False
            ahead = pa.concat_tables([ahead, more])
        if not ahead.slice(0, len(part)).equals(part):
            return False
        ahead = ahead.slice(len(part))
    return not len(ahead) and not any(map(len, theirs))
