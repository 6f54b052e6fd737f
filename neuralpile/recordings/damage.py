"""Explain in one line why a file cannot be read, from its first bytes, its links and the system's error."""

import errno
from pathlib import Path

from neuralpile.errors import BadInput

HEAD = 1024  # bytes that are looked at: MATLAB 7.3 puts the HDF5 signature behind 512 bytes of its own
HDF5 = b"\x89HDF\r\n\x1a\n"
LFS = b"version https://git-lfs"
DOWNLOAD = "delete it, and download or copy it again; if that does not help, report it to its authors"


def head(path: Path) -> bytes:
    """The first bytes of a file; nothing if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def is_hdf5(start: bytes) -> bool:
    """Whether a file that starts with these bytes is HDF5, with or without a MATLAB header in front."""
    return start.startswith(HDF5) or start[512:].startswith(HDF5)


def explain(path: Path, kind: str, error: Exception) -> BadInput:
    """The error for a file that a library cannot read.

    Parameters:
        path: the file.
        kind: what it should be: "NWB file (HDF5)".
        error: what the library raised.

    Returns:
        BadInput that names the reason where it is known: a pointer of git-annex or Git LFS, a web page, another
        version of MATLAB, a lock, a missing compression filter.
    """
    expected, start = f"a whole {kind}", head(path)
    stub = _placeholder(path, start)
    if stub:
        return BadInput(path, expected, *stub)
    if isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.EACCES, errno.EBUSY):
        return BadInput(path, f"a {kind} that can be opened", "one that another process has locked", "close it there")
    text = str(error)
    # HDF5 looks for the filter in its folder of plugins, and reports that there is none, or no such folder.
    if "plugin" in text.casefold() or ("filter" in text and "register" in text):
        do = "pip install hdf5plugin and run again"
        return BadInput(path, f"a {kind} in a known compression", "a compression filter that is not installed", do)
    if "HDF5" in kind and start.startswith(b"MATLAB 5.0"):
        return BadInput(path, expected, "a MATLAB file of version 7 or earlier", "save it again with -v7.3")
    if "HDF5" not in kind and is_hdf5(start):
        found = "a MATLAB 7.3 file" if start.startswith(b"MATLAB 7.3") else "an HDF5 file"
        return BadInput(path, expected, found, "save it again without -v7.3")
    return BadInput(path, expected, _plain(error), DOWNLOAD)


def _placeholder(path: Path, start: bytes) -> tuple[str, str] | None:
    """What stands in a file's place, and what to do; None if it is not a placeholder."""
    if path.is_symlink() and not path.exists():
        return _dangling(path)
    if start.startswith(LFS):
        return "a pointer of Git LFS", "run git lfs pull in its folder"
    if start.lstrip().startswith((b"/annex/objects/", b".git/annex/objects/", b"../.git/annex/objects/")):
        return "a pointer of git-annex", f"run git annex get {path.name} in its folder"
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page", "open the address in a browser; the archive may require a login"
    return None


def _dangling(path: Path) -> tuple[str, str]:
    target = str(path.readlink())
    if "annex/objects" in target:
        return "a link of git-annex without its content", f"run git annex get {path.name} in its folder"
    return f"a link to {target}, which does not exist", "restore that file"


def missing(path: Path) -> BadInput:
    """The error for a missing file, or for a link whose target is missing."""
    if path.is_symlink():
        return BadInput(path, "a file", *_dangling(path))
    return BadInput(path, "a file", "nothing of this name", "check the path")


def _plain(error: Exception) -> str:
    """A library's message without the names of Python's classes and without repeated quotes."""
    text = " ".join(str(error).strip("'\"").split())
    return text or "content that makes no sense"
