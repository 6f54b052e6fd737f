"""The loop behind every `preprocess.py`: session files in, a data set of rows and a report out.

A session's rows are one Arrow file, `rows/<path of the session file>.arrow`, which appears when it is complete. It
holds what it was made from (size of the session file, options, code), and has the session file's modification time:
by these a later run knows what is done. So a run that was killed redoes only the sessions it was working on.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from neuralpile import __version__, archives, catalog, cli, files, rows
from neuralpile.catalog import DataSet
from neuralpile.errors import BadInput
from neuralpile.recordings.hdf5 import Recording
from neuralpile.remote import RemoteRecording
from neuralpile.rows import TOKEN_COUNT_LIMIT, Options, Row, Session

Read = Callable[[Recording, Options], Session]
Facts = dict[str, object]  # of one session, as they stand in report.json

ROWS, REPORT, MANIFEST, LOCK = "rows", "report.json", "manifest.json", ".lock"
STREAMED = ("DANDI",)  # archives whose files are HDF5, of which parts can be read in place
SAME_TIME = 2_000_000_000  # ns: some file systems keep modification times only to 2 s
NOTES_SHOWN = 20
MAKING_ROWS = ("counts", "epochs", "lattice", "rows")  # modules on which rows depend, beside recordings/ and the script

# What a data set's script can offer its users; in brackets where the offer comes from.
OFFERS = {
    "trim": "drop the bins before the first and after the last spike of a session",  # (all data sets)
    "drop_duplicates": "leave out the files that repeat others",  # (dataset.toml)
    "mask_unobserved": "cut out the bins that were not observed, as the file says",  # (the script)
    "epochs": "lay out epochs of a restarted clock one after the other",  # (the script)
    "min_quality": "leave out units of a lower quality",  # (the script)
}


@dataclass(frozen=True)
class Script:
    """What the `preprocess.py` of a data set says of its session files."""

    path: Path
    read: Read
    own_bin: float | None = None
    offers: Sequence[str] = ()
    qualities: Sequence[str] = ()
    is_session: Callable[[Path], bool] = lambda _: True


def main(script: str, read: Read, **more: object) -> None:
    """The command line of a `preprocess.py`.

    Args:
        script: its `__file__`; the folder that it is in names the data set.
        read: makes a Session of a session file, and raises BadInput where the file is not what it must be.
        more: what else there is to say:
            own_bin: width in seconds of the bins in which the recordings come, if they come binned: `--bin_size` must
                then be a multiple of it.
            offers: options of `OFFERS` that `read` heeds.
            qualities: the choices of `--min_quality`, the lowest first, where `read` heeds it.
            is_session: whether a file is a session at all, where its name does not tell.
    """
    cli.run(partial(_main, Script(Path(script).resolve(), read, **more)))


def _main(script: Script) -> int:
    folder = script.path.parent
    data_set = catalog.parse(folder.name, folder / "dataset.toml")
    given = _arguments(data_set, script)
    hub = cli.hub(given)
    options = Options(**{field.name: getattr(given, field.name) for field in fields(Options) if field.name in given})
    if given.stream:
        found = find_remote(data_set, not options.drop_duplicates)
    else:
        found = find_sessions(given.data_dir, data_set, not options.drop_duplicates, script.is_session)
    chosen = cli.choose(list(found), given.sessions, given.max_files)
    report = build(data_set, script, found, chosen, given.out_dir, options, given.jobs, given.strict)
    print(summary(report, data_set, given.out_dir))
    failed = report["failed"]
    if hub and failed:
        print(f"not pushed to {given.hf_repo_name}: mend or take away these files, run again", file=sys.stderr)
    elif hub:
        from neuralpile import publish, store

        if data_set.caveat:
            print(f"\nbefore you pass these rows on: {data_set.caveat}")
        pushed = store.open_data_set(str(given.out_dir))
        page = publish.push(pushed, hub, {"command": cli.command(), **report["options"]}, {pushed.name: data_set})
        print(f"pushed to {given.hf_repo_name}: {page}")
    return 1 if failed else 0


def _arguments(data_set: DataSet, script: Script) -> argparse.Namespace:
    command = f"python data/{data_set.name}/preprocess.py"
    parser = cli.parser(f"Spike counts of {data_set.name}. {data_set.title}", f"{command} --jobs 2")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--data_dir", type=Path, default=script.path.parent / "raw", help="where the session files are")
    if data_set.archive in STREAMED:
        stream = f"read them in place, at {data_set.archive}: only the spikes, nothing is downloaded"
        place.add_argument("--stream", action="store_true", help=stream)
    else:
        parser.set_defaults(stream=False)
    cli.add_choice(parser)
    parser.add_argument("--out_dir", type=Path, default=catalog.BUILD / data_set.name, help="where the rows go")
    parser.add_argument(
        "--bin_size", type=cli.positive_float, default=data_set.bin_width, help="width of a bin in seconds"
    )
    parser.add_argument("--token_count_limit", type=cli.token_limit, default=TOKEN_COUNT_LIMIT, help="tokens in a row")
    cli.add_publishing(parser, "the rows")
    parser.add_argument("--as_published", action="store_true", help="reproduce the published values bit for bit")
    parser.add_argument("--strict", action="store_true", help="stop at the first file that cannot be built")
    parser.add_argument("--jobs", type=cli.positive_int, default=1, help="sessions at a time, each in its own process")
    own = ["trim", *(["drop_duplicates"] if data_set.duplicates else []), *script.offers]
    for name in own:
        parser.add_argument(f"--{name}", action="store_true", help=OFFERS[name])
    if script.qualities:
        own.append("min_quality")
        parser.add_argument("--min_quality", choices=script.qualities, help=OFFERS["min_quality"])
    given = parser.parse_args()
    if given.as_published and (chosen := [f"--{name}" for name in own if getattr(given, name)]):
        parser.error(f"--as_published: expected none of the options that change the shape, found {' '.join(chosen)}")
    bins = given.bin_size / script.own_bin if script.own_bin else 1
    if not np.isclose(bins, max(1, round(bins))):
        expected = f"expected a multiple of {script.own_bin} s, the bin of these recordings"
        parser.error(f"--bin_size: {expected}, found {given.bin_size}")
    return given


def find_sessions(
    data_dir: Path,
    data_set: DataSet,
    duplicates: bool = True,
    is_session: Callable[[Path], bool] = lambda _: True,
) -> dict[str, Path]:
    """The session files of a data set below a folder, by their paths there, in the order of the published rows.

    Those that repeat others are among them unless `duplicates` is false; `is_session` says what a name cannot tell.

    Raises BadInput where there are none.
    """
    data_dir = data_dir.resolve()  # the names of folders are subjects: "." is none
    found = [path for path in _files(data_dir) if data_set.wants(path.name, duplicates) and is_session(path)]
    if not found:
        wanted = " or ".join(data_set.include)
        if data_set.exclude:
            wanted += f" but not {' or '.join(data_set.exclude)}"
        what = "no such file in it" if data_dir.is_dir() else "a file" if data_dir.exists() else "no such folder"
        do = f"get the files as data/{data_set.name}/README.md says, or give their folder with --data_dir"
        raise BadInput(data_dir, f"session files {wanted}", what, do)
    return {path.relative_to(data_dir).as_posix(): path for path in sorted(found, key=str)}


def find_remote(data_set: DataSet, duplicates: bool = True) -> dict[str, RemoteRecording]:
    """The session files of a data set in its archive, as `find_sessions` gives those of a folder.

    Raises BadInput where the archive does not tell.
    """
    listed = archives.list_files(data_set)
    return {file.path: RemoteRecording(file) for file in listed if data_set.wants(file.path, duplicates)}


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder, also by links to folders, each folder once. Raises BadInput: one cannot be read.

    macOS puts a small file `._x` beside each x on disks that are not its own: these are passed over.
    """

    def unreadable(error: OSError) -> None:
        if folder.is_dir():
            raise BadInput(error.filename, "a folder that can be read", str(error.strerror), "mend its permissions")

    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.endswith(files.PARTIAL)]  # being unpacked
        paths = (Path(place, name) for name in names if not name.startswith("._"))
        yield from (path for path in paths if path.is_file() or not path.exists())  # a broken link is told of later


def build(
    data_set: DataSet,
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
    from neuralpile import store  # imports `datasets`, which takes a second that workers need not spend

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
        store.finish(out_dir, with_rows, rows.SCHEMA, digest)
        return report


def _manifest(data_set: DataSet, recipe: Facts, tasks: Sequence["Task"], done: Mapping[str, Facts]) -> Facts:
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


def _name_in_report(out_dir: Path) -> str | None:
    """The data set that a folder's report is of; None where it has no report that can be read."""
    try:
        return json.loads((out_dir / REPORT).read_text(encoding="utf-8"))["data_set"]
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _mark_unfinished(out_dir: Path) -> None:
    """Take away what says that the data set is complete, and what it holds."""
    from neuralpile import store

    store.mark_unfinished(out_dir)
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
    from neuralpile import store

    for path in sorted((out_dir / ROWS).rglob(f"*{files.PARTIAL}")):
        path.unlink()
    built = set((out_dir / ROWS).rglob("*.arrow"))
    others = sorted(path for path in built - targets if store.read_metadata(path) is not None)
    if others:
        _mark_unfinished(out_dir)
    for path in others:
        print(f"{path}: its session file is not there any more, or left out by an option; taken out", file=sys.stderr)
        path.unlink()


def code_digest(script: Path) -> str:
    """SHA-256 over the code that makes rows of recordings: the script, and the library's part of it."""
    library = Path(__file__).parent
    modules = [*(library / f"{name}.py" for name in MAKING_ROWS), *sorted((library / "recordings").glob("*.py"))]
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
        from neuralpile import store

        kept = store.read_metadata(self.target)
        if kept is None or kept.get("made_from") != self.made_from():
            return None
        modified = self.modified_ns
        if modified is not None and abs(self.target.stat().st_mtime_ns - modified) >= SAME_TIME:
            return None
        return kept["facts"]


def _results(read: Read, tasks: list[Task], jobs: int) -> Iterator[tuple[Task, Facts | BadInput]]:
    """Build sessions, `jobs` at a time, and give each one's facts, or its error, as it comes."""
    if jobs == 1 or len(tasks) < 2:
        yield from ((task, _attempt(read, task)) for task in tasks)
        return
    # "spawn": forked processes inherit threads' locks (Arrow's, HDF5's) in whatever state they are
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(tasks)), spawn, initializer=_follow_parent, initargs=(os.getpid(),)) as pool:
        futures = {pool.submit(_attempt, read, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                task = futures[future]
                try:
                    yield task, future.result()
                except BrokenProcessPool:
                    do = "run again with fewer --jobs"
                    yield task, BadInput(task.source, "a worker process that lives", "one killed, for memory?", do)
        except BaseException:  # Ctrl-C: no session is waited for; its rows are whole, or not there
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _follow_parent(parent: int) -> None:
    """Tie this worker to the process that started it: a killed build leaves none behind, Ctrl-C is not the worker's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _attempt(read: Read, task: Task) -> Facts | BadInput:
    """Build one session; whatever goes wrong with its file becomes one clear line."""
    try:
        return build_session(read, task)
    except BadInput as error:
        return error
    except OSError as error:
        do = "check the file, the disk's free space and permissions; then run again"
        return BadInput(task.source, "to read it and to write its rows", str(error), do)
    except MemoryError as error:
        return BadInput(
            task.source,
            "a session that fits in memory",
            str(error) or "too little",
            "use fewer --jobs, or a larger --bin_size",
        )
    except Exception as error:  # one bad file must not end a build of hundreds
        frame = traceback.extract_tb(error.__traceback__)[-1]
        found = f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"
        return BadInput(task.source, "a file that this script can read", found, "check the file, then the script")


def build_session(read: Read, task: Task) -> Facts:
    """Read one session, write its rows, and give its facts. Raises BadInput where `read` does, or returns no counts."""
    from neuralpile import store

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
    store.write_rows(task.target, session_rows, rows.SCHEMA, metadata, modified_ns=task.modified_ns)
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


def totals(data_set: DataSet, sessions: list[Facts]) -> Facts:
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


def summary(report: dict[str, object], data_set: DataSet, out_dir: Path) -> str:
    """The table that a user sees at the end: totals, the published numbers where they compare, and the notes."""
    built = report["totals"]
    published: dict[str, object] = {}
    same_shape = Options(data_set.bin_width, report["options"]["token_count_limit"], report["options"]["as_published"])
    if built["sessions"] == data_set.sessions and report["options"] == asdict(same_shape):
        published = {"sessions": data_set.sessions, "subjects": len(data_set.subject_ids), "tokens": data_set.tokens}
        if data_set.units and not data_set.units_seen:
            published["units"] = data_set.units

    def show(value: object) -> str:
        if isinstance(value, list | tuple):
            return " to ".join(f"{n:,}" for n in dict.fromkeys(value))
        return "" if value is None else f"{value:.4f}" if isinstance(value, float) else f"{value:,}"

    heading = "simulated" if data_set.simulated else "published"
    lines = ["", f"{data_set.name:16}{'built':>18}{heading if published else '':>18}"]
    for key, value in built.items():
        differs = key in published and show(value) != show(published[key])
        line = (
            f"{key.replace('_', ' '):16}{show(value):>18}{show(published.get(key)):>18}{'  differs' if differs else ''}"
        )
        lines.append(line.rstrip())
    if built["sessions"] < data_set.sessions:
        lines.append(f"{built['sessions']} of the {data_set.sessions} published sessions are here")
    if streamed := [facts["streamed"] for facts in report["sessions"] if "streamed" in facts]:
        n_bytes, of, n_requests = (sum(part[key] for part in streamed) for key in ("bytes", "of", "requests"))
        lines.append(f"streamed {n_bytes:,} of {of:,} bytes, in {n_requests:,} requests")
    notes = [
        (f"{facts['subject_id']} {facts['session_id']}", note)
        for facts in report["sessions"]
        for note in facts["notes"]
    ]
    lines += [f"note: {name}: {note}" for name, note in notes[:NOTES_SHOWN]]
    if len(notes) > NOTES_SHOWN:
        lines.append(f"… and {len(notes) - NOTES_SHOWN} more notes in {out_dir / REPORT}")
    lines += [f"NOT BUILT: {line}" for line in report["failed"].values()]
    lines.append(f"rows: {out_dir}   report: {out_dir / REPORT}")
    return "\n".join(lines)
