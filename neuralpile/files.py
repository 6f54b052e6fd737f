"""Files and folders that appear under their final name whole or not at all."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuralpile.errors import BadInput, DiskFull

PARTIAL = ".partial"  # suffix of files and folders that are not finished
JOB = ".job"  # in an unfinished folder: what it is being filled with
# Some network and FUSE file systems refuse fsync, most of them for folders only: fsync(2), "fd does not support it"
NO_FSYNC = (errno.EINVAL, errno.ENOTSUP)
FULL = {  # what to do about a write that failed for want of room
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room: your quota is used up",
    errno.EFBIG: "make room on the disk, or raise the limit on the size of files (ulimit -f)",
}
# Of a disk or a network folder, never of a connection; with write(2) and fsync(2) they come without a name
OF_DISKS = (errno.EIO, errno.EROFS, errno.ESTALE)


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Name the file or folder that a disk kept this block from writing.

    Raises:
        DiskFull: there is no room for it.
        OSError: with `path` as its file, if the system did not name any.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            if error.errno in OF_DISKS and error.filename is None:
                error.filename = str(path)
            raise
        do = f"{FULL[error.errno]}; then run the same command again"
        raise DiskFull(path, "room to write it", os.strerror(error.errno), do) from None


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file that appears only when it is complete.

    Gives a temporary path beside `path` to write to. When the block ends without an error, the file is flushed to disk
    and renamed. No two processes share a temporary path, so a process that outlives a killed run cannot spoil the next
    run's file; the next run uses that of a killed one again.

    Raises:
        DiskFull: there is no room for it.
    """
    path = path.resolve()
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _own(path) as partial:
            try:
                yield partial
                _to_disk(partial)
                partial.replace(path)
            except BaseException:  # once it is renamed, a file of this name is that of another process
                partial.unlink(missing_ok=True)
                raise
            _to_disk(path.parent)


@contextmanager
def _own(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, locked while it is used; one of this process where another has it."""
    partial, of_process = path.with_name(path.name + PARTIAL), path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    try:
        handle = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # of a killed run of somebody else
        yield of_process
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = os.path.samestat(os.fstat(handle), partial.stat())  # else it was renamed before it was locked
        except (BlockingIOError, FileNotFoundError):
            ours = False
        except OSError:  # a file system without locks
            partial.unlink(missing_ok=True)
            ours = False
        if ours:
            os.ftruncate(handle, 0)
        yield partial if ours else of_process
    finally:
        os.close(handle)


@contextmanager
def whole_folder(path: Path, job: str = "") -> Iterator[Path]:
    """Fill a folder that appears only when it is complete.

    Gives a temporary folder beside `path` to fill. When the block ends without an error, it replaces `path`. The
    temporary folder is empty at first, unless an earlier block for the same `job` was interrupted: then it holds what
    that block completed.

    Raises:
        BadInput: another process is filling the folder.
        DiskFull: there is no room for it.
    """
    path = path.resolve()
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            yield from _fill(path, job)


def remove_replaced(path: Path) -> None:
    """Delete the folder that a new one replaced, if a killed `whole_folder` left it.

    Raises:
        BadInput: another process is filling the folder.
    """
    path = path.resolve()
    if _old(path).exists():
        with _alone(path):
            _settle(path)


def remove_folder(folder: Path) -> None:
    """Delete a folder and what is in it.

    Raises:
        OSError: it cannot be deleted. `shutil.rmtree` names a file in it without its folders; this names the folder.
    """
    try:
        shutil.rmtree(folder)
    except OSError as error:
        error.filename = str(folder)
        raise


def is_finished(path: Path) -> bool:
    """Whether a file or folder is not what a killed `whole_file` or `whole_folder` left."""
    return path.suffix != PARTIAL


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 that appears only when it is complete."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def below(folder: Path) -> Iterator[Path]:
    """All files below a folder, through links to folders too, each folder once.

    Hidden files and folders are skipped. They hold second copies: those of git-annex, of notebooks, the trash, and the
    small file `._x` that macOS puts beside each x on foreign disks.

    Raises:
        BadInput: a folder cannot be read.
    """

    def unreadable(error: OSError) -> None:
        if folder.is_dir():
            raise BadInput(error.filename, "a readable folder", str(error.strerror), "fix its permissions")

    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        shown = (name for name in folders if not name.startswith("."))
        folders[:] = [name for name in shown if not name.endswith(PARTIAL)]  # still being unpacked
        paths = (Path(place, name) for name in names if not name.startswith("."))
        yield from (path for path in paths if path.is_file() or not path.exists())  # a broken link fails when built


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from filling a folder. Raises BadInput if one does already."""
    from filelock import FileLock, Timeout  # takes 15 ms, for which a command's help need not wait

    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=0):
            yield
    except Timeout:
        raise BadInput(path, "no other process at work on this folder", "one", "wait for it") from None


def _old(path: Path) -> Path:
    """Where the previous folder is while it is being replaced."""
    return path.with_name(f"{path.name}.old{PARTIAL}")


def _settle(path: Path) -> None:
    """Finish, or undo, a replacement that was killed halfway."""
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
    for left in sorted(partial.rglob(f"*{PARTIAL}")):  # files of a killed `whole_file`
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


def _to_disk(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk, where the file system can do that."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FSYNC:
            raise
    finally:
        os.close(handle)
