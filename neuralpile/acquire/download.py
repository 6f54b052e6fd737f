"""The loop behind every `download.py`: what an archive lists, whole and verified below a folder.

`downloads.json` in that folder says what the archive listed, and what is here and verified. So a run that finds all it
wants asks the network for nothing.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from neuralpile import catalog, cli, files
from neuralpile.acquire import archives, transfer, unpack
from neuralpile.acquire.archives import RECORD, RemoteFile
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput
from neuralpile.http_client import HttpClient

LOCK = ".download.lock"
JOBS = 4


def main(script: str) -> None:
    """The command line of a `download.py`; `script` is its `__file__`, and its folder names the data set."""
    cli.run(lambda: _main(Path(script).resolve().parent))


def _main(folder: Path) -> int:
    data_set = catalog.parse(folder.name, folder / "dataset.toml")
    command = f"python data/{data_set.name}/download.py"
    parser = cli.parser(
        f"Fetch the recordings of {data_set.name} from {data_set.archive}. {data_set.title}",
        f"{command} --max_files 1        (a first look)\n  {command} --dry_run",
    )
    parser.add_argument("--data_dir", type=Path, default=folder / "raw", help="where the files go")
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
    """The files that the user wants of a listing. Raises BadInput where there is none."""
    chosen = set(cli.choose([file.path for file in listing], given.sessions, given.max_files))
    return [file for file in listing if file.path in chosen]


class Downloads:
    """What is in a folder of downloaded files, as `downloads.json` keeps it."""

    def __init__(self, folder: Path, data_set: DataSetInfo) -> None:
        self.folder, self.data_set = folder, data_set
        self.web: HttpClient | None = None
        self._lock = threading.Lock()
        asked = ("archive", "id", "version", "include", "exclude", "packed", "measured")
        self._source = json.loads(json.dumps({key: getattr(data_set, key) for key in asked}))
        path = folder / RECORD
        try:
            kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            self._files: dict[str, dict] = {
                name: {"digest": entry["digest"], "size": entry["size"], "here": dict(entry["here"])}
                for name, entry in kept.get("files", {}).items()
            }
            self._listing = [RemoteFile(**entry) for entry in kept.get("listing", [])]
        except (ValueError, TypeError, AttributeError, KeyError):
            raise BadInput(path, "a list that download.py wrote", "something else", "delete it") from None
        if kept.get("source") != self._source:
            self._listing = []

    def listing(self) -> list[RemoteFile]:
        """What the archive had when it was last asked; it is asked where that is not known."""
        return self._listing or self.ask()

    def ask(self) -> list[RemoteFile]:
        """What the archive has now. Raises BadInput where it does not say."""
        self.web = archives.connect(self.data_set)
        self._listing = archives.list_files(self.data_set, self.web)
        return self._listing

    def has(self, file: RemoteFile) -> bool:
        """Whether a file, or what was unpacked from it, is here, and was verified, and has not changed since."""
        kept = self._files.get(file.path)
        if kept is None or (kept["digest"], kept["size"]) != (file.digest, file.size):
            return False
        return all(_stamp(self.folder / path) == stamp for path, stamp in kept["here"].items())

    def add(self, file: RemoteFile, here: list[Path]) -> None:
        """Note that a file is here and verified, as these files."""
        with self._lock:
            stamps = {path.relative_to(self.folder).as_posix(): _stamp(path) for path in here}
            self._files[file.path] = {"digest": file.digest, "size": file.size, "here": stamps}
            self.write()

    def write(self) -> None:
        """Put the list on the disk."""
        content = {
            "source": self._source,
            "listing": [asdict(file) for file in self._listing],
            "files": dict(sorted(self._files.items())),
        }
        files.write_text(self.folder / RECORD, json.dumps(content, indent=1) + "\n")


def _stamp(path: Path) -> list[int] | None:
    """Size and modification time in seconds: a file that has these has not been touched."""
    return [path.stat().st_size, int(path.stat().st_mtime)] if path.is_file() else None


def download(data_set: DataSetInfo, given: argparse.Namespace) -> int:
    """Fetch what is chosen and not here yet, and give the exit status: 1 where a file could not be had.

    Raises BadInput where the archive gives no listing, or the disk is too small.
    """
    folder = given.data_dir.resolve()
    with _alone(folder):
        downloads = Downloads(folder, data_set)
        chosen = choose(downloads.listing(), given)
        if not all(map(downloads.has, chosen)):
            if downloads.web is None:  # the list is of an earlier run, and addresses and files may have changed
                chosen = choose(downloads.ask(), given)
            downloads.write()
        missing = [file for file in chosen if not downloads.has(file)]
        transfer.check_space(folder, sum(transfer.bytes_to_come(file, folder / file.path) for file in missing))
        start, failed = time.monotonic(), 0
        for error in _fetch_all(downloads, missing, given.jobs):
            failed += 1
            tqdm.write(f"error: {error}", file=sys.stderr)
    print(report(chosen, len(missing) - failed, failed, time.monotonic() - start))
    print(f"files: {folder}   list: {folder / RECORD}")
    elsewhere = "" if folder == data_set.folder / "raw" else f" --data_dir {given.data_dir}"
    if failed:
        print("run the same command again: it goes on where this one stopped")
    else:
        print(f"next: python data/{data_set.name}/preprocess.py{elsewhere}")
    return 1 if failed else 0


def _fetch_all(downloads: Downloads, missing: list[RemoteFile], jobs: int) -> Iterator[Exception]:
    """Fetch files, `jobs` at a time, with a bar for all and one for each. Gives the errors of those that failed."""
    if not missing:
        return
    total = sum(file.size or 0 for file in missing)
    units = {"unit": "B", "unit_scale": True, "unit_divisor": 1000}
    name = downloads.data_set.name
    free = set(range(1, jobs + 1))  # lines below the overall bar
    with (
        tqdm(total=total, desc=f"{name} 0/{len(missing)}", disable=None, **units) as overall,
        ThreadPoolExecutor(jobs) as pool,
    ):

        def one(file: RemoteFile) -> None:
            line, label = free.pop(), Path(file.path).name[-40:]
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
                    do = "make room on the disk, or mend what it says; then run the same command again"
                    yield BadInput(file.path, "to write it", error.strerror or str(error), do)
                elif error is not None:
                    raise error
                elif overall.disable:  # a log file
                    print(f"{file.path}: {file.size or 0:,} bytes, verified", flush=True)
        except BaseException:
            downloads.web.stop.set()
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
        if not file.digest:  # then only its content can tell that it came damaged
            target.unlink()
        raise
    target.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other downloads out of a folder. Raises BadInput where one is at work."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise BadInput(folder, "no other download into this folder", "one", "wait for it") from None


def table(chosen: list[RemoteFile], downloads: Downloads) -> str:
    """The files of a dry run, with their sizes, and the total."""
    width = max(len(f.path) for f in chosen)
    lines = [
        f"{file.path:{width}}  {'unknown' if file.size is None else f'{file.size:,}':>18}"
        f"{'  here' if downloads.has(file) else ''}"
        for file in chosen
    ]
    total = sum(file.size or 0 for file in chosen)
    missing = sum(file.size or 0 for file in chosen if not downloads.has(file))
    lines.append(f"{len(chosen):,} files, {total:,} bytes ({_human(total)}), of these to fetch {missing:,}")
    return "\n".join(lines)


def report(chosen: list[RemoteFile], n_fetched: int, n_failed: int, seconds: float) -> str:
    """What a run did, in a line."""
    total = sum(file.size or 0 for file in chosen)
    here = len(chosen) - n_fetched - n_failed
    failed = f", {n_failed} FAILED" if n_failed else ""
    return (
        f"{len(chosen):,} files, {_human(total)}: {n_fetched:,} fetched in {seconds:.0f} s, {here:,} were here{failed}"
    )


def _human(n_bytes: int) -> str:
    return f"{tqdm.format_sizeof(n_bytes, 'B')}"
