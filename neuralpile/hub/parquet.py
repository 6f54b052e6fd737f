"""Rows as Parquet: what every reader of Parquet takes, several times as fast as a writer of any data can be.

A general writer makes two levels and a dictionary index of every count before it encodes them again as runs. Here the
shape of a row gives the runs at once, and a count is its own index into the dictionary 0, 1, 2, …: what is left is to
pack the counts into as few bits as their largest needs, and to compress.

The format is that of github.com/apache/parquet-format: README.md, Encodings.md and parquet.thrift, from which the
numbers of fields and constants are. Its structures are written in Thrift's compact protocol:
github.com/apache/thrift, doc/specs/thrift-compact-protocol.md.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa

import neuralpile
from neuralpile.corpus.rows import Row

MAGIC = b"PAR1"
PAGE = 2**16  # counts in a page: whole units of a page need few bits; a multiple of 8, by which counts are packed
WIDTHS = (1, 2, 4, 8)  # bits of a packed count

OPTIONAL, REPEATED = 1, 2
UTF8, LIST, UINT_8 = 0, 3, 11  # ConvertedType
INT32, BYTE_ARRAY = 1, 6  # Type
PLAIN, RLE, RLE_DICTIONARY = 0, 3, 8  # Encoding
ZSTD = 6  # CompressionCodec
DATA_PAGE, DICTIONARY_PAGE = 0, 2  # PageType
# Definition levels of spike_counts: how many of row, list, unit, list and count are there.
NO_UNIT, NO_BIN, A_COUNT = 1, 3, 5

FALSE, I8, I32, I64, BINARY, SEQUENCE, STRUCT = 2, 3, 5, 6, 8, 9, 12  # types of the compact protocol


class Writer:
    """Writes rows to a file, each a row group of its own. The same rows give the same bytes.

    `size` is how many bytes are written so far. The file is complete after `close`.

    Args:
        file: opened for writing bytes.
        schema: `rows.SCHEMA` or `rows.MERGED_SCHEMA`; its metadata go into the file.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._file, self._schema = file, schema
        self._codec = pa.Codec("zstd")
        self._groups: list[bytes] = []
        self.size = 0
        self._put(MAGIC)

    def write(self, row: Row) -> None:
        """Append a row."""
        start = self.size
        path = "spike_counts", "list", "element", "list", "element"
        columns = [self._column(path, INT32, (PLAIN, RLE, RLE_DICTIONARY), _pages_of_counts(row.counts))]
        for name in self._schema.names[1:]:
            columns.append(self._column([name], BYTE_ARRAY, (PLAIN, RLE), [_page_of_text(getattr(row, name))]))
        chunks, plain_size = [chunk for chunk, _ in columns], sum(size for _, size in columns)
        group = [(1, SEQUENCE, (STRUCT, chunks)), (2, I64, plain_size), (3, I64, 1), (5, I64, start)]
        self._groups.append(_thrift(*group, (6, I64, self.size - start)))

    def close(self) -> None:
        """Write the end of the file, which says what is where."""
        metadata = [
            _thrift((1, BINARY, key), (2, BINARY, value)) for key, value in (self._schema.metadata or {}).items()
        ]
        footer = _thrift(
            (1, I32, 2),  # version of the format
            (2, SEQUENCE, (STRUCT, [*_schema_elements(self._schema.names)])),
            (3, I64, len(self._groups)),  # rows
            (4, SEQUENCE, (STRUCT, self._groups)),
            *([(5, SEQUENCE, (STRUCT, metadata))] if metadata else []),
            (6, BINARY, f"neuralpile version {neuralpile.__version__}".encode()),
        )
        self._put(footer + struct.pack("<I", len(footer)) + MAGIC)

    def _column(
        self, path: Iterable[str], kind: int, encodings: Iterable[int], pages: Iterable[tuple[int, int, bytes]]
    ) -> tuple[bytes, int]:
        """Write a column of a row group; its ColumnChunk, and its size before compression.

        `pages` are types, numbers of values (nulls too) and contents; a dictionary comes first.
        """
        start = data_start = self.size
        plain_size = n_values = 0
        is_counts = kind == INT32
        for page_type, n, content in pages:
            body = self._codec.compress(content, asbytes=True)
            if page_type == DICTIONARY_PAGE:
                about = 7, STRUCT, _thrift((1, I32, n), (2, I32, PLAIN))
            else:
                encoding = RLE_DICTIONARY if is_counts else PLAIN
                about = 5, STRUCT, _thrift((1, I32, n), (2, I32, encoding), (3, I32, RLE), (4, I32, RLE))
                n_values += n
            header = _thrift((1, I32, page_type), (2, I32, len(content)), (3, I32, len(body)), about)
            plain_size += len(header) + len(content)
            self._put(header + body)
            if page_type == DICTIONARY_PAGE:
                data_start = self.size
        fields = [
            (1, I32, kind),
            (2, SEQUENCE, (I32, [*encodings])),
            (3, SEQUENCE, (BINARY, [name.encode() for name in path])),
            (4, I32, ZSTD),
            (5, I64, n_values),
            (6, I64, plain_size),
            (7, I64, self.size - start),
            (9, I64, data_start),
            *([(11, I64, start)] if data_start > start else []),
        ]
        return _thrift((2, I64, start), (3, STRUCT, _thrift(*fields))), plain_size

    def _put(self, content: bytes) -> None:
        self._file.write(content)
        self.size += len(content)


def _pages_of_counts(counts: np.ndarray) -> Iterator[tuple[int, int, bytes]]:
    """The pages of a row's counts (units, bins), uint8: the dictionary of all values up to the largest, and indices."""
    n_units, n_bins = counts.shape
    dictionary = np.arange(int(counts.max(initial=0)) + 1, dtype="<i4")
    yield DICTIONARY_PAGE, len(dictionary), dictionary.tobytes()
    if not counts.size:  # a value for the row, or for every unit, which says that there is nothing in it
        n, level = (n_units, NO_BIN) if n_units else (1, NO_UNIT)
        yield DATA_PAGE, n, _levels(_repetition(0, n, 1)) + _levels([_run(n, level)])
        return
    flat = np.ascontiguousarray(counts).reshape(-1)
    for start in range(0, flat.size, PAGE):
        part = flat[start : start + PAGE]
        levels = _levels(_repetition(start, start + len(part), n_bins)) + _levels([_run(len(part), A_COUNT)])
        yield DATA_PAGE, len(part), levels + _packed(part)


def _page_of_text(text: str) -> tuple[int, int, bytes]:
    """The page of one string, which is there: definition level 1."""
    content = text.encode()
    return DATA_PAGE, 1, _levels([_run(1, 1)]) + struct.pack("<I", len(content)) + content


def _repetition(start: int, stop: int, n_bins: int) -> Iterator[bytes]:
    """Runs of repetition levels of the counts from `start` to `stop`: 0 begins a row, 1 a unit, 2 goes on in it."""
    while start < stop:
        if within := start % n_bins:
            end = min(stop, start - within + n_bins)
            yield _run(end - start, 2)
        else:
            end = start + 1
            yield _run(1, min(start, 1))
        start = end


def _levels(runs: Iterable[bytes]) -> bytes:
    """Runs of levels, with their size in front (Encodings.md, Run Length Encoding / Bit-Packing Hybrid)."""
    encoded = b"".join(runs)
    return struct.pack("<I", len(encoded)) + encoded


def _run(n: int, level: int) -> bytes:
    """`n` times the same level."""
    return _varint(n << 1) + bytes([level])


def _packed(values: np.ndarray) -> bytes:
    """Indices (n,), uint8, as their width in bits and one bit-packed run, the first in the lowest bits."""
    largest = int(values.max())
    width = next(width for width in WIDTHS if largest < 2**width)
    groups = -(-len(values) // 8)
    if len(values) < 8 * groups:
        values = np.pad(values, (0, 8 * groups - len(values)))
    packed = values[:: 8 // width].copy()
    for i in range(1, 8 // width):
        packed |= values[i :: 8 // width] << np.uint8(i * width)
    return bytes([width]) + _varint(groups << 1 | 1) + packed.tobytes()


def _schema_elements(names: list[str]) -> Iterator[bytes]:
    """The tree of the schema, depth first: lists of lists of uint8, then strings (LogicalTypes.md: LIST)."""
    a_list, a_string = _thrift((3, STRUCT, _thrift())), _thrift((1, STRUCT, _thrift()))
    a_uint8 = _thrift((10, STRUCT, _thrift((1, I8, 8), (2, FALSE, None))))
    yield _thrift((4, BINARY, b"schema"), (5, I32, len(names)))
    for name in (names[0], "element"):
        yield _thrift((3, I32, OPTIONAL), (4, BINARY, name.encode()), (5, I32, 1), (6, I32, LIST), (10, STRUCT, a_list))
        yield _thrift((3, I32, REPEATED), (4, BINARY, b"list"), (5, I32, 1))
    count = (1, I32, INT32), (3, I32, OPTIONAL), (4, BINARY, b"element"), (6, I32, UINT_8), (10, STRUCT, a_uint8)
    yield _thrift(*count)
    for name in names[1:]:
        text = (1, I32, BYTE_ARRAY), (3, I32, OPTIONAL), (4, BINARY, name.encode())
        yield _thrift(*text, (6, I32, UTF8), (10, STRUCT, a_string))


def _thrift(*fields: tuple[int, int, object]) -> bytes:
    """A structure in the compact protocol, of the numbers (ascending), types and values of its fields."""
    encoded, last = [], 0
    for number, kind, value in fields:
        encoded += [bytes([(number - last) << 4 | kind]), _encoded(kind, value)]
        last = number
    return b"".join([*encoded, b"\0"])


def _encoded(kind: int, value: object) -> bytes:
    """A value in the compact protocol; structures come encoded, sequences as the type and values of their elements."""
    if kind == FALSE:
        return b""  # the type says it
    if kind == I8:
        return bytes([value])
    if kind in (I32, I64):
        return _varint(value << 1)  # zigzag, of what is never negative
    if kind == BINARY:
        return _varint(len(value)) + value
    if kind == SEQUENCE:
        element, values = value
        length = bytes([len(values) << 4 | element]) if len(values) < 15 else bytes([0xF0 | element])
        length += _varint(len(values)) if len(values) >= 15 else b""
        return length + b"".join(_encoded(element, each) for each in values)
    return value


def _varint(n: int) -> bytes:
    """A whole number from 0, seven bits a byte, the lowest first (ULEB128)."""
    encoded = bytearray()
    while n > 127:
        encoded.append(n & 127 | 128)
        n >>= 7
    encoded.append(n)
    return bytes(encoded)
