"""The loop behind every `download.py`: list what an archive has, fetch what is missing, verify it, and keep a record.

The record (`downloads.json`, see `record`) holds what the archive listed, and what is here and verified, so a run that
finds all it wants makes no request.
"""

import argparse
import sys
import tempfile
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from neuralpile import catalog, cli
from neuralpile.acquire import archives, lock_list, record, transfer, unpack
from neuralpile.acquire.archives import LOCK, RECORD, RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.cli import plural
from neuralpile.errors import BadInput, printable
from neuralpile.http_client import HttpClient

JOBS = 4


def main(script: str) -> None:
    """Run the command line of a `download.py`.

    Parameters:
        script: its `__file__`; its folder names the data set.
    """
    cli.run(lambda: _main(Path(script).resolve().parent))


def _main(folder: Path) -> int:
    data_set = catalog.parse(folder.name, folder / "dataset.toml")
    command = f"python data/{data_set.name}/download.py"
    parser = cli.parser(
        f"Download the recordings of {data_set.heading}, from {data_set.archive}.",
        f"{command} --max_files 1        (a first look)\n  {command} --dry_run",
    )
    parser.add_argument("--data_dir", type=Path, default=data_set.recordings, help="where the files go")
    cli.add_choice(parser)
    parser.add_argument("--dry_run", action="store_true", help="list files and sizes, and fetch nothing")
    parser.add_argument("--jobs", type=cli.positive_int, default=JOBS, help="files at a time")
    given = parser.parse_args()
    if given.dry_run:
        downloads = Downloads(given.data_dir, data_set)
        print(table(choose(downloads.listing(), given), downloads))
        return 0
    return download(data_set, given)


def choose(listing: list[RemoteFile], given: argparse.Namespace) -> list[RemoteFile]:
    """Choose the files of a listing that the user wants. Raises BadInput where there is none."""
    chosen = set(cli.choose([file.path for file in listing], given.sessions, given.max_files))
    return [file for file in listing if file.path in chosen]


class Downloads:
    """A folder of downloaded files: its record, and the archive behind it.

    Parameters:
        folder: where the files are.
        data_set: its info.

    Raises:
        BadInput: the folder's record cannot be read.
    """

    def __init__(self, folder: Path, data_set: DataSetInfo) -> None:
        self.folder, self.data_set = folder, data_set
        self._web: HttpClient | None = None
        self._lock = threading.Lock()
        self._record = record.read(folder)
        source = record.source_of(data_set)
        if self._record.source != source:
            self._record.source, self._record.listing = source, []

    @property
    def is_current(self) -> bool:
        """Whether the archive was asked in this run."""
        return self._web is not None

    @property
    def web(self) -> HttpClient:
        """The client for requests to the archive."""
        if self._web is None:
            self._web = archives.connect(self.data_set)
        return self._web

    def listing(self) -> list[RemoteFile]:
        """List what the archive had at the last request; the first makes one."""
        return self._record.listing or self.ask()

    def ask(self) -> list[RemoteFile]:
        """List what the archive has now. Raises BadInput where it does not answer."""
        self._record.listing = archives.list_files(self.data_set, self.web)
        for difference in lock_list.differences(self.data_set, self._record.listing):
            self.web.print(f"note: {difference}")
        return self._record.listing

    def has(self, file: RemoteFile) -> bool:
        """Whether a file, or what was unpacked from it, is here, was verified, and was not touched since."""
        return self._record.has(self.folder, file)

    def add(self, file: RemoteFile, here: list[Path]) -> None:
        """Note that a file is here and verified, as these files."""
        with self._lock:
            self._record.add(self.folder, file, here)
            self._record.write(self.folder)

    def write(self) -> None:
        """Write the record."""
        self._record.write(self.folder)


def download(data_set: DataSetInfo, given: argparse.Namespace) -> int:
    """Fetch what is chosen and not here yet.

    Parameters:
        data_set: its info.
        given: the options of the command line.

    Returns:
        The exit status: 1 where a file could not be fetched.

    Raises:
        BadInput: the archive gives no listing, or the disk is too small.
    """
    folder = given.data_dir.resolve()
    with _alone(folder):
        downloads = Downloads(folder, data_set)
        chosen = choose(downloads.listing(), given)
        if not all(map(downloads.has, chosen)):
            if not downloads.is_current:  # the list is of an earlier run, and addresses and files may have changed
                chosen = choose(downloads.ask(), given)
            downloads.write()
        missing = [file for file in chosen if not downloads.has(file)]
        if data_set.packed:
            for file in set(chosen) - set(missing):  # killed after it was unpacked, and before it was deleted
                (folder / file.path).unlink(missing_ok=True)
        check_apart(folder, chosen, bool(data_set.packed))
        transfer.check_space(folder, sum(transfer.bytes_to_come(file, folder / file.path) for file in missing))
        start, failed = time.monotonic(), 0
        for error in _fetch_all(downloads, missing, given.jobs):
            failed += 1
            tqdm.write(f"error: {error}", file=sys.stderr)
    print(report(chosen, len(missing) - failed, failed, time.monotonic() - start))
    print(printable(f"files: {folder}   list: {folder / RECORD}"))
    elsewhere = "" if folder == data_set.recordings.resolve() else f" --data_dir {given.data_dir}"
    if failed:
        print("run the same command again: it resumes where this one stopped")
    else:
        print(printable(f"next: python data/{data_set.name}/preprocess.py{elsewhere}"))
    return 1 if failed else 0


def _fetch_all(downloads: Downloads, missing: list[RemoteFile], jobs: int) -> Iterator[Exception]:
    """Fetch files, `jobs` at a time, with a bar for all and one for each. Yields the errors of those that failed."""
    if not missing:
        return
    total = sum(file.size or 0 for file in missing)
    units: Any = {"unit": "B", "unit_scale": True, "unit_divisor": 1000}
    name = downloads.data_set.name
    free = set(range(1, jobs + 1))  # lines below the overall bar
    with (
        tqdm(total=total, desc=f"{name} 0/{len(missing)}", disable=None, **units) as overall,
        ThreadPoolExecutor(jobs) as pool,
    ):

        def one(file: RemoteFile) -> None:
            line, label = free.pop(), printable(Path(file.path).name[-40:])
            try:
                with tqdm(total=file.size, desc=label, position=line, leave=False, disable=None, **units) as bar:

                    def advance(n: int) -> None:
                        bar.update(n)
                        overall.update(n)

                    _fetch_one(downloads, file, advance)
            finally:
                free.add(line)

        futures = {pool.submit(one, file): file for file in missing}
        try:
            for n, future in enumerate(as_completed(futures), 1):
                file, error = futures[future], future.exception()
                overall.set_description_str(f"{name} {n}/{len(missing)}")
                if isinstance(error, BadInput):
                    yield error
                elif isinstance(error, OSError):
                    yield transfer.cannot_write(file.path, error)
                elif error is not None:
                    raise error
                elif overall.disable:  # a log file
                    print(printable(f"{file.path}: {_size_of(file)}"), flush=True)
        except BaseException:
            downloads.web.interrupt()
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(downloads: Downloads, file: RemoteFile, advance: Callable[[int], object]) -> None:
    """Fetch, verify and, where it is an archive, unpack one file, and note it."""
    target = downloads.folder / file.path
    transfer.fetch(downloads.web, file, target, advance)
    if not downloads.data_set.packed:
        downloads.add(file, [target])
        return
    try:
        downloads.add(file, unpack.unpack(target, downloads.data_set.wants))
    except BadInput:
        if not file.checksum:  # without a checksum, only the content shows damage
            target.unlink()
        raise
    target.unlink()


def check_apart(folder: Path, chosen: list[RemoteFile], packed: bool) -> None:
    """Check that no two files of a listing are in one place on this disk.

    Disks of macOS and Windows do not tell A from a, and macOS does not tell the two forms of an accented letter.

    Parameters:
        folder: where the files go.
        chosen: the files.
        packed: whether each is unpacked into a folder of its own.

    Raises:
        BadInput: two are in one place.
    """
    by_form: dict[str, list[tuple[str, str]]] = {}
    for file in chosen:
        place = unpack.folder_of(Path(file.path)).as_posix() if packed else file.path
        by_form.setdefault(unicodedata.normalize("NFC", place).casefold(), []).append((place, file.path))
    for (one, path), *others in by_form.values():
        for other, other_path in others:
            with tempfile.TemporaryDirectory(dir=folder) as trial:
                (Path(trial) / one).mkdir(parents=True)
                if (Path(trial) / other).exists():
                    do = f"use a --data_dir on another disk, or choose one of them: --sessions '{path}'"
                    found = f"one place for {path} and {other_path}"
                    raise BadInput(folder, "a place for each file", found, do)


def _size_of(file: RemoteFile) -> str:
    size = "size not listed" if file.size is None else f"{file.size:,} bytes"
    return f"{size}, {'verified' if file.checksum else 'not verified: the archive lists no checksum'}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other downloads out of a folder. Raises BadInput where one is at work."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise BadInput(folder, "no other download into this folder", "one", "wait until it ends") from None


def table(chosen: list[RemoteFile], downloads: Downloads) -> str:
    """Format the files of a dry run with their sizes, and the total."""
    paths = [printable(file.path) for file in chosen]
    width = max(map(len, paths))
    lines = [
        f"{path:{width}}  {'unknown' if file.size is None else f'{file.size:,}':>18}"
        f"{'  here' if downloads.has(file) else '' if file.url else '  not public'}"
        for path, file in zip(paths, chosen, strict=True)
    ]
    total = sum(file.size or 0 for file in chosen)
    missing = sum(file.size or 0 for file in chosen if not downloads.has(file))
    lines.append(f"{plural(len(chosen), 'file')}, {total:,} bytes ({_human(total)}), of these to fetch {missing:,}")
    return "\n".join(lines)


def report(chosen: list[RemoteFile], n_fetched: int, n_failed: int, seconds: float) -> str:
    """Say in one line what a run did."""
    total = sum(file.size or 0 for file in chosen)
    here = len(chosen) - n_fetched - n_failed
    failed = f", {n_failed} FAILED" if n_failed else ""
    files = f"{plural(len(chosen), 'file')}, {_human(total)}"
    return f"{files}: {n_fetched:,} fetched in {seconds:.0f} s, {here:,} were here{failed}"


def _human(n_bytes: int) -> str:
    return f"{tqdm.format_sizeof(n_bytes, 'B')}"
