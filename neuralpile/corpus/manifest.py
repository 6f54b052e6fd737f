"""`manifest.json`: what a build's rows were made of, session by session, and what a corpus was merged from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from neuralpile import catalog
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus.rows import RowSource
from neuralpile.corpus.split import Sides
from neuralpile.errors import BadInput, of_json
from neuralpile.files import whole_file

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Source:
    """Where the recordings come from, as `dataset.toml` states it."""

    archive: str
    id: str
    version: str


@dataclass(frozen=True)
class SessionSource:
    """One session's file, its checksum where one is known, and the names and the digest of its rows."""

    file: str  # path in the data set, with "/"
    bytes: int
    digest: str | None  # checksum of the file, "<algorithm>:<hex>"
    digest_of: str  # what the checksum is of, or why there is none
    subject_id: str
    session_id: str
    rows_sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a build was made of.

    Attributes:
        data_set: name of the data set.
        source: archive, id and version of the recordings.
        version: of this package.
        recipe: the options, and under "code" the digest of the code that made the rows.
        sessions: one entry for each session file, in the order of the rows.
    """

    data_set: str
    source: Source
    version: str
    recipe: Mapping[str, Any]
    sessions: list[SessionSource]

    @classmethod
    def read(cls, folder: Path) -> "Manifest | None":
        """The manifest of the build in a folder; None where the folder has no `manifest.json`.

        Raises:
            BadInput: the file is not the manifest of a build.
        """
        path = folder / MANIFEST
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            do = "build the data set again: run its preprocess.py"
            raise BadInput(path, "the manifest of a build", of_json(error), do) from None

    def to_json(self) -> str:
        """The content of `manifest.json`."""
        return msgspec.json.format(msgspec.json.encode(asdict(self)), indent=1).decode() + "\n"


@dataclass(frozen=True)
class Component:
    """A data set in a corpus.

    Attributes:
        rows: fingerprint of its rows and its tables.
        sides: what of it is in each split.
        manifest: its own manifest as JSON, null if it has none: with thousands of sessions, it is large.
        where: the expression that chose its sessions; None if all were taken.
    """

    rows: str
    sides: Sides
    manifest: msgspec.Raw
    where: str | None = None


@dataclass(frozen=True)
class CorpusManifest:
    """What a corpus was merged from.

    Attributes:
        version: of this package.
        options: of the split, as `SplitOptions.stated` gives them.
        components: by name.
        rules: digest of what `dataset.toml` says of the components' sessions and animals, and of the list of
            evaluation data.
        evaluation: tokens of the training split that are evaluation data, by benchmark; 0 for those that it is free
            of, by the list `data/evaluation.toml`. None in corpora of versions before 0.3.0.
        reordered: how reorder_units.py made the orders of the units; None where it did not.
    """

    version: str
    options: dict[str, Any]
    components: dict[str, Component]
    rules: str = ""
    evaluation: dict[str, int] | None = None
    reordered: dict[str, Any] | None = None

    @classmethod
    def read(cls, folder: Path) -> "CorpusManifest | None":
        """The manifest of the corpus in a folder; None if there is none, or another's."""
        try:
            return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    @property
    def left_out(self) -> list[str]:
        """The benchmarks whose evaluation data are not in the corpus."""
        stated = self.options.get("leave_out")
        return [name for name in stated if isinstance(name, str)] if isinstance(stated, list) else []

    def write(self, folder: Path) -> None:
        """Write `manifest.json`, whole or not at all.

        The manifests of the components go into it as they are, one after another: together they can be large.
        """
        with whole_file(folder / MANIFEST) as partial, partial.open("wb") as file:
            file.write(_begun(self, but="components") + b"{")
            for n, (name, component) in enumerate(self.components.items()):
                file.write(b"," * (n > 0) + b"\n" + msgspec.json.encode(name) + b": ")
                file.write(_begun(component, but="manifest"))
                file.write(memoryview(component.manifest))
                file.write(b"}")
            file.write(b"}}\n")


def _begun(value: "Component | CorpusManifest", but: str) -> bytes:
    """A value as the beginning of a JSON object, up to the value of one field that comes last."""
    others = {field.name: getattr(value, field.name) for field in fields(value) if field.name != but}
    return msgspec.json.format(msgspec.json.encode(others), indent=1)[:-2] + b',\n "' + but.encode() + b'": '


class _DataSet(msgspec.Struct):
    data_set: str


class _Session(msgspec.Struct):
    rows_sha256: str


class _Sessions(msgspec.Struct):
    sessions: list[_Session]


def content_of(component: RowSource) -> msgspec.Raw:
    """The manifest of a component as JSON; null if it has none that can be read."""
    if component.folder is None:
        return msgspec.Raw(msgspec.json.encode(component.manifest()))
    try:
        content = (component.folder / MANIFEST).read_bytes()
        msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return msgspec.Raw(b"null")
    return msgspec.Raw(content)


def digests_of(component: RowSource) -> set[str]:
    """The digests of the rows of each session, as a component's manifest states them; none if it does not."""
    try:
        found = msgspec.json.decode(content_of(component), type=_Sessions)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # no manifest, or another's
        return set()
    return {session.rows_sha256 for session in found.sessions}


def info_of(component: RowSource) -> DataSetInfo | None:
    """The data set that a component is a build of, as its manifest or its own name says; None if it is not known.

    Raises:
        BadInput: the data set's `dataset.toml` has faults.
    """
    try:
        stated = msgspec.json.decode(content_of(component), type=_DataSet).data_set
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # no manifest, or another's
        stated = component.name
    return info_named(stated)


def info_named(name: str) -> DataSetInfo | None:
    """The data set of a name, `someone/name` on the Hub; None if it is not known. Raises BadInput as `info_of`."""
    own = name.rpartition("/")[2]
    return catalog.load(own) if own in catalog.names() else None
