"""Session files out of zip and tar archives: only those that are wanted, never outside their folder."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from neuralpile import files
from neuralpile.acquire.archives import check_path
from neuralpile.acquire.transfer import check_space
from neuralpile.errors import BadInput

SUFFIXES = (".zip", ".tar.gz", ".tgz", ".tar")
Member = tuple[str, int, Callable[[], IO[bytes]]]  # path, bytes, and what opens it


def folder_of(archive: Path) -> Path:
    """Where the files of an archive go: a folder of its name, beside it. Raises BadInput: not an archive."""
    suffix = next((s for s in SUFFIXES if archive.name.endswith(s)), None)
    if suffix is None:
        raise BadInput(archive, f"an archive ({', '.join(SUFFIXES)})", archive.name, "mend `packed` in dataset.toml")
    return archive.with_name(archive.name.removesuffix(suffix))


def unpack(archive: Path, wanted: Callable[[str], bool]) -> list[Path]:
    """Unpack the wanted files of an archive; their folder appears when all of them are in it.

    Links and other files that are no plain files are passed over. Gives where the files are.

    Raises BadInput where the archive is damaged, holds no wanted file, or one whose path leads out of the folder.
    """
    folder = folder_of(archive)
    unpacked = []
    members = _zip_members if archive.name.endswith(".zip") else _tar_members
    try:
        with files.whole_folder(folder) as partial:
            for path, size, opened in members(archive):
                if not _is_session(path, wanted):
                    continue
                check_path(path, archive)
                check_space(folder.parent, size)
                target = partial / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened() as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                unpacked.append(folder / path)
            if not unpacked:
                do = "the archive has changed: compare its content with `include` in dataset.toml"
                raise BadInput(archive, "session files in it", "none", do)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise BadInput(
            archive, "a whole archive", str(error), "run the same command again; if it stays so, tell the archive"
        ) from None
    return sorted(set(unpacked))


def _is_session(path: str, wanted: Callable[[str], bool]) -> bool:
    """macOS puts a small file `._x`, often in a folder __MACOSX, beside each x."""
    parts = PurePosixPath(path).parts
    return bool(parts) and "__MACOSX" not in parts and not parts[-1].startswith("._") and wanted(parts[-1])


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if not info.is_dir() and kind in (0, stat.S_IFREG):
                yield info.orig_filename, info.file_size, lambda info=info: file.open(info)


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive, "r|*") as file:  # one pass: what is not wanted is not unpacked twice
        for info in file:
            if info.isreg():
                yield info.name.removeprefix("./"), info.size, lambda info=info: file.extractfile(info)
