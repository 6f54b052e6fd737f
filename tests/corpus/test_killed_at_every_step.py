"""A merge that SIGKILL ends before any single change of a file.

What is then taken for finished must be a whole corpus, the one before or the new one, and the same merge again must end
with the bytes of an undisturbed one.
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from helpers import ROOT

from neuralpile.corpus import arrow, merge, rows, tables
from neuralpile.corpus.rows import Row
from neuralpile.corpus.split import SplitOptions
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set

SHARD = 60  # tokens: several files in each split
TRIED = 15  # changes of each case
# The components "a" and "b"; "b" as if it was on the Hub, so that it is fetched first.
MERGE = """
import os, sys
from dataclasses import replace
from pathlib import Path
from helpers import killed
from neuralpile.corpus import merge
from neuralpile.corpus.split import SplitOptions
from neuralpile.open import open_data_set
root, out, n, merge.SHARD = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
changes = killed.before(n)
components = [open_data_set(str(root / "a")), replace(open_data_set(str(root / "b")), folder=None)]
merge.merge(components, out, SplitOptions(0.3, 2, "session", validation_size=0.2))
print(next(changes))  # how many there were
"""


def killed_before(n, root, out):
    """Merge in a process of its own; None if it was killed before its `n`-th change, else how many it made."""
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", MERGE, str(root), str(out), str(n), str(SHARD)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def write_component(folder, name, with_units):
    made = [
        Row(np.full((3, 7), ord(name) % 5 + i, np.uint8), "sub-A", f"{name}-{i // 2}", f"segment_{i % 2}")
        for i in range(8)
    ]
    arrow.write_rows(folder / name / "x.arrow", made, rows.SCHEMA)
    if with_units:
        keys = {"source_dataset": name, "subject_id": "sub-A"}
        sessions = [{**keys, "session_id": f"{name}-{i}", "n_units": 3} for i in range(4)]
        units = [{**session, "unit": unit} for session in sessions for unit in range(3)]
        of_sessions = pa.Table.from_pylist(sessions, tables.SESSIONS)
        tables.write(folder / name, of_sessions, pa.Table.from_pylist(units, tables.UNITS))
    arrow.finish(folder / name, [folder / name / "x.arrow"], rows.SCHEMA, hashlib.sha256(name.encode()).hexdigest())


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with components, a corpus `old` of one of them, and the corpus `new` that is merged in the tests."""
    monkeypatch.setattr(merge, "SHARD", SHARD)
    for name in "abc":
        write_component(tmp_path, name, with_units=name == "a")
    merge.merge([open_data_set(str(tmp_path / "c"))], tmp_path / "old", SplitOptions(0.2, 1))
    return tmp_path


def opens(folder):
    try:
        return len(open_data_set(str(folder))) > 0
    except BadInput:
        return False


def check_step(n, root, start):
    """Kill a merge before change `n`, over a corpus or into a new folder; then merge again."""
    old, new, out = root / "old", root / "new", root / "out"
    for left in root.glob("*out*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    if start == "over another corpus":
        shutil.copytree(old, out)
    assert killed_before(n, root, out) is None, n
    if opens(out):
        assert content(out) in [content(old), content(new)][start == "into a new folder" :], f"killed before {n}"
    else:
        assert not out.exists(), f"killed before {n}: {sorted(content(out))}"
    components = [open_data_set(str(root / "a")), replace(open_data_set(str(root / "b")), folder=None)]
    merge.merge(components, out, SplitOptions(0.3, 2, "session", validation_size=0.2))
    assert content(out) == content(new), f"again after a kill before {n}"
    assert {path.name for path in root.glob("*out*")} == {"out", ".out.lock"}, f"left after a kill before {n}"


@pytest.mark.faults
@pytest.mark.parametrize("start", ["into a new folder", "over another corpus"])
def test_a_merge_killed_before_any_change_leaves_a_whole_corpus_or_none(start, root, faults_seed):
    if start == "over another corpus":
        shutil.copytree(root / "old", root / "new")
    n_changes = killed_before(-1, root, root / "new")
    assert n_changes > 50
    for n in random.Random(faults_seed).sample(range(n_changes), TRIED):
        check_step(n, root, start)
