"""Find out what a folder of recordings holds and how to read it; `new_dataset.py` writes a data set from the answer.

Each function looks at the first recordings of a folder in one format and returns what it found.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from pyarrow import csv, parquet

from neuralpile.errors import BadInput
from neuralpile.recordings import matlab, neo, nwb, phy
from neuralpile.spikes.trains import QUALITY as QUALITY_LABELS

LOOKED_AT = 3  # recordings
UNIT_COLUMNS = ("unit", "unit_id", "neuron", "neuron_id", "cluster", "cluster_id", "cell", "cell_id", "channel")
TIME_COLUMNS = ("time", "time_s", "spike_time", "spike_times", "times", "t", "timestamp", "timestamps")
CELLS = ("spikes.times", "spike_times", "spikes")  # names of cell arrays of spike times
# Columns of NWB units tables that say how well a unit is isolated, and their labels, the lowest first
QUALITY = {
    "quality": QUALITY_LABELS,
    "KSLabel": ("mua", "good"),
    "group": QUALITY_LABELS,
    "is_sua": ("0", "1"),
}


@dataclass(frozen=True)
class Layout:
    """How the recordings of a folder are read.

    Attributes:
        include: patterns of the names of the session files, one file for each session.
        module: of `neuralpile.recordings`, imported by the script.
        read: the script's expression for the function that reads a recording.
        sample: a session file.
        qualities: the script's expression for the choices of `--min_quality`; "" for none.
        setup: lines of the script in front of its last two; "" for none.
        offers: further options that the data set can offer.
        species: as the files state it; "" if they do not.
    """

    include: tuple[str, ...]
    module: str
    read: str
    sample: Path
    qualities: str = ""
    setup: str = ""
    offers: tuple[str, ...] = ()
    species: str = ""


def find_nwb(data_dir: Path) -> Layout:
    """NWB files with a units table. Raises BadInput if there are none."""
    sample = _first(data_dir, ["*.nwb"], nwb.read_spike_trains)
    with nwb.open_nwb(sample) as file:
        species = _text(file.get("general/subject/species"))
        table = next(file[place] for place in nwb.UNITS_TABLES if place in file)
        quality = next((name for name in QUALITY if name in table), "")
        offers = ("mask_unobserved",) if "obs_intervals" in table else ()
    if not quality:
        return Layout(("*.nwb",), "nwb", "nwb.count_units", sample, offers=offers, species=species)
    labels = ", ".join(f'"{label}"' for label in QUALITY[quality])
    setup = f'QUALITY = nwb.Quality("{quality}", ({labels}))  # labels of the units table, the lowest first\n'
    read = "partial(nwb.count_units, quality=QUALITY)"
    return Layout(("*.nwb",), "nwb", read, sample, "QUALITY.levels", setup, offers, species)


def find_phy(data_dir: Path) -> Layout:
    """Folders of Kilosort or phy. Raises BadInput if there are none."""
    saved, all_of_them = (
        {path.parent for path in _files(data_dir, [name])} for name in (phy.SESSION_FILE, phy.UNSAVED)
    )
    include = (phy.SESSION_FILE,) if saved or not all_of_them else (phy.UNSAVED,)
    if saved and all_of_them - saved:  # the reader decides for each folder
        include = (phy.TIMES,)
    sample = _first(data_dir, include, lambda path: phy.read_spike_trains(path.parent))
    has_labels = bool(phy.label_files(sample.parent))
    return Layout(include, "phy", "phy.count_units", sample, "phy.QUALITY" if has_labels else "")


def find_pynapple(data_dir: Path) -> Layout:
    """Files that pynapple saved. Raises BadInput if there are none."""
    from neuralpile.recordings import pynapple

    sample = _first(data_dir, ["*.npz"], pynapple.read_spike_trains)
    has_labels = pynapple.read_spike_trains(sample).quality is not None
    return Layout(("*.npz",), "pynapple", "pynapple.count_units", sample, "pynapple.QUALITY" if has_labels else "")


def find_table(data_dir: Path, unit: str | None, time: str | None, seconds_per: str) -> Layout:
    """Tables with a line for each spike.

    Parameters:
        data_dir: their folder.
        unit, time: the columns; None to look for usual names.
        seconds_per: the unit of the times: "s", "ms", "us", or seconds as a number.

    Raises:
        BadInput: there are no tables, or the columns have other names.
    """
    sample = _first(data_dir, ["*.parquet", "*.csv", "*.tsv"], _columns)
    columns = _columns(sample)
    names = [_column(sample, columns, unit, UNIT_COLUMNS, "unit"), _column(sample, columns, time, TIME_COLUMNS, "time")]
    read = f"table.count_units(unit={_quoted(names[0])}, time={_quoted(names[1])}, seconds_per={_unit(seconds_per)})"
    return Layout((f"*{sample.suffix}",), "table", read, sample)


def find_matlab(data_dir: Path, variable: str | None, seconds_per: str) -> Layout:
    """MATLAB files with a cell array of spike times, one cell for each unit.

    Parameters:
        data_dir: their folder.
        variable: the cell array; None to look for usual names.
        seconds_per: the unit of the times: "s", "ms", "us", or seconds as a number.

    Raises:
        BadInput: there are no such files, or none of the names is a cell array.
    """
    sample = _first(data_dir, ["*.mat"], lambda _: None)
    errors = []
    for name in [variable] if variable else CELLS:
        try:
            matlab.read_spike_trains(sample, name)
        except BadInput as error:
            errors.append(error)
            continue
        read = f"matlab.count_units({_quoted(name)}, seconds_per={_unit(seconds_per)})"
        return Layout(("*.mat",), "matlab", read, sample)
    if variable:
        raise errors[0]
    raise BadInput(sample, f"a cell array {', '.join(CELLS)}", "none of these", "name it with --variable")


def find_neo(data_dir: Path) -> Layout:
    """Recordings that neo can read. Raises BadInput if there are none."""
    suffixes = Counter(path.suffix for path in _files(data_dir, ["*.*"]))
    errors = []
    for suffix in sorted(suffixes, key=lambda suffix: (-suffixes[suffix], suffix)):
        pattern = f"*{suffix}"
        try:
            sample = _first(data_dir, [pattern], neo.read_spike_trains)
        except BadInput as error:
            errors.append(error)
            continue
        # A format that is a folder of files needs one file name that stands for the folder.
        include = sample.name if neo.is_folder_format(sample) else pattern
        return Layout((include,), "neo", "neo.count_units", sample)
    raise errors[0] if errors else BadInput(data_dir, "recordings", "no files", "give another --data_dir")


def _files(data_dir: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """The files below a folder that match a pattern, pattern by pattern."""
    for pattern in patterns:
        yield from (path for path in sorted(data_dir.rglob(pattern)) if path.is_file() and path.name[:2] != "._")


def _first(data_dir: Path, patterns: Sequence[str], read: Callable[[Path], object]) -> Path:
    """The first file that can be read. If none can, raises the first file's BadInput; also if there is no file."""
    errors: list[BadInput] = []
    for path in _files(data_dir, patterns):
        try:
            read(path)
        except BadInput as error:
            errors.append(error)
            if len(errors) == LOOKED_AT:
                break
            continue
        return path
    if errors:
        raise errors[0]
    found = "no such file in it" if data_dir.is_dir() else "no such folder"
    raise BadInput(data_dir, f"files {' or '.join(patterns)}", found, "give another --data_dir")


def _columns(path: Path) -> list[str]:
    """The names of a table's columns."""
    try:
        with path.open("rb") as file:
            if path.suffix.lower() == ".parquet":
                return list(parquet.read_schema(file).names)
            options = csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            with csv.open_csv(file, parse_options=options) as reader:
                return list(reader.schema.names)
    except (OSError, ValueError) as error:
        raise BadInput(path, "a table (CSV or Parquet)", str(error), "correct the file, or remove it") from None


def _column(path: Path, columns: Sequence[str], given: str | None, usual: Sequence[str], what: str) -> str:
    """The column that was given, or the first with a usual name. Raises BadInput if there is none."""
    wanted = [given] if given else usual
    lower = {name.lower(): name for name in reversed(columns)}
    found = next((lower[name.lower()] for name in wanted if name.lower() in lower), None)
    if found is None:
        raise BadInput(path, f"a column {' or '.join(wanted)}", ", ".join(columns), f"name it with --{what}")
    return found


def _unit(seconds_per: str) -> str:
    """A unit of time as it stands in the script: a name in quotes, or a number."""
    try:
        return repr(float(seconds_per))
    except ValueError:
        return _quoted(seconds_per)


def _quoted(text: str) -> str:
    """A text as Python source."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if text.isprintable() else repr(text)


def _text(value: object) -> str:
    """A text dataset's value; "" if it is none."""
    if not isinstance(value, h5py.Dataset) or value.shape is None:
        return ""
    found = _texts(value)
    return found[0] if found else ""


def _texts(column: h5py.Dataset) -> list[str]:
    """The values of a text dataset; none if it is not text or not whole."""
    try:
        values = np.ravel(column.asstr()[()]) if h5py.check_string_dtype(column.dtype) else np.empty(0, str)
    except (OSError, TypeError, ValueError):
        return []
    return [" ".join(str(value).split()) for value in values]
