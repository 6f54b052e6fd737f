"""Give matplotlib a folder that it keeps: a killed run then leaves no temporary folder behind."""

import os
from pathlib import Path

from neuralpile import catalog

NAME = ".matplotlib"  # in the folder of the local builds


def choose() -> None:
    """Set MPLCONFIGDIR to a folder among the local builds, where matplotlib cannot write to its own.

    Without a writable home folder, matplotlib makes a temporary folder in every process and deletes it at exit, which a
    killed process does not reach. Call this before matplotlib is imported. Where the builds cannot be written either,
    nothing is changed.
    """
    if all(map(_is_writable, _own_folders())):
        return
    folder = catalog.BUILD.resolve() / NAME
    if _is_writable(folder):
        os.environ["MPLCONFIGDIR"] = str(folder)


def _own_folders() -> list[Path]:
    """Return the folders that matplotlib uses for settings and caches."""
    if given := os.environ.get("MPLCONFIGDIR"):
        return [Path(given)]
    try:
        home = Path.home()
    except RuntimeError:  # no home folder is known
        return [Path(os.devnull)]
    roots = {"XDG_CONFIG_HOME": home / ".config", "XDG_CACHE_HOME": home / ".cache"}
    return [Path(os.environ.get(name) or default) / "matplotlib" for name, default in roots.items()]


def _is_writable(folder: Path) -> bool:
    """Return whether a folder can be written; it is made if there is none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
