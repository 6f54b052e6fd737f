"""Check the structure of MATLAB files of version 5 to 7 before scipy reads them: it crashes on some damaged ones.

A file is a header of 128 bytes and a list of elements: a tag (type and length in bytes, 4 each) and data, to a multiple
of 8 bytes. Up to 4 bytes of data can be in the tag, whose second half they are. An array is an element that consists of
others: flags, dimensions, name, and then values, or the arrays in its cells or fields. A compressed element holds one
array. (MathWorks, "MAT-File Format", R2024b, chapter 1, "Level 5 MAT-Files".)
"""

import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol

from neuralpile.errors import Mismatch
from neuralpile.recordings import hdf5

HEADER = 128  # bytes
MATRIX, COMPRESSED = 14, 15  # types of elements
SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}  # bytes of a value, by type
CELL, STRUCT, OBJECT, CHAR, SPARSE, NUMBERS, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, range(6, 16), 16, 17  # classes of arrays
COMPLEX = 0x800  # a bit of an array's flags
DEEPEST = 64  # cells within cells
PIECE = 1 << 16  # bytes that are unpacked at a time
WHOLE, CUT_OFF = "a whole MATLAB file", "one that is cut off"


class _Stream(Protocol):
    """Bytes that are read in order."""

    def take(self, n: int) -> bytes: ...
    def skip(self, n: int) -> None: ...


class _Stored:
    """Bytes of a file as they are."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def take(self, n: int) -> bytes:
        return self.file.read(n)

    def skip(self, n: int) -> None:
        self.file.seek(n, 1)


class _Unpacked:
    """The unpacked bytes of a compressed element."""

    def __init__(self, file: BinaryIO, n_packed: int) -> None:
        self.file, self.n_packed, self.left = file, n_packed, n_packed
        self.inflate, self.packed = zlib.decompressobj(), b""

    def take(self, n: int) -> bytes:
        parts = []
        while n:
            if not self.packed:
                self.packed = self.file.read(min(self.left, PIECE))
                self.left -= len(self.packed)
            try:
                part = self.inflate.decompress(self.packed, n)
            except zlib.error:
                raise Mismatch(WHOLE, "damaged compressed data") from None
            if not part and (not self.packed or self.inflate.eof):
                break
            self.packed = self.inflate.unconsumed_tail
            parts.append(part)
            n -= len(part)
        return b"".join(parts)

    def skip(self, n: int) -> None:
        while n and (part := self.take(min(n, PIECE))):
            n -= len(part)


def check(path: Path, names: list[str]) -> None:
    """Check the structure of the variables that are wanted, in a file of version 5 to 7, and that the file is whole.

    Parameters:
        path: the file. One of version 4 is not checked: it has no such structure.
        names: the variables.

    Raises:
        Mismatch: the file ends within a variable, or a wanted one is damaged, or unpacks to over 256 MB and over
            100 times its size.
    """
    with path.open("rb") as file:
        header = file.read(HEADER)
        if 0 in header[:4]:  # version 4
            return
        if len(header) < HEADER:
            raise Mismatch(WHOLE, CUT_OFF)
        if header[-2:] not in (b"IM", b"MI"):
            raise Mismatch(WHOLE, "content that is not MATLAB's")
        order = "<" if header.endswith(b"IM") else ">"
        size, place = file.seek(0, 2), HEADER
        while place + 8 <= size:
            file.seek(place)
            kind, n = struct.unpack(f"{order}2I", file.read(8))
            place += 8 + n
            if place > size:
                raise Mismatch(WHOLE, CUT_OFF)
            stream: _Stream = _Stored(file)
            if kind == COMPRESSED:
                stream = _Unpacked(file, n)
                kind, n, _ = _tag(stream, order)
            if kind == MATRIX:
                _check_array(stream, n, order, names)


def _tag(stream: _Stream, order: str) -> tuple[int, int, bytes]:
    """Type and length of the next element, and its data if they are in the tag."""
    tag = stream.take(8)
    if len(tag) < 8:
        raise Mismatch(WHOLE, "a variable that ends too early")
    kind, n = struct.unpack(f"{order}2I", tag)
    if kind >> 16:  # the data are in the tag
        return kind & 0xFFFF, kind >> 16, tag[4:]
    return kind, n, b""


def _element(stream: _Stream, order: str, kinds: tuple[int, ...], room: int) -> tuple[bytes, int]:
    """The data of a short element, and the bytes that it takes."""
    kind, n, inside = _tag(stream, order)
    taken = 8 if inside else 8 + n + -n % 8
    if kind not in kinds or taken > room or (inside and n > 4):
        raise Mismatch(WHOLE, "a damaged variable")
    data = inside[:n] if inside else stream.take(taken - 8)[:n]
    if len(data) < n:
        raise Mismatch(WHOLE, "a variable that ends too early")
    return data, taken


def _check_array(stream: _Stream, room: int, order: str, names: list[str] | None = None, depth: int = 0) -> None:
    """Check an array of `room` bytes after its tag, and those in it. With `names`, others are skipped."""
    if not room:  # an empty cell
        return
    whole = room
    flags, taken = _element(stream, order, (6,), room)
    room -= taken
    if len(flags) != 8 or depth > DEEPEST:
        raise Mismatch(WHOLE, "a damaged variable")
    flag = struct.unpack(f"{order}2I", flags)[0]
    kind = flag & 0xFF
    if kind == OPAQUE:  # an object of MATLAB's own: its content is in another variable
        stream.skip(room)
        return
    sizes, taken = _element(stream, order, (5, 6), room)  # some writers use uint32, against the format
    room -= taken
    dimensions = struct.unpack(f"{order}{len(sizes) // 4}i", sizes[: len(sizes) // 4 * 4])
    length = math.prod(dimensions)
    if len(dimensions) < 2 or min(dimensions) < 0 or (kind != SPARSE and length > whole * 8):
        raise Mismatch(WHOLE, f"an array of {' × '.join(map(str, dimensions[:4]))} values in {whole:,} bytes")
    name, taken = _element(stream, order, (1, 2, 16), room)
    room -= taken
    if names is not None and name.rstrip(b"\0").decode("latin-1") not in names:
        return
    if isinstance(stream, _Unpacked) and depth == 0 and hdf5.is_bomb(whole, stream.n_packed):
        raise Mismatch(WHOLE, f"{stream.n_packed:,} bytes that unpack to {whole:,}")
    if kind in NUMBERS or kind == SPARSE:
        _check_numbers(stream, room, order, length, flag, whole_array=names is not None)
    elif kind in (CELL, STRUCT, OBJECT, FUNCTION):
        if kind == OBJECT:
            _, taken = _element(stream, order, (1,), room)
            room -= taken
        n_fields = 1
        if kind in (STRUCT, OBJECT):
            width, taken = _element(stream, order, (5,), room)
            room -= taken
            titles, taken = _element(stream, order, (1,), room)
            room -= taken
            longest = struct.unpack(f"{order}i", width)[0] if len(width) == 4 else 0
            if longest <= 0 or len(titles) % longest:
                raise Mismatch(WHOLE, "a damaged struct")
            n_fields = len(titles) // longest
        _check_parts(stream, room, order, 1 if kind == FUNCTION else length * n_fields, depth)
    elif kind == CHAR:
        stream.skip(room)
    else:
        raise Mismatch(WHOLE, f"a variable of the unknown class {kind}")


def _check_parts(stream: _Stream, room: int, order: str, n: int, depth: int) -> None:
    """Check the arrays in the cells or fields of an array."""
    if n * 8 > room:
        raise Mismatch(WHOLE, f"{n:,} cells in {room:,} bytes")
    for _ in range(n):
        kind, size, inside = _tag(stream, order)
        room -= 8 + size + -size % 8
        if kind != MATRIX or inside or room < 0:
            raise Mismatch(WHOLE, "a damaged cell")
        _check_array(stream, size, order, depth=depth + 1)
        stream.skip(-size % 8)
    if room:
        raise Mismatch(WHOLE, "cells that do not fill their variable")


def _check_numbers(stream: _Stream, room: int, order: str, length: int, flag: int, whole_array: bool) -> None:
    """Check that an array has as many values as its dimensions say. Those of a whole variable are not unpacked."""
    is_sparse = flag & 0xFF == SPARSE
    n_parts = 1 + bool(flag & COMPLEX) + 2 * is_sparse
    for part in range(n_parts):
        kind, n, inside = _tag(stream, order)
        taken = 8 if inside else 8 + n + -n % 8
        fits = kind in SIZES if is_sparse else n == length * SIZES.get(kind, -1)
        if taken - 8 > room or not fits:
            raise Mismatch(WHOLE, f"{n:,} bytes of values in an array of {length:,}")
        if whole_array and part == n_parts - 1:
            return
        room -= taken
        stream.skip(taken - 8)
