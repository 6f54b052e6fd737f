"""Tables with a line for each spike: CSV, TSV or Parquet with a column of units and one of times."""

from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import damage, hdf5, names
from neuralpile.recordings.hdf5 import Read, Recording, local
from neuralpile.spikes import trains
from neuralpile.spikes.binning import LARGEST_WHOLE
from neuralpile.spikes.session import Options, Session
from neuralpile.spikes.trains import SpikeTrains

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
        BadInput: the file is not such a table, lacks a column, or has a line without unit or a time that is no number.
    """
    table = _read(path, [unit, time])
    units, times = table[unit].combine_chunks(), table[time].combine_chunks()
    if pa.types.is_dictionary(units.type):
        units = units.dictionary_decode()
    if units.null_count or times.null_count:
        found = f"{units.null_count:,} lines without unit, {times.null_count:,} without time"
        raise BadInput(path, "a unit and a time in every line", found, "remove these lines")
    if pa.types.is_decimal(times.type):  # as databases write numbers
        times = times.cast(pa.float64())
    if not (pa.types.is_floating(times.type) or pa.types.is_integer(times.type)):
        raise BadInput(f"{path}, {time}", "numbers", str(times.type), COLUMNS)
    if not (pa.types.is_integer(units.type) or pa.types.is_string(units.type) or pa.types.is_large_string(units.type)):
        whole = pa.types.is_floating(units.type) and pc.all(pc.equal(units, pc.round(units))).as_py()
        if not whole or pc.max(pc.abs(units)).as_py() > LARGEST_WHOLE:
            raise BadInput(f"{path}, {unit}", "whole numbers or text", str(units.type), COLUMNS)
        units = units.cast(pa.int64())
    labels = units.to_numpy(zero_copy_only=False)
    labels = labels.astype(str) if labels.dtype.kind == "O" else labels
    try:
        return SpikeTrains.from_labels(times.cast(pa.float64(), safe=False).to_numpy() * seconds_per, labels)
    except Mismatch as error:
        raise error.at(path, COLUMNS) from None


def _read(path: Path, columns: list[str]) -> pa.Table:
    """Those columns of a file."""
    try:
        if path.suffix.lower() == ".parquet":
            with path.open("rb") as file:
                head = parquet.ParquetFile(file).metadata
                names = head.schema.to_arrow_schema().names
                if hdf5.is_bomb(head.num_rows * 8, path.stat().st_size):
                    found = f"a file of {path.stat().st_size:,} bytes with {head.num_rows:,} lines"
                    raise BadInput(path, "a line for each spike", found, COLUMNS)
                table = parquet.read_table(file, columns=columns) if set(columns) <= set(names) else None
        else:
            delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
            with path.open("rb") as file:  # pyarrow opens no path that is not UTF-8
                everything = csv.read_csv(file, parse_options=csv.ParseOptions(delimiter=delimiter))
            everything = everything.rename_columns([name.strip() for name in everything.column_names])
            names = everything.column_names
            table = everything.select(columns) if set(columns) <= set(names) else None
    except FileNotFoundError:
        raise damage.missing(path) from None
    except (pa.ArrowInvalid, OSError, UnicodeError, KeyError) as error:
        if isinstance(error, PermissionError):
            raise
        raise damage.explain(path, "table (CSV or Parquet)", error) from None
    if table is None:
        raise BadInput(path, f"columns {' and '.join(columns)}", ", ".join(names) or "none", COLUMNS)
    return table
