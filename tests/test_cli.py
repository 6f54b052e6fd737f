"""Command lines: arguments that are wrong, output that cannot be encoded, and interrupts."""

import argparse
import errno
import os
import signal
import subprocess
import sys
import time

import pytest
from helpers import ROOT

from neuralpile import cli
from neuralpile.errors import BadInput

RUN = "import sys\nfrom neuralpile import cli\nfrom neuralpile.errors import BadInput\n"


def run(code, **environment):
    command = [sys.executable, "-c", RUN + code]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, timeout=120)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_an_encoding_does_not_have_is_written_as_escapes(encoding):
    code = "cli.run(lambda: print('⚠ Wójcik 日 \\udcff') or 3)"
    done = run(code, PYTHONIOENCODING=encoding)
    assert done.returncode == 3, done.stderr
    assert b"\\u26a0 W" in done.stdout
    assert b"\\u65e5 \\udcff" in done.stdout
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (
            "BadInput('a\\x1b[2J.nwb', 'spikes', 'none', 'look')",
            r"error: a\x1b[2J.nwb: expected spikes, found none",
        ),
        ("OSError(28, 'No space left on device', 'b\\x1bc')", r"error: b\x1bc: expected room to write it, found No"),
        ("OSError(13, 'Permission denied', 'b')", "error: b: expected to use it, found Permission denied; check"),
        ("MemoryError('8 GB')", "error: not enough memory: 8 GB"),
        (
            "ImportError('a.so: failed to map segment\\nfrom shared object')",
            "error: not enough memory: a.so: failed to",
        ),
        ("RuntimeError('can\\'t start new thread')", "error: not enough memory: can't start new thread"),
        ("OSError(12, 'Cannot allocate memory', 'a')", "error: not enough memory: [Errno 12] Cannot allocate memory"),
    ],
)
def test_errors_are_one_line_without_control_characters(raised, line):
    done = run(f"def main():\n    raise {raised}\ncli.run(main)")
    assert done.returncode == 2
    said = done.stderr.decode()
    assert said.startswith(line)
    assert said.count("\n") == 1
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("cause", "line"),
    [
        ("l.so: failed to map segment", b"error: not enough memory: l.so: failed to map segment\n"),
        ("l.so: no such file", b"error: a file or a connection: expected to use it, found cannot load l.so;"),
    ],
)
def test_a_library_that_cannot_be_loaded_lacks_memory_only_if_the_loader_says_so(cause, line):
    """As llvmlite raises it: what the loader says is in the error before."""
    load = f"try:\n    raise OSError({cause!r})\nexcept OSError:\n    raise OSError('cannot load l.so')"
    done = run(f"cli.run(lambda: exec({load!r}))")
    assert done.returncode == 2
    assert done.stderr.startswith(line)


def test_an_interrupt_is_one_line():
    done = run("def main():\n    raise KeyboardInterrupt\ncli.run(main)")
    assert (done.returncode, done.stderr) == (130, b"\ninterrupted; run the same command again\n")


def test_a_second_interrupt_ends_the_process_without_a_traceback():
    """While the process waits for its threads, as it does at its end."""
    code = """
import threading, time
def main():
    threading.Thread(target=time.sleep, args=(60,)).start()
    print("ready", flush=True)
    time.sleep(60)
cli.run(main)
"""
    running = subprocess.Popen([sys.executable, "-c", RUN + code], cwd=ROOT, stdout=-1, stderr=-1)
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(signal.SIGINT)
    assert running.stderr.readline() + running.stderr.readline() == b"\ninterrupted; run the same command again\n"
    for _ in range(200):  # it waits for its thread; a signal can come before it does
        running.send_signal(signal.SIGINT)
        if running.poll() is not None:
            break
        time.sleep(0.05)
    assert running.wait(30) == -signal.SIGINT
    assert running.stderr.read() == b""


def test_a_second_interrupt_while_the_first_is_handled_is_one_line():
    script = ROOT / ".test_second_interrupt.py"
    handled = "try:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt:\n    raise KeyboardInterrupt\n"
    script.write_text(f"from neuralpile import environment\n{handled}")
    try:
        done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, timeout=60)
    finally:
        script.unlink()
    assert done.stderr == b"\ninterrupted; run the same command again\n"


def test_an_interrupt_while_modules_are_imported_is_one_line():
    """A script of the project imports a module that does not end."""
    blocked = ROOT / ".test_blocked_import.py"
    blocked.write_text("from neuralpile import cli\nimport time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    try:
        running = subprocess.Popen([sys.executable, blocked], cwd=ROOT, stdout=-1, stderr=-1)
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)[1]
    finally:
        blocked.unlink()
    assert said == b"\ninterrupted; run the same command again\n"
    assert running.returncode == 130


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (cli.seed, {"0": 0, "7": 7}, ["-1", "x", "1.5"]),
        (cli.fraction, {"0.5": 0.5}, ["0", "1", "nan", "x"]),
        (cli.positive_int, {"1": 1}, ["0", "-3", "1e3"]),
        (cli.n_bytes, {"2GB": 2_000_000_000, "1e9": 1_000_000_000, "1.5 MiB": 1_500_000}, ["1", "x", "1PB"]),
    ],
)
def test_arguments_are_checked(kind, good, bad):
    assert {text: kind(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match="expected"):
            kind(text)


def test_the_help_shows_defaults_of_zero_but_not_of_switches():
    parser = cli.parser("x", "python x.py")
    parser.add_argument("--seed", type=cli.seed, default=0, help="of the split")
    parser.add_argument("--trim", action="store_true", help="drop bins")
    text = parser.format_help()
    assert "of the split (default: 0)" in text
    assert "drop bins\n" in text


def test_a_pattern_that_matches_nothing_is_refused():
    assert cli.choose(["a/x_2016.nwb", "a/y.nwb"], "*2016*") == ["a/x_2016.nwb"]
    with pytest.raises(BadInput, match=r"expected a pattern like a/y\.nwb, found z"):
        cli.choose(["a/y.nwb"], "z")


@pytest.mark.slow
@pytest.mark.parametrize("script", [*sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))])
def test_a_benchmark_explains_itself_without_its_packages(script):
    """`--help` runs nothing, and needs none of the packages that are measured beside ours."""
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["polars", "remfile", "aiohttp", "fsspec.implementations.http"]))
import runpy
sys.argv = ["benchmarks/{script}", "--help"]
sys.path.insert(0, "benchmarks")
runpy.run_path("benchmarks/{script}", run_name="__main__")
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert f"example:\n  python benchmarks/{script}" in done.stdout.decode()


def test_too_many_open_files_name_the_limit(capsys):
    def main():
        raise OSError(errno.EMFILE, "Too many open files", "rows.arrow")

    with pytest.raises(SystemExit):
        cli.run(main)
    line = (
        "error: rows.arrow: expected to open it, found Too many open files; raise the limit on open files (ulimit -n)\n"
    )
    assert capsys.readouterr().err == line
