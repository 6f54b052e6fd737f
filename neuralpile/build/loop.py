"""Build a data set: what is missing of it, killed and repeated as often as need be.

A build's folder holds `rows/` (one Arrow file a session), `manifest.json`, `report.json`, and the two files by which
`datasets.load_from_disk` reads it. The last of these, `state.json`, is deleted before anything else changes and written
after everything else, so a folder with a `state.json` is always one whole build.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from neuralpile import files
from neuralpile.build import provenance, workers
from neuralpile.build.record import REPORT, Report, SessionFacts, Totals
from neuralpile.build.session import Script, Task, code_digest
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus import rows
from neuralpile.corpus.manifest import MANIFEST
from neuralpile.errors import BadInput
from neuralpile.recordings.hdf5 import Recording
from neuralpile.spikes.session import Options

ROWS, LOCK = "rows", ".lock"


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

    Args:
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
    """
    with _locked(out_dir, data_set.name):
        targets = {path: out_dir / ROWS / f"{path}.arrow" for path in found}
        _delete_others(out_dir, set(targets.values()))
        recipe = asdict(options) | {"code": code_digest(script.path)}
        tasks = [Task(path, found[path], targets[path], options, recipe) for path in chosen]
        done = {task.path: facts for task in tasks if (facts := task.done()) is not None}
        failed: dict[str, str] = {}
        to_do = [task for task in tasks if task.path not in done]
        if to_do:
            _mark_unfinished(out_dir)
            for task, result in _with_progress(data_set.name, script, to_do, list(done.values()), jobs):
                if isinstance(result, SessionFacts):
                    done[task.path] = result
                elif strict:
                    raise result
                else:
                    failed[task.path] = str(result)
        sessions = note_repeated([done[path] for path in chosen if path in done])
        with_rows = [facts for facts in sessions if facts.segments]
        if not with_rows:
            reason = next(iter(failed.values()), "no session has a spike, in the units that are kept")
            raise BadInput(data_set.name, "at least one session with spikes", "none", f"the first reason: {reason}")
        in_order = {path: failed[path] for path in chosen if path in failed}
        report = Report(data_set.name, options, Totals.of(data_set, sessions), sessions, in_order)
        manifest = provenance.manifest(data_set, recipe, found, sessions)
        _finish(out_dir, report, manifest.to_json(), [targets[facts.file] for facts in with_rows])
        return report
