"""When a session's rows are stale: any change in its recording, its options, or the code that makes rows."""

import ast
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from helpers.recordings import write_units

import neuralpile.corpus.arrow  # noqa: F401  (imported while a session is built, but that is no part of it)
from neuralpile.build import session
from neuralpile.build.session import Task, build_session, code_digest
from neuralpile.corpus.rows import Row
from neuralpile.recordings import nwb
from neuralpile.spikes.session import Options, Session

SCRIPT = ROOT / "data" / "dmfc-rsg" / "preprocess.py"
# Traced while a session is built, but no count passes through them.
WITHOUT_COUNTS = {"errors.py", "files.py", "build/record.py", "acquire/range_file.py", "cli.py", "corpus/manifest.py"}


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A copy of the package, whose code is digested in place of the real one."""
    copy = tmp_path / "neuralpile"
    shutil.copytree(ROOT / "neuralpile", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(session, "__file__", str(copy / "build" / "session.py"))
    return copy


def modules_of_a_build(tmp_path: Path) -> set[str]:
    """The modules of the library of which functions run while a session is built."""
    path = write_units(tmp_path / "raw" / "sub-A" / "a.nwb", [[1.0, 2.0], [3.0]], observed=[[0.5, 4.0]])
    ran = set()

    def note(frame, event, _):
        if event == "call":
            ran.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        options = Options(trim=True, mask_unobserved=True, token_count_limit=100)
        build_session(nwb.count_units, Task("a.nwb", path, tmp_path / "a.arrow", options, {}, "x"))
    finally:
        sys.setprofile(None)
    package = ROOT / "neuralpile"
    return {Path(f).relative_to(package).as_posix() for f in ran if Path(f).is_relative_to(package)}


def test_a_change_in_any_function_that_counts_pass_through_changes_the_digest(tmp_path, library):
    traced = modules_of_a_build(tmp_path) - WITHOUT_COUNTS
    assert {"build/session.py", "spikes/binning.py", "recordings/nwb.py", "corpus/rows.py"} <= traced
    before = code_digest(SCRIPT)
    changed = set()
    for module in sorted(traced):
        path = library / module
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines(keepends=True)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                last = node.body[-1]
                indent = " " * last.col_offset
                path.write_text("".join([*lines[: last.lineno - 1], f"{indent}0\n", *lines[last.lineno - 1 :]]))
                assert code_digest(SCRIPT) != before, f"{module}: {node.name}"
                changed.add(node.name)
        path.write_text(source, encoding="utf-8")
    assert code_digest(SCRIPT) == before
    assert {"trimmed", "build_session", "segments", "to_record_batch", "write_rows", "bin_spikes"} <= changed


def test_a_module_beside_the_script_counts_as_code_that_makes_rows(tmp_path):
    script = tmp_path / "preprocess.py"
    script.write_text("1")
    before = code_digest(script)
    (tmp_path / "download.py").write_text("2")
    assert code_digest(script) == before
    (tmp_path / "helper.py").write_text("2")
    assert code_digest(script) != before


def test_a_recording_replaced_within_the_same_moment_is_built_again(tmp_path):
    """Another recording of the same size, with the same modification time."""
    path = write_units(tmp_path / "sub-A" / "a.nwb", [[1.0, 2.0]])
    task = Task("a.nwb", path, tmp_path / "a.arrow", Options(), {}, "x")
    build_session(nwb.count_units, task)
    facts = task.done()
    assert facts is not None
    status, content = path.stat(), path.read_bytes()
    other = content.replace(b"\x00\x00\x00\x00\x00\x00\xf0\x3f", b"\x00\x00\x00\x00\x00\x00\xe0\x3f")  # 1.0 s to 0.5 s
    assert len(other) == len(content) and other != content
    path.write_bytes(other)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert task.done() is None
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert task.done() is None
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert task.done() == facts


def test_a_link_whose_target_is_gone_is_not_done(tmp_path):
    path = write_units(tmp_path / "sub-A" / "a.nwb", [[1.0]])
    task = Task("a.nwb", path, tmp_path / "a.arrow", Options(), {}, "x")
    build_session(nwb.count_units, task)
    path.unlink()
    assert task.done() is None


@pytest.mark.parametrize("count", [0, 1])
def test_a_session_without_a_spike_is_noted(count):
    counts = np.full((2, 3), count, np.uint8)
    made = Session("me", "one", counts)
    of_it = session.session_facts("a.nwb", 1, made, [Row(counts, "me", "one", "segment_0")], counts.sum(axis=1))
    assert ("no spike in any of its bins" in of_it.notes) == (count == 0)
