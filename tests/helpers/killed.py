"""End this process by SIGKILL before a chosen change of a file or folder: for processes that tests start."""

import itertools
import os
import signal
import sys

from neuralpile.corpus import arrow

CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.utime")  # as Python audits them
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def before(n: int) -> "itertools.count[int]":
    """End this process before its `n`-th change, counted from 0; the count of changes.

    To flush a file to the disk, and to write a row, are changes too. Both are steps that Python does not audit.
    """
    changes = itertools.count()

    def step() -> None:
        if next(changes) == n:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES):
            step()

    def counted(real):
        def change(*arguments):
            step()
            return real(*arguments)

        return change

    os.fsync = counted(os.fsync)
    arrow.to_record_batch = counted(arrow.to_record_batch)
    sys.addaudithook(audit)
    return changes
