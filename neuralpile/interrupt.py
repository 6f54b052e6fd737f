"""Ctrl-C while a script still imports its libraries: one line, not a traceback through half-imported modules."""

import os
import signal
import threading
from types import FrameType

from neuralpile.environment import is_script

LINE = b"\ninterrupted; run the same command again\n"


def end_quietly() -> None:
    """Until `raise_again`, let Ctrl-C end this process with one line, if a script of this project is what runs.

    A program that imports the library keeps its own ways.
    """
    ordinary = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ordinary and threading.current_thread() is threading.main_thread() and is_script():
        signal.signal(signal.SIGINT, _end)


def raise_again() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from now on, as it does by default."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, LINE)
    os._exit(130)
