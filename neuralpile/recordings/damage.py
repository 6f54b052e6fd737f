"""Explain in one line why a file cannot be read, from its first bytes, its links and the system's error."""

import errno
import re
from pathlib import Path

from neuralpile.errors import BadInput, Mismatch

HEAD = 1024  # bytes that are looked at: MATLAB 7.3 puts the HDF5 signature behind 512 bytes of its own
HDF5 = b"\x89HDF\r\n\x1a\n"
LFS = b"version https://git-lfs"
DOWNLOAD = "delete it, and download or copy it again; if that does not help, report it to its authors"
IN_ARCHIVE = "report it to the archive's authors; without --stream, download.py can fetch it for a closer look"
SERVER = "delete it and download it again; the archive may require a login"
WRONG = "take it out of the folder, or read it with the module for its format"
SAVE_NEW, SAVE_OLD = "save it again with -v7.3", "save it again without -v7.3"
# First bytes of other kinds of files (the program `file` 5.45, magic/Magdir): the bytes, their place, what the file is,
# what to do, and a word in the description of files that may begin so.
KINDS = (
    (b"\x1f\x8b", 0, "a file compressed with gzip", "unpack it: mv {0} {0}.gz; gunzip {0}.gz", "gzip"),
    (b"BZh", 0, "a file compressed with bzip2", "unpack it: bunzip2", "bzip2"),
    (b"\xfd7zXZ\0", 0, "a file compressed with xz", "unpack it: mv {0} {0}.xz; unxz {0}.xz", "xz"),
    (b"\x28\xb5\x2f\xfd", 0, "a file compressed with zstd", "unpack it: mv {0} {0}.zst; unzstd {0}.zst", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7z archive", "unpack it: 7z x {0}", "7z"),
    (b"Rar!", 0, "a RAR archive", "unpack it: unrar x {0}", "RAR"),
    (b"ustar", 257, "a tar archive", "unpack it: tar -xf {0}", "tar "),
    (b"PK\x03\x04", 0, "a zip archive", "unpack it: unzip {0}", "npz"),
    (b"PK\x05\x06", 0, "an empty zip archive", SERVER, "npz"),
    (b"\x93NUMPY", 0, "a NumPy file (.npy)", WRONG, "npy"),
    (b"PAR1", 0, "a Parquet file", WRONG, "Parquet"),
    (b"ARROW1", 0, "an Arrow file", WRONG, "Arrow"),
    (b"%PDF", 0, "a PDF document", WRONG, "PDF"),
    (b"MATLAB 5.0", 0, "a MATLAB file of version 7 or earlier", WRONG, "version 7 or earlier"),
    (HDF5, 0, "an HDF5 file", WRONG, "HDF5"),
    (HDF5, 512, "a MATLAB 7.3 file", WRONG, "HDF5"),
)


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
    other = _another_kind(path, kind, start)
    if other:
        return BadInput(path, expected, *other)
    return BadInput(path, expected, _plain(error), DOWNLOAD)


def explain_in_archive(where: object, kind: str, start: bytes, error: Exception) -> BadInput:
    """The error for a file in an archive that a library cannot read.

    Parameters:
        where: the file.
        kind: what it should be.
        start: its first bytes.
        error: what the library raised.
    """
    named = [what for magic, place, what, _, word in KINDS if start.startswith(magic, place) and word not in kind]
    return BadInput(where, f"a whole {kind}", named[0] if named else _plain(error), IN_ARCHIVE)


def _placeholder(path: Path, start: bytes) -> tuple[str, str] | None:
    """What stands in a file's place, and what to do; None if it is not a placeholder."""
    if path.is_symlink() and not path.exists():
        return _dangling(path)
    if start.startswith(LFS):
        return "a pointer of Git LFS", "run git lfs pull in its folder"
    if start.lstrip().startswith((b"/annex/objects/", b".git/annex/objects/", b"../.git/annex/objects/")):
        return "a pointer of git-annex", f"run git annex get {path.name} in its folder"
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page", "open the address in a browser; the archive may require a login"
    if text.startswith((b"<?xml", b"<error")):
        return f"an XML message: {_excerpt(start)}", SERVER
    if text.startswith((b"{", b"[")) and start.isascii():
        return f"a JSON message: {_excerpt(start)}", SERVER
    return None


def _another_kind(path: Path, kind: str, start: bytes) -> tuple[str, str] | None:
    """Which other kind of file it is, and what to do; None if its first bytes are of no known kind."""
    if path.is_dir():
        return "a folder", "save it as one HDF5 file if it is Zarr; else take it out of the folder"
    if not start:
        found = "an empty file (0 bytes)" if path.is_file() and not path.stat().st_size else "nothing that can be read"
        return found, DOWNLOAD
    if not start.strip(b"\0"):
        return "zeros where the file begins", f"its download is incomplete: {DOWNLOAD}"
    for magic, place, what, do, word in KINDS:
        if start.startswith(magic, place) and word not in kind:
            if "MATLAB" in kind and magic in (HDF5, b"MATLAB 5.0"):
                do = SAVE_NEW if "HDF5" in kind else SAVE_OLD
            return what, do.format(path.name)
    return None


def _excerpt(start: bytes) -> str:
    """The first words of a message."""
    return " ".join(start.decode(errors="replace").split())[:80]


def _dangling(path: Path) -> tuple[str, str]:
    target = str(path.readlink())
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return f"a circular link (to {target})", "put the file, or a link to it, in its place"
    if "annex/objects" in target:
        return "a link of git-annex without its content", f"run git annex get {path.name} in its folder"
    return f"a link to {target}, which does not exist", "restore that file"


def missing(path: Path) -> BadInput:
    """The error for a missing file, or for a link whose target is missing."""
    if path.is_symlink():
        return BadInput(path, "a file", *_dangling(path))
    return BadInput(path, "a file", "nothing of this name", "check the path")


def _plain(error: Exception) -> str:
    """A library's message without the names of Python's classes, repeated quotes and HDF5's "Unable to …"."""
    message = error.found if isinstance(error, Mismatch) else str(error)
    text = " ".join(message.strip("'\"").split())
    if "file signature not found" in text:
        return "content that is not HDF5"
    inner = re.fullmatch(r"[Uu]nable to [^(]*\((.*)\)", text)
    return f"damaged HDF5 ({inner[1]})" if inner else text or "content that makes no sense"
