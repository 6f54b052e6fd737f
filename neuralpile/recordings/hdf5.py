"""HDF5 files, on disk or in an archive: open, find, check and read datasets, with one clear line for what is wrong."""

import io
import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import h5py
import numpy as np

from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import damage
from neuralpile.spikes.session import Options, Session

with suppress(ImportError):
    import hdf5plugin  # noqa: F401  (its import registers compression filters)

if TYPE_CHECKING:
    from neuralpile.acquire.range_file import RemoteRecording  # imports HTTP clients, which `--help` need not wait for

Recording: TypeAlias = "Path | RemoteRecording"
Read = Callable[[Recording, Options], Session]  # what `build.main` takes: it reads one recording

LARGEST_HEAP = 1 << 24  # bytes of a heap of strings that are looked at; HDF5 writes 4 kB, or one long string
SHOWN, LONGEST_SHOWN = 3, 60  # values, and characters, that a message shows of a wrong attribute
IN_HEAP = 16  # bytes of an entry that refers to a heap: length, address, index
BOMB, DENSEST = 1 << 28, 100  # bytes; how much larger numbers of more bytes may be than what is stored of them
GAP = 1 << 16  # bytes: ranges with less between them are fetched in one request
LOOSE = 1.1  # chunks are contiguous if they span at most so many times their bytes
FIRST_LOOK = 16  # check whether chunks are contiguous after so many chunks,
AHEAD = 4  # then whenever there are so many times more


def local(path: Recording) -> Path:
    """The path of a recording on disk, for formats that cannot be read in place.

    Raises:
        BadInput: the recording is in an archive.
    """
    if not isinstance(path, Path):
        raise BadInput(path, "a file on disk", "one in an archive", "download it; only HDF5 files are read in place")
    return path


@contextmanager
def open_hdf5(path: Recording, kind: str = "HDF5 file") -> Iterator[h5py.File]:
    """Open a file for reading, without locking it.

    Parameters:
        path: the file, on disk or in an archive.
        kind: what the file should be, for messages.

    Raises:
        BadInput: the file, or what is read of it within the block, is not valid HDF5, or cannot be fetched.
    """
    remote = path.open() if not isinstance(path, Path) else None
    try:
        with h5py.File(remote or path, "r", locking=False) as file:
            yield file
    except FileNotFoundError:
        if isinstance(path, Path):
            raise damage.missing(path) from None
        raise
    except Mismatch as error:
        raise error.at(path, again(path)) from None
    except (OSError, RuntimeError, KeyError, ValueError, UnicodeError) as error:
        # h5py raises any of these where the bytes make no sense
        if isinstance(error, PermissionError) and isinstance(path, Path) and not os.access(path, os.R_OK):
            raise BadInput(path, "a file that can be read", "no permission", "change its permissions") from None
        if remote and remote.failure:
            raise remote.failure from None
        if not isinstance(path, Path):
            raise damage.explain_in_archive(path, kind, _start(remote), error) from None
        raise damage.explain(path, kind, error) from None


def again(path: Recording) -> str:
    """What to do about a damaged file."""
    return damage.DOWNLOAD if isinstance(path, Path) else damage.IN_ARCHIVE


def _start(remote: io.RawIOBase | None) -> bytes:
    """The first bytes of a file in an archive; nothing if they cannot be fetched."""
    if remote is None:
        return b""
    try:
        remote.seek(0)
        return remote.read(damage.HEAD) or b""
    except (OSError, ValueError):
        return b""


def find(file: h5py.Group, place: str) -> h5py.Group | h5py.Dataset | None:
    """What is at a place in a file; None if there is nothing.

    Raises:
        Mismatch: the place, or a part of it, is a link whose target does not exist.
    """
    here: h5py.Group | h5py.Dataset = file
    for name in place.split("/"):
        if not isinstance(here, h5py.Group):
            return None
        link = here.get(name, getlink=True)
        if link is None:
            return None
        try:
            here = here[name]
        except (KeyError, OSError, RuntimeError) as error:
            if isinstance(link, h5py.HardLink):
                raise
            target = link.path if isinstance(link, h5py.SoftLink) else f"{link.path} in {link.filename}"
            if "too many links" in str(error):
                raise Mismatch(f"{place} in the file", f"a circular link to {target}") from None
            raise Mismatch(f"{place} in the file", f"a link to {target}, which does not exist") from None
    return here


def read(path: Recording, dataset: h5py.Dataset) -> np.ndarray:
    """Read a whole dataset, after a check that the file holds what it declares.

    Raises:
        Mismatch: the dataset is null, or the file does not hold all of it.
        BadInput: it cannot be fetched.
    """
    if dataset.shape is None:
        raise Mismatch(f"values in {dataset.name}", "a null dataset")
    prefetch(path, dataset)
    check_stored(dataset)
    if isinstance(path, Path) and _in_heap(dataset) and not dataset.compression:
        _check_heaps(dataset)
    return part(dataset)


def number(of: h5py.Dataset | h5py.Group, name: str) -> float | None:
    """The number that an attribute states; None if there is no such attribute.

    Writers store one number in many ways: as a number, as text, or as a list in which all values are the same.

    Raises:
        Mismatch: the attribute is not one number.
    """
    if name not in of.attrs:
        return None
    try:
        value = np.asarray(of.attrs[name])
    except (OSError, RuntimeError, TypeError, ValueError):  # of a type that numpy does not have
        value = np.empty(0)
    return one_number(value, f"{name} of {of.name}")


def one_number(value: np.ndarray, what: str) -> float:
    """The number that an attribute or a dataset of one value states; it may be NaN or infinite.

    Raises:
        Mismatch: it is not one number.

    Example:
        >>> one_number(np.array(["60.0"], object), "rate"), one_number(np.array([60, 60]), "rate")
        (60.0, 60.0)
    """
    try:
        values = np.unique([float(v) for v in value.ravel().tolist()]) if value.dtype.kind in "fiuSUO" else np.empty(0)
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if len(values) != 1:
        raise Mismatch(f"{what}, a number", _shown(value))
    return float(values[0])


def text(of: h5py.Dataset | h5py.Group, name: str) -> str:
    """The text of an attribute, in lower case without blanks around it; "" if there is none, or one that is no text."""
    try:
        value = np.ravel(of.attrs.get(name, ""))
    except (OSError, RuntimeError, TypeError, ValueError):  # of a type that numpy does not have
        return ""
    words = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in value.tolist()]
    return words[0].strip().casefold() if len(words) == 1 else ""


def _shown(value: np.ndarray) -> str:
    """A value that is not what it must be, for messages."""
    words = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in value.ravel()[:SHOWN].tolist()]
    if not words or value.dtype.kind not in "fiubcSUO" or any(isinstance(v, h5py.Empty) for v in value.ravel()[:1]):
        return "none"
    return ", ".join(words)[:LONGEST_SHOWN] + " …" * (value.size > SHOWN)


def part(dataset: h5py.Dataset, *selection: slice) -> np.ndarray:
    """Read a part of a dataset that has passed `check_stored`: a slice for each of its axes, or none to read all.

    Raises:
        Mismatch: a chunk cannot be found.
    """
    _find_chunks(dataset, selection)
    return np.asarray(dataset[selection])


def _find_chunks(dataset: h5py.Dataset, selection: tuple[slice, ...] = ()) -> None:
    """Check that HDF5 finds all chunks of a part of a dataset: it would read others as zeros.

    The list of chunks and the search for one use different parts of a tree in the file, and reading searches. h5py
    searches only to read, so this is done just before the chunks are read, whose bytes are then cached.
    """
    if dataset.chunks is None or not dataset.size:
        return
    for chunk in dataset.iter_chunks(selection or None):
        at = tuple(its.start // step * step for its, step in zip(chunk, dataset.chunks, strict=True))
        try:
            dataset.id.read_direct_chunk(at)
        except (OSError, RuntimeError, ValueError):
            raise Mismatch(f"all chunks of {dataset.name}", f"none at {at}, though it is listed") from None


def is_bomb(n_bytes: int, stored: int, densest: int = DENSEST) -> bool:
    """Whether so few stored bytes that unpack to so many are an attack on memory: times compress about twofold."""
    return n_bytes > BOMB and n_bytes > densest * stored


def check_stored(dataset: h5py.Dataset, densest: int = DENSEST) -> None:
    """Check that a file holds all that a dataset declares: HDF5 returns zeros for what was never stored.

    Parameters:
        dataset: of any kind.
        densest: how many times larger more than `BOMB` bytes may be than what is stored of them.

    Raises:
        Mismatch: nothing, not all or implausibly little is stored, it is in another file, or its floating-point type is
            not an IEEE one.
    """
    if dataset.external:
        raise Mismatch(f"{dataset.name} in this file", f"a reference to the file {dataset.external[0][0]}")
    if dataset.is_virtual:
        _check_virtual(dataset, densest)
        return
    if not dataset.size:
        return
    if dataset.dtype.kind == "f" and not dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype)):
        raise Mismatch(f"{dataset.name} in an IEEE floating point type", "another one")
    if dataset.chunks is None:
        in_heap = _in_heap(dataset)
        stored, whole = dataset.id.get_storage_size(), dataset.size * (IN_HEAP if in_heap else dataset.dtype.itemsize)
        if stored != whole:
            raise Mismatch(f"{whole:,} bytes of {dataset.name}", f"{stored:,} stored")
        return
    _check_chunks(dataset)
    _check_density(dataset, dataset.id.get_storage_size(), densest)


def _check_density(dataset: h5py.Dataset, stored: int, densest: int) -> None:
    if is_bomb(dataset.nbytes, stored, densest):
        raise Mismatch(f"numbers in {dataset.name}", f"{stored:,} bytes that unpack to {dataset.nbytes:,}")


def _check_chunks(dataset: h5py.Dataset) -> None:
    """Check that each chunk of a dataset is stored, once, in a place of its own."""
    n_along = [-(-length // step) for length, step in zip(dataset.shape, dataset.chunks, strict=True)]
    inside, places = set(), []

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        at = tuple(offset // step for offset, step in zip(chunk.chunk_offset, dataset.chunks, strict=True))
        if all(0 <= i < n for i, n in zip(at, n_along, strict=True)):
            inside.add(at)
        places.append((chunk.byte_offset, chunk.byte_offset + chunk.size))

    dataset.id.chunk_iter(note)
    whole = math.prod(n_along)
    if len(inside) != whole:
        raise Mismatch(f"{whole:,} chunks of {dataset.name}", f"{len(inside):,} stored")
    places.sort()
    if len(places) != whole or any(start < stop for (_, stop), (start, _) in pairwise(places)):
        raise Mismatch(f"{whole:,} chunks of {dataset.name}, each in its own place", "chunks that overlap")
    if places[-1][1] > dataset.file.id.get_filesize():
        raise Mismatch(f"{whole:,} chunks of {dataset.name} within the file", "a chunk beyond its end")


def _in_heap(dataset: h5py.Dataset) -> bool:
    """Whether a dataset's values, strings or lists of variable length, are in a heap elsewhere in the file."""
    text = h5py.check_string_dtype(dataset.dtype)
    return h5py.check_vlen_dtype(dataset.dtype) is not None or (text is not None and text.length is None)


def _check_heaps(dataset: h5py.Dataset) -> None:
    """Check the heaps that hold strings of variable length: HDF5 reads some damaged ones for ever.

    Each string is a length, an address and an index (HDF5 File Format Specification 3.0, "Global Heap"). The address is
    that of a collection: a header of 16 bytes, then objects, each with a header of 16 bytes that ends in its size.

    Raises:
        Mismatch: a heap is not one.
    """
    base = dataset.file.userblock_size
    with Path(dataset.file.filename).open("rb") as file:
        addresses, length = set(), 0
        for start, size in _places(dataset):
            file.seek(start)
            stored = np.frombuffer(file.read(size // IN_HEAP * IN_HEAP), np.uint8).reshape(-1, IN_HEAP)
            addresses |= {struct.unpack("<Q", row[4:12].tobytes())[0] for row in stored}
            length += int(np.ascontiguousarray(stored[:, :4]).view("<u4").sum(dtype=np.int64))
        if is_bomb(length, dataset.file.id.get_filesize()):  # many entries can refer to the same string
            raise Mismatch(f"{dataset.name} whole", f"entries of {length:,} bytes")
        for address in addresses - {0}:
            file.seek(min(base + address, 2**62))
            if not _is_heap(file.read(16), file):
                raise Mismatch(f"{dataset.name} whole", "a damaged heap of strings")


def _is_heap(header: bytes, file: BinaryIO) -> bool:
    """Whether a heap's objects fill its declared size."""
    if len(header) < 16 or header[:4] != b"GCOL":
        return False
    content = file.read(min(struct.unpack("<Q", header[8:])[0] - 16, LARGEST_HEAP))
    at = 0
    while at + 16 <= len(content):
        index, size = struct.unpack_from("<H6xQ", content, at)
        step = size if index == 0 else 16 + -(-size // 8) * 8  # index 0: free space, its header included
        if step == 0 or at + step > len(content):
            return False
        at += step
    return True


def _places(dataset: h5py.Dataset) -> list[tuple[int, int]]:
    """Where the stored values of a dataset start in its file, and their sizes in bytes."""
    if dataset.chunks is None:
        start = dataset.id.get_offset()
        return [] if start is None else [(start, dataset.id.get_storage_size())]
    places: list[tuple[int, int]] = []
    dataset.id.chunk_iter(lambda chunk: places.append((chunk.byte_offset, chunk.size)))
    return places


def overlap(datasets: Iterable[h5py.Dataset]) -> bool:
    """Whether two datasets of a file share bytes, which only damage brings about."""
    places = sorted(place for dataset in datasets for place in _places(dataset))
    return any(start + size > after for (start, size), (after, _) in pairwise(places))


def _check_virtual(dataset: h5py.Dataset, densest: int) -> None:
    """Check that the sources of a virtual dataset exist, are stored, and make up all of it.

    Raises:
        Mismatch: they do not. A source is not virtual itself: sources could go round in a circle.
    """
    covered, stored = 0, {}
    for space, filename, place, _ in dataset.virtual_sources():
        covered += space.get_select_npoints()
        missing = Mismatch(f"{dataset.name} whole", f"a part that is {place} in {filename}, which does not exist")
        with ExitStack() as stack:
            file = dataset.file
            if filename != ".":
                try:
                    where = Path(dataset.file.filename).parent / filename
                    file = stack.enter_context(h5py.File(where, "r", locking=False))
                except OSError:
                    raise missing from None
            source = find(file, place)
            if not isinstance(source, h5py.Dataset):
                raise missing
            if source.is_virtual:
                raise Mismatch(f"{dataset.name} whole", f"a part that is {place} in {filename}, itself of other parts")
            check_stored(source, densest)
            _find_chunks(source)
            stored[filename, place] = source.id.get_storage_size()
    if covered != dataset.size:
        raise Mismatch(f"{dataset.name} whole", f"parts with {covered:,} of {dataset.size:,} values")
    _check_density(dataset, sum(stored.values()), densest)  # many parts can be the same one


def prefetch(path: Recording, dataset: h5py.Dataset) -> None:
    """Fetch the bytes of a dataset before they are read, if the file is in an archive: at once, not chunk by chunk.

    Raises:
        BadInput: they cannot be fetched.
    """
    if isinstance(path, Path):
        return
    remote = path.open()
    if dataset.chunks is None:
        start = dataset.id.get_offset()  # None: nothing is stored, or it is in the dataset's header
        if start is not None:
            remote.fetch([(start, start + dataset.id.get_storage_size())])
        return
    # A tree holds the chunks' places, and its nodes lie between the chunks: while chunks are contiguous, more of them
    # are fetched ahead, nodes included.
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
    """Where the next `n` chunks are, if these are contiguous; otherwise nothing."""
    start, stop = chunks[0][0], chunks[-1][1]
    stored = sum(stop - start for start, stop in chunks)
    contiguous = stored <= stop - start <= LOOSE * stored
    return [(stop, stop + (stop - start) * n // len(chunks))] if contiguous else []


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted ranges of bytes; those with little between them are joined."""
    joined: list[tuple[int, int]] = []
    for start, stop in ranges:
        if joined and start - joined[-1][1] <= GAP:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return joined


def tiles(dataset: h5py.Dataset, most: int) -> Iterator[tuple[slice, slice]]:
    """Cut a 3-D dataset into parts of at most `most` bytes: whole along the first axis, slices of the others.

    Parts consist of whole chunks, so each chunk is read once; a chunk is cut only if it is too large by itself.
    """
    length, n_second, n_third = dataset.shape
    values = max(1, most // (length * dataset.dtype.itemsize))  # of a part, on the second and third axis
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
