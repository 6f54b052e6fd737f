"""Commands whose process is killed, interrupted or refused by the system at a chosen step.

A step is a change of a file or folder: to open a file for writing, to write a row, to flush to the disk, to rename, to
delete, to make a folder. Steps are counted, so no outcome depends on how fast the machine is.
"""

import errno
import itertools
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from helpers import ROOT

# Changes that Python audits; a file that is opened for writing is one too, if its name is known.
AUDITED = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.utime")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
MAKES = ("open", "os.mkdir", "os.rename", "os.truncate", "fsync", "write")  # what can need room
# What the system refuses which steps with, as Linux does
REFUSED: dict[int, tuple[str, ...]] = {
    errno.ENOSPC: MAKES,
    errno.EDQUOT: MAKES,
    errno.EIO: (*AUDITED, "open", "fsync", "write"),
    errno.EACCES: (*AUDITED, "open"),
    errno.EROFS: (*AUDITED, "open"),
}
NAMELESS = ("fsync", "write")  # the system's error then has no name of a file


class Ended(NamedTuple):
    """How a try ended.

    Attributes:
        status: its exit status; negative where a signal ended it.
        out, err: what it printed.
        steps: each step that it came to, "event path".
    """

    status: int
    out: str
    err: str
    steps: list[str]


class Tries:
    """A process that has imported what a command needs, and forks itself for each try of it.

    A try so takes tens of milliseconds, and a command can be tried at all of its steps.

    Parameters:
        within: folder in which changes are steps; also that of local builds (`build`) and of temporary files (`tmp`).
        prepare: Python that imports and patches; it may define `run(*arguments)`, else the first argument is a script.
        environment: more variables.
    """

    def __init__(self, within: Path, prepare: str = "", **environment: str) -> None:
        self.temporary = within / "tmp"
        self.temporary.mkdir(exist_ok=True)
        code = f"run = None\n{prepare}\nfrom helpers import steps\nsteps._serve(run)"
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        env = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(self.temporary)}
        env |= {"NEURALPILE_BUILD": str(within / "build"), "STEPS_WITHIN": str(within.resolve())} | environment
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=env, **pipes)

    def __call__(self, *arguments: object, at: Mapping[int, int] | None = None, on: bool = False) -> Ended:
        """Try the command.

        Parameters:
            arguments: of the command.
            at: what happens before a step, counted from 0: a signal, or an error number below 0, negated.
            on: whether an error comes at every later step, too.
        """
        with tempfile.TemporaryDirectory() as folder:  # of this process, not of the command
            out, err, log = (Path(folder) / name for name in ("out", "err", "log"))
            ask = {"arguments": [*map(str, arguments)], "at": dict(at or {}), "on": on}
            ask |= {"out": str(out), "err": str(err), "log": str(log)}
            print(json.dumps(ask), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
            assert answer, "the process that forks has ended"
            said = [path.read_text() if path.exists() else "" for path in (out, err, log)]
        return Ended(int(answer), said[0], said[1], said[2].splitlines())

    def close(self) -> None:
        """End the process that forks."""
        self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> "Tries":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(run) -> None:
    """Fork for each line of stdin, and print how the child ended."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _try(run, json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    os._exit(0)


def _try(run, ask) -> None:
    """Run the command in this process, whose steps are counted from now on."""
    for number, name in enumerate(("out", "err"), 1):
        os.dup2(os.open(ask[name], os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _count({int(n): act for n, act in ask["at"].items()}, ask["on"], os.open(ask["log"], os.O_WRONLY | os.O_CREAT))
    status = 0
    try:
        (run or run_script)(*ask["arguments"])
    except SystemExit as ended:
        status = ended.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # as at the end of every process
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # to free the memory of all libraries takes seconds


def run_script(*arguments: str) -> None:
    """Run a script of the project in this process."""
    sys.argv = list(arguments)
    runpy.run_path(str(ROOT / sys.argv[0]), run_name="__main__")


def _count(at: dict[int, int], on: bool, log: int) -> None:
    """Count the steps of this process, and do what is to come before them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    within = os.environ["STEPS_WITHIN"]
    counted = itertools.count()

    def step(event: str, path: str = "") -> None:
        n = next(counted)
        os.write(log, f"{event} {path.removeprefix(within)}\n".encode())
        act = at.get(n, at[min(at)] if on and n > min(at) else 0)
        if act > 0:
            os.kill(os.getpid(), act)
        if act < 0 and event in REFUSED[-act]:
            raise OSError(-act, os.strerror(-act), *([path] if event not in NAMELESS else []))

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if event in AUDITED or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES):
            path = os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes)) else "/"
            if path.startswith(within) or not path.startswith("/"):  # relative: within a folder that is being deleted
                step(event, path)

    def before(event: str, real):
        def change(*arguments, **options):
            step(event)
            return real(*arguments, **options)

        return change

    os.fsync = lambda handle: step("fsync")  # what a killed process wrote stays without it
    pa.OSFile = before("write", pa.OSFile)  # pyarrow writes without Python
    for name in ("write_batch", "write_table"):
        setattr(pq.ParquetWriter, name, before("write", getattr(pq.ParquetWriter, name)))
    pq.ParquetWriter.close = _closing(pq.ParquetWriter.close, lambda: step("write"))
    new_stream = pa.ipc.new_stream
    pa.ipc.new_stream = lambda *given, **options: _Counted(new_stream(*given, **options), lambda: step("write"))
    sys.addaudithook(audit)


def _closing(real, step):
    """Close a Parquet writer, which is a step; one that failed to close is closed."""

    def close(writer):
        try:
            if writer.is_open:
                step()
        except BaseException:  # an interrupt, too
            writer.is_open = False
            raise
        real(writer)

    return close


class _Counted:
    """A writer of Arrow batches, each of which is a step."""

    def __init__(self, writer, step) -> None:
        self.writer, self.step = writer, step

    def write_batch(self, *arguments) -> None:
        self.step()
        self.writer.write_batch(*arguments)

    def __enter__(self):
        self.writer.__enter__()
        return self

    def __exit__(self, *error):
        return self.writer.__exit__(*error)
