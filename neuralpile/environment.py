"""Scripts that are run without the packages that they need: one line that says how to get them, not a traceback.

This is the first module of the library to be imported, perhaps by an old Python: it uses none of what is new.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ACTIVATE = ROOT / ".venv" / "bin" / "activate"
OLDEST = (3, 11)  # `requires-python` of pyproject.toml
PACKAGE = "msgspec"  # needed by the library, and few environments have it for another reason


def is_script() -> bool:
    """Report whether a script of this project runs, or one of its modules (`python -m neuralpile.…`)."""
    if sys.argv[:1] == ["-m"]:  # the module is still being looked up
        return True
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    return script.name in ("preprocess.py", "download.py") or script.resolve().parent == ROOT


def check() -> None:
    """End a script with one line if this Python is too old, or does not have the packages.

    A program that imports the library gets Python's own error.
    """
    if not is_script() or (sys.version_info >= OLDEST and find_spec(PACKAGE)):
        return
    expected = f"Python {OLDEST[0]}.{OLDEST[1]} or newer with the packages of neuralpile"
    found = f"Python {sys.version_info[0]}.{sys.version_info[1]}" + (" without them" * (sys.version_info >= OLDEST))
    make = "" if ACTIVATE.is_file() else "make demo && " if Path.cwd() == ROOT else f"make -C {ROOT} demo && "
    do = f"run: {make}. {os.path.relpath(ACTIVATE)}"
    print(f"error: {sys.executable}: expected {expected}, found {found}; {do}", file=sys.stderr)
    sys.exit(2)
