"""Windows of at most 256 units × 100 bins from a corpus: ours beside other ways, in one run, warm and from the disk.

The corpus is written once: rows of 10 million tokens, Poisson counts with lognormal rates around 5 Hz, and unit counts
as in the real corpus (median 96, 95 % up to 256, 99 % up to 1,678, at most 1,734). Each way runs in a process of its
own and gives the same batches of 64 windows: the first of each is compared. "Warm": in passes after the first over the
same windows, by the clock and by processor time, which other programs on the machine disturb less. "Disk": in the first
pass, after the page cache of all files was dropped; what the process then read from the disk is compared with the
counts that it gave.
Ways whose package is not installed are skipped by name: temporaldata, zarr, pylance, litdata, torch.

    python benchmarks/windows.py --folder /tmp/windows
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neuralpile import cli, simulation
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.files import whole_file, whole_folder
from neuralpile.open import open_data_set
from neuralpile.training import Windows
from neuralpile.training.permutation import permute

TOKENS = 2_050_000_000  # of the corpus
UNITS, BINS, BATCH, BIN = 256, 100, 64, 0.02
# Unit counts of the real corpus at these shares of its rows; those below the median are our own choice.
SHARES, COUNTS = (0, 0.05, 0.5, 0.95, 0.99, 1), (10, 40, 96, 256, 1678, 1734)
TRAINS, LONG = 64, 1_000_000  # spike trains that rows are cut from, and their bins
TILE = 128  # bins of a tile of zarr and Lance
SECONDS, MOST = 4.0, 64  # a way is measured for so long, or for so many batches


class Request(NamedTuple):
    """A window that every way has to give: its number in Windows, row, units in ascending order, and first bin."""

    number: int
    row: int
    units: npt.NDArray[np.int64]
    start: int


Way = Callable[[Sequence[Request]], npt.NDArray[np.uint8]]  # to (windows, UNITS, BINS), padded with zeros


def write_corpus(folder: Path, tokens: int) -> None:
    """Write the corpus, one split, a file for 50 rows."""
    rng = np.random.default_rng(0)
    n_rows = -(-tokens // 10_000_000)
    n_units = np.interp((np.arange(n_rows) + 0.5) / n_rows, SHARES, COUNTS).astype(int)
    rng.shuffle(n_units)
    trains = np.stack([rng.poisson(rate * BIN, LONG) for rate in simulation.lognormal_rates(TRAINS, rng)])
    trains = np.tile(trains.astype(np.uint8), 2)

    def made() -> Iterator[Row]:
        for i, units in enumerate(n_units):
            counts = np.empty((units, 10_000_000 // units), np.uint8)
            for unit in counts:
                start = rng.integers(LONG)
                unit[:] = trains[rng.integers(TRAINS), start : start + len(unit)]
            yield Row(counts, "sub", f"ses-{i}", "segment_0", "simulated")

    write_split(folder, made(), n_rows)


def write_split(folder: Path, made: Iterator[Row], n_rows: int) -> None:
    """Write rows as the training split of a corpus."""
    files = [folder / "train" / f"data-{i:05d}.arrow" for i in range(-(-n_rows // 50))]
    for file in files:
        arrow.write_rows(file, itertools.islice(made, 50), rows.MERGED_SCHEMA)
    arrow.finish(folder / "train", files, rows.MERGED_SCHEMA, "0" * 64)
    (folder / arrow.SPLITS).write_text(json.dumps({"splits": ["train"]}))


def one_by_one(window: Callable[[Request], npt.ArrayLike]) -> Way:
    """A way that gives one window after another."""

    def batch(requests: Sequence[Request]) -> npt.NDArray[np.uint8]:
        out = np.zeros((len(requests), UNITS, BINS), np.uint8)
        for place, request in zip(out, requests, strict=True):
            place[: len(request.units)] = window(request)
        return out

    return batch


def some(units: npt.NDArray[np.int64]) -> slice | npt.NDArray[np.int64]:
    """Neighbouring units as a slice, which NumPy copies faster."""
    return slice(units[0], units[-1] + 1) if units[-1] - units[0] + 1 == len(units) else units


def lists(folder: Path) -> Way:
    """The plain way: a row of `datasets` as Python lists, cropped."""
    import datasets

    opened = datasets.load_from_disk(str(folder / "corpus"))["train"]

    def window(request: Request) -> npt.ArrayLike:
        counts = opened[request.row]["spike_counts"]
        return [counts[unit][request.start : request.start + BINS] for unit in request.units]

    return one_by_one(window)


def with_format(folder: Path) -> Way:
    """`with_format("numpy")`, cropped."""
    import datasets

    opened = datasets.load_from_disk(str(folder / "corpus"))["train"].with_format("numpy")
    return one_by_one(lambda r: opened[r.row]["spike_counts"][r.units, r.start : r.start + BINS])


def in_memory(folder: Path) -> Way:
    """Slices out of arrays in memory: the floor."""
    counts = [row.counts.copy() for row in open_data_set(str(folder / "corpus"))]
    return one_by_one(lambda r: counts[r.row][some(r.units), r.start : r.start + BINS])


def time_major(folder: Path) -> Way:
    """A memmap (bins, units) for each row, all in one file."""
    path = folder / "time-major.u8"
    source = open_data_set(str(folder / "corpus"))
    shapes = [row.counts.shape[::-1] for row in source]
    if not path.exists():
        with whole_file(path) as partial, partial.open("wb") as file:
            for row in source:
                np.ascontiguousarray(row.counts.T).tofile(file)
    ends = np.cumsum([bins * units for bins, units in shapes])
    whole = np.memmap(path, np.uint8, "r")
    counts = [whole[end - b * u : end].reshape(b, u) for end, (b, u) in zip(ends, shapes, strict=True)]
    return one_by_one(lambda r: counts[r.row][r.start : r.start + BINS].T[some(r.units)])


def with_temporaldata(folder: Path) -> Way:
    """Lazy slices in time of a RegularTimeSeries in an HDF5 file for each row, as torch_brain reads them."""
    import h5py
    from temporaldata import Data, RegularTimeSeries

    out = folder / "temporaldata"
    if not out.exists():
        with whole_folder(out) as partial:
            for i, row in enumerate(open_data_set(str(folder / "corpus"))):
                counts = RegularTimeSeries(counts=np.ascontiguousarray(row.counts.T), sampling_rate=1 / BIN)
                with h5py.File(partial / f"{i}.h5", "w") as file:
                    Data(counts=counts, domain=counts.domain).to_hdf5(file)
    opened: dict[int, Data] = {}

    def window(request: Request) -> npt.ArrayLike:
        if request.row not in opened:
            opened[request.row] = Data.from_hdf5(h5py.File(out / f"{request.row}.h5"), lazy=True)
        start = (request.start + 1e-3) * BIN  # times of bins are rounded
        found = opened[request.row].slice(start - 1e-3 * BIN, start + (BINS - 1) * BIN + BIN / 2).counts.counts
        return found[:BINS].T[some(request.units)]

    return one_by_one(window)


def with_zarr(folder: Path) -> Way:
    """zarr 3: an array (bins, units) for each row, zstd, tiles of all units in shards."""
    import zarr

    out = folder / "zarr"
    if not out.exists():
        with whole_folder(out) as partial:
            group = zarr.open_group(str(partial), mode="w")
            for i, row in enumerate(open_data_set(str(folder / "corpus"))):
                units, bins = row.counts.shape
                shard = (TILE * min(64, -(-bins // TILE)), units)
                codec = zarr.codecs.ZstdCodec(level=3)
                made = group.create_array(
                    str(i), shape=(bins, units), chunks=(TILE, units), shards=shard, dtype="u1", compressors=codec
                )
                made[:] = np.ascontiguousarray(row.counts.T)
    group = zarr.open_group(str(out), mode="r")
    opened: dict[int, zarr.Array] = {}

    def window(request: Request) -> npt.ArrayLike:
        if request.row not in opened:
            opened[request.row] = group[str(request.row)]
        return opened[request.row][request.start : request.start + BINS].T[some(request.units)]

    return one_by_one(window)


def with_lance(folder: Path) -> Way:
    """Lance: a tile (bins, all units) for each record, zstd; a batch is one `take`."""
    import lance
    import pyarrow as pa

    out = folder / "lance"
    source = open_data_set(str(folder / "corpus"))
    if not out.exists():
        schema = pa.schema([pa.field("tile", pa.binary(), metadata={"lance-encoding:compression": "zstd"})])

        def tiles() -> Iterator[pa.RecordBatch]:
            for row in source:
                counts = np.ascontiguousarray(row.counts.T)
                content = [counts[at : at + TILE].tobytes() for at in range(0, len(counts), TILE)]
                yield pa.record_batch([pa.array(content, pa.binary())], schema=schema)

        with whole_folder(out) as partial:
            lance.write_dataset(
                pa.RecordBatchReader.from_batches(schema, tiles()), str(partial / "tiles"), data_storage_version="2.1"
            )
    shapes = [row.counts.shape for row in source]
    first = np.cumsum([0, *(-(-bins // TILE) for _, bins in shapes)])
    opened = lance.dataset(str(out / "tiles"))

    def batch(requests: Sequence[Request]) -> npt.NDArray[np.uint8]:
        begins = [int(first[r.row]) + r.start // TILE for r in requests]
        ends = [int(first[r.row]) + (r.start + BINS - 1) // TILE for r in requests]
        wanted = sorted({tile for begin, end in zip(begins, ends, strict=True) for tile in range(begin, end + 1)})
        column = opened.take(wanted)["tile"].combine_chunks()
        content = np.frombuffer(column.buffers()[2], np.uint8)
        offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset :]
        at = dict(zip(wanted, itertools.count(), strict=False))

        def window(request: Request) -> npt.ArrayLike:
            begin = int(first[request.row]) + request.start // TILE
            end = int(first[request.row]) + (request.start + BINS - 1) // TILE
            counts = content[offsets[at[begin]] : offsets[at[end] + 1]].reshape(-1, shapes[request.row][0])
            return counts[request.start % TILE :][:BINS].T[some(request.units)]

        return one_by_one(window)(requests)

    return batch


def with_litdata(folder: Path) -> Way:
    """litdata: windows cut beforehand, all units × 100 bins a sample, so they start at multiples of 100 bins only."""
    import litdata

    out = folder / "litdata"
    source = open_data_set(str(folder / "corpus"))
    shapes = [row.counts.shape for row in source]
    if not out.exists():
        with whole_folder(out) as partial:
            litdata.optimize(
                _Cut(str(folder / "corpus")),
                list(range(len(source))),
                str(partial),
                chunk_bytes="64MB",
                num_workers=1,
                keep_data_ordered=True,
                verbose=False,
            )
    first = np.cumsum([0, *(bins // BINS for _, bins in shapes)])
    opened = litdata.StreamingDataset(str(out))
    return one_by_one(lambda r: opened[int(first[r.row]) + r.start // BINS][some(r.units)])


class _Cut:
    """Cuts a row into samples."""

    def __init__(self, corpus: str) -> None:
        self.corpus = corpus

    def __call__(self, i: int) -> Iterator[npt.NDArray[np.uint8]]:
        counts = open_data_set(self.corpus).row(i).counts
        for start in range(0, counts.shape[1] - BINS + 1, BINS):
            yield np.ascontiguousarray(counts[:, start : start + BINS])


def ours(folder: Path, order: str = "random") -> Way:
    """Windows."""
    windows = opened(folder, order)
    return lambda requests: windows.batch([request.number for request in requests]).counts


def opened(folder: Path, order: str) -> Windows:
    """The windows that all ways give, in one of two orders."""
    return Windows(str(folder / "corpus"), split="train", n_bins=BINS, n_units=UNITS, **ORDERS[order])


ORDERS: dict[str, dict[str, int]] = {"random": {}, "neighbours": {"locality": 4}}
WAYS: dict[str, tuple[Callable[[Path], Way], str]] = {  # and the file or folder that it reads
    'ds[i]["spike_counts"]': (lists, "corpus"),
    'with_format("numpy")': (with_format, "corpus"),
    "slices of NumPy arrays": (in_memory, ""),
    "time-major memmap": (time_major, "time-major.u8"),
    "temporaldata, HDF5": (with_temporaldata, "temporaldata"),
    "zarr 3, shards": (with_zarr, "zarr"),
    "Lance, tiles": (with_lance, "lance"),
    "litdata, cut beforehand": (with_litdata, "litdata"),
    "ours": (ours, "corpus"),
}
FEW = 4  # windows in a batch of the first two, which take tenths of a second for each


def requested(windows: Windows) -> list[Request]:
    """The first windows of an epoch."""
    found = []
    for at in range(0, MOST * BATCH, BATCH):
        batch = windows.batch(range(at, at + BATCH))
        for i, units in enumerate(batch.units):
            found.append(Request(at + i, int(batch.rows[i]), units[units >= 0], int(batch.starts[i])))
    return found


def files_of(path: Path) -> list[Path]:
    """The files of a way."""
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def drop(files: Sequence[Path]) -> None:
    """Drop files from the page cache. No process may have them mapped."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def fill(files: Sequence[Path]) -> None:
    """Read files into the page cache."""
    for path in files:
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass


def counter(path: str, key: str) -> int:
    """What the kernel counts of this process."""
    return int(Path(path).read_text().partition(f"{key}:")[2].split()[0])


def measure(folder: Path, name: str, order: str, cold: bool) -> dict[str, float]:
    """Measure one way in this process, then check what it gave."""
    requests = load(folder / f"{order}.npz")
    if name == "litdata, cut beforehand":
        requests = [request._replace(start=request.start // BINS * BINS) for request in requests]
    size = FEW if name in list(WAYS)[:2] else BATCH
    batches = [requests[at : at + size] for at in range(0, len(requests), size)]
    way = ours(folder, order) if name == "ours" else WAYS[name][0](folder)
    permute(np.zeros(1, int), np.ones(1, int), np.zeros(1, np.uint64))  # loads Numba
    read, start, first, n = counter("/proc/self/io", "read_bytes"), time.perf_counter(), way(batches[0]), 1
    while n < len(batches) and (elapsed := time.perf_counter() - start) < SECONDS:
        way(batches[n])
        n += 1
    elapsed = time.perf_counter() - start
    read = counter("/proc/self/io", "read_bytes") - read
    useful = BINS * sum(len(request.units) for batch in batches[:n] for request in batch)
    busy, windows = time.process_time(), sum(map(len, batches[:n]))
    if not cold:  # the same batches again and again: every page of a mapped file was found in the first pass
        start, windows = time.perf_counter(), 0
        for batch in itertools.cycle(batches[:n]):
            way(batch)
            windows += len(batch)
            if (elapsed := time.perf_counter() - start) > SECONDS:
                break
    busy = time.process_time() - busy
    memory = counter("/proc/self/status", "RssAnon") / 1000
    source = open_data_set(str(folder / "corpus"))
    for request, window in zip(batches[0], first, strict=True):
        expected = source.row(request.row).counts[request.units, request.start : request.start + BINS]
        assert (window[: len(request.units)] == expected).all() and not window[len(request.units) :].any(), request
    rates = {"rate": windows / elapsed, "processor": windows / max(busy, 1e-9)}
    return {**rates, "useful": useful, "read": read, "memory": memory}


def save(path: Path, requests: Sequence[Request]) -> None:
    """Keep requests for the processes that measure."""
    units = np.full((len(requests), UNITS), -1)
    for place, request in zip(units, requests, strict=True):
        place[: len(request.units)] = request.units
    rows, starts = ([getattr(request, field) for request in requests] for field in ("row", "start"))
    np.savez(path, rows=rows, starts=starts, units=units)


def load(path: Path) -> list[Request]:
    """What `save` kept."""
    with np.load(path) as kept:
        parts = zip(kept["rows"], kept["units"], kept["starts"], strict=True)
        return [Request(i, int(row), units[units >= 0], int(start)) for i, (row, units, start) in enumerate(parts)]


def in_process(folder: Path, *words: str) -> dict[str, float] | None:
    """Measure in a process of its own; None if a package is missing."""
    command = [sys.executable, __file__, "--folder", str(folder), "--one", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        missing = done.stderr.rpartition("No module named ")[2].strip()
        if "ModuleNotFoundError" not in done.stderr:
            sys.exit(done.stderr)
        print(f"skipped {words[1]}: {missing} is not installed", file=sys.stderr)
        return None
    return dict(json.loads(done.stdout.splitlines()[-1]))


def first_batch(folder: Path) -> dict[str, float]:
    """Seconds from a corpus of 4,000 rows to its first batch, and what of them is for loading compiled code."""
    start = time.perf_counter()
    permute(np.zeros(1, int), np.ones(1, int), np.zeros(1, np.uint64))
    loaded = time.perf_counter()
    Windows(str(folder), split="train", n_bins=BINS, n_units=UNITS).batch(range(BATCH))
    end = time.perf_counter()
    return {
        "seconds": end - loaded,
        "loading": loaded - start,
        "memory": counter("/proc/self/status", "RssAnon") / 1000,
    }


def workers(folder: Path) -> dict[str, float]:
    """Four workers of a torch DataLoader: windows a second, and memory in MB, shared pages counted once or not."""
    from torch.utils.data import DataLoader

    loader = DataLoader(opened(folder, "random"), batch_size=BATCH, num_workers=4, collate_fn=_as_is)
    batches = iter(loader)
    for _ in range(8):  # workers start, and load Numba
        next(batches)
    n, start = 0, time.perf_counter()
    for _ in batches:
        n += 1
        if time.perf_counter() - start > SECONDS:
            break
    rate = n * BATCH / (time.perf_counter() - start)
    maps = [Path(f"/proc/{worker.pid}/smaps_rollup").read_text() for worker in batches._workers]
    size = {
        key: sum(int(text.partition(f"{key}:")[2].split()[0]) for text in maps) / 1000
        for key in ("Rss", "Pss", "Pss_Anon")
    }
    return {"rate": rate, "rss": size["Rss"], "pss": size["Pss"], "anonymous": size["Pss_Anon"]}


def _as_is(batch: object) -> object:
    return batch


def have_corpus(folder: Path, tokens: int) -> None:
    """Write the corpus, if it is not there."""
    if not (folder / "corpus").exists():
        with whole_folder(folder / "corpus") as partial:
            write_corpus(partial, tokens)


def prepare(folder: Path, tokens: int) -> dict[str, float]:
    """Write both corpora, if they are not there, and what will be asked for."""
    have_corpus(folder, tokens)
    if not (folder / "many").exists():
        rng = np.random.default_rng(0)
        made = (
            Row(rng.poisson(0.1, (96, 1000)).astype(np.uint8), "sub", f"ses-{i}", "segment_0", "simulated")
            for i in range(4000)
        )
        with whole_folder(folder / "many") as partial:
            write_split(partial, made, 4000)
    for order in ORDERS:
        save(folder / f"{order}.npz", requested(opened(folder, order)))
    return {"tokens": sum(open_data_set(str(folder / "corpus")).tokens())}


def table(folder: Path) -> None:
    """Print a line for each way: warm, from the disk in random order, and from the disk with neighbours together."""
    disk = " | ".join(f"{order}, disk | useful" for order in ORDERS)
    print(f"| way | warm, windows/s | by processor time | times the first | {disk} | memory, MB |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    plain = 0.0
    for name, (_, reads) in WAYS.items():
        files = files_of(folder / reads) if reads and (folder / reads).exists() else []
        fill(files)
        warm = in_process(folder, "warm", name, "random")
        if warm is None:
            continue
        plain = plain or warm["processor"]
        cells = [f"{warm[key]:,.1f}" for key in ("rate", "processor")] + [f"{warm['processor'] / plain:,.0f}"]
        for order in ORDERS:
            if reads and name not in list(WAYS)[:2]:
                drop(files_of(folder / reads))
                cold = in_process(folder, "disk", name, order)
                assert cold is not None
                cells += [f"{cold['rate']:,.0f}", f"{100 * cold['useful'] / max(cold['read'], 1):.1f} %"]
            else:
                cells += ["", ""]
        print(f"| {name} | {' | '.join(cells)} | {warm['memory']:,.0f} |", flush=True)


def main() -> None:
    """Prepare, measure, print. This process opens no corpus: what it has mapped cannot be dropped from the cache."""
    parser = cli.parser(__doc__ or "", "python benchmarks/windows.py --tokens 500_000_000")
    parser.add_argument(
        "--folder", type=Path, help="for corpora and caches, 11 GB; kept, and used again by the next run"
    )
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of the corpus")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)  # what to do in a process of its own
    given = parser.parse_args()
    if given.one:
        what, name, *words = given.one
        folder = given.folder
        tasks = {"prepare": lambda: prepare(folder, given.tokens), "first": lambda: first_batch(folder / "many")}
        tasks |= {"workers": lambda: workers(folder), "warm": lambda: measure(folder, name, *words, cold=False)}
        tasks |= {"disk": lambda: measure(folder, name, *words, cold=True)}
        print(json.dumps(tasks[what]()))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = given.folder or Path(made)
        prepared = in_process(folder, "prepare", "corpus", "--tokens", str(given.tokens))
        assert prepared is not None
        print(f"{prepared['tokens']:,} tokens; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
        table(folder)
        for state, make in (("warm", fill), ("from the disk", drop)):
            make(files_of(folder / "many"))
            first = in_process(folder, "first", "first batch")
            assert first is not None
            print(f"\nfirst batch of 4,000 rows, {state}: {first['seconds']:.2f} s, {first['memory']:.0f} MB;", end=" ")
            print(f"Numba was loaded before, in {first['loading']:.2f} s")
        if shared := in_process(folder, "workers", "torch"):
            print(f"\n4 workers of torch: {shared['rate']:,.0f} windows/s. Resident, pages counted once:", end=" ")
            print(f"{shared['pss']:,.0f} MB, {shared['anonymous']:,.0f} MB not mapped; if not, {shared['rss']:,.0f} MB")


if __name__ == "__main__":
    main()
