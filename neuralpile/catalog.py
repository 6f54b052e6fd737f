"""What data sets there are: reads the `dataset.toml` of every folder under `data/`.

Nothing else in the project has a list of data sets. `python -m neuralpile.readme_tables` writes the table in the
README anew (`make table`).
"""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from neuralpile.errors import BadInput

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
# Clusters have small home folders: NEURALPILE_BUILD puts the local builds on another disk.
BUILD = Path(os.environ.get("NEURALPILE_BUILD", ROOT / "build"))
PILE = "neural-pile-primate"


@dataclass(frozen=True)
class DataSetInfo:
    """One data set, as its `dataset.toml` describes it. The published numbers are those of the published corpus."""

    name: str
    title: str
    simulated: bool

    archive: str  # "DANDI", "Dryad", "Zenodo", "OSF", "GIN"; "simulation" for the simulated ones
    id: str
    version: str
    url: str
    include: tuple[str, ...]  # file name patterns of the session files that are used
    exclude: tuple[str, ...]
    packed: tuple[str, ...]  # names of the archives (zip, tar.gz) that hold them, where they come in such
    measured: str  # the type of NWB object by which DANDI's metadata tell the files that are used, where names do not
    duplicates: tuple[str, ...]  # of those, what repeats others: left out with --drop_duplicates
    files: int | None  # session files used
    bytes: int | None  # their size
    streamed: int | None  # about how many of these bytes are spikes, where they can be read in place

    species: tuple[str, ...]
    subjects: int
    subject_ids: tuple[str, ...]  # as they stand in the rows
    sessions: int
    session_parts: tuple[str, ...]  # endings of session ids in the rows, where several files are one session
    tokens: int
    units: tuple[int, int] | None  # fewest and most in a session
    units_seen: bool  # of the sessions that were seen only: others can have fewer, or more
    area: str
    task: str
    bin_width: float  # seconds

    licence: str
    restricted: bool  # terms that forbid or may forbid passing the rows on
    caveat: str
    paper: str
    paper_doi: str
    data_citation: str

    @property
    def folder(self) -> Path:
        """Where its scripts are."""
        return DATA / self.name

    def wants(self, filename: str, duplicates: bool = True) -> bool:
        """Whether a file of this name is one of the session files; `duplicates` repeat others, and can be left out."""
        exclude = self.exclude if duplicates else self.exclude + self.duplicates
        return any(Path(filename).match(p) for p in self.include) and not any(Path(filename).match(p) for p in exclude)

    def session_of(self, session_id: str) -> str:
        """The session that a row's `session_id` is of, or a part of, as `sessions` counts them."""
        ending = next((part for part in self.session_parts if session_id.endswith(part)), "")
        return session_id.removesuffix(ending)


# Where the fields stand in dataset.toml: table -> field -> (type, default); `...` where there is no default.
LAYOUT: dict[str, dict[str, tuple[type, object]]] = {
    "": {"title": (str, ...), "simulated": (bool, False)},
    "source": {
        "archive": (str, ...),
        "id": (str, ...),
        "version": (str, ...),
        "url": (str, ...),
        "include": (tuple, ...),
        "exclude": (tuple, ()),
        "packed": (tuple, ()),
        "measured": (str, ""),
        "duplicates": (tuple, ()),
        "files": (int, None),
        "bytes": (int, None),
        "streamed": (int, None),
    },
    "recording": {
        "species": (tuple, ...),
        "subjects": (int, ...),
        "subject_ids": (tuple, ...),
        "sessions": (int, ...),
        "session_parts": (tuple, ()),
        "tokens": (int, ...),
        "units": (tuple, None),
        "units_seen": (bool, False),
        "area": (str, ...),
        "task": (str, ...),
        "bin_width": (float, ...),
    },
    "licence": {"licence": (str, ...), "restricted": (bool, False), "caveat": (str, "")},
    "citation": {"paper": (str, ...), "paper_doi": (str, ""), "data_citation": (str, ...)},
}


def load(name: str) -> DataSetInfo:
    """The data set of this name.

    Raises BadInput where there is no such folder, or where its `dataset.toml` lacks a field, has an unknown one,
    or one of another type.
    """
    path = DATA / name / "dataset.toml"
    if not path.is_file():
        raise BadInput(path, "a data set", "none of this name", f"choose from {', '.join(names())}")
    return parse(name, path)


def parse(name: str, path: Path) -> DataSetInfo:
    """Read one `dataset.toml`. Raises BadInput as `load` does."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(path, "valid TOML", str(error), "mend the file") from None
    values: dict[str, object] = {}
    for table, fields in LAYOUT.items():
        content = dict(document.pop(table, {})) if table else {key: document.pop(key, ...) for key in fields}
        for field, (kind, default) in fields.items():
            value = content.pop(field, ...)
            value = default if value is ... else value
            if value is ...:
                raise BadInput(path, f"{field} in [{table}]", "none", "add it")
            if kind is tuple and isinstance(value, list):
                value = tuple(value)
            if value is not default and not isinstance(value, kind):
                raise BadInput(path, f"{field} to be a {kind.__name__}", repr(value), "mend it")
            values[field] = value
        if table and content:
            raise BadInput(path, f"only {', '.join(fields)} in [{table}]", next(iter(content)), "take it out")
    if document:
        raise BadInput(path, f"only the tables {', '.join(filter(None, LAYOUT))}", next(iter(document)), "take it out")
    return DataSetInfo(name=name, **values)


def names() -> list[str]:
    """The names of all data sets, in alphabetic order."""
    return sorted(path.parent.name for path in DATA.glob("*/dataset.toml"))


def published() -> list[DataSetInfo]:
    """The recorded (not simulated) data sets, largest first."""
    return sorted((d for d in map(load, names()) if not d.simulated), key=lambda d: -d.tokens)
