"""Scripts that are run without the packages that they need: one line that says how to get them, not a traceback.

This is the first module of the library to be imported, perhaps by an old Python: it uses none of what is new.
Where address space is limited (`ulimit -v`), it sees to it that libraries reserve little, before they are loaded.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ACTIVATE = ROOT / ".venv" / "bin" / "activate"
OLDEST = (3, 11)  # `requires-python` of pyproject.toml
PACKAGE = "msgspec"  # needed by the library, and few environments have it for another reason

# With these, libraries reserve less address space, here and in the other processes of a command: Arrow's own allocator
# takes 1 GB, glibc 64 MB for each thread that allocates, OpenBLAS 40 MB for each processor.
SPARING = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "ARROW_IO_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
}
M_ARENA_MAX = -8  # of malloc.h of glibc: the number that MALLOC_ARENA_MAX sets
# Bytes of address space that must be left when these are imported. Without it, OpenBLAS, which comes with numpy and
# SciPy, waits for memory without end, and LLVM aborts. They took 110 MB, 120 MB, and with the kernels of motifs 450 MB.
ROOM = {"numpy": 150_000_000, "scipy": 200_000_000, "numba": 500_000_000}


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


def address_space() -> float:
    """Bytes of address space that this process may use (`ulimit -v`); infinite if it is not limited."""
    try:
        import resource
    except ImportError:  # a system without such limits
        return float("inf")
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else limit


def spare_address_space() -> None:
    """Make the libraries of this process, and of those that it starts, reserve little address space if it is limited.

    One for which too little is left is not loaded: its import raises MemoryError.
    """
    if address_space() == float("inf"):
        return
    import ctypes

    for name, value in SPARING.items():
        os.environ.setdefault(name, value)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc, which read its variable when this process began
        mallopt(M_ARENA_MAX, 1)
    sys.meta_path.insert(0, _Room())


class _Room:
    """Finds no module; raises MemoryError where one is about to be loaded that would not fit."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raise MemoryError if less address space is left than `ROOM` says."""
        statm = Path("/proc/self/statm")  # its first number: pages of address space, proc(5)
        if name not in ROOM or not statm.is_file():
            return
        left = address_space() - int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        if left < ROOM[name]:
            text = f"{name} needs {ROOM[name] / 1e6:.0f} MB of address space, and {max(0, left) / 1e6:.0f} MB are left"
            raise MemoryError(text)
