"""Build sessions in worker processes; one that crashes or hangs does not harm the others.

A damaged HDF5 file can crash the library that reads it, or keep it computing for ever, so the build's own process reads
no recording. Workers are forked from multiprocessing's fork server, which has imported what they need. A worker that
uses much processor time without reading or writing a byte is stopped.
"""

import fcntl
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Generator
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path

import psutil

from neuralpile.build.record import SessionFacts
from neuralpile.build.script import Read
from neuralpile.build.session import Task, build_session
from neuralpile.errors import BadInput
from neuralpile.recordings import damage

# Seconds of processor time without any reading or writing after which a worker counts as stuck. The longest such
# stretch of a real session takes under a minute.
STUCK_AFTER = 180.0
UNCOUNTED = 20  # times as long for a whole session, where the system (macOS) does not count reading and writing
LOOK_EVERY = 1.0  # seconds between looks at the workers
PRELOADED = ["neuralpile.build.preloaded"]

Result = SessionFacts | BadInput


def results(read: Read, tasks: list[Task], jobs: int) -> Generator[tuple[Task, Result], None, None]:
    """Build sessions, `jobs` at a time, and yield each one's facts, or its error, as it ends.

    Raises:
        BadInput: `read` cannot be sent to another process.
    """
    _check_read(read)
    waiting = list(reversed(tasks))
    busy: list[_Worker] = []
    idle: list[_Worker] = []
    try:
        while waiting or busy:
            while waiting and len(busy) < jobs:
                worker = idle.pop() if idle else _Worker(read)
                busy.append(worker)
                worker.give(waiting.pop())
            ready = wait([worker.connection for worker in busy], LOOK_EVERY)
            for worker in list(busy):
                if worker.connection in ready:
                    result = worker.take()
                elif worker.is_stuck():
                    result = worker.stuck()
                else:
                    continue
                busy.remove(worker)
                if worker.alive:
                    idle.append(worker)
                yield worker.task, result
    finally:  # after Ctrl-C too: a session's rows are whole, or not there
        for worker in busy + idle:
            worker.end()


class _Worker:
    """A process that builds one session after the other."""

    def __init__(self, read: Read) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(read, theirs), daemon=True)
        # What starts with Ctrl-C blocked never receives it: only this process answers to it. (The resource tracker, if
        # it started with the worker, would unblock it.)
        resource_tracker.ensure_running()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        except (EOFError, OSError) as error:  # the server of processes ended while it imported the library
            found, do = str(error) or "none", "raise the limits of memory and processes (ulimit -v, ulimit -u)"
            raise BadInput("workers", "a process that reads recordings", found, do) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()  # now only the worker has it: when it dies, `connection` ends
        self._usage = psutil.Process(self._process.pid)
        self.alive = True

    def give(self, task: Task) -> None:
        """Have the worker build a session."""
        self.task = task
        self._io, self._cpu_at_io = self._counters()
        with suppress(OSError):  # it has died: `take` will see it
            self.connection.send(task)

    def take(self) -> Result:
        """The result that the worker has sent, or an error if it died instead."""
        try:
            result: Result = self.connection.recv()
        except (EOFError, OSError):
            self.end()
            return _died(self.task, self._process.exitcode)
        return result

    def is_stuck(self) -> bool:
        """Whether the worker has computed for too long, as `STUCK_AFTER` and `UNCOUNTED` say."""
        io, cpu = self._counters()
        if io != self._io:
            self._io, self._cpu_at_io = io, cpu
        return cpu - self._cpu_at_io > _longest()

    def stuck(self) -> BadInput:
        """End a worker that is stuck; the error to report."""
        self.end()
        found = f"{_longest():.0f} s of computing without {'reading anything' if _counts_io() else 'an end'}"
        return BadInput(self.task.source, "a file that can be read", found, f"it may be damaged: {damage.DOWNLOAD}")

    def end(self) -> None:
        """End the process."""
        self.connection.close()
        self._process.kill()
        self._process.join()
        self.alive = False

    def _counters(self) -> tuple[int, float]:
        """Bytes and calls of reading and writing so far, and seconds of processor time."""
        try:
            times = self._usage.cpu_times()
            io = sum(self._usage.io_counters()) if _counts_io() else 0
            return io, times.user + times.system
        except psutil.Error:  # it has ended
            return 0, 0.0


def _counts_io() -> bool:
    """Whether the system counts what a process reads and writes."""
    return hasattr(psutil.Process, "io_counters")


def _longest() -> float:
    """Seconds of processor time after which a worker counts as stuck."""
    return STUCK_AFTER if _counts_io() else STUCK_AFTER * UNCOUNTED


def _died(task: Task, code: int | None) -> BadInput:
    """The error of a session whose worker died, by its exit code; negative ones are signals."""
    if code == -signal.SIGKILL:
        do = "run again with fewer --jobs, or more memory"
        return BadInput(
            task.source, "a worker process that finishes", "one that was killed, perhaps for want of memory", do
        )
    found = signal.Signals(-code).name if code and code < 0 else f"exit status {code}"
    return BadInput(
        task.source,
        "a file that can be read",
        f"a worker that crashed ({found})",
        f"it may be damaged: {damage.DOWNLOAD}",
    )


def _check_read(read: Read) -> None:
    try:
        pickle.dumps(read)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        do = "define it with def, at the top level of the script"
        raise BadInput("preprocess.py", "a read function that worker processes can import", str(error), do) from None


def _work(read: Read, connection: Connection) -> None:
    """Build the sessions that the build's process sends, until there are no more."""
    _end_with_parent()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        connection.send(_attempt(read, task))


def _end_with_parent() -> None:
    """Have this worker end when the build's process ends, however that happens and whatever the worker is doing."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    # Linux: SIGIO, at whose arrival a process ends, when the pipe from the parent is closed. It needs no interpreter,
    # which a library may keep busy for ever.
    fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, fcntl.fcntl(parent.sentinel, fcntl.F_GETFL) | os.O_ASYNC)

    def watch() -> None:  # elsewhere
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _attempt(read: Read, task: Task) -> Result:
    """Build one session; whatever is wrong with its recording becomes an error of one line."""
    try:
        return build_session(read, task)
    except BadInput as error:
        return type(error)(str(error.where), error.expected, error.found, error.do)
    except OSError as error:
        if isinstance(task.source, Path) and task.source.is_symlink() and not task.source.exists():
            return damage.missing(task.source)
        do = "check the file and the permissions; then run again"
        found = os.strerror(error.errno) if error.errno else str(error)
        if error.filename and str(error.filename) != str(task.source):
            found += f" ({error.filename})"
        return BadInput(str(task.source), "to read it and to write its rows", found, do)
    except MemoryError as error:
        found, do = str(error) or "too little", "use fewer --jobs, or a larger --bin_size"
        return BadInput(str(task.source), "a session that fits in memory", found, do)
    except Exception as error:  # one bad file must not end a build of hundreds
        frame = traceback.extract_tb(error.__traceback__)[-1]
        found = f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"
        do = "check the file, then the script"
        return BadInput(str(task.source), "a file that this script can read", found, do)
