"""build.loop: split from build."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from neuralpile import files
from neuralpile.build.record import _manifest, _name_in_report, totals
from neuralpile.build.session import Facts, Script, Task, code_digest
from neuralpile.build.workers import _results
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus import rows
from neuralpile.errors import BadInput
from neuralpile.recordings.hdf5 import Recording
from neuralpile.spikes.session import Options

ROWS, REPORT, MANIFEST, LOCK = "rows", "report.json", "manifest.json", ".lock"


def build(
    data_set: DataSetInfo,
    script: Script,
    found: Mapping[str, Recording],
    chosen: Sequence[str],
    out_dir: Path,
    options: Options,
    jobs: int = 1,
    strict: bool = False,
) -> dict[str, object]:
    """Build what is not built yet of a data set in `out_dir`, and give the report, which is also `report.json` there.

    `found` are all its session files by their paths in the data set, of which those `chosen` become rows. A file that
    cannot be built is in the report under "failed"; with `strict` it ends the build.

    Raises:
        BadInput: a second build in the same folder, no rows at all, or with `strict` a bad file.
    """
    from neuralpile.corpus import arrow

    with _alone(out_dir, data_set.name):
        targets = {path: out_dir / ROWS / f"{path}.arrow" for path in found}
        _take_away_others(out_dir, set(targets.values()))
        recipe = asdict(options) | {"code": code_digest(script.path)}
        tasks = [Task(path, found[path], targets[path], options, recipe) for path in chosen]
        done = {task.path: facts for task in tasks if (facts := task.done()) is not None}
        to_do = [task for task in tasks if task.path not in done]
        if to_do:
            _mark_unfinished(out_dir)
        failed: dict[str, str] = {}
        with tqdm(total=len(tasks), initial=len(done), unit="session", desc=data_set.name, disable=None) as bar:
            n_tokens = sum(facts["tokens"] for facts in done.values())
            bar.set_postfix_str(f"{n_tokens:,} tokens")
            for task, result in _results(script.read, to_do, jobs):
                if isinstance(result, BadInput):
                    if strict:
                        raise result
                    failed[task.path] = str(result)
                    bar.write(f"error: {result}", file=sys.stderr)
                else:
                    done[task.path] = result
                    n_tokens += result["tokens"]
                bar.set_postfix_str(f"{n_tokens:,} tokens", refresh=False)
                bar.update()
        sessions = _tell_repeated([done[path] for path in chosen if path in done])
        report = {
            "data_set": data_set.name,
            "options": asdict(options),
            "totals": totals(data_set, sessions),
            "sessions": sessions,
            "failed": {path: failed[path] for path in chosen if path in failed},
        }
        with_rows = [targets[path] for path in chosen if path in done and done[path]["segments"]]
        if not with_rows:
            reason = next(iter(failed.values()), "no session has a spike, in the units that are kept")
            raise BadInput(data_set.name, "at least one session with spikes", "none", f"the first reason: {reason}")
        manifest = _manifest(data_set, recipe, [task for task in tasks if task.path in done], done)
        files.write_text(out_dir / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        files.write_text(out_dir / REPORT, json.dumps(report, indent=2) + "\n")
        digest = hashlib.sha256("".join(facts["rows_sha256"] for facts in sessions).encode()).hexdigest()
        arrow.finish(out_dir, with_rows, rows.SCHEMA, digest)
        return report


@contextmanager
def _alone(out_dir: Path, name: str) -> Iterator[None]:
    """Keep other builds out of a folder. Raises BadInput where one is at work, or where it is no build."""
    out_dir.mkdir(parents=True, exist_ok=True)
    others = any(out_dir.iterdir()) and not (out_dir / LOCK).is_file()
    if others or (name_in_report := _name_in_report(out_dir)) not in (None, name):
        found = "other files" if others else f"a build of {name_in_report}"
        raise BadInput(out_dir, f"a new folder, or an earlier build of {name}", found, "give another --out_dir")
    try:
        with FileLock(out_dir / LOCK, timeout=0):
            yield
    except Timeout:
        do = "wait for it, or use another --out_dir"
        raise BadInput(out_dir, "no other build at work in this folder", "one", do) from None


def _mark_unfinished(out_dir: Path) -> None:
    """Take away what says that the data set is complete, and what it holds."""
    from neuralpile.corpus import arrow

    arrow.mark_unfinished(out_dir)
    (out_dir / REPORT).unlink(missing_ok=True)
    (out_dir / MANIFEST).unlink(missing_ok=True)


def _tell_repeated(sessions: list[Facts]) -> list[Facts]:
    """The facts, with a note where a subject and session of the same names came before: the same file twice?"""
    seen: set[tuple[object, object]] = set()
    told = []
    for facts in sessions:
        names = facts["subject_id"], facts["session_id"]
        note = [f"another file gave {names[0]} {names[1]} too: is it the same session?"] if names in seen else []
        told.append(facts | {"notes": [*facts["notes"], *note]})
        seen.add(names)
    return told


def _take_away_others(out_dir: Path, targets: set[Path]) -> None:
    """Delete what a killed run left half-written, and rows of session files that are not there."""
    from neuralpile.corpus import arrow

    for path in sorted((out_dir / ROWS).rglob(f"*{files.PARTIAL}")):
        path.unlink()
    built = set((out_dir / ROWS).rglob("*.arrow"))
    others = sorted(path for path in built - targets if arrow.read_metadata(path) is not None)
    if others:
        _mark_unfinished(out_dir)
    for path in others:
        print(f"{path}: its session file is not there any more, or left out by an option; taken out", file=sys.stderr)
        path.unlink()
