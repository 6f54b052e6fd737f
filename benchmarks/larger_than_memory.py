"""Windows of a corpus of which memory can hold a part only: in random order, and with neighbours together.

As soon as a process has read that share of the corpus from the disk, all of it is dropped from the page cache. So the
cache never holds more, however large the memory is. Dropping does not count towards the time. The corpus is the one
that benchmarks/windows.py writes.

    python benchmarks/larger_than_memory.py --folder /tmp/windows --share 0.1
"""

import os
import time
from pathlib import Path

from neuralpile import cli
from neuralpile.training import Windows

UNITS, BINS, BATCH = 256, 100, 64
ORDERS = {"random": None, "locality=4": 4}


def read_bytes() -> int:
    """What this process has read from the disk."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def drop(windows: Windows, files: list[Path]) -> None:
    """Drop the corpus from memory: what this process has mapped first, which the page cache would keep."""
    windows._in_parts._maps.release()  # type: ignore[attr-defined]
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(corpus: Path, order: str, share: float, seconds: float) -> None:
    """Print a line of the table: one order of the windows, for so long."""
    files = sorted(corpus.rglob("*.arrow"))
    size = sum(file.stat().st_size for file in files)
    windows = Windows(corpus, n_bins=BINS, n_units=UNITS, locality=ORDERS[order])
    windows.batch(range(BATCH))  # Numba compiles
    drop(windows, files)
    spent, given, useful, begun = 0.0, 0, 0, read_bytes()
    since = begun
    while spent < seconds:
        start = time.perf_counter()
        batch = windows.batch(range(given, given + BATCH))
        spent += time.perf_counter() - start
        given += BATCH
        useful += int(batch.mask.sum()) * BINS
        if read_bytes() - since > share * size:
            drop(windows, files)
            since = read_bytes()
    read = read_bytes() - begun
    of_epoch = read / given * len(windows) / size
    print(f"| {order} | {given / spent:,.0f} | {100 * useful / max(read, 1):.1f} % | {of_epoch:.1f} |", flush=True)


def main() -> int:
    """Print the table."""
    parser = cli.parser(__doc__ or "", "python benchmarks/larger_than_memory.py --folder /tmp/windows")
    parser.add_argument("--folder", type=Path, required=True, help="where benchmarks/windows.py has put its corpus")
    parser.add_argument("--share", type=cli.fraction, default=0.1, help="of the corpus that memory holds at most")
    parser.add_argument("--seconds", type=cli.positive_float, default=20.0, help="of each order")
    given = parser.parse_args()
    print("| order | windows/s | useful | corpora read in an epoch |\n|---|--:|--:|--:|")
    for order in ORDERS:
        measure(given.folder / "corpus", order, given.share, given.seconds)
    return 0


if __name__ == "__main__":
    cli.run(main)
