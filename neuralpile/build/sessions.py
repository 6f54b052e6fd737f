"""build.sessions: split from build."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from neuralpile import files
from neuralpile.acquire import archives
from neuralpile.acquire.range_file import RemoteRecording
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput


def find_sessions(
    data_dir: Path,
    data_set: DataSetInfo,
    duplicates: bool = True,
    is_session: Callable[[Path], bool] = lambda _: True,
) -> dict[str, Path]:
    """The session files of a data set below a folder, by their paths there, in the order of the published rows.

    Those that repeat others are among them unless `duplicates` is false; `is_session` says what a name cannot tell.

    Raises BadInput where there are none.
    """
    data_dir = data_dir.resolve()  # the names of folders are subjects: "." is none
    found = [path for path in _files(data_dir) if data_set.wants(path.name, duplicates) and is_session(path)]
    if not found:
        wanted = " or ".join(data_set.include)
        if data_set.exclude:
            wanted += f" but not {' or '.join(data_set.exclude)}"
        what = "no such file in it" if data_dir.is_dir() else "a file" if data_dir.exists() else "no such folder"
        do = f"get the files as data/{data_set.name}/README.md says, or give their folder with --data_dir"
        raise BadInput(data_dir, f"session files {wanted}", what, do)
    return {path.relative_to(data_dir).as_posix(): path for path in sorted(found, key=str)}


def find_remote(data_set: DataSetInfo, duplicates: bool = True) -> dict[str, RemoteRecording]:
    """The session files of a data set in its archive, as `find_sessions` gives those of a folder.

    Raises BadInput where the archive does not tell.
    """
    listed = archives.list_files(data_set)
    return {file.path: RemoteRecording(file) for file in listed if data_set.wants(file.path, duplicates)}


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder, also by links to folders, each folder once. Raises BadInput: one cannot be read.

    macOS puts a small file `._x` beside each x on disks that are not its own: these are passed over.
    """

    def unreadable(error: OSError) -> None:
        if folder.is_dir():
            raise BadInput(error.filename, "a folder that can be read", str(error.strerror), "mend its permissions")

    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.endswith(files.PARTIAL)]  # being unpacked
        paths = (Path(place, name) for name in names if not name.startswith("._"))
        yield from (path for path in paths if path.is_file() or not path.exists())  # a broken link is told of later
