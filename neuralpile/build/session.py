"""build.session: split from build."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neuralpile.acquire.range_file import RemoteRecording
from neuralpile.corpus import rows
from neuralpile.corpus.rows import Row
from neuralpile.errors import BadInput
from neuralpile.recordings.hdf5 import Recording
from neuralpile.spikes.session import Options, Session

Read = Callable[[Recording, Options], Session]
Facts = dict[str, object]  # of one session, as they stand in report.json
SAME_TIME = 2_000_000_000  # ns: some file systems keep modification times only to 2 s
# What rows depend on, beside the script: whole folders, and two modules
MAKING_ROWS = ("spikes", "recordings", "corpus/rows.py", "build/session.py")


@dataclass(frozen=True)
class Script:
    """What the `preprocess.py` of a data set says of its session files."""

    path: Path
    read: Read
    own_bin: float | None = None
    offers: Sequence[str] = ()
    qualities: Sequence[str] = ()
    is_session: Callable[[Path], bool] = lambda _: True


def code_digest(script: Path) -> str:
    """SHA-256 over the code that makes rows of recordings: the script, and the library's part of it."""
    library = Path(__file__).parent.parent
    modules = [path for name in MAKING_ROWS for path in sorted((library / name).rglob("*.py")) or [library / name]]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in [script, *modules])).hexdigest()


@dataclass(frozen=True)
class Task:
    """One session file, and where its rows go."""

    path: str  # of the file in the data set
    source: Recording
    target: Path
    options: Options
    recipe: Facts  # the options and the digest of the code

    @property
    def modified_ns(self) -> int | None:
        """Modification time of the session file, in nanoseconds; None for one in an archive, which has a digest."""
        return self.source.stat().st_mtime_ns if isinstance(self.source, Path) else None

    def made_from(self) -> Facts:
        """What the rows' content depends on."""
        if isinstance(self.source, Path):
            return {"bytes": self.source.stat().st_size} | self.recipe
        return {"bytes": self.source.file.size, "digest": self.source.file.digest} | self.recipe

    def done(self) -> Facts | None:
        """The facts of the session where its rows are there and are what they would be now; else None."""
        from neuralpile.corpus import arrow

        kept = arrow.read_metadata(self.target)
        if kept is None or kept.get("made_from") != self.made_from():
            return None
        modified = self.modified_ns
        if modified is not None and abs(self.target.stat().st_mtime_ns - modified) >= SAME_TIME:
            return None
        return kept["facts"]


def build_session(read: Read, task: Task) -> Facts:
    """Read one session, write its rows, and give its facts. Raises BadInput where `read` does, or returns no counts."""
    from neuralpile.corpus import arrow

    session = read(task.source, task.options)
    counts = session.counts
    if counts.ndim != 2 or counts.dtype != np.uint8:
        found = f"{counts.dtype} of shape {counts.shape}"
        raise BadInput(task.source, "counts (units, bins) of uint8 from the script", found, "mend the script")
    if task.options.trim:
        session = trimmed(session)
        counts = session.counts
    limit = max(counts.size, 1) if session.whole else task.options.token_count_limit
    try:
        segments = list(rows.segments(counts, limit, task.options.as_published))
    except ValueError as error:
        raise BadInput(task.source, *error.args, "raise --token_count_limit") from None
    session_rows = [
        Row(segment, session.subject_id, session.session_id, f"segment_{i}") for i, segment in enumerate(segments)
    ]
    facts = session_facts(session, len(segments)) | {"rows_sha256": rows.digest(session_rows)}
    if isinstance(task.source, RemoteRecording):
        part = task.source.open()
        facts |= {"streamed": {"bytes": part.received, "of": part.size, "requests": part.requests}}
    metadata = {"made_from": task.made_from(), "facts": facts}
    arrow.write_rows(task.target, session_rows, rows.SCHEMA, metadata, modified_ns=task.modified_ns)
    return facts


def trimmed(session: Session) -> Session:
    """The session without the bins before its first and after its last spike."""
    with_spikes = np.flatnonzero(session.counts.any(axis=0))
    first, last = (with_spikes[0], with_spikes[-1]) if with_spikes.size else (0, -1)
    dropped = int(first), session.counts.shape[1] - int(last) - 1
    notes = [*session.notes, "{:,} empty bins at the start and {:,} at the end trimmed".format(*dropped)]
    return replace(session, counts=session.counts[:, first : last + 1], notes=notes)


def session_facts(session: Session, n_segments: int) -> Facts:
    """What report.json says of a session."""
    counts = session.counts
    notes = list(session.notes)
    if not n_segments:
        notes.append("no spike (at or after 0 s, in the units that are kept): no row")
    return {
        "subject_id": session.subject_id,
        "session_id": session.session_id,
        "units": counts.shape[0],
        "bins": counts.shape[1],
        "tokens": counts.size,
        "segments": n_segments,
        "spikes": int(counts.sum(dtype=np.int64)),
        "zero_bins": counts.size - int(np.count_nonzero(counts)),
        "silent_units": counts.shape[0] - int(np.count_nonzero(counts.any(axis=1))),
        "largest_count": int(counts.max(initial=0)),
        "saturated_bins": int(np.count_nonzero(counts == 255)),
        "notes": notes,
    }
