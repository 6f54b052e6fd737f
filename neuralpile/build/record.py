"""`report.json`: what a build holds, session by session, and which files could not be built."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput, of_json
from neuralpile.spikes.session import Options

REPORT = "report.json"


@dataclass(frozen=True)
class Streamed:
    """What reading a recording in place took."""

    bytes: int  # received
    of: int  # size of the file
    requests: int


@dataclass(frozen=True)
class SessionFacts:
    """What is known of one session file's rows."""

    file: str  # path of the recording in the data set, with "/"
    bytes: int  # its size
    subject_id: str
    session_id: str
    units: int
    bins: int
    tokens: int
    segments: int
    spikes: int
    zero_bins: int
    silent_units: int
    largest_count: int
    saturated_bins: int  # bins at 255
    notes: list[str]  # spikes left out, warnings in the file
    rows_sha256: str  # digest of the rows: names, shapes and counts
    counts_sha256: str  # digest of the shape and the counts alone, which two copies of a recording share
    facts: dict[str, str | int | float] = field(default_factory=dict)  # what else the script states of the session
    streamed: Streamed | None = None
    start_time: str | None = None  # ISO 8601, UTC
    observed_fraction: float | None = None  # of the bins, where the recording says
    bin_size: float | None = None  # seconds, where it is not that of the options


@dataclass(frozen=True)
class Totals:
    """The facts of all session files together. Files that are parts of one session count as one session."""

    sessions: int
    subjects: int
    rows: int
    units: tuple[int, int]  # fewest and most in a session
    bins: int
    tokens: int
    spikes: int
    zero_fraction: float
    silent_units: int
    largest_count: int
    saturated_bins: int
    warnings: int

    @classmethod
    def of(cls, data_set: DataSetInfo, sessions: Sequence[SessionFacts]) -> "Totals":
        """Add up the facts of sessions. A session without rows does not count as a session."""
        with_rows = [facts for facts in sessions if facts.segments]
        units = [facts.units for facts in with_rows]
        tokens = sum(facts.tokens for facts in sessions)
        return cls(
            sessions=len({(facts.subject_id, data_set.session_of(facts.session_id)) for facts in with_rows}),
            subjects=len({facts.subject_id for facts in with_rows}),
            rows=sum(facts.segments for facts in sessions),
            units=(min(units, default=0), max(units, default=0)),
            bins=sum(facts.bins for facts in sessions),
            tokens=tokens,
            spikes=sum(facts.spikes for facts in sessions),
            zero_fraction=sum(facts.zero_bins for facts in sessions) / max(1, tokens),
            silent_units=sum(facts.silent_units for facts in sessions),
            largest_count=max((facts.largest_count for facts in sessions), default=0),
            saturated_bins=sum(facts.saturated_bins for facts in sessions),
            warnings=sum(len(facts.notes) for facts in sessions),
        )


@dataclass(frozen=True)
class Report:
    """What a build holds.

    Attributes:
        data_set: name of the data set.
        options: with which it was built.
        totals: the sessions' facts together.
        sessions: the facts of each session file that was built, in the order of the rows.
        failed: the session files that could not be built, by their paths in the data set, and why.
    """

    data_set: str
    options: Options
    totals: Totals
    sessions: list[SessionFacts]
    failed: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> "Report | None":
        """The report of the build in a folder; None where the folder has no `report.json`.

        Raises:
            BadInput: the file is not the report of a build.
        """
        path = folder / REPORT
        do = "build the data set again: run its preprocess.py"
        try:
            report = msgspec.json.decode(path.read_bytes(), type=cls)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadInput(path, "the report of a build", of_json(error), do) from None
        if not 0 < report.options.bin_size < math.inf:
            raise BadInput(path, "options.bin_size above 0 seconds", f"{report.options.bin_size}", do)
        return report

    def to_json(self) -> str:
        """The content of `report.json`."""
        return msgspec.json.format(msgspec.json.encode(asdict(self)), indent=2).decode() + "\n"
