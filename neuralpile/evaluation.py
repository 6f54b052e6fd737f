"""Which sessions are evaluation data of public benchmarks, as `data/evaluation.toml` lists them with its sources."""

import tomllib
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


@cache
def benchmarks(path: Path = TOML) -> dict[str, Benchmark]:
    """The benchmarks by name.

    Raises:
        BadInput: the file is not TOML, or has faults.

    Example:
        >>> sorted(benchmarks())[:2]
        ['brain-to-text-24', 'brain-to-text-25']
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), dict[str, Benchmark])
    except (ValueError, msgspec.ValidationError) as error:
        raise BadInput(path, "benchmarks and their parts", str(error), "correct the file") from None


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
    name = data_set.rpartition("/")[2]
    return [
        f"{benchmark}:{part.role}{'' if part.whole else '~'}"
        for benchmark, its in benchmarks().items()
        for part in its.parts
        if part.matches(name, subject_id, session_id)
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
    return "\n".join(lines)
