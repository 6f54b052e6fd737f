"""Find out what a folder of recordings holds and how to read it; `new_dataset.py` writes a data set from the answer.

Each function looks at the first recordings of a folder in one format and returns what it found.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

import h5py
import numpy as np

from neuralpile import files
from neuralpile.cli import plural
from neuralpile.errors import BadInput
from neuralpile.recordings import matlab, neo, nwb, phy, table
from neuralpile.spikes.trains import QUALITY as QUALITY_LABELS

LOOKED_AT = 10  # recordings of each pattern
UNIT_COLUMNS = ("unit", "unit_id", "neuron", "neuron_id", "cluster", "cluster_id", "cell", "cell_id", "channel")
TIME_COLUMNS = ("time", "spike_time", "spike_times", "times", "t", "timestamp", "timestamps")
# Ends of columns' names that say in what unit their times are: time_ms, Time (s)
TIME_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "µs", "μs", "usec", "usecs", "microsecond", "microseconds"), "us"),
}
UNIT_OF_NAME = re.compile(r"(.+?)(?:[\s_]*[\[(]\s*(\w+)\s*[\])]|[\s_]+(" + "|".join(TIME_UNITS) + "))", re.IGNORECASE)
TABLES = ("*.parquet", "*.csv", "*.tsv", "*.txt")
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
        species: all that the files state.
        notes: what a user should know of the folder: files that cannot be read, for example.
    """

    include: tuple[str, ...]
    module: str
    read: str
    sample: Path
    qualities: str = ""
    setup: str = ""
    offers: tuple[str, ...] = ()
    species: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_nwb(data_dir: Path) -> Layout:
    """NWB files with a units table. Raises BadInput if there are none."""
    sample, notes = _first(data_dir, ["*.nwb"], nwb.read_spike_trains)
    species: set[str] = set()
    labels: Counter[str] = Counter()
    offers: set[str] = set()
    for path in _files(data_dir, ["*.nwb"]):  # any of them may differ from the first
        try:
            with nwb.open_nwb(path) as file:
                species.add(_text(file.get("general/subject/species")))
                table_of_units = next(file[place] for place in nwb.UNITS_TABLES if place in file)
                labels.update(name for name in QUALITY if name in table_of_units)
                offers |= {"mask_unobserved"} if "obs_intervals" in table_of_units else set()
        except Exception:  # h5py raises errors of many kinds; the build names the file
            continue
    quality = next((name for name in QUALITY if labels[name] == max(labels.values())), "") if labels else ""
    plain = Layout(
        ("*.nwb",), "nwb", "nwb.count_units", sample, "", "", tuple(offers), tuple(sorted(species - {""})), notes
    )
    if not quality:
        return plain
    levels = ", ".join(f'"{label}"' for label in QUALITY[quality])
    setup = f'QUALITY = nwb.Quality("{quality}", ({levels}))  # labels of the units table, the lowest first\n'
    return replace(plain, read="partial(nwb.count_units, quality=QUALITY)", qualities="QUALITY.levels", setup=setup)


def find_phy(data_dir: Path) -> Layout:
    """Folders of Kilosort or phy. Raises BadInput if there are none."""
    saved, all_of_them = (
        {path.parent for path in _files(data_dir, [name])} for name in (phy.SESSION_FILE, phy.UNSAVED)
    )
    include = (phy.SESSION_FILE,) if saved or not all_of_them else (phy.UNSAVED,)
    if saved and all_of_them - saved:  # the reader decides for each folder
        include = (phy.TIMES,)
    sample, notes = _first(data_dir, include, lambda path: phy.read_spike_trains(path.parent))
    has_labels = any(phy.has_labels(folder) for folder in saved | all_of_them)
    return Layout(include, "phy", "phy.count_units", sample, "phy.QUALITY" if has_labels else "", notes=notes)


def find_pynapple(data_dir: Path) -> Layout:
    """Files that pynapple saved. Raises BadInput if there are none."""
    from neuralpile.recordings import pynapple

    sample, notes = _first(data_dir, ["*.npz"], pynapple.read_spike_trains)
    has_labels = pynapple.read_spike_trains(sample).quality is not None
    labels = "pynapple.QUALITY" if has_labels else ""
    return Layout(("*.npz",), "pynapple", "pynapple.count_units", sample, labels, notes=notes)


def find_table(data_dir: Path, unit: str | None, time: str | None, seconds_per: str | None) -> Layout:
    """Tables with a line for each spike.

    Parameters:
        data_dir: their folder.
        unit, time: the columns; None to look for usual names.
        seconds_per: the unit of the times: "s", "ms", "us", or seconds as a number; None for the one in the name of
            the column (`time_ms`), else "s".

    Raises:
        BadInput: there are no tables, or the columns have other names.
    """

    def names(path: Path) -> tuple[str, str]:
        columns = table.columns(path)
        return _column(path, columns, unit, UNIT_COLUMNS, "unit"), _column(path, columns, time, TIME_COLUMNS, "time")

    sample, notes = _first(data_dir, TABLES, lambda path: table.read_spike_trains(path, *names(path)))
    kind = sample.suffix.lower()
    others = Counter(suffix for path in _files(data_dir, TABLES) if (suffix := path.suffix.lower()) != kind)
    notes += tuple(f"{plural(n, f'file *{kind}', f'files *{kind}')} not taken" for kind, n in sorted(others.items()))
    of_unit, of_time = names(sample)
    in_name = _plain(of_time)[1]
    if in_name and not seconds_per:
        notes += (f"times are in {in_name}, as the name of the column says: {of_time}",)
    scale = _unit(seconds_per or in_name or "s")
    read = f"table.count_units(unit={_quoted(of_unit)}, time={_quoted(of_time)}, seconds_per={scale})"
    return Layout((f"*{kind}",), "table", read, sample, notes=notes)


def find_matlab(data_dir: Path, variable: str | None, seconds_per: str) -> Layout:
    """MATLAB files with a cell array of spike times, one cell for each unit.

    Parameters:
        data_dir: their folder.
        variable: the cell array; None to look for usual names.
        seconds_per: the unit of the times: "s", "ms", "us", or seconds as a number.

    Raises:
        BadInput: there are no such files, or none of the names is a cell array.
    """
    names = [variable] if variable else CELLS

    def cells(path: Path) -> str:
        """The first of the names that is a cell array of the file."""
        errors = []
        for name in names:
            try:
                matlab.read_spike_trains(path, name)
            except BadInput as error:
                errors.append(error)
            else:
                return name
        if variable:
            raise errors[0]
        raise BadInput(path, f"a cell array {', '.join(CELLS)}", "none of these", "name it with --variable")

    sample, notes = _first(data_dir, ["*.mat"], cells)
    read = f"matlab.count_units({_quoted(cells(sample))}, seconds_per={_unit(seconds_per)})"
    return Layout(("*.mat",), "matlab", read, sample, notes=notes)


def find_neo(data_dir: Path) -> Layout:
    """Recordings that neo can read. Raises BadInput if there are none."""
    suffixes = Counter(path.suffix.lower() for path in _files(data_dir, ["*.*"]))
    errors = []
    for suffix in sorted(suffixes, key=lambda suffix: (-suffixes[suffix], suffix)):
        pattern = f"*{suffix}"
        try:
            sample, notes = _first(data_dir, [pattern], neo.read_spike_trains)
        except BadInput as error:
            errors.append(error)
            continue
        # A format that is a folder of files needs one file name that stands for the folder.
        include = sample.name if neo.is_folder_format(sample) else pattern
        return Layout((include,), "neo", "neo.count_units", sample, notes=notes)
    raise errors[0] if errors else BadInput(data_dir, "recordings", "no files", "give another --data_dir")


def _files(data_dir: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """The files below a folder that match a pattern in any case, as the build's do, pattern by pattern."""
    found = sorted(path for path in files.below(data_dir) if path.is_file())
    for pattern in patterns:
        yield from (path for path in found if fnmatchcase(path.name.lower(), pattern.lower()))


def _first(data_dir: Path, patterns: Sequence[str], read: Callable[[Path], object]) -> tuple[Path, tuple[str, ...]]:
    """The first file that can be read, and a note on each before it that cannot.

    If none can, raises the first file's BadInput; also if there is no file.
    """
    errors: list[BadInput] = []
    for pattern in patterns:
        for path in islice(_files(data_dir, [pattern]), LOOKED_AT):
            try:
                read(path)
            except BadInput as error:
                errors.append(error)
            else:
                return path, tuple(f"not taken as an example: {error}" for error in errors)
    if errors:
        raise errors[0]
    do = f"give its folder, {data_dir.parent}" if data_dir.is_file() else "give another --data_dir, or another --from"
    raise BadInput(data_dir, f"files {' or '.join(patterns)}", _kinds_of_files(data_dir), do)


def _kinds_of_files(data_dir: Path) -> str:
    """What a folder without recordings holds, in words."""
    if not data_dir.is_dir():
        return "a file" if data_dir.exists() else "no such folder"
    kinds = Counter(path.suffix or path.name for path in _files(data_dir, ["*"]))
    others = ", ".join(f"{n:,} *{kind}" for kind, n in kinds.most_common(4))
    return f"no such file in it, but {others}" if others else "no file in it"


def _column(path: Path, columns: Sequence[str], given: str | None, usual: Sequence[str], what: str) -> str:
    """The column that was given, or the first with a usual name. Raises BadInput if there is none."""
    if given in columns:
        return str(given)
    wanted = [given] if given else usual
    plain = {_plain(name)[0]: name for name in reversed(columns)}
    found = next((plain[_plain(name)[0]] for name in wanted if _plain(name)[0] in plain), None)
    if found is None:
        expected = f"a line for each spike, and a column {' or '.join(wanted)}"
        raise BadInput(path, expected, f"columns {', '.join(columns)}", f"name it with --{what}")
    return found


def _plain(name: str) -> tuple[str, str]:
    """The name of a column without case and separators, and the unit of time in it: "Spike Time (ms)" is
    ("spiketime", "ms")."""
    found = UNIT_OF_NAME.fullmatch(name.strip())
    unit = TIME_UNITS.get((found[2] or found[3]).casefold(), "") if found else ""
    return re.sub(r"[\W_]+", "", found[1] if found else name).casefold(), unit


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
