"""A full disk ends every command that writes in one line; the next run with room makes what an undisturbed one makes.

A limit on the size of a file fails a write as a full disk does, on any machine and for any user. A small disk of its
own shows the rest: that folders and locks find no room. download.py has its tests in acquire/test_download.py.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, in_process
from helpers.builds import write_build
from helpers.recordings import write_units

from neuralpile.errors import BadInput
from neuralpile.hub import publish
from neuralpile.open import open_data_set

TRAINS = np.split(np.random.default_rng(0).uniform(0, 300, 6_000), range(500, 6_000, 500))  # 12 units, of 300 s
LINE = r"error: (.+): expected room to write it, found [\w ]+; make room on the disk[^\n]*\n"
# Bytes that a file may have: each limit fails another of the files that a command writes.
LIMITS = {
    "merge": (0, 600, 30_000),
    "motifs": (0, 10_000),
    "tokens": (0, 600, 20_000),
    "rasters": (20_000,),
    "summary": (20_000,),
    "report": (20_000,),
    "publish": (0, 2_000),
}
SLOW = ("summary", "report")  # their figures take seconds


class Uploaded:
    """Stands for the repository of a push, and keeps what is committed to it."""

    class target:
        name = "me/xiao"

    def create(self):
        """Nothing to do."""

    def commit(self, files, _title):
        self.files = {name: data if isinstance(data, bytes) else data.read_bytes() for name, data in files.items()}
        return ""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Recordings, and two builds of data sets."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("a", "b"):
        write_units(folder / "raw" / "sub-A" / f"{name}.nwb", [np.sort(train) for train in TRAINS])
    for seed, name in enumerate(("m1-a", "m1-b")):
        write_build(folder / "build" / name, 12, seed)
    return folder


def arguments(command, inputs, out):
    """The command line of a script, whose results go into the folder `out`."""
    build = ["--repo_name", inputs / "build" / "m1-a"]
    scripts = {
        "preprocess": ["data/dmfc-rsg/preprocess.py", "--data_dir", inputs / "raw"],
        "merge": ["merge_datasets.py", "--components", inputs / "build" / "m1-a", inputs / "build" / "m1-b"],
        "motifs": ["extract_motifs.py", "--p_n", 1, "--p_t", 8, "--memory", "1MB", "--jobs", 1, *build],
        "tokens": ["tokenize_dataset.py", "--p_n", 1, "--p_t", 4, "--vocabulary", 100, "--jobs", 1, *build],
        "rasters": ["visualize_dataset.py", "--n_examples", 1, *build],
        "summary": ["visualize_dataset.py", "--summary", *build],
        "report": ["visualize_dataset.py", "--report"],
        "new data set": ["new_dataset.py", "lab", "--from", "nwb", "--data_dir", inputs / "raw"],
    }
    return [*scripts[command], "--data_root" if command == "new data set" else "--out_dir", out / "made"]


def run(command, inputs, out):
    """Status and stderr of a command."""
    if command == "publish":
        return push(inputs / "build" / "m1-a", out)
    done = in_process.run(inputs / "build", *arguments(command, inputs, out))
    return done.returncode, done.stderr


def push(build, out):
    """Status and error of a push. What it stages goes beside the build, what it commits into `out`."""
    hub = Uploaded()
    try:
        publish.push(open_data_set(str(build)), hub, {})
    except BadInput as error:
        return 2, f"error: {error}\n"
    finally:
        assert not list(build.parent.glob("*.partial"))
    for name, data in hub.files.items():
        (out / name.replace("/", " ")).write_bytes(data)
    return 0, ""


def content(folder):
    """The files of a folder, but for hidden and unfinished ones."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    names = {f"/{path.relative_to(folder)}": path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if "/." not in name and ".partial" not in name}


@contextmanager
def limited(n_bytes):
    """Let no file have more bytes than this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("command", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in LIMITS])
def test_a_full_disk_is_one_line_and_the_next_run_makes_it_good(command, inputs, tmp_path):
    whole, full = tmp_path / "undisturbed", tmp_path / "full"
    whole.mkdir()
    full.mkdir()
    assert run(command, inputs, whole) == (0, "")
    expected = content(whole)
    for limit in LIMITS[command]:
        with limited(limit):
            status, err = run(command, inputs, full)
        assert (status, bool(re.fullmatch(LINE, err))) == (2, True), err
        assert content(full).items() <= expected.items()
    assert run(command, inputs, full) == (0, "")
    assert content(full) == expected


def test_a_build_on_a_full_disk_stops_and_resumes(inputs, script, tmp_path):
    """Its workers' error ends the build: no other session would find room."""
    command = arguments("preprocess", inputs, tmp_path)
    with limited(20_000):
        done = script(*command)
    assert (done.returncode, bool(re.fullmatch(LINE, done.stderr))) == (2, True), done.stderr
    assert re.fullmatch(LINE, done.stderr)[1] == str(tmp_path / "made" / "rows" / "sub-A" / "a.nwb.arrow")
    assert content(tmp_path) == {}
    assert script(*command).returncode == 0
    assert [len(open_data_set(str(tmp_path / "made")).session("sub-A", name)) for name in ("a", "b")] == [1, 1]


@pytest.mark.slow
def test_a_new_data_set_whose_first_build_finds_no_room_leaves_nothing_and_the_command_runs_again(
    inputs, script, tmp_path
):
    command = arguments("new data set", inputs, tmp_path)
    with limited(20_000):
        done = script(*command)
    full, then = done.stderr.splitlines(keepends=True)
    assert (done.returncode, bool(re.fullmatch(LINE, full))) == (2, True), done.stderr
    assert then.endswith("the new folder is removed\n")
    assert content(tmp_path) == {}
    assert script(*command).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_finds_no_room_is_named():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "merge_datasets.py", "--list_evaluation"]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, bool(re.fullmatch(LINE, done.stderr))) == (2, True), done.stderr
    assert done.stderr.startswith("error: standard output: ")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 4 MB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk (tmpfs)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("command", ["merge", "tokens"])
def test_a_disk_without_room_is_one_line(command, inputs, small_disk, tmp_path):
    """From full to the last byte, where not even a folder can be made, to room for some of the files."""
    whole, full, filler = tmp_path / "undisturbed", small_disk / "full", small_disk / "filler"
    for folder in (whole, full):
        folder.mkdir()
    assert run(command, inputs, whole) == (0, "")
    expected = content(whole)
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4_096))
    for room in (0, 4_096, 20_480):
        os.truncate(filler, shutil.disk_usage(small_disk).free + filler.stat().st_size - room)
        status, err = run(command, inputs, full)
        assert (status, bool(re.fullmatch(LINE, err))) == (2, True), err
        assert content(full).items() <= expected.items()
    filler.unlink()
    assert run(command, inputs, full) == (0, "")
    assert content(full) == expected
