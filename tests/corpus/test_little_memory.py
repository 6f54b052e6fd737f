"""Scripts with little address space and few file handles: they work, or end in one line, in bounded time."""

import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT
from helpers.small_corpora import write_rows_of

from neuralpile.corpus import arrow, merge, store
from neuralpile.corpus.rows import SCHEMA, Row
from neuralpile.corpus.split import SplitOptions
from neuralpile.open import open_data_set

COMMANDS = {
    "merge": ["merge_datasets.py", "--components", "a", "b", "--out_dir", "{out}"],
    "check": ["merge_datasets.py", "--check", "--out_dir", "{pile}"],
    "inspect": ["inspect_dataset.py", "a", "--table", "animals"],
    "summary": ["visualize_dataset.py", "--repo_name", "a", "--summary", "--out_dir", "{out}"],
    "raster": ["visualize_dataset.py", "--repo_name", "a", "--n_examples", "1", "--out_dir", "{out}"],
    "page": ["visualize_dataset.py", "--report", "--out_dir", "{out}"],
    "motifs": ["extract_motifs.py", "--repo_name", "a", "--p_n", "1", "--p_t", "2", "--out_dir", "{out}"],
    "tokens": ["tokenize_dataset.py", "--repo_name", "a", "--p_n", "1", "--p_t", "2", "--out_dir", "{out}"],
    "reorder": ["reorder_units.py", "--repo_name", "a", "--out_dir", "{out}"],
    "build": ["data/simulated-motor/preprocess.py", "--data_dir", "{raw}", "--out_dir", "{out}"],
}
QUICK = {("merge", 0.5), ("inspect", 0.3), ("reorder", 0.5)}
LEAST = 1.5  # GB of address space with which every command works on small data
GB = [
    pytest.param(name, gb, id=f"{name}-{gb}", marks=[] if (name, gb) in QUICK else pytest.mark.slow)
    for name in COMMANDS
    for gb in (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0)
]


def run(name, folder, kind, limit):
    """Run a command on the data sets a and b in a folder, with a limit."""
    where = {"out": folder / "out", "pile": folder / "pile", "raw": folder / "raw"}
    return subprocess.run(
        [sys.executable, *(part.format(**where) for part in COMMANDS[name])],
        cwd=ROOT,
        env=os.environ | {"NEURALPILE_BUILD": str(folder)},
        preexec_fn=lambda: resource.setrlimit(kind, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=300,
    )


def assert_one_line(done):
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr, done.stderr
    assert (done.returncode, len(errors)) in ((0, 0), (2, 1)), done.stderr


def prepare(folder, name):
    for digest, build in (("0" * 64, "a"), ("1" * 64, "b")):
        write_rows_of(folder / build, [np.full((3, 40), i + int(digest[0]), np.uint8) for i in range(3)], digest)
    if name == "check":
        opened = [open_data_set(str(folder / build)) for build in "ab"]
        merge.merge(opened, folder / "pile", SplitOptions())
    if name == "build":
        command = ["data/simulated-motor/download.py", "--data_dir", folder / "raw"]
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize(("name", "gb"), GB)
def test_a_script_works_with_little_address_space_or_ends_in_one_line(name, gb, tmp_path):
    prepare(tmp_path, name)
    done = run(name, tmp_path, resource.RLIMIT_AS, int(gb * 1e9))
    assert_one_line(done)
    assert done.returncode == 0 if gb >= LEAST else "ulimit -v" in done.stderr or done.returncode == 0, done.stderr


FILES = 200
SCRIPTS = ["merge", "check", "inspect", "summary", "raster", "page", "motifs", "tokens", "reorder"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_reads_more_files_than_it_may_have_open(name, tmp_path):
    for n, build in enumerate("ab"):
        files = [tmp_path / build / f"{i:03}.arrow" for i in range(FILES)]
        for i, file in enumerate(files):
            arrow.write_rows(file, [Row(np.full((2, 40), (i + n) % 5, np.uint8), "s", f"{i}", "segment_0")], SCHEMA)
        arrow.finish(tmp_path / build, files, SCHEMA, str(n) * 64)
    if name == "check":
        merge.merge([open_data_set(str(tmp_path / build)) for build in "ab"], tmp_path / "pile", SplitOptions())
    done = run(name, tmp_path, resource.RLIMIT_NOFILE, 64)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


def test_too_many_open_files_are_not_taken_for_a_damaged_file(tmp_path, monkeypatch):
    data_set = write_rows_of(tmp_path / "x", [np.ones((2, 5), np.uint8)])

    def refused(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(arrow, "mapped", refused)
    with pytest.raises(OSError, match="Too many open files"):
        data_set.row(0)


def test_data_sets_share_the_files_that_a_process_may_open(tmp_path, monkeypatch):
    files = [tmp_path / f"{i}.arrow" for i in range(20)]
    for i, file in enumerate(files):
        arrow.write_rows(file, [Row(np.full((2, 3), i, np.uint8), "s", f"{i}", "segment_0")], SCHEMA)
    arrow.finish(tmp_path, files, SCHEMA, "0" * 64)
    one = open_data_set(str(tmp_path))
    monkeypatch.setattr(store._Maps, "_all", {one._maps, "another"})
    monkeypatch.setattr(store, "_handles", lambda: 64)
    assert [row.counts[0, 0] for row in one] == [*range(20)]
    assert len(one._maps._open) == 64 // 4 // 2
