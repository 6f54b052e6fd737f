"""Files and folders that appear under their final name whole or not at all."""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from neuralpile.errors import BadInput

PARTIAL = ".partial"  # suffix of whatever is not finished
MADV_DONTNEED = 4  # madvise(2)
JOB = ".job"  # what a folder that is not finished is for


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; it is made durable and renamed when the block ends well.

    No two processes share a temporary path, so a process that outlives a killed run cannot spoil the next run's file.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield partial
        _to_disk(partial)
        partial.replace(path)
        _to_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, job: str = "") -> Iterator[Path]:
    """Give a temporary folder beside `path` to fill; it takes the place of `path` when the block ends well.

    It is empty, unless an earlier block for the same `job` did not end: then it has what that one left.

    Raises BadInput where another process is filling it.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        yield from _fill(path, job)


def take_away_old(path: Path) -> None:
    """Finish what a killed `whole_folder` left to do: delete the folder whose place another took.

    Raises BadInput as `whole_folder` does.
    """
    path = path.resolve()
    if _old(path).exists():
        with _alone(path):
            _settle(path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes off a folder. Raises BadInput where one is at work on it."""
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=0):
            yield
    except Timeout:
        raise BadInput(path, "no other process at work on this folder", "one", "wait for it") from None


def _old(path: Path) -> Path:
    """Where a folder is while another takes its place."""
    return path.with_name(f"{path.name}.old{PARTIAL}")


def _settle(path: Path) -> None:
    if _old(path).exists() and not path.exists():  # killed between the two renames of `_fill`
        _old(path).replace(path)
    shutil.rmtree(_old(path), ignore_errors=True)


def _fill(path: Path, job: str) -> Iterator[Path]:
    _settle(path)
    partial, old = path.with_name(path.name + PARTIAL), _old(path)
    note = partial / JOB
    if not job or not note.is_file() or note.read_text(encoding="utf-8") != job:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        if job:
            write_text(note, job)
    for left in sorted(partial.rglob(f"*{PARTIAL}")):  # by a killed `whole_file`
        left.unlink()
    try:
        yield partial
        for file in sorted(partial.rglob("*")):
            _to_disk(file)
        note.unlink(missing_ok=True)
        _to_disk(partial)
        if path.exists():
            path.replace(old)
        try:
            partial.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
        _to_disk(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        if not job:
            shutil.rmtree(partial, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _to_disk(path: Path) -> None:
    """Have the operating system put a file's content, or a folder's entries, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unmap_pages(folder: Path) -> None:
    """Have the files of a folder that are mapped into memory no longer count as this process's memory.

    Arrow's tables are maps of their files: what was read once stays, until the machine has no other memory left, and
    clusters end jobs for it. The pages remain in the system's cache, and are there when they are read again. Where
    there is no /proc, nothing is done.
    """
    root = f"{folder.resolve()}/"
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    madvise = ctypes.CDLL(None).madvise
    for line in maps:  # address-address permissions offset device inode path: proc_pid_maps(5)
        addresses, permissions, _, _, _, *path = line.split(maxsplit=5)
        if path and path[0].startswith(root) and "w" not in permissions:
            start, end = (int(address, 16) for address in addresses.split("-"))
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)
