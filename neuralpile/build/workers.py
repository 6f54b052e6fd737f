"""build.workers: split from build."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from neuralpile.build.session import Facts, Read, Task, build_session
from neuralpile.errors import BadInput


def _results(read: Read, tasks: list[Task], jobs: int) -> Iterator[tuple[Task, Facts | BadInput]]:
    """Build sessions, `jobs` at a time, and give each one's facts, or its error, as it comes."""
    if jobs == 1 or len(tasks) < 2:
        yield from ((task, _attempt(read, task)) for task in tasks)
        return
    # "spawn": forked processes inherit threads' locks (Arrow's, HDF5's) in whatever state they are
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(tasks)), spawn, initializer=_follow_parent, initargs=(os.getpid(),)) as pool:
        futures = {pool.submit(_attempt, read, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                task = futures[future]
                try:
                    yield task, future.result()
                except BrokenProcessPool:
                    do = "run again with fewer --jobs"
                    yield task, BadInput(task.source, "a worker process that lives", "one killed, for memory?", do)
        except BaseException:  # Ctrl-C: no session is waited for; its rows are whole, or not there
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _follow_parent(parent: int) -> None:
    """Tie this worker to the process that started it: a killed build leaves none behind, Ctrl-C is not the worker's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _attempt(read: Read, task: Task) -> Facts | BadInput:
    """Build one session; whatever goes wrong with its file becomes one clear line."""
    try:
        return build_session(read, task)
    except BadInput as error:
        return error
    except OSError as error:
        do = "check the file, the disk's free space and permissions; then run again"
        return BadInput(task.source, "to read it and to write its rows", str(error), do)
    except MemoryError as error:
        return BadInput(
            task.source,
            "a session that fits in memory",
            str(error) or "too little",
            "use fewer --jobs, or a larger --bin_size",
        )
    except Exception as error:  # one bad file must not end a build of hundreds
        frame = traceback.extract_tb(error.__traceback__)[-1]
        found = f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"
        return BadInput(task.source, "a file that this script can read", found, "check the file, then the script")
