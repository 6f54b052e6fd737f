"""The build loop, as users run it: session files to a data set, killed, repeated, with bad files among good ones."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import datasets
import numpy as np
import pytest
from helpers import ROOT
from helpers.recordings import write_units, write_units_bare

from neuralpile import catalog
from neuralpile.build import loop
from neuralpile.build.script import Script
from neuralpile.corpus import arrow
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.spikes.session import Options

SCRIPT = "data/dmfc-rsg/preprocess.py"


def trains(n_units, seconds, seed):
    rng = np.random.default_rng(seed)
    return [np.sort(rng.uniform(0, seconds, rng.integers(1, 200))) for _ in range(n_units)]


def counted(trains, bin_size=0.02):
    edges = np.arange(0, max(np.max(train, initial=0) for train in trains) + bin_size, bin_size)
    return np.stack([np.histogram(train, edges)[0] for train in trains])


@pytest.fixture
def raw(tmp_path):
    """Five sessions of two subjects."""
    folder = tmp_path / "raw"
    for i, name in enumerate(["A/a1", "A/a2", "A/a3", "B/b1", "B/b2"]):
        write_units(folder / f"sub-{name}.nwb", trains(3 + i, 20, i))
    return folder


def content(folder):
    """Every file of a build by its path, but for the empty lock."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != loop.LOCK}


def test_build_from_the_command_line(raw, script, tmp_path):
    out = tmp_path / "build" / "dmfc-rsg"
    done = script(SCRIPT, "--data_dir", raw, "--token_count_limit", "1500")
    assert done.returncode == 0, done.stderr
    loaded = datasets.load_from_disk(str(out))
    assert loaded.features == datasets.Features(
        spike_counts=datasets.List(datasets.List(datasets.Value("uint8"))),
        subject_id=datasets.Value("string"),
        session_id=datasets.Value("string"),
        segment_id=datasets.Value("string"),
    )
    sessions: dict = {}
    for row in open_data_set(str(out)):
        assert row.counts.size <= 1500
        assert not row.counts.flags.owndata
        parts = sessions.setdefault((row.subject_id, row.session_id), [])
        assert row.segment_id == f"segment_{len(parts)}"
        parts.append(row.counts)
    names = [("sub-A", "a1"), ("sub-A", "a2"), ("sub-A", "a3"), ("sub-B", "b1"), ("sub-B", "b2")]
    names = [(subject, f"{session}") for subject, session in names]
    assert list(sessions) == names
    for i, parts in enumerate(sessions.values()):
        assert (np.concatenate(parts, axis=1) == counted(trains(3 + i, 20, i))).all()
    report = json.loads((out / "report.json").read_text())
    expected = [counted(trains(3 + i, 20, i)) for i in range(5)]
    totals = report["totals"]
    assert totals["tokens"] == sum(c.size for c in expected)
    assert totals["spikes"] == sum(c.sum() for c in expected)
    assert totals["largest_count"] == max(c.max() for c in expected)
    assert totals["zero_fraction"] == pytest.approx(sum((c == 0).sum() for c in expected) / totals["tokens"])
    assert (totals["sessions"], totals["subjects"], totals["units"]) == (5, 2, [3, 7])
    assert f"{totals['tokens']:,}" in done.stdout
    assert str(out) in done.stdout


def test_second_run_does_nothing_and_changes_nothing(raw, script, tmp_path):
    out = tmp_path / "out"
    assert script(SCRIPT, "--data_dir", raw, "--out_dir", out).returncode == 0
    before, written = content(out), {p: p.stat().st_mtime_ns for p in (out / "rows").rglob("*.arrow")}
    inodes = {p: p.stat().st_ino for p in written}
    assert script(SCRIPT, "--data_dir", raw, "--out_dir", out).returncode == 0
    assert content(out) == before
    assert {p: p.stat().st_ino for p in written} == inodes


def test_jobs_give_the_same_bytes(raw, script, tmp_path):
    assert script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "one").returncode == 0
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "two", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_what_changed_is_built_again(raw, script, tmp_path):
    out = tmp_path / "out"
    row = out / "rows" / "sub-A" / "a1.nwb.arrow"
    other = out / "rows" / "sub-A" / "a2.nwb.arrow"
    script(SCRIPT, "--data_dir", raw, "--out_dir", out)
    first, kept = row.read_bytes(), other.stat().st_ino
    write_units(raw / "sub-A" / "a1.nwb", trains(3, 20, 99))  # another recording under the same name
    assert script(SCRIPT, "--data_dir", raw, "--out_dir", out).returncode == 0
    assert row.read_bytes() != first
    assert other.stat().st_ino == kept
    (raw / "sub-A" / "a1.nwb").unlink()
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", out)
    assert "a1.nwb.arrow: its session file no longer exists" in done.stderr
    assert not row.exists()
    assert len(open_data_set(str(out))) == 4
    script(SCRIPT, "--data_dir", raw, "--out_dir", out, "--bin_size", "0.1")
    assert (open_data_set(str(out)).row(0).counts == counted(trains(4, 20, 1), 0.1)).all()


def test_bad_files_do_not_end_a_build(raw, script, tmp_path):
    out = tmp_path / "out"
    (raw / "sub-A" / "a2.nwb").write_bytes(b"not a recording")
    write_units_bare(raw / "sub-B" / "b1.nwb", np.arange(4.0), np.array([3, 2], "u1"))
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", out)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert any("a2.nwb: expected a whole NWB file" in line for line in errors)
    assert any("b1.nwb: expected units/spike_times_index" in line for line in errors)
    assert "Traceback" not in done.stderr
    assert set(json.loads((out / "report.json").read_text())["failed"]) == {"sub-A/a2.nwb", "sub-B/b1.nwb"}
    assert len(open_data_set(str(out))) == 3
    # mended, the same command builds just these
    kept = (out / "rows" / "sub-A" / "a1.nwb.arrow").stat().st_ino
    write_units(raw / "sub-A" / "a2.nwb", trains(4, 20, 1))
    write_units(raw / "sub-B" / "b1.nwb", trains(6, 20, 3))
    assert script(SCRIPT, "--data_dir", raw, "--out_dir", out).returncode == 0
    assert len(open_data_set(str(out))) == 5
    assert (out / "rows" / "sub-A" / "a1.nwb.arrow").stat().st_ino == kept


def test_strict_stops_at_the_first_bad_file(raw, script, tmp_path):
    (raw / "sub-A" / "a2.nwb").write_bytes(b"not a recording")
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out", "--strict")
    assert done.returncode == 2
    assert done.stderr.count("a2.nwb: expected a whole NWB file") == 1
    assert not (tmp_path / "out" / "rows" / "sub-B").exists()
    assert not arrow.is_finished(tmp_path / "out")


def test_silent_session_has_no_row_and_is_reported(raw, script, tmp_path):
    write_units(raw / "sub-B" / "b1.nwb", [[], []])
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "sub-B b1: no spike (at or after 0 s, in the units that are kept): no row" in done.stdout
    assert len(open_data_set(str(tmp_path / "out"))) == 4


@pytest.mark.parametrize("where", ["absent", "empty"])
def test_a_folder_without_session_files_is_refused(script, tmp_path, where):
    (tmp_path / "empty").mkdir()
    done = script(SCRIPT, "--data_dir", tmp_path / where, "--out_dir", tmp_path / "out")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "expected session files" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--bin_size", "0"),
        ("--bin_size", "nan"),
        ("--token_count_limit", "0"),
        ("--token_count_limit", "3_000_000_000"),
        ("--jobs", "x"),
    ],
)
def test_wrong_options_are_refused(script, option):
    done = script(SCRIPT, *option)
    assert done.returncode == 2
    assert f"argument {option[0]}: expected a" in done.stderr


def test_binned_recordings_offer_multiples_of_their_bin(script):
    done = script("data/simulated-visual/preprocess.py", "--bin_size", "0.0205")
    assert done.returncode == 2
    assert "expected a multiple of 0.001 s" in done.stderr


def test_folder_that_cannot_be_written(raw, script, tmp_path):
    (tmp_path / "file").write_text("")
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "file" / "out")
    assert done.returncode == 2
    assert "check the path, its permissions" in done.stderr
    assert "Traceback" not in done.stderr


def test_links_are_followed_once(raw, script, tmp_path):
    (raw / "sub-A" / "up").symlink_to("..")
    elsewhere = tmp_path / "elsewhere" / "sub-C"
    write_units(elsewhere / "c1.nwb", [[1.0]])
    (raw / "sub-C").symlink_to(elsewhere)
    (raw / "sub-A" / "gone.nwb").symlink_to("nowhere.nwb")
    (raw / "sub-A" / "round.nwb").symlink_to("round.nwb")
    os.mkfifo(raw / "sub-A" / "pipe.nwb")
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out")
    assert len(open_data_set(str(tmp_path / "out"))) == 6
    assert done.returncode == 1
    assert (
        "gone.nwb: expected a file, found a link to nowhere.nwb, which does not exist; restore that file" in done.stderr
    )
    assert "round.nwb: expected a file, found a circular link (to round.nwb); put the file" in done.stderr
    assert "Errno" not in done.stderr


def test_same_session_twice_is_told(raw, script, tmp_path):
    shutil.copytree(raw / "sub-A", raw / "000130" / "sub-A")
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out")
    assert done.returncode == 0
    assert done.stdout.count("too: is it the same session?") == 3


def test_subject_of_the_present_folder(raw, tmp_path):
    """The subject is the folder's name, also where it is given as "."."""
    command = [sys.executable, ROOT / SCRIPT, "--data_dir", ".", "--out_dir", tmp_path / "out"]
    subprocess.run(command, cwd=raw / "sub-B", check=True, capture_output=True)
    assert {row.subject_id for row in open_data_set(str(tmp_path / "out"))} == {"sub-B"}


def test_folders_of_others_are_left_alone(raw, script, tmp_path):
    (tmp_path / "mine" / "rows").mkdir(parents=True)
    (tmp_path / "mine" / "rows" / "old.arrow").write_text("dear")
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "mine")
    assert done.returncode == 2
    assert "expected a new folder, or an earlier build of dmfc-rsg, found other files" in done.stderr
    assert (tmp_path / "mine" / "rows" / "old.arrow").read_text() == "dear"
    assert script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out").returncode == 0
    done = script("data/m1-a/preprocess.py", "--data_dir", raw, "--out_dir", tmp_path / "out")
    assert "found a build of dmfc-rsg" in done.stderr
    assert len(open_data_set(str(tmp_path / "out"))) == 5


def test_a_damaged_report_is_made_anew(raw, script, tmp_path):
    """It is made anew, as the rows' folder is a build still."""
    assert script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out").returncode == 0
    before = content(tmp_path / "out")
    for damaged in ("{", "[]", "{}"):
        (tmp_path / "out" / "report.json").write_text(damaged)
        done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out")
        assert done.returncode == 0, done.stderr
        assert content(tmp_path / "out") == before


def test_files_that_macos_puts_beside_others(raw, script, tmp_path):
    (raw / "sub-A" / "._a1.nwb").write_bytes(b"Mac OS X")
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(open_data_set(str(tmp_path / "out"))) == 5


def test_report_does_not_outlive_its_rows(raw, script, tmp_path):
    script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out")
    for path in raw.rglob("*.nwb"):
        path.write_bytes(b"damaged")
    assert script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out").returncode == 2
    assert not (tmp_path / "out" / "report.json").exists()
    assert not arrow.is_finished(tmp_path / "out")


def test_token_limit_below_the_units(raw, script, tmp_path):
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out", "--token_count_limit", "5")
    assert done.returncode == 1
    assert "b1.nwb: expected at most 5 units" in done.stderr


def test_published_counts_wrap_and_are_cut_as_published(raw, script, tmp_path):
    """Counts wrap, and the cut is the published one."""
    write_units(raw / "sub-A" / "a1.nwb", [[0.001] * 300 + [10.0], [5.0], [5.0]])
    options = ["--data_dir", raw, "--token_count_limit", "100"]
    script(SCRIPT, *options, "--out_dir", tmp_path / "right")
    done = script(SCRIPT, *options, "--out_dir", tmp_path / "published", "--as_published")
    assert "a1: 1 time a bin passed 255 and wrapped to 0, as published" in done.stdout
    right, published = (list(open_data_set(str(tmp_path / name)))[:16] for name in ("right", "published"))
    assert right[0].counts[0, 0] == 255
    assert published[0].counts[0, 0] == 300 - 256
    n_bins = len(np.arange(0, 10.02, 0.02)) - 1  # 3 units: 15 or 16 segments of at most 33 bins
    assert right[0].counts.shape[1] == -(-n_bins // -(-n_bins // 33))
    assert published[0].counts.shape[1] == -(-n_bins // -(-3 * n_bins // 100))


def command(raw, out, *more):
    return [sys.executable, SCRIPT, "--data_dir", str(raw), "--out_dir", str(out), *more]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_killed_at_any_moment_and_run_again(tmp_path, jobs):
    """SIGKILL at moments spread over the run; at the end the same bytes, and never a file half-written."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    for i in range(6):
        write_units(raw / "sub-A" / f"{i}.nwb", trains(300, 1500, i))
    undisturbed = tmp_path / "undisturbed"
    started = time.monotonic()
    subprocess.run(command(raw, undisturbed), cwd=ROOT, check=True, capture_output=True)
    whole_run = time.monotonic() - started
    kills = 0
    for share in np.linspace(0.35, 1.05, 8):
        process = subprocess.Popen(command(raw, out, "--jobs", jobs), cwd=ROOT, stdout=-3, stderr=-3)
        try:
            process.wait(whole_run * share)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        done = sorted((out / "rows").rglob("*.arrow"))
        for path in done:  # whatever has its final name is whole
            assert path.read_bytes() == (undisturbed / path.relative_to(out)).read_bytes()
        before = {path: path.stat().st_ino for path in done}
        if arrow.is_finished(out):
            break
    assert kills >= 1
    subprocess.run(command(raw, out, "--jobs", jobs), cwd=ROOT, check=True, capture_output=True)
    assert {path: path.stat().st_ino for path in before} == before  # nothing that was done was done again
    assert content(out) == content(undisturbed)


def test_two_builds_in_one_folder(raw, tmp_path):
    data_set = catalog.load("dmfc-rsg")
    from filelock import FileLock

    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / loop.LOCK), pytest.raises(BadInput, match="no other build"):
        loop.build(data_set, Script(ROOT / SCRIPT, None), {}, [], tmp_path / "out", Options())


def test_new_data_set_is_one_folder(raw, script, tmp_path):
    """A lab's own data set: a folder with a dataset.toml and a script of a few lines, which may be wrong."""
    folder = tmp_path / "my-lab"
    folder.mkdir()
    shutil.copy(ROOT / "data" / "dmfc-rsg" / "dataset.toml", folder)
    head = "import numpy as np\nfrom neuralpile import build\nfrom neuralpile.spikes.session import Session\n"
    tail = "\n\nif __name__ == '__main__':\n    build.main(__file__, read)\n"
    body = "def read(path, options):\n    return Session('me', path.stem, np.ones((2, 3), np.uint8))"
    (folder / "preprocess.py").write_text(head + body + tail)
    done = script(folder / "preprocess.py", "--data_dir", raw, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert len(open_data_set(str(tmp_path / "build" / "my-lab"))) == 5
    # an edited script builds again, and its mistakes are told as lines
    for wrong, message in [
        ("np.ones((2, 3))", "float64 of shape (2, 3)"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ]:
        (folder / "preprocess.py").write_text(head + body.replace("np.ones((2, 3), np.uint8)", wrong) + tail)
        done = script(folder / "preprocess.py", "--data_dir", raw)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_worker_that_dies_is_reported(raw, script, tmp_path):
    folder = tmp_path / "my-lab"
    folder.mkdir()
    shutil.copy(ROOT / "data" / "dmfc-rsg" / "dataset.toml", folder)
    (folder / "preprocess.py").write_text(
        "import os\nimport numpy as np\nfrom neuralpile import build\nfrom neuralpile.spikes.session import Session\n"
        "def read(path, options):\n    if path.stem == 'b2':\n        os.kill(os.getpid(), 9)\n"
        "    return Session('me', path.stem, np.ones((2, 3), np.uint8))\n"
        "if __name__ == '__main__':\n    build.main(__file__, read)\n"
    )
    done = script(folder / "preprocess.py", "--data_dir", raw, "--jobs", "2")
    assert done.returncode in (1, 2)
    assert "run again with fewer --jobs" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_workers_end_with_their_parent(tmp_path, how):
    """A build that was killed, or ended by Ctrl-C, leaves no process behind and prints no traceback."""
    raw = tmp_path / "raw"
    for i in range(4):
        write_units(raw / "sub-A" / f"{i}.nwb", trains(2, 20, i))
    folder = tmp_path / "my-lab"
    folder.mkdir()
    shutil.copy(ROOT / "data" / "dmfc-rsg" / "dataset.toml", folder)
    (folder / "preprocess.py").write_text(
        "import os, time, pathlib\nfrom neuralpile import build\n"
        "def read(path, options):\n"
        "    pathlib.Path(str(path) + '.pid').write_text(str(os.getpid()))\n    time.sleep(60)\n"
        "if __name__ == '__main__':\n    build.main(__file__, read)\n"
    )
    arguments = ["--data_dir", str(raw), "--out_dir", str(tmp_path / "out"), "--jobs", "2"]
    process = subprocess.Popen(
        [sys.executable, str(folder / "preprocess.py"), *arguments], stdout=-3, stderr=-1, text=True, process_group=0
    )
    deadline = time.monotonic() + 60
    while len(pids := [int(p.read_text() or 0) for p in raw.rglob("*.pid")]) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(pids) == 2
    if how == "killed":
        process.kill()
    else:  # as a terminal does it: all processes get the signal
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 130  # sessions are not waited for
        assert process.stderr.read().strip() == "interrupted; run the same command again"
    process.wait()
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, pids))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
        return stat.read().split()[2] != "Z"


def test_a_broken_link_after_a_build_leaves_the_others_built(raw, script, tmp_path):
    kept = tmp_path / "annex" / "a1.nwb"
    kept.parent.mkdir()
    (raw / "sub-A" / "a1.nwb").rename(kept)
    (raw / "sub-A" / "a1.nwb").symlink_to(kept)
    assert script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out").returncode == 0
    kept.unlink()
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out")
    assert done.returncode == 1
    assert f"NOT BUILT: {raw / 'sub-A' / 'a1.nwb'}" in done.stdout
    assert len(open_data_set(str(tmp_path / "out"))) == 4


def test_a_copy_of_a_recording_is_noted(raw, script, tmp_path):
    shutil.copy(raw / "sub-A" / "a1.nwb", raw / "sub-A" / "a1 (1).nwb")
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out")
    assert done.returncode == 0
    assert "sub-A/a1.nwb has exactly the counts of sub-A/a1 (1).nwb: is it a copy?" in done.stdout
    assert done.stdout.count("is it a copy?") == 1


def test_trim_notes_only_what_it_trimmed(raw, script, tmp_path):
    write_units(raw / "sub-A" / "a1.nwb", [[0.001, 1.0]])
    done = script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "out", "--trim", "--sessions", "*a1*")
    assert done.returncode == 0, done.stderr
    assert "trimmed" not in done.stdout


@pytest.mark.parametrize("counted", [True, False])
def test_a_session_that_spins_is_stopped(raw, script, tmp_path, monkeypatch, counted):
    """A file that keeps its reader computing is one line; the others are built. macOS does not count reading."""
    import psutil

    from neuralpile.build import workers

    monkeypatch.setattr(workers, "STUCK_AFTER", 1.0 if counted else 0.05)
    if not counted:
        monkeypatch.delattr(psutil.Process, "io_counters")
    folder = tmp_path / "my-lab"
    folder.mkdir()
    shutil.copy(ROOT / "data" / "dmfc-rsg" / "dataset.toml", folder)
    (folder / "preprocess.py").write_text(
        "import numpy as np\nfrom neuralpile import build\nfrom neuralpile.spikes.session import Session\n"
        "def read(path, options):\n    while path.stem == 'a2':\n        pass\n"
        "    return Session('me', path.stem, np.ones((2, 3), np.uint8))\n"
        "if __name__ == '__main__':\n    build.main(__file__, read)\n"
    )
    done = script(folder / "preprocess.py", "--data_dir", raw)
    assert done.returncode == 1
    found = "1 s of computing without " + ("reading anything" if counted else "an end")
    assert f"sub-A/a2.nwb: expected a file that can be read, found {found}" in done.stderr
    assert len(open_data_set(str(tmp_path / "build" / "my-lab"))) == 4
