"""Windows of a corpus of which memory can hold a part only: in random order, and with neighbours together.

As soon as a process has read that share of the corpus from the disk, all of it is dropped from the page cache. So the
cache never holds more, however large the memory is. Dropping does not count towards the time. The corpus is that of
benchmarks/windows.py.

    python benchmarks/larger_than_memory.py --folder /tmp/windows --share 0.1
"""

import tempfile
import time
from pathlib import Path

import windows
from windows import BATCH, BINS, counter

from neuralpile import cli
from neuralpile.training import Windows


def read_bytes() -> int:
    """What this process has read from the disk."""
    return counter("/proc/self/io", "read_bytes")


def drop(opened: Windows, files: list[Path]) -> None:
    """Drop the corpus from memory: what this process has mapped first, which the page cache would keep."""
    opened._in_parts._maps.release()
    windows.drop(files)


def measure(folder: Path, order: str, share: float, seconds: float) -> None:
    """Print a line of the table: one order of the windows, for so long."""
    files = windows.files_of(folder / "corpus")
    size = sum(file.stat().st_size for file in files)
    opened = windows.opened(folder, order)
    opened.batch(range(BATCH))  # Numba compiles
    drop(opened, files)
    spent, given, useful, begun = 0.0, 0, 0, read_bytes()
    since = begun
    while spent < seconds:
        start = time.perf_counter()
        batch = opened.batch(range(given, given + BATCH))
        spent += time.perf_counter() - start
        given += BATCH
        useful += int(batch.mask.sum()) * BINS
        if read_bytes() - since > share * size:
            drop(opened, files)
            since = read_bytes()
    read = read_bytes() - begun
    of_epoch = read / given * len(opened) / size
    print(f"| {order} | {given / spent:,.0f} | {100 * useful / max(read, 1):.1f} % | {of_epoch:.1f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = cli.parser(__doc__ or "", "python benchmarks/larger_than_memory.py --folder /tmp/windows")
    parser.add_argument("--folder", type=Path, help="for the corpus, 2 GB; kept, and shared with benchmarks/windows.py")
    parser.add_argument("--tokens", type=int, default=windows.TOKENS, help="of the corpus")
    parser.add_argument("--share", type=cli.fraction, default=0.1, help="of the corpus that memory holds at most")
    parser.add_argument("--seconds", type=cli.positive_float, default=20.0, help="of each order")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = given.folder or Path(made)
        windows.have_corpus(folder, given.tokens)
        print("| order | windows/s | useful | corpora read in an epoch |\n|---|--:|--:|--:|")
        for order in windows.ORDERS:
            measure(folder, order, given.share, given.seconds)


if __name__ == "__main__":
    main()
