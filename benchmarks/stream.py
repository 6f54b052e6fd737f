"""Spike times out of a large remote NWB file: the whole file fetched, general remote files under h5py, and ours.

A server on 127.0.0.1 that takes 40 ms for an answer and gives 50 MB/s on a connection; 75 MB of spike times in a file
of 380 MB, stored in one piece and in compressed chunks. All give the same times.
"""

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import h5py
import numpy as np
import requests

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from helpers.large_nwb import spike_times, write_large
from helpers.loopback_archives import LoopbackArchives

from neuralpile import cli
from neuralpile.acquire.archives import RemoteFile
from neuralpile.acquire.range_file import RemoteRecording
from neuralpile.recordings import nwb

LATENCY, RATE = 0.04, 50e6  # seconds; bytes a second on one connection
SPIKES, VOLTAGE = 9_400_000, 304_000_000  # spikes, bytes
NAME = "sub-A/sub-A_ses-1.nwb"


def serve(path: Path, pipe: Connection) -> None:
    """Stand for DANDI, in a process of its own; report requests made and bytes sent whenever asked."""
    with LoopbackArchives({NAME: path.read_bytes()}, latency=LATENCY, rate=RATE) as archives:
        archives.digests_dandi(archives.files[NAME])
        pipe.send(f"{archives.url}/api/assets/asset-0/download/")
        while pipe.recv():
            pipe.send((archives.asked("/blobs/"), archives.sent("/blobs/")))
            archives.seen.clear()


@contextmanager
def server(path: Path) -> Iterator[tuple[str, Connection]]:
    """The address of a file on a server, and what to ask for its figures."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(path, there))
    process.start()
    try:
        yield here.recv(), here
    finally:
        here.send(None)
        process.join()


def whole(url: str, size: int) -> np.ndarray:
    """Fetch the file, then read it."""
    with tempfile.NamedTemporaryFile() as file, requests.get(url, stream=True, timeout=60) as response:
        for block in response.iter_content(1 << 20):
            file.write(block)
        file.flush()
        return nwb.read_spike_trains(Path(file.name)).times


def with_fsspec(url: str, size: int) -> np.ndarray:
    """fsspec's HTTP file, its own cache."""
    import fsspec

    with fsspec.open(url) as file, h5py.File(file) as recording:
        return recording["units/spike_times"][()]


def with_remfile(url: str, size: int) -> np.ndarray:
    """remfile; it wants the address at the storage."""
    import remfile

    with h5py.File(remfile.File(url)) as recording:
        return recording["units/spike_times"][()]


def ours(url: str, size: int) -> np.ndarray:
    """As `preprocess.py --stream`."""
    return nwb.read_spike_trains(RemoteRecording(RemoteFile(NAME, size, "", url))).times


def main() -> int:
    """Print the table."""
    cli.parser(__doc__ or "", "python benchmarks/stream.py").parse_args()
    for package in ("aiohttp", "remfile"):
        cli.need(package, "bench", "benchmarks/stream.py")
    times, ends = spike_times(SPIKES)
    ways: dict[str, Callable[[str, int], np.ndarray]] = {
        "download, then read": whole,
        "fsspec": with_fsspec,
        "remfile": with_remfile,
        "ours": ours,
    }
    print("| spike times | stored, MB | way | seconds | MB | of the stored | requests |")
    print("|---|--:|---|--:|--:|--:|--:|")
    for kind, storage in (("in one piece", {}), ("gzip in chunks", {"compression": "gzip", "shuffle": True})):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "large.nwb"
            stored = write_large(path, "units/spike_times", times, VOLTAGE, ends, **storage)
            with server(path) as (url, pipe):
                for name, way in ways.items():
                    start = time.perf_counter()
                    found = way(url, path.stat().st_size)
                    seconds = time.perf_counter() - start
                    np.testing.assert_array_equal(found, times)
                    pipe.send(True)
                    n_requests, n_bytes = pipe.recv()
                    cells = [kind, f"{stored / 1e6:.1f}", name, f"{seconds:.2f}", f"{n_bytes / 1e6:.1f}"]
                    print(f"| {' | '.join(cells)} | {n_bytes / stored:.3f} | {n_requests} |", flush=True)
    return 0


if __name__ == "__main__":
    cli.run(main)
