"""Mutated files: bytes of recordings are changed at random, and nothing but right counts or one clear line comes of it.

`make faults` runs these with the seed FAULTS_SEED. Every mutation is read in a process of its own that is killed after
`PATIENCE`: a crash, a hang, a traceback or wrong counts that nothing explains is a failure. Counts may differ from
those of the undamaged file only if a byte of the data that are read was changed.
"""

import json
import select
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from helpers.data_files import save_73
from helpers.recordings import write_units
from helpers.recordings_of_labs import write_phy

pytestmark = pytest.mark.faults

MUTATIONS = 120  # of each format
PATIENCE = 60.0  # seconds for a read that takes less than one
RNG = np.random.default_rng(7)
TRAINS = [np.sort(RNG.uniform(0.5, 20, 40)).round(5) for _ in range(5)]

# The process that reads: for each mutation on its input, the counts' digest, or the error, on its output.
READER = """
import hashlib, json, sys
from pathlib import Path
from neuralpile.errors import BadInput
from neuralpile.recordings import matlab, nwb, phy, pynapple
from neuralpile.spikes.session import Options

READ = {
    "nwb": nwb.count_units,
    "raster": nwb.raster("processing/ecephys/rasters/data", own_bin=0.02),
    "matlab": matlab.count_units("spikes"),
    "matlab 7.3": matlab.count_units("spikes"),
    "npy": phy.count_units,
    "npz": pynapple.count_units,
}
for line in sys.stdin:
    kind, path = json.loads(line)
    try:
        counts = READ[kind](Path(path), Options()).counts
        answer = "counts " + hashlib.sha256(str(counts.shape).encode() + counts.tobytes()).hexdigest()
    except BadInput as error:
        answer = f"error {error}"
    print(json.dumps(answer), flush=True)
"""


def write_nwb(path: Path) -> Path:
    return write_units(path / "x.nwb", TRAINS)


def write_raster(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    raster = np.random.default_rng(1).poisson(0.3, (300, 6)).astype(np.uint8)
    with h5py.File(path / "x.nwb", "w") as file:
        series = file.create_group("processing/ecephys/rasters")
        series.create_dataset("data", data=raster, chunks=(100, 6), compression="gzip", fletcher32=True)
        series["timestamps"] = np.arange(300) * 0.02
    return path / "x.nwb"


def write_matlab(path: Path) -> Path:
    cells = np.empty((1, len(TRAINS)), object)
    cells[0] = TRAINS
    path.mkdir(exist_ok=True)
    scipy.io.savemat(path / "x.mat", {"spikes": cells, "other": np.arange(50.0)}, do_compression=True)
    return path / "x.mat"


def write_matlab_73(path: Path) -> Path:
    save_73(path / "x.mat", [[train] for train in TRAINS])
    return path / "x.mat"


def write_npy(path: Path) -> Path:
    units = np.repeat(np.arange(5), 40)
    folder = write_phy(path / "x", np.rint(np.concatenate(TRAINS) * 30_000), units)
    return folder / "spike_times.npy"


def write_npz(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    units, kind = np.repeat(np.arange(5), 40), np.array(["TsGroup"])
    np.savez(path / "x.npz", type=kind, t=np.concatenate(TRAINS), index=units, keys=np.arange(5))
    return path / "x.npz"


WRITERS = {
    "nwb": write_nwb,
    "raster": write_raster,
    "matlab": write_matlab,
    "matlab 7.3": write_matlab_73,
    "npy": write_npy,
    "npz": write_npz,
}


def data_bytes(kind: str, path: Path) -> list[tuple[int, int]]:
    """Where the file holds the data that become counts, without a checksum that the library verifies."""
    if kind in ("nwb", "raster", "matlab 7.3"):
        return _hdf5_bytes(kind, path)
    if kind == "npy":
        return [(path.stat().st_size - 8 * 200, path.stat().st_size)]
    return []  # compressed or archived with checksums


def _hdf5_bytes(kind: str, path: Path) -> list[tuple[int, int]]:
    with h5py.File(path) as file:
        if kind == "nwb":
            data = [file["units/spike_times"], file["units/spike_times_index"]]
        elif kind == "raster":
            return []  # Fletcher's checksum
        else:
            data = [file["spikes"], *(file[reference] for reference in file["spikes"][()].ravel())]
        return [place for dataset in data for place in _stored(dataset)]


def _stored(dataset: h5py.Dataset) -> list[tuple[int, int]]:
    """Where a dataset's values are in the file."""
    if dataset.chunks is None:
        start = dataset.id.get_offset()
        return [(start, start + dataset.id.get_storage_size())]
    chunks = [dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks())]
    return [(chunk.byte_offset, chunk.byte_offset + chunk.size) for chunk in chunks]


def mutate(content: bytes, rng: np.random.Generator) -> tuple[bytes, list[int], str]:
    """Changed content, the places of the changed bytes, and what was done."""
    changed, size = bytearray(content), len(content)
    how = rng.choice(["flip a bit", "set bytes", "zero a block", "ones", "swap blocks", "cut off", "insert"])
    at, n = int(rng.integers(size)), int(rng.choice([1, 2, 4, 8, 64, 200]))
    if how == "flip a bit":
        changed[at] ^= 1 << int(rng.integers(8))
    elif how == "set bytes":
        changed[at : at + n] = rng.bytes(len(changed[at : at + n]))
    elif how in ("zero a block", "ones"):
        changed[at : at + n] = (b"\0" if how == "zero a block" else b"\xff") * len(changed[at : at + n])
    elif how == "swap blocks":
        other = int(rng.integers(size - n))
        at = min(at, size - n)
        changed[at : at + n], changed[other : other + n] = content[other : other + n], content[at : at + n]
    elif how == "cut off":
        del changed[at:]
    else:
        changed[at:at] = rng.bytes(n)
    old, new = np.frombuffer(content, np.uint8), np.frombuffer(bytes(changed), np.uint8)
    shared = min(len(old), len(new))
    places = [*np.flatnonzero(old[:shared] != new[:shared]).tolist(), *range(shared, len(old))]
    return bytes(changed), places, f"{how} at {at}, {n} bytes"


class Reader:
    """A process that reads files; a new one takes the place of one that died or was killed."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def ask(self, kind: str, path: Path) -> str:
        """What reading gives: "counts …", "error …", or how the process ended."""
        if self.process is None or self.process.poll() is not None:
            command = [sys.executable, "-c", READER]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            self.process = subprocess.Popen(command, text=True, **pipes)
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        self.process.stdin.write(json.dumps([kind, str(path)]) + "\n")
        self.process.stdin.flush()
        answer = _line(self.process)
        if answer is None:
            self.process.kill()
            self.process.wait()
            return "hang"
        if not answer:
            return f"ended with {self.process.wait()}: {self.process.stderr.read()[-600:]}"
        return json.loads(answer)

    def close(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


def _line(process: subprocess.Popen[str]) -> str | None:
    """A line of a process's output; "" if it ended, None if it says nothing for too long."""
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    return process.stdout.readline() if ready and process.stdout else None


@pytest.fixture
def reader():
    process = Reader()
    yield process
    process.close()


@pytest.mark.parametrize("kind", WRITERS)
def test_a_mutated_file_gives_its_counts_or_one_clear_line(tmp_path, reader, faults_seed, kind):
    path = WRITERS[kind](tmp_path / "sub")
    content, data = path.read_bytes(), data_bytes(kind, path)
    right = reader.ask(kind, path)
    assert right.startswith("counts ")
    rng = np.random.default_rng([faults_seed, list(WRITERS).index(kind)])
    failures, errors = [], 0
    for number in range(MUTATIONS):
        changed, places, what = mutate(content, rng)
        path.write_bytes(changed)
        answer = reader.ask(kind, path)
        errors += answer.startswith("error ")
        touched = any(start <= place < stop for place in places for start, stop in data)
        if answer == "hang" or answer.startswith("ended "):
            failures.append(f"{number}: {what}: {answer}")
        elif answer.startswith("error ") and ("\n" in answer or "Error:" in answer or "Traceback" in answer):
            failures.append(f"{number}: {what}: not one clear line: {answer}")
        elif answer.startswith("counts ") and answer != right and not touched:
            failures.append(f"{number}: {what}: other counts, without an error")
    assert not failures, f"{kind}:\n" + "\n".join(failures)
    assert errors, "no mutation was noticed: this test tests nothing"
