"""build.record: split from build."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from neuralpile import __version__
from neuralpile.acquire import archives
from neuralpile.acquire.range_file import RemoteRecording
from neuralpile.build.session import Facts, Task
from neuralpile.catalog import DataSetInfo

REPORT, MANIFEST = "report.json", "manifest.json"


def _manifest(data_set: DataSetInfo, recipe: Facts, tasks: Sequence["Task"], done: Mapping[str, Facts]) -> Facts:
    """What a build was made of: each session's raw file, and the digests of that and of its rows."""
    known = _downloaded(tasks[0]) if tasks else {}
    sessions = []
    for task in tasks:
        facts = done[task.path]
        if isinstance(task.source, RemoteRecording):
            what = "this file, as the archive lists it; read in place, so not verified"
            digest = _digest_of(task.source.file.digest, what)
        else:
            digest = known.get(task.path) or _digest_of("", f"not in {archives.RECORD} of its folder, or changed since")
        names = {key: facts[key] for key in ("subject_id", "session_id", "rows_sha256")}
        sessions.append({"file": task.path, "bytes": task.made_from()["bytes"]} | digest | names)
    source = {"archive": data_set.archive, "id": data_set.id, "version": data_set.version}
    return {"data_set": data_set.name, "source": source, "version": __version__, "recipe": recipe, "sessions": sessions}


def _digest_of(digest: str, what: str) -> Facts:
    """A digest, and what it is of; or none (null), and why."""
    return {"digest": digest or None, "digest_of": what}


def _downloaded(task: "Task") -> dict[str, Facts]:
    """The digests that download.py verified, by the files' paths; of files that have not been touched since.

    A file that was unpacked has the digest of the archive file that it came out of.
    """
    if not isinstance(task.source, Path):
        return {}
    folder = task.source.parents[len(Path(task.path).parts) - 1]
    record = folder / archives.RECORD
    known = {}
    try:
        kept = json.loads(record.read_text(encoding="utf-8"))["files"] if record.is_file() else {}
        for path, entry in kept.items():
            for here, stamp in entry["here"].items():
                what = "this file" if here == path else f"{path}, out of which this file was unpacked"
                what += "; verified by download.py" if entry["digest"] else "; the archive tells none"
                if _untouched(folder / here, stamp):
                    known[here] = _digest_of(entry["digest"], what)
    except (ValueError, KeyError, AttributeError, TypeError):
        return {}
    return known


def _untouched(path: Path, stamp: list[int] | None) -> bool:
    return path.is_file() and stamp == [path.stat().st_size, int(path.stat().st_mtime)]


def _name_in_report(out_dir: Path) -> str | None:
    """The data set that a folder's report is of; None where it has no report that can be read."""
    try:
        return json.loads((out_dir / REPORT).read_text(encoding="utf-8"))["data_set"]
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def totals(data_set: DataSetInfo, sessions: list[Facts]) -> Facts:
    """The facts of all session files together; files that are parts of one session count as one."""

    def total(key: str) -> int:
        return sum(facts[key] for facts in sessions)

    with_rows = [facts for facts in sessions if facts["segments"]]
    units = [facts["units"] for facts in with_rows]
    return {
        "sessions": len({(facts["subject_id"], data_set.session_of(facts["session_id"])) for facts in with_rows}),
        "subjects": len({facts["subject_id"] for facts in with_rows}),
        "rows": total("segments"),
        "units": [min(units, default=0), max(units, default=0)],
        "bins": total("bins"),
        "tokens": total("tokens"),
        "spikes": total("spikes"),
        "zero_fraction": total("zero_bins") / max(1, total("tokens")),
        "silent_units": total("silent_units"),
        "largest_count": max((facts["largest_count"] for facts in sessions), default=0),
        "saturated_bins": total("saturated_bins"),
        "warnings": sum(len(facts["notes"]) for facts in sessions),
    }
