"""Ctrl-C while a script still imports its libraries: one line, not a traceback through half-imported modules."""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

LINE = b"\ninterrupted; run the same command again\n"


def end_quietly() -> None:
    """Until `raise_again`, let Ctrl-C end this process with one line, if a script of this project is what runs.

    A program that imports the library keeps its own ways.
    """
    ordinary = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ordinary and threading.current_thread() is threading.main_thread() and _is_script():
        signal.signal(signal.SIGINT, _end)


def raise_again() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from now on, as it does by default."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_script() -> bool:
    if sys.argv[:1] == ["-m"]:  # this package is being looked up for `python -m neuralpile.…`
        return True
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    root = Path(__file__).resolve().parent.parent
    return script.name in ("preprocess.py", "download.py") or script.resolve().parent == root


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, LINE)
    os._exit(130)
