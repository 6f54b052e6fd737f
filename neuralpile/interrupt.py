"""Ctrl-C while a script still imports its libraries: one line, not a traceback through half-imported modules."""

import os
import signal
import sys
import threading
from types import FrameType, TracebackType

from neuralpile.environment import is_script

LINE = b"\ninterrupted; run the same command again\n"


def end_quietly() -> None:
    """Until `raise_again`, let Ctrl-C end this process with one line, if a script of this project is what runs.

    A program that imports the library keeps its own ways.
    """
    ordinary = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ordinary and threading.current_thread() is threading.main_thread() and is_script():
        signal.signal(signal.SIGINT, _end)
        sys.excepthook = _without_traceback


def raise_again() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from now on, as it does by default."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, LINE)
    os._exit(130)


def _without_traceback(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print one line of a Ctrl-C that nothing handles: a second one can come while the first is handled."""
    if issubclass(kind, KeyboardInterrupt):
        os.write(2, LINE)
    else:
        sys.__excepthook__(kind, error, traceback)
