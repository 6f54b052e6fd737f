"""The data sets that the scripts know: reads the `dataset.toml` of every data set's folder.

A data set is a folder `data/<name>`, or a folder of the same kind in the folder that the environment variable
NEURALPILE_DATA names. There is no other list of data sets.
"""

import math
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, get_type_hints

import msgspec

from neuralpile.errors import BadInput

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
# On clusters home folders are small: NEURALPILE_BUILD puts the local builds on another disk.
BUILD = Path(os.environ.get("NEURALPILE_BUILD", ROOT / "build"))
PILE = "neural-pile-primate"

SORTED_UNITS, THRESHOLD_CROSSINGS = "sorted units", "multi-unit threshold crossings"
SIGNALS = (SORTED_UNITS, THRESHOLD_CROSSINGS, "thresholded envelope", "smoothed rates", "trial averages")


def _in(table: str, default: Any = MISSING, key: str = "") -> Any:
    """A field of `DataSetInfo` that stands in this table of `dataset.toml`, under its own name or under `key`."""
    metadata = {"table": table, "key": key}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Animal:
    """An animal, or a person, that one or more subjects of a data set are.

    Animals of several data sets have the same name in each `dataset.toml`.

    Attributes:
        name: the same in every data set.
        subjects: patterns (fnmatch) of the subjects as they stand in the rows.
        source: where the claim is from.
        probable: the claim follows from names and circumstances only.
    """

    name: str
    subjects: tuple[str, ...]
    source: str
    probable: bool = False


@dataclass(frozen=True, kw_only=True)
class DataSetInfo:
    """One data set, as its `dataset.toml` describes it.

    The species and the patterns of the session files (`include`) are required. The folder's name is the data set's.
    Only data sets of the published corpus have the fields of the table [published]; in others `tokens` is None.

    Example:
        >>> info = load("m1-a")
        >>> info.signal, info.tokens
        ('multi-unit threshold crossings', 45410816)
        >>> info.session_group("sub-MonkeyL-held-in-calib_ses-20120924_behavior+ecephys")
        '20120924'
    """

    name: str
    folder: Path  # where dataset.toml and the scripts are

    title: str = _in("", "")  # where there is none, the name
    simulated: bool = _in("", False)

    archive: str = _in("source", "local")  # DANDI, Dryad, Zenodo, OSF, GIN; simulation; local: files of the user's own
    id: str = _in("source", "")
    version: str = _in("source", "")
    url: str = _in("source", "")
    data_dir: str = _in("source", "raw")  # where the session files are: absolute, or relative to `folder`
    include: tuple[str, ...] = _in("source")  # patterns of the names of the session files
    exclude: tuple[str, ...] = _in("source", ())
    packed: tuple[str, ...] = _in("source", ())  # names of the archives (zip, tar.gz) that hold the session files
    measured: str = _in("source", "")  # type of NWB object of session files, if names do not show which they are
    duplicates: tuple[str, ...] = _in("source", ())  # session files that repeat others, for --drop_duplicates
    files: int | None = _in("source", None)  # number of session files
    bytes: int | None = _in("source", None)  # their size
    streamed: int | None = _in("source", None)  # bytes of them, about, that --stream reads

    species: tuple[str, ...] = _in("recording")
    area: str = _in("recording", "")
    task: str = _in("recording", "")
    signal: str = _in("recording", "")  # one of SIGNALS, or "" where it is not known
    bin_width: float = _in("recording", 0.02)  # seconds; the default of --bin_size
    subject: str = _in("recording", "")  # who was recorded in all recordings; "" for each recording's own subject
    own_bin: float | None = _in("recording", None)  # seconds; width of the bins in which the recordings come

    subjects: int | None = _in("published", None)
    subject_ids: tuple[str, ...] = _in("published", ())  # as they stand in the rows
    sessions: int | None = _in("published", None)
    session_parts: tuple[str, ...] = _in("published", ())  # endings of session ids where several files are one session
    tokens: int | None = _in("published", None)
    units: tuple[int, int] | None = _in("published", None)  # fewest and most in a session
    units_seen: bool = _in("published", False)  # `units` is of some sessions only: others can have fewer, or more

    # What belongs together and stays on one side of a test split; see `subject_group` and `session_group`.
    subject_pattern: str = _in("grouping", "", key="subject")
    session_pattern: str = _in("grouping", "", key="session")

    animals: tuple[Animal, ...] = _in("", ())

    licence: str = _in("licence", "not stated")
    restricted: bool = _in("licence", False)  # the terms forbid, or may forbid, redistribution of rows
    caveat: str = _in("licence", "")
    paper: str = _in("citation", "")
    paper_doi: str = _in("citation", "")
    data_citation: str = _in("citation", "")

    @property
    def heading(self) -> str:
        """The name, and the title where there is one."""
        return self.name if self.title == self.name else f"{self.name}: {self.title}"

    @property
    def recordings(self) -> Path:
        """The folder of the session files, unless the command line names another."""
        return self.folder / Path(self.data_dir).expanduser()

    def wants(self, filename: str, duplicates: bool = True) -> bool:
        """Whether a file of this name is a session file; without `duplicates`, not those that repeat others.

        Case does not matter: `x.NWB` is an NWB file.
        """
        exclude = self.exclude if duplicates else self.exclude + self.duplicates
        name = PurePosixPath(filename.lower())
        return any(name.match(p.lower()) for p in self.include) and not any(name.match(p.lower()) for p in exclude)

    def session_of(self, session_id: str) -> str:
        """The session that a row's `session_id` is of, or a part of, as `sessions` counts them."""
        ending = next((part for part in self.session_parts if session_id.endswith(part)), "")
        return session_id.removesuffix(ending)

    def subject_group(self, subject_id: str) -> str:
        """The animal or person of a row, for splits: rows of one group stay on one side."""
        return _matched(self.subject_pattern, subject_id)

    def animal(self, subject_id: str) -> str:
        """The animal or person that a row's subject is, by one name across data sets.

        A subject that `dataset.toml` does not name is an animal of its own: "<data set>/<subject>".

        Example:
            >>> load("m2").animal("sub-MonkeyN-held-in-calib"), load("temmar").animal("sub-Monkey-N")
            ('chestek-n', 'chestek-n')
        """
        known = (a.name for a in self.animals if any(fnmatchcase(subject_id, pattern) for pattern in a.subjects))
        return next(known, f"{self.name}/{self.subject_group(subject_id)}")

    def session_group(self, session_id: str) -> str:
        """The session of a row, for splits: of one subject, rows of one group stay on one side."""
        return _matched(self.session_pattern, session_id)


def _matched(pattern: str, name: str) -> str:
    """What a regular expression finds in a name: the group that matched, or else all of the match, or else the name."""
    found = re.search(pattern, name) if pattern else None
    return str(found[found.lastindex or 0]) if found else name


def from_root(path: Path) -> Path:
    """A path as commands and pages show it: from the root of the checkout, if it is in there."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def load(name: str) -> DataSetInfo:
    """The data set of this name.

    Raises:
        BadInput: there is no such data set, or its `dataset.toml` has faults.
    """
    folder = _folders().get(name)
    if folder is None:
        raise BadInput(DATA / name, "a data set", "none of this name", f"choose from {', '.join(names())}")
    return parse(name, folder / "dataset.toml")


def names() -> list[str]:
    """The names of all data sets, in alphabetic order."""
    return sorted(_folders())


def _folders() -> dict[str, Path]:
    """The folders of all data sets by their names. Raises BadInput where two have one name."""
    own = Path(os.environ["NEURALPILE_DATA"]).expanduser() if os.environ.get("NEURALPILE_DATA") else DATA
    found: dict[str, Path] = {}
    for folder in (path.parent for root in dict.fromkeys([DATA, own]) for path in root.glob("*/dataset.toml")):
        if found.setdefault(folder.name, folder) != folder:
            raise BadInput(folder, "a name of its own", f"that of {found[folder.name]}", "rename the folder")
    return found


def recorded() -> list[DataSetInfo]:
    """The recorded (not simulated) data sets: the published ones, largest first, then the user's own by name."""
    infos = [info for info in map(load, names()) if not info.simulated]
    return sorted(infos, key=lambda info: -(info.tokens or 0))


def published() -> list[DataSetInfo]:
    """The data sets of the published corpus, largest first."""
    return [info for info in recorded() if info.tokens is not None]


def parse(name: str, path: Path) -> DataSetInfo:
    """Read one `dataset.toml`.

    Raises:
        BadInput: it is not TOML, lacks a required field, or has unknown fields or wrong values. All faults are listed.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not TOML, or not UTF-8
        raise BadInput(path, "valid TOML", str(error), "correct the file") from None
    values: dict[str, Any] = {}
    faults: list[str] = []
    top = {"": document} | {table: document.pop(table) for table in _TABLES if isinstance(document.get(table), dict)}
    for (table, key), (known, hint) in _layout().items():
        place = f"{key} in [{table}]" if table else key
        if key in (content := top.get(table, {})):
            value = content.pop(key)
            if _has_control_codes(value):
                faults.append(f"{place} holds control codes")
                continue
            try:
                values[known.name] = msgspec.convert(value, hint)
            except msgspec.ValidationError:
                faults.append(f"{place} is {value!r} ({_toml_type(value)}), not {_WORDS[hint]}")
        elif known.default is MISSING:
            faults.append(f"{place} is missing ({_WORDS[hint]})")
    for table, content in top.items():
        faults += [
            f"{key} in [{table}] is not a field" if table else f"{key} is not a field or a table" for key in content
        ]
    info = None if faults else DataSetInfo(name=name, folder=path.parent, **({"title": name} | values))
    faults += _implausible(info) if info else []
    if info is None or faults:
        found = f"{len(faults)} fault{'s'[: len(faults) != 1]}: {'; '.join(faults)}"
        raise BadInput(path, "the fields of docs/dataset-toml.md", found, "correct the file")
    return info


_TABLES = ("source", "recording", "published", "grouping", "licence", "citation")


@cache
def _layout() -> dict[tuple[str, str], tuple[Field[Any], Any]]:
    """The fields of `DataSetInfo` that stand in dataset.toml and their types, by table and key."""
    hints = get_type_hints(DataSetInfo)
    return {
        (f.metadata["table"], f.metadata["key"] or f.name): (f, hints[f.name])
        for f in fields(DataSetInfo)
        if f.metadata
    }


def _has_control_codes(value: Any) -> bool:
    """Whether a value of TOML holds texts that a terminal takes for commands; line ends and tabs are none."""
    if isinstance(value, dict | list):
        return any(map(_has_control_codes, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value if c not in "\n\t")


_WORDS: dict[Any, str] = {
    str: "a string",
    bool: "true or false",
    int | None: "an integer",
    float: "a number",
    float | None: "a number",
    tuple[str, ...]: "a list of strings",
    tuple[int, int] | None: "a list of two integers",
    tuple[Animal, ...]: "a list of tables with name, subjects and source",
}


def _toml_type(value: Any) -> str:
    names = {str: "a string", bool: "a boolean", int: "an integer", float: "a float", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")


def _implausible(info: DataSetInfo) -> Iterator[str]:
    """Faults of values that are of the right types."""
    for key in ("include", "species"):
        if not getattr(info, key):
            yield f"{key} is an empty list"
    for key, number in (("bin_width", info.bin_width), ("own_bin", info.own_bin)):
        if number is not None and not 0 < number < math.inf:
            yield f"{key} in [recording] is {number}, not a number above 0"
    for (table, key), (known, hint) in _layout().items():
        if hint == int | None and (getattr(info, known.name) or 0) < 0:
            yield f"{key} in [{table}] is {getattr(info, known.name)}, below 0"
    if info.units and not 0 <= info.units[0] <= info.units[1]:
        yield f"units in [published] is {list(info.units)}, not the fewest and the most"
    if info.signal not in ("", *SIGNALS):
        yield f"signal in [recording] is {info.signal!r}, not one of {', '.join(SIGNALS)}"
    if info.url and not info.url.startswith(("https://", "http://")):
        yield f"url in [source] is {info.url!r}, not an http(s) address"
    for key in ("subject", "session"):
        pattern = getattr(info, f"{key}_pattern")
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            yield f"{key} in [grouping] is {pattern!r}, not a regular expression: {error}"
    published = {key: getattr(info, key) for key in ("subjects", "sessions", "tokens")}
    for key, number in published.items():
        if number is None and any(other is not None for other in published.values()):
            yield f"{key} in [published] is missing (an integer)"
