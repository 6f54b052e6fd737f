"""Unpack session files from zip and tar archives: only wanted files, never outside their folder, with bounded size."""

import gzip
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from neuralpile import files
from neuralpile.acquire.archives import check_path
from neuralpile.acquire.transfer import check_space
from neuralpile.errors import BadInput, Mismatch

SUFFIXES = (".zip", ".tar.gz", ".tgz", ".tar")
MOST_TIMES = 100  # that the unpacked files may be larger than their archive; recordings shrink to a tenth at best
ALWAYS = 1_000_000_000  # bytes that any archive may unpack to
HEADERS = 4_000_000  # bytes of headers before a member of a tar; names and times are a few hundred


class Member(NamedTuple):
    """A plain file in an archive."""

    path: str
    size: int  # bytes
    open: Callable[[], IO[bytes]]


def folder_of(archive: Path) -> Path:
    """Where the files of an archive go: a folder of its name, beside it. Raises BadInput: not an archive."""
    suffix = next((s for s in SUFFIXES if archive.name.endswith(s)), None)
    if suffix is None:
        raise BadInput(archive, f"an archive ({', '.join(SUFFIXES)})", archive.name, "correct `packed` in dataset.toml")
    return archive.with_name(archive.name.removesuffix(suffix))


def unpack(archive: Path, wanted: Callable[[str], bool]) -> list[Path]:
    """Unpack the wanted files of an archive; their folder appears when all of them are in it.

    Links and other members that are no plain files are skipped.

    Parameters:
        archive: a zip or tar file.
        wanted: whether a file of this name is wanted.

    Returns:
        Where the files are.

    Raises:
        BadInput: the archive is damaged, holds no wanted file or a path that leads out of the folder, or unpacks to far
            more than recordings do.
    """
    folder = folder_of(archive)
    members = _zip_members if archive.name.endswith(".zip") else _tar_members
    try:
        with files.whole_folder(folder) as unfinished:
            unpacked = _unpack_all(archive, members(archive), wanted, unfinished)
    except Mismatch as error:
        raise error.at(archive, "do not use this archive; report it to its authors") from None
    except Exception as error:
        if _is_damage(error):
            do = "run the same command again; if that does not help, report it to the archive"
            raise BadInput(archive, "a whole archive", _words(error), do) from None
        raise
    return [folder / path for path in sorted(unpacked)]


def _unpack_all(archive: Path, members: Iterator[Member], wanted: Callable[[str], bool], folder: Path) -> set[str]:
    """Unpack the wanted members into a folder. Returns their paths."""
    most, total = _most(archive), 0
    unpacked: set[str] = set()
    for path, size, opened in members:
        if not _is_session(path, wanted):
            continue
        check_path(path)
        total += size
        if total > most:
            raise Mismatch(f"at most {most:,} bytes in it", f"{total:,}, or more")
        check_space(folder.parent, size)
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            out = target.open("xb")
        except (FileExistsError, NotADirectoryError):  # for this disk, two paths can be one, in upper and lower case
            raise Mismatch("each file once", f"{path} twice, or beside a folder of this name") from None
        with out, opened() as source:
            shutil.copyfileobj(source, out, 1 << 20)
        unpacked.add(path)
    if not unpacked:
        raise Mismatch("session files in it, as `include` in dataset.toml names them", "none")
    return unpacked


def _is_session(path: str, wanted: Callable[[str], bool]) -> bool:
    """macOS puts a small file `._x`, often in a folder __MACOSX, beside each x."""
    parts = PurePosixPath(path).parts
    return bool(parts) and "__MACOSX" not in parts and not parts[-1].startswith("._") and wanted(parts[-1])


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if not info.is_dir() and kind in (0, stat.S_IFREG):
                yield Member(_plain(info.orig_filename), info.file_size, partial(file.open, info))


def _plain(path: str) -> str:
    """A path without what programs that pack put in: ./a and a//b are a and a/b."""
    return re.sub(r"(^|/)(\./|/)+", r"\1", path) if not path.startswith("/") else path


class _Forward:
    """The bytes of a tar, read once from first to last, within bounds: tarfile keeps headers in memory, however large.

    Attributes:
        header: bytes that the next header may have; None while content is read.
    """

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most, self._at = file, most, 0
        self.header: int | None = HEADERS

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        if self.header is not None:
            if size > self.header:
                raise Mismatch(f"headers of at most {HEADERS:,} bytes in it", "a larger one")
            self.header -= size
        return self._read(size)

    def seek(self, to: int) -> int:
        while self._at < to and self._read(min(1 << 20, to - self._at)):
            pass
        return self._at

    def _read(self, size: int) -> bytes:
        block = self._file.read(size)
        self._at += len(block)
        if self._at > self._most:
            raise Mismatch(f"at most {self._most:,} bytes in it", "more")
        return block


def _tar_members(archive: Path) -> Iterator[Member]:
    with archive.open("rb") if archive.name.endswith(".tar") else gzip.open(archive, "rb") as packed:
        stream = _Forward(cast(IO[bytes], packed), _most(archive))
        with tarfile.TarFile(fileobj=cast(IO[bytes], stream), mode="r") as file:
            while (info := file.next()) is not None:
                stream.header = None
                if info.isreg():
                    yield Member(_plain(info.name), info.size, partial(_content, file, info))
                file.members = []  # type: ignore[attr-defined]  # tarfile keeps all headers that it has read
                stream.header = HEADERS


def _content(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = file.extractfile(info)
    if content is None:
        raise tarfile.TarError(f"{info.name} has no content")
    return content


def _most(archive: Path) -> int:
    """Bytes that an archive may unpack to."""
    return max(ALWAYS, MOST_TIMES * archive.stat().st_size)


def _is_damage(error: Exception) -> bool:
    """Whether an error is of the content of an archive, which the readers of zip and tar do not check before use."""
    if isinstance(error, BadInput | MemoryError):
        return False
    return not isinstance(error, OSError) or error.errno is None


def _words(error: Exception) -> str:
    """What the reader of an archive says is wrong with it; no words of Python's own errors."""
    own = isinstance(error, zipfile.BadZipFile | tarfile.TarError | gzip.BadGzipFile | EOFError | NotImplementedError)
    words = str(error)
    return words if (own or "password" in words) and "rror" not in words else "damaged content"
