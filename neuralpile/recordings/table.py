"""Tables with a line for each spike: CSV, TSV or Parquet with a column of units and one of times."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from neuralpile.cli import plural
from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import damage, hdf5, names, text_table
from neuralpile.recordings.hdf5 import Read, Recording, local
from neuralpile.spikes import clock, trains
from neuralpile.spikes.binning import LARGEST_WHOLE
from neuralpile.spikes.session import Options, Session
from neuralpile.spikes.trains import SpikeTrains

KIND = "table (CSV or Parquet)"
COLUMNS = "name the columns: table.count_units(unit=…, time=…)"


def count_units(unit: str = "unit", time: str = "time", seconds_per: str | float = "s") -> Read:
    """The function that counts the spikes of tables, for `build.main`.

    Parameters:
        unit: the column that names each spike's unit: numbers or text.
        time: the column of times.
        seconds_per: the unit of the times: "s", "ms", "us", or a number of seconds, such as 1/30000 for samples.

    Returns:
        A function of a file and options. The session is the file's name.

    Raises:
        Mismatch: `seconds_per` is not a unit of time.

    Example:
        In a preprocess.py:

        >>> read = count_units(unit="neuron", time="t", seconds_per="ms")
        >>> # build.main(__file__, read)
    """
    return partial(_count, unit=unit, time=time, scale=trains.seconds_per(seconds_per))


def _count(recording: Recording, options: Options, unit: str, time: str, scale: float) -> Session:
    path = local(recording)
    try:
        return trains.count(
            read_spike_trains(path, unit, time, scale), options, names.subject(path), names.session(path)
        )
    except Mismatch as error:
        where = "table.count_units(…, seconds_per=…) in preprocess.py, or --seconds_per ms of new_dataset.py"
        raise error.at(path, f"check the unit of the times: {where}") from None


def read_spike_trains(path: Path, unit: str = "unit", time: str = "time", seconds_per: float = 1.0) -> SpikeTrains:
    """Read the spike trains of a table, one for each unit, in ascending order of the units' names.

    Parameters:
        path: a file that ends in .csv, .tsv, .txt or .parquet.
        unit, time: the columns.
        seconds_per: seconds in the unit of the times.

    Raises:
        BadInput: the file is not such a table, lacks a column, or has a line without unit, a damaged name of a unit,
            or a time that is no number.
    """
    table = _read(path, unit, time)
    blank = pc.and_(pc.is_null(table[unit]), pc.is_null(table[time]))
    n_blank = pc.sum(blank).as_py() or 0
    table = table.filter(pc.invert(blank)) if n_blank else table  # spreadsheets end in empty lines
    units, times = table[unit].combine_chunks(), table[time].combine_chunks()
    if not len(times):
        raise BadInput(path, "a line for each spike", "no spike", text_table.EXCLUDE)
    if pa.types.is_dictionary(units.type):
        units = units.dictionary_decode()
    if units.null_count or times.null_count:
        found = f"{plural(units.null_count, 'line')} without unit, {times.null_count:,} without time"
        first = pc.index(pc.or_(pc.is_null(units), pc.is_null(times)), True).as_py() + 1
        raise BadInput(
            path, "a unit and a time in every line", f"{found}, first line {first:,} of the data", "remove these lines"
        )
    if pa.types.is_temporal(times.type):
        raise BadInput(f"{path}, {time}", "seconds as numbers", f"clock times ({times[0]})", text_table.SECONDS)
    if pa.types.is_decimal(times.type):  # as databases write numbers
        times = times.cast(pa.float64())
    if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
        times = text_table.numbers(times.cast(pa.string()), f"{path}, {time}", time)
    if not (pa.types.is_floating(times.type) or pa.types.is_integer(times.type)):
        raise BadInput(f"{path}, {time}", "numbers", str(times.type), COLUMNS)
    if not (pa.types.is_integer(units.type) or pa.types.is_string(units.type) or pa.types.is_large_string(units.type)):
        whole = pa.types.is_floating(units.type) and pc.all(pc.equal(units, pc.round(units))).as_py()
        if not whole or pc.max(pc.abs(units)).as_py() > LARGEST_WHOLE:
            found = f"{units[0]} ({units.type})"
            raise BadInput(f"{path}, {unit}", "whole numbers or text", found, COLUMNS)
        units = units.cast(pa.int64())
    notes = [f"{plural(n_blank, 'line')} without unit and time left out"] if n_blank else []
    if not pa.types.is_integer(units.type):
        notes += text_table.check_names(units, f"{path}, {unit}")
    labels = units.to_numpy(zero_copy_only=False)
    labels = labels.astype(str) if labels.dtype.kind == "O" else labels
    stored = times.to_numpy()
    try:
        trains_of_units = SpikeTrains.from_labels(stored.astype(np.float64) * seconds_per, labels)
    except Mismatch as error:
        raise error.at(path, COLUMNS) from None
    return replace(trains_of_units, notes=notes, step=clock.step(stored) * seconds_per)


def columns(path: Path) -> list[str]:
    """The names of a table's columns.

    Raises:
        BadInput: it is no table, or its columns have no names.
    """
    try:
        if path.suffix.lower() != ".parquet":
            return list(text_table.form(path).names)
        with path.open("rb") as file:
            return list(parquet.read_schema(file).names)
    except (pa.ArrowInvalid, OSError, UnicodeError, KeyError) as error:
        raise _unreadable(path, error) from None


def _read(path: Path, unit: str, time: str) -> pa.Table:
    """Those columns of a file."""
    try:
        if path.suffix.lower() != ".parquet":
            known = text_table.form(path)
            _check(path, known.names, unit, time)
            return text_table.read(path, known, unit, time)
        with path.open("rb") as file:
            head = parquet.ParquetFile(file).metadata
            _check(path, head.schema.to_arrow_schema().names, unit, time)
            if hdf5.is_bomb(head.num_rows * 8, path.stat().st_size):
                found = f"a file of {path.stat().st_size:,} bytes with {head.num_rows:,} lines"
                raise BadInput(path, "a line for each spike", found, COLUMNS)
            return parquet.read_table(file, columns=[unit, time])
    except (pa.ArrowInvalid, OSError, UnicodeError, KeyError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> BadInput:
    if isinstance(error, PermissionError):
        raise error
    return damage.missing(path) if isinstance(error, FileNotFoundError) else damage.explain(path, KIND, error)


def _check(path: Path, found: Sequence[str], *wanted: str) -> None:
    """Check that each wanted column is there once."""
    if not set(wanted) <= set(found):
        raise BadInput(path, f"columns {' and '.join(wanted)}", ", ".join(found) or "none", COLUMNS)
    twice = next((name for name in wanted if found.count(name) > 1), None)
    if twice is not None:
        raise BadInput(path, f"one column {twice}", f"{found.count(twice)}", "rename or remove the others")
