"""Build the missing sessions of a data set; a killed build resumes when it is run again.

A build's folder holds `rows/` (one Arrow file a session), the tables `sessions.parquet` and `units.parquet`,
`manifest.json`, `report.json`, and the two files by which `datasets.load_from_disk` reads it. The last of these,
`state.json`, is deleted before anything else changes and written after everything else, so a folder with a `state.json`
is always one whole build.
"""

import hashlib
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from neuralpile import files
from neuralpile.build import provenance, workers
from neuralpile.build.record import REPORT, Report, SessionFacts, Totals
from neuralpile.build.script import Script
from neuralpile.build.session import Task, code_digest
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus import rows
from neuralpile.corpus.manifest import MANIFEST, Manifest
from neuralpile.errors import BadInput, DiskFull
from neuralpile.recordings.hdf5 import Recording
from neuralpile.spikes.session import Options

ROWS, LOCK = "rows", ".lock"
LONGEST_NAME = 220  # bytes; file systems take 255, and a file that is being written has a suffix


def build(
    data_set: DataSetInfo,
    script: Script,
    found: Mapping[str, Recording],
    chosen: Sequence[str],
    out_dir: Path,
    options: Options,
    jobs: int = 1,
    strict: bool = False,
) -> Report:
    """Build the sessions of a data set that are not built yet, and return the report, also `report.json` in `out_dir`.

    Parameters:
        data_set: the data set.
        script: what its preprocess.py states.
        found: all its recordings, by their paths in the data set.
        chosen: the paths of those that become rows.
        out_dir: the build's folder.
        options: how recordings become rows.
        jobs: sessions at a time.
        strict: end at the first recording that cannot be built. Otherwise it is in the report, under "failed".

    Raises:
        BadInput: another build is at work in the folder, no session has rows, or `strict` and a bad recording.
        DiskFull: there is no room for the rows. What is built is kept.
    """
    out_dir = out_dir.absolute()  # workers may have another working directory
    with _locked(out_dir, data_set.name):
        targets = {path: out_dir / ROWS / rows_file(path) for path in found}
        _delete_others(out_dir, set(targets.values()))
        recipe = asdict(options) | {"code": code_digest(script.path)}
        tasks = [Task(path, found[path], targets[path], options, recipe, data_set.name) for path in chosen]
        done = {task.path: facts for task in tasks if (facts := task.done()) is not None}
        failed: dict[str, str] = {}
        to_do = [task for task in tasks if task.path not in done]
        if to_do:
            _mark_unfinished(out_dir)
            with closing(_with_progress(data_set.name, script, to_do, list(done.values()), jobs)) as results:
                for task, result in results:
                    if isinstance(result, SessionFacts):
                        done[task.path] = result
                    elif strict or isinstance(result, DiskFull):
                        raise result
                    else:
                        failed[task.path] = str(result)
                        tqdm.write(f"error: {result}", file=sys.stderr)
        sessions = note_repeated([done[path] for path in chosen if path in done])
        with_rows = [facts for facts in sessions if facts.segments]
        if not with_rows:
            why = next((f" ({facts.file}: {facts.notes[0]})" for facts in sessions if facts.notes), "")
            do = "see the errors above" if failed else "check the recordings, and the options that leave out units"
            raise BadInput(data_set.name, "at least one session with spikes", f"none{why}", do)
        in_order = {path: failed[path] for path in chosen if path in failed}
        report = Report(data_set.name, options, Totals.of(data_set, sessions), sessions, in_order)
        manifest = provenance.manifest(data_set, recipe, found, sessions)
        _finish(out_dir, data_set, report, manifest, {facts.file: targets[facts.file] for facts in with_rows})
        return report


def rows_file(path: str) -> str:
    """The file of a recording's rows, below `rows/`: the recording's path and `.arrow`.

    A part of the path that is too long for this is cut, and has a digest of itself in place of the rest.

    Example:
        >>> rows_file("sub-A/a.nwb")
        'sub-A/a.nwb.arrow'
    """
    *folders, name = path.split("/")
    return "/".join([*map(_short, folders), f"{_short(name)}.arrow"])


def _short(name: str) -> str:
    content = name.encode()
    if len(content) <= LONGEST_NAME:
        return name
    start = content[: LONGEST_NAME - 20].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(content).hexdigest()[:16]}"


def _with_progress(
    name: str, script: Script, tasks: list[Task], done: list[SessionFacts], jobs: int
) -> Generator[tuple[Task, SessionFacts | BadInput], None, None]:
    """Build sessions behind a progress bar."""
    n_tokens = sum(facts.tokens for facts in done)
    total = len(tasks) + len(done)
    bar = tqdm(total=total, initial=len(done), unit="session", desc=name, disable=None)
    with bar, closing(workers.results(script.read, tasks, jobs)) as results:
        for task, result in results:
            if isinstance(result, SessionFacts):
                n_tokens += result.tokens
            bar.set_postfix_str(f"{n_tokens:,} tokens", refresh=False)
            bar.update()
            yield task, result


def note_repeated(sessions: Sequence[SessionFacts]) -> list[SessionFacts]:
    """The facts, with a note on each session whose names or counts an earlier one has: is it the same recording?"""
    by_names: dict[tuple[str, str], str] = {}
    by_counts: dict[str, str] = {}
    noted = []
    for facts in sessions:
        names = facts.subject_id, facts.session_id
        notes = list(facts.notes)
        if (other := by_names.setdefault(names, facts.file)) != facts.file:
            notes.append(f"{other} gives {' '.join(names)} too: is it the same session?")
        if facts.segments and (other := by_counts.setdefault(facts.counts_sha256, facts.file)) != facts.file:
            notes.append(f"{facts.file} has exactly the counts of {other}: is it a copy?")
        noted.append(replace(facts, notes=notes))
    return noted


@contextmanager
def _locked(out_dir: Path, name: str) -> Iterator[None]:
    """Keep other builds out of a folder. Raises BadInput if one is at work, or the folder is no build of `name`."""
    out_dir.mkdir(parents=True, exist_ok=True)
    expected, do = f"a new folder, or an earlier build of {name}", "give another --out_dir"
    if any(out_dir.iterdir()) and not (out_dir / LOCK).is_file():
        raise BadInput(out_dir, expected, "other files", do)
    try:
        with FileLock(out_dir / LOCK, timeout=0):
            if (other := _built_before(out_dir)) not in (None, name):
                raise BadInput(out_dir, expected, f"a build of {other}", do)
            yield
    except Timeout:
        do = "wait for it, or use another --out_dir"
        raise BadInput(out_dir, "no other build at work in this folder", "one", do) from None


def _built_before(out_dir: Path) -> str | None:
    """The data set that a folder is a build of; None if it has no report, or a damaged one."""
    try:
        report = Report.read(out_dir)
    except BadInput:
        return None
    return report.data_set if report else None


def _mark_unfinished(out_dir: Path) -> None:
    """Delete what states that a build is complete, then what describes it: no mixture of two builds can be read."""
    from neuralpile.corpus import arrow, tables

    arrow.mark_unfinished(out_dir)
    for name in (REPORT, MANIFEST):
        (out_dir / name).unlink(missing_ok=True)
    tables.delete(out_dir)


def _finish(
    out_dir: Path, data_set: DataSetInfo, report: Report, manifest: Manifest, with_rows: Mapping[str, Path]
) -> None:
    """Write what describes a build, and last what states that it is complete. `with_rows`: files of rows by session."""
    from neuralpile.build.tables import of_build
    from neuralpile.corpus import arrow, tables

    texts = {MANIFEST: manifest.to_json(), REPORT: report.to_json()}
    sessions = [(facts, with_rows[facts.file]) for facts in report.sessions if facts.file in with_rows]
    checksums = {session.file: session.digest for session in manifest.sessions}
    made = of_build(data_set, report.options.bin_size, sessions, checksums)
    if any(_text(out_dir / name) != text for name, text in texts.items()) or not tables.are(out_dir, *made):
        _mark_unfinished(out_dir)
        tables.write(out_dir, *made)
        for name, text in texts.items():
            files.write_text(out_dir / name, text)
    digest = hashlib.sha256("".join(facts.rows_sha256 for facts in report.sessions).encode()).hexdigest()
    arrow.finish(out_dir, list(with_rows.values()), rows.SCHEMA, digest)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _delete_others(out_dir: Path, targets: set[Path]) -> None:
    """Delete what a killed build left half-written, and the rows of recordings that are gone."""
    from neuralpile.corpus import arrow

    for path in sorted((out_dir / ROWS).rglob(f"*{files.PARTIAL}")):
        path.unlink()
    built = set((out_dir / ROWS).rglob("*.arrow"))
    others = sorted(path for path in built - targets if arrow.read_metadata(path) is not None)
    if others:
        _mark_unfinished(out_dir)
    for path in others:
        print(f"{path}: its session file no longer exists, or an option leaves it out; deleted", file=sys.stderr)
        path.unlink()
