"""Which sessions are evaluation data of public benchmarks, as `data/evaluation.toml` lists them with its sources."""

import hashlib
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import msgspec

from neuralpile import catalog
from neuralpile.errors import BadInput

Role = Literal["test", "validation", "adaptation", "train", "reported"]
ROLES: tuple[Role, ...] = get_args(Role)  # what each means stands in data/evaluation.toml
# What must not be trained on: all but the data that a benchmark gives for training.
EVALUATED: frozenset[Role] = frozenset(ROLES) - {"train"}
TOML = catalog.DATA / "evaluation.toml"


@dataclass(frozen=True, kw_only=True)
class Part:
    """Sessions of one data set that have one role in a benchmark."""

    data_set: str
    role: Role
    source: str
    subjects: tuple[str, ...] = ("*",)  # patterns (fnmatch) over the subjects of the rows
    sessions: tuple[str, ...] = ("*",)
    whole: bool = True  # False: only some trials of these sessions
    repeats: bool = False  # their trials are in the other recordings of the same session, too
    certain: bool = True

    def matches(self, data_set: str, subject_id: str, session_id: str) -> bool:
        """Whether a session is one of these."""
        return (
            data_set == self.data_set
            and any(fnmatchcase(subject_id, pattern) for pattern in self.subjects)
            and any(fnmatchcase(session_id, pattern) for pattern in self.sessions)
        )


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A public benchmark, and what of it is in the data sets."""

    title: str
    url: str
    parts: tuple[Part, ...]
    absent: tuple[str, ...] = ()  # what of it no data set holds, and why

    @property
    def evaluated(self) -> list[Part]:
        """The parts that must not be trained on."""
        return [part for part in self.parts if part.role in EVALUATED]

    @property
    def whole(self) -> bool:
        """Whether all trials of its sessions are evaluation data, and not some of them only."""
        return all(part.whole for part in self.evaluated)


@dataclass(frozen=True)
class _List:
    benchmarks: dict[str, Benchmark]
    not_found: tuple[str, ...]


def benchmarks(path: Path = TOML) -> dict[str, Benchmark]:
    """The benchmarks by name.

    Raises:
        BadInput: the file is not TOML, or has faults.

    Example:
        >>> sorted(benchmarks())[:2]
        ['brain-to-text-24', 'brain-to-text-25']
    """
    return _read(path).benchmarks


def not_found(path: Path = TOML) -> tuple[str, ...]:
    """What was looked for, and not found. Raises BadInput as `benchmarks` does."""
    return _read(path).not_found


def digest() -> str:
    """SHA-256 of the list."""
    return hashlib.sha256(TOML.read_bytes()).hexdigest()


@cache
def _read(path: Path) -> _List:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        missing = document.pop("not_found", [])
        return msgspec.convert({"benchmarks": document, "not_found": missing}, _List)
    except (ValueError, msgspec.ValidationError) as error:
        raise BadInput(path, "benchmarks and their parts", str(error), "correct the file") from None


def check_names(option: str, names: Iterable[str]) -> None:
    """Check names of benchmarks that a command line gives.

    Raises:
        BadInput: the list has none of this name.
    """
    if unknown := sorted(set(names) - set(benchmarks())):
        raise BadInput(option, "names of benchmarks", ", ".join(unknown), f"choose from {', '.join(benchmarks())}")


def parts_of(data_set: str, subject_id: str, session_id: str) -> Iterator[tuple[str, Part]]:
    """The parts of benchmarks that a session is in, each with the benchmark's name; parameters as for `uses`."""
    name = data_set.rpartition("/")[2]
    for benchmark, its in benchmarks().items():
        for part in its.parts:
            if part.matches(name, subject_id, session_id):
                yield benchmark, part


def uses(data_set: str, subject_id: str, session_id: str) -> list[str]:
    """What a session is in which benchmark, as "benchmark:role"; "~" marks uses of some of its trials only.

    Parameters:
        data_set: `someone/name` on the Hub counts as `name`.
        subject_id: as it stands in the rows.
        session_id: as it stands in the rows.

    Example:
        >>> uses("area2-bump", "sub-Han", "sub-Han_desc-test_ecephys")
        ['nlb:test']
        >>> uses("perich", "sub-T", "sub-T_ses-CO-20130819_behavior+ecephys")
        ['perich-transfer:reported', 'perich-within:reported~']
    """
    return [
        f"{benchmark}:{part.role}{'' if part.whole else '~'}"
        for benchmark, part in parts_of(data_set, subject_id, session_id)
    ]


def table() -> str:
    """The list of evaluation data, in Markdown."""
    lines = ["| benchmark | data set | subjects | sessions | role | source |", "|---|---|---|---|---|---|"]
    for benchmark, its in benchmarks().items():
        for part in its.parts:
            role = part.role + ("" if part.whole else ", some trials") + ("" if part.certain else ", probable")
            patterns = [", ".join(f"`{pattern}`" for pattern in some) for some in (part.subjects, part.sessions)]
            lines.append(f"| {benchmark} | {part.data_set} | {' | '.join(patterns)} | {role} | {part.source} |")
    lines += ["", *(f"- not in any data set: {what}" for its in benchmarks().values() for what in its.absent)]
    lines += [f"- not found: {what}" for what in not_found()]
    return "\n".join(lines)
