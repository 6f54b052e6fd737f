"""A build whose process is stopped before any single change that it makes to its folder.

What is then taken for finished must be a whole build, the one before or the new one, and a second run must end with
the bytes of an undisturbed one.
"""

import itertools
import os
import shutil

import pytest
from helpers.recordings import write_units

from neuralpile.build import workers
from neuralpile.corpus import arrow

SCRIPT = "data/dmfc-rsg/preprocess.py"
CHANGES = ("replace", "rename", "unlink", "fsync", "mkdir")


class Stopped(BaseException):
    """Stands for SIGKILL: nothing handles it, and the folder stays as it is."""


def stop_before(monkeypatch, n):
    """Stop this process before its `n`-th change of a file; the count of changes so far."""
    count = itertools.count()
    seen = [0]

    def wrapped(real):
        def change(*arguments, **options):
            seen[0] = next(count) + 1
            if seen[0] >= n:
                raise Stopped
            return real(*arguments, **options)

        return change

    for name in CHANGES:
        monkeypatch.setattr(os, name, wrapped(getattr(os, name)))
    return seen


def in_this_process(read, tasks, jobs):
    """Sessions built without workers, so that their changes are steps too."""
    yield from ((task, workers._attempt(read, task)) for task in tasks)


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


@pytest.mark.faults
@pytest.mark.parametrize("case", ["fewer", "fewer and one new", "one is gone"])
def test_every_prefix_of_the_changes_leaves_a_whole_build_or_none(case, script, tmp_path, monkeypatch):
    """From a build of three sessions to one of two."""
    for i, name in enumerate("abc"):
        write_units(tmp_path / "raw" / "sub-A" / f"{name}.nwb", [[0.5, 1.0 + i], [2.0]])
    monkeypatch.setattr(workers, "results", in_this_process)
    old, new, out = tmp_path / "old", tmp_path / "new", tmp_path / "out"
    first = SCRIPT, "--data_dir", tmp_path / "raw"
    assert script(*first, "--out_dir", old).returncode == 0
    if case == "one is gone":
        (tmp_path / "raw" / "sub-A" / "c.nwb").unlink()
    if case == "fewer and one new":
        write_units(tmp_path / "raw" / "sub-A" / "b.nwb", [[0.25, 3.0], [2.0]])
    first = *first, "--max_files", 2
    shutil.copytree(old, new)
    assert script(*first, "--out_dir", new).returncode == 0
    whole = [content(old), content(new)]
    assert whole[0] != whole[1]
    for n in itertools.count(1):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(old, out)
        with monkeypatch.context() as patched:
            stop_before(patched, n)
            try:
                script(*first, "--out_dir", out)
                break  # fewer than n changes: all steps were tried
            except Stopped:
                pass
        if arrow.is_finished(out):
            found = {path: data for path, data in content(out).items() if not path.name.endswith(".partial")}
            assert found in whole, f"stopped before change {n}"
        assert script(*first, "--out_dir", out).returncode == 0
        assert content(out) == whole[1], f"stopped before change {n}"
    assert n > 10
