"""HDF5 files, on the disk or in an archive, with what can be wrong with one told in a line."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from neuralpile.acquire.range_file import RemoteRecording
from neuralpile.errors import BadInput

Recording = Path | RemoteRecording

GAP = 1 << 16  # bytes between chunks that cost less than another request
# Chunks follow one another where from the first to the last there are at most so many times their bytes.
LOOSE = 1.1
FIRST_LOOK = 16  # whether they do is looked at after so many chunks,
AHEAD = 4  # and again each time that there are so many times more


@contextmanager
def open_hdf5(path: Recording, kind: str = "HDF5 file") -> Iterator[h5py.File]:
    """Open a file of some kind.

    Raises BadInput where it, or what is read of it within the block, is no valid HDF5, or does not come.
    """
    remote = path.open() if isinstance(path, RemoteRecording) else None
    try:
        with h5py.File(remote or path, "r") as file:
            yield file
    except (FileNotFoundError, PermissionError):
        raise  # nothing is wrong with the content
    except (OSError, RuntimeError, KeyError) as error:  # h5py raises any of these where the bytes make no sense
        if remote and remote.failure:
            raise remote.failure from None
        raise BadInput(path, f"a whole {kind}", str(error), "download it again") from None


def prefetch(path: Recording, dataset: h5py.Dataset) -> None:
    """Have the bytes of a dataset here before they are read, where the file is in an archive: all at once, not one
    chunk after the other. Raises BadInput where they do not come."""
    if not isinstance(path, RemoteRecording):
        return
    remote = path.open()
    if dataset.chunks is None:
        start = dataset.id.get_offset()  # None: nothing is stored, or in the dataset's header
        if start is not None:
            remote.fetch([(start, start + dataset.id.get_storage_size())])
        return
    # A tree tells where each chunk is, and its nodes lie between the chunks: while these follow one another, more of
    # them are fetched ahead, and bring the nodes along.
    total = math.prod(-(-length // step) for length, step in zip(dataset.shape, dataset.chunks, strict=True))
    chunks: list[tuple[int, int]] = []
    looked_at = FIRST_LOOK

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        nonlocal looked_at
        chunks.append((chunk.byte_offset, chunk.byte_offset + chunk.size))
        if len(chunks) == looked_at:
            remote.fetch(_ahead(chunks[-looked_at // 2 :], min(total, looked_at * AHEAD) - looked_at))
            looked_at *= AHEAD

    dataset.id.chunk_iter(note)
    remote.fetch(_joined(sorted(chunks)))


def _ahead(chunks: list[tuple[int, int]], n: int) -> list[tuple[int, int]]:
    """Where the next `n` chunks are, if they follow one another as these do; nothing if these do not."""
    start, stop = chunks[0][0], chunks[-1][1]
    stored = sum(stop - start for start, stop in chunks)
    together = stored <= stop - start <= LOOSE * stored
    return [(stop, stop + (stop - start) * n // len(chunks))] if together else []


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted ranges, those joined between which there is little."""
    joined: list[tuple[int, int]] = []
    for start, stop in ranges:
        if joined and start - joined[-1][1] <= GAP:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return joined


def tiles(dataset: h5py.Dataset, most: int) -> Iterator[tuple[slice, slice]]:
    """Parts of a 3-D dataset of at most `most` bytes: whole along the first axis, slices of the second and third.

    They are made of whole chunks, so that each chunk is read once; only chunks that alone are too large are cut.
    """
    length, n_second, n_third = dataset.shape
    values = max(1, most // (length * dataset.dtype.itemsize))  # of a tile, on the second and third axis
    _, second, third = dataset.chunks or (length, 1, n_third)
    second, third = min(second, n_second), min(third, n_third)
    if second * third > values:
        third = min(third, values)
        second = values // third
    elif second * n_third > values:
        third *= values // (second * third)
    else:
        third = n_third
        second *= values // (second * third)
    for i in range(0, n_second, second):
        for j in range(0, n_third, third):
            yield slice(i, min(i + second, n_second)), slice(j, min(j + third, n_third))
