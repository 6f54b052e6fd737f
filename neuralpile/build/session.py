"""One session: from its recording to rows on disk, with a record of what the rows were made from.

A session's rows are one Arrow file, `rows/<path of the recording>.arrow`, which appears when it is complete. Its
metadata hold what the rows were made from: the recording's size, modification time, first and last bytes, the options,
and a digest of the code. A later build skips the session while all of these are the same. Metadata also hold the
session's facts and what the recording says of its units, of which the build's tables are made.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from neuralpile.acquire.range_file import RemoteRecording
from neuralpile.build.record import SessionFacts, Streamed
from neuralpile.build.script import Read
from neuralpile.cli import plural
from neuralpile.corpus import rows
from neuralpile.corpus.rows import Row
from neuralpile.errors import BadInput, Mismatch, printable
from neuralpile.recordings import names, phy
from neuralpile.recordings.hdf5 import Recording
from neuralpile.spikes import binning, clock
from neuralpile.spikes.session import Options, Session

# The library's code through which counts pass on their way into rows: whole folders and single modules.
MAKING_ROWS = ("spikes", "recordings", "compile.py", "corpus/rows.py", "corpus/arrow.py", "build/session.py")
ENDS = 1 << 16  # bytes at the start and at the end of a recording by which a changed one is recognized


def code_digest(script: Path) -> str:
    """SHA-256 of the code that makes rows: the library's part of it, and the data set's script.

    Modules beside the script count as parts of it, except `download.py`.
    """
    library = Path(__file__).parent.parent
    modules = [path for name in MAKING_ROWS for path in sorted((library / name).rglob("*.py")) or [library / name]]
    beside = [path for path in sorted(script.parent.glob("*.py")) if path.name != "download.py" and path != script]
    digest = hashlib.sha256()
    for path in [*modules, *beside, script]:
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


@dataclass(frozen=True)
class Task:
    """One session to build, and where its rows go."""

    path: str  # of the recording in the data set, with "/"
    source: Recording
    target: Path
    options: Options
    recipe: dict[str, Any]  # the options and the digest of the code
    data_set: str  # its name

    def made_from(self) -> dict[str, Any]:
        """What the rows depend on. Raises OSError if the recording cannot be read."""
        if isinstance(self.source, Path):
            return fingerprint(phy.changing(self.source)) | self.recipe
        return {"bytes": self.source.file.size, "digest": self.source.file.checksum} | self.recipe

    def done(self) -> SessionFacts | None:
        """The session's facts if its rows exist and are what a build would write now; else None."""
        from neuralpile.corpus import arrow

        kept = arrow.read_metadata(self.target)
        try:
            if kept is None or kept.get("made_from") != self.made_from():
                return None
            return msgspec.convert(kept.get("facts"), SessionFacts)
        except (OSError, msgspec.ValidationError):  # the recording is gone, or another version wrote the rows
            return None


def fingerprint(path: Path) -> dict[str, Any]:
    """What changes when a file is replaced: size, modification time (nanoseconds), SHA-256 of its two ends."""
    status = path.stat()
    with path.open("rb") as file:
        ends = file.read(ENDS)
        file.seek(max(len(ends), status.st_size - ENDS))
        ends += file.read(ENDS)
    return {
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "ends_sha256": hashlib.sha256(ends).hexdigest(),
    }


def build_session(read: Read, task: Task) -> SessionFacts:
    """Read one session, write its rows, and return its facts.

    Raises:
        BadInput: `read` raises it, or does not return counts (units, bins) of uint8, or a bin exceeds the token limit.
    """
    from neuralpile.corpus import arrow

    made_from = task.made_from()  # before reading: a recording that changes meanwhile is built again
    session = read(task.source, task.options)
    counts = session.counts
    if not isinstance(counts, np.ndarray) or counts.ndim != 2 or counts.dtype != np.uint8:
        found = f"{counts.dtype} of shape {counts.shape}" if isinstance(counts, np.ndarray) else type(counts).__name__
        raise BadInput(task.source, "counts (units, bins) of uint8 from the script", found, "fix the script")
    if session.observed is not None and session.observed.shape != counts.shape[1:]:
        found = f"an array of shape {session.observed.shape}"
        raise BadInput(task.source, f"observed bins ({counts.shape[1]},) from the script", found, "fix the script")
    if task.options.trim:
        session = trimmed(session)
        counts = session.counts
    try:
        units: dict[str, Any] = dict(session.stated_units())
    except Mismatch as error:
        raise error.at(task.source, "fix the script") from None
    limit = max(counts.size, 1) if session.whole else task.options.token_count_limit
    try:
        segments = list(rows.segments(counts, limit, task.options.as_published))
    except Mismatch as error:
        raise error.at(task.source, "raise --token_count_limit") from None
    session = named(session, task)
    session_rows = [
        Row(segment, session.subject_id, session.session_id, f"segment_{i}") for i, segment in enumerate(segments)
    ]
    n_spikes = counts.sum(axis=1, dtype=np.int64)
    session.notes += clock.check_counts(n_spikes, counts.shape[1] * (session.bin_size or task.options.bin_size))
    facts = session_facts(task.path, made_from["bytes"], session, session_rows, n_spikes)
    if isinstance(task.source, RemoteRecording):
        part = task.source.open()
        facts = replace(facts, streamed=Streamed(part.received, part.size, part.requests))
    metadata = {
        "made_from": made_from,
        "facts": asdict(facts),
        "units": units | {"n_spikes": n_spikes.tolist()},
        "unobserved": None if session.observed is None else binning.gaps(session.observed).tolist(),
    }
    arrow.write_rows(task.target, session_rows, rows.SCHEMA, metadata)
    return facts


def named(session: Session, task: Task) -> Session:
    """The session with its names as they stand in the rows.

    The subject is what dataset.toml states, else what the script returns, else a folder's name, else the data set's.
    """
    # Names of files need not be UTF-8, and can hold what a terminal takes for commands.
    session_id = printable(session.session_id)
    subject_id = task.options.subject or printable(session.subject_id)
    notes = session.notes
    if not subject_id:
        subject_id = names.subject_of_folders(task.path, session_id) or task.data_set
        if subject_id == task.data_set:
            note = (
                "no file or folder shows the subject: it has the data set's name; `subject` in dataset.toml states it"
            )
            notes = [*notes, note]
    return replace(session, subject_id=subject_id, session_id=session_id, notes=notes)


def trimmed(session: Session) -> Session:
    """The session without the bins before its first spike and after its last one."""
    with_spikes = np.flatnonzero(session.counts.any(axis=0))
    first, last = (with_spikes[0], with_spikes[-1]) if with_spikes.size else (0, -1)
    before, after = int(first), session.counts.shape[1] - int(last) - 1
    if not before and not after:
        return session
    note = f"{plural(before, 'empty bin')} at the start and {after:,} at the end trimmed"
    observed = None if session.observed is None else session.observed[first : last + 1]
    notes = [*session.notes, note]
    return replace(session, counts=session.counts[:, first : last + 1], observed=observed, notes=notes)


def session_facts(
    path: str, n_bytes: int, session: Session, session_rows: Sequence[Row], n_spikes: np.ndarray
) -> SessionFacts:
    """What report.json records of a session: counted over its counts (units, bins); `n_spikes` are those of units."""
    counts = session.counts
    notes = [printable(note) for note in session.notes]
    if not session_rows:
        notes.append("no spike (at or after 0 s, in the units that are kept): no row")
    elif not n_spikes.any():
        notes.append("no spike in any of its bins")
    counts_digest = hashlib.sha256(f"{counts.shape}".encode())
    counts_digest.update(np.ascontiguousarray(counts).data)
    return SessionFacts(
        file=path,
        bytes=n_bytes,
        subject_id=session.subject_id,
        session_id=session.session_id,
        units=counts.shape[0],
        bins=counts.shape[1],
        tokens=counts.size,
        segments=len(session_rows),
        spikes=int(n_spikes.sum()),
        zero_bins=counts.size - int(np.count_nonzero(counts)),
        silent_units=int(np.count_nonzero(n_spikes == 0)),
        largest_count=int(counts.max(initial=0)),
        saturated_bins=int(np.count_nonzero(counts == 255)),
        notes=notes,
        rows_sha256=rows.digest(session_rows),
        counts_sha256=counts_digest.hexdigest(),
        facts=dict(session.facts),
        start_time=None if session.start_time is None else _utc(session.start_time).isoformat(),
        observed_fraction=session.observed_fraction,
        bin_size=session.bin_size,
    )


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
