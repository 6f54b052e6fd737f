"""Count patches: the compiled kernels that turn spike counts into sorted keys and their frequencies.

A patch of up to 16 bins is one 64-bit word of 4 bits a bin while no count is above 15; a longer patch is several such
words. Patches of small counts, which are nearly all, index an array that is counted in one pass. The others are sorted,
and equal ones are counted. Patches with a count above 15 have keys of a byte a bin. The result, a `Table`, has one kind
of key.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from neuralpile.compile import compiled

Words: TypeAlias = NDArray[np.uint64]
Counts: TypeAlias = NDArray[np.uint8]
Frequencies: TypeAlias = NDArray[np.int64]

BLOCK = 2048  # patches whose keys are computed together: they fit in the processor's first cache
BUFFER = 1 << 21  # keys that are sorted at a time
MOST_BUFFER = 1 << 24  # where most keys are unique, sorting more of them is faster than merging sorted tables
BUFFER_BYTES = 1 << 27  # of a buffer of keys at most, whatever their number: large patches have long keys
DIRECT_BITS = 16  # of an index into the array of patches of small counts: 4 × 256 KiB fit the second cache
N_INDICES = 1 << 16  # of patches of 1 × 8 whose counts are at most 3: see `indices`
FEW = 32  # patches that are skipped together where none of them is to be sorted
LANES = 4  # such arrays, used in turn: a patch often comes twice, while its first increment is still being written
U = np.uint64
ALL = U(0xFFFFFFFFFFFFFFFF)
NONE = np.empty(0, np.int64)


class Table(NamedTuple):
    """Unique patches in lexicographic order, and how often each occurs.

    A key is the bytes of a patch, unit after unit, padded with zeros to whole words. Keys compare as the bytes do.
    """

    keys: Words  # (patches, words), uint64
    frequencies: Frequencies  # (patches,), int64

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.keys.nbytes + self.frequencies.nbytes


def n_words(size: int) -> int:
    """Number of words in the key of a patch of `size` bins."""
    return -(-size // 8)


def empty_table(size: int) -> Table:
    """Return the table of no patches of `size` bins."""
    return Table(np.empty((0, n_words(size)), np.uint64), np.empty(0, np.int64))


def index_bits(size: int) -> int:
    """Bits a bin in the index of a patch of `size` bins; 0 where patches are too large to have one."""
    return next((bits for bits in (4, 2, 1) if bits * size <= DIRECT_BITS), 0)


def bytes_of(keys: Words, size: int) -> Counts:
    """Return the patches of keys (n, words): counts (n, size), uint8."""
    return keys.astype(">u8").view(np.uint8).reshape(len(keys), -1)[:, :size]


def place(keys: Sequence[Words] | Words, key: tuple[int, ...]) -> int:
    """Return how many of sorted keys (n, words) are below `key`. Only the keys that bisection needs are read."""
    return bisect_left(range(len(keys)), key, key=lambda i: tuple(map(int, keys[i])))


class Tally:
    """Counts the patches of (p_n units, p_t bins) of any number of rows, exactly.

    Patches do not overlap; those at the far edges are padded with zeros. Fewer than 2**32 patches can be added.

    Parameters:
        p_n: units of a patch, at least 1.
        p_t: bins of a patch, at least 1.
        buffer_bytes: size of each of the two buffers of keys that wait to be sorted.
    """

    def __init__(self, p_n: int, p_t: int, buffer_bytes: int = BUFFER_BYTES) -> None:
        self.p_n, self.p_t, self.size = p_n, p_t, p_n * p_t
        self.n_patches = 0
        bits = index_bits(self.size)
        self._bits = bits
        self._direct = np.zeros((LANES, (1 << bits * self.size) + 1 if bits else 1), np.uint32)
        self._narrow = _Sorter(-(-self.size // 16), buffer_bytes)
        self._wide = _Sorter(n_words(self.size), buffer_bytes)

    @property
    def nbytes(self) -> int:
        """Bytes of memory of the sorted tables; buffers are not included."""
        return self._narrow.nbytes + self._wide.nbytes

    def add(self, counts: Counts) -> None:
        """Add the patches of a row: counts (units, bins), uint8."""
        counts = np.ascontiguousarray(counts)
        units, bins = counts.shape[0] // self.p_n * self.p_n, counts.shape[1] // self.p_t * self.p_t
        self._add_whole(counts, units, bins)
        if bins < counts.shape[1]:
            right = _padded(counts[:units, bins:], units, self.p_t)
            self._add_whole(right, units, self.p_t)
        if units < counts.shape[0]:
            below = _padded(counts[units:], self.p_n, -(-counts.shape[1] // self.p_t) * self.p_t)
            self._add_whole(below, *below.shape)

    def _add_whole(self, counts: Counts, units: int, bins: int) -> None:
        """Add the patches of the first units and bins, which are multiples of p_n and p_t."""
        across = bins // self.p_t
        if not units * bins:
            return
        step = self.p_n * max(1, self._wide.size // across)
        for top in range(0, units, step):
            slab = counts[top : min(top + step, units)]
            n = len(slab) // self.p_n * across
            self.n_patches += n
            narrow, wide = self._narrow.room(n), self._wide.room(n)
            if self.size <= 16:
                filled = _pack(slab, across, self.p_n, self.p_t, self._bits, self._direct, narrow, wide)
            else:
                filled = _pack_long(slab, across, self.p_n, self.p_t, narrow, wide)
            self._narrow.filled += filled[0]
            self._wide.filled += filled[1]

    def table(self) -> Table:
        """Return the table of all patches added so far, and forget them."""
        found = self._narrow.take()
        counted = self._direct.sum(axis=0, dtype=np.int64)[:-1]
        if (self._bits, self.p_n, self.p_t) == (2, 1, 8):
            counted = counted[_in_order()]
        direct = np.flatnonzero(counted)
        if len(direct):
            small = Table(_spread(direct.astype(np.uint64), self._bits, self.size)[:, None], counted[direct])
            found = merge(small, found)
        self._direct[:] = 0
        self.n_patches = 0
        return merge(Table(_widened(found.keys, self.size), found.frequencies), self._wide.take())


def merge(a: Table, b: Table) -> Table:
    """Merge two tables of patches of one size: the frequencies of patches in both are added."""
    if not len(a.keys) or not len(b.keys):
        return a if len(a.keys) else b
    return Table(*_merge(a.keys, a.frequencies, b.keys, b.frequencies))


def most_frequent_first(table: Table) -> Table:
    """Sort a table by frequency, the highest first. Patches of one frequency keep their order."""
    places = order(~table.frequencies.view(np.uint64)[:, None])
    return Table(_taken(table.keys, places, ALL), table.frequencies[places])


class _Sorter:
    """A buffer of keys that wait to be sorted, and the tables of those that are sorted already."""

    def __init__(self, words: int, buffer_bytes: int) -> None:
        self.filled = 0
        self.size = max(1, min(BUFFER, buffer_bytes // (8 * words)))  # keys of the buffer, unless one row has more
        self._most = max(self.size, min(MOST_BUFFER, buffer_bytes // (8 * words)))
        self._buffer = np.empty((0, words), np.uint64)
        self._tables: list[Table] = []  # each at least twice as long as the next
        self._mostly_unique = False

    @property
    def nbytes(self) -> int:
        """Bytes of memory of the sorted tables."""
        return sum(table.nbytes for table in self._tables)

    def room(self, n: int) -> Words:
        """Return the free part of the buffer, with room for `n` keys. The caller writes them and raises `filled`."""
        if self.filled + n > len(self._buffer):
            self._sort()
            size = max(n, self.size, min(2 * len(self._buffer), self._most) if self._mostly_unique else 0)
            if size > len(self._buffer):
                self._buffer = np.empty((size, self._buffer.shape[1]), np.uint64)
        return self._buffer[self.filled :]

    def _sort(self) -> None:
        keys, self.filled = self._buffer[: self.filled], 0
        if not len(keys):
            return
        self._tables.append(_sorted_table(keys))
        self._mostly_unique = 2 * len(self._tables[-1].keys) > len(keys)
        while len(self._tables) > 1 and len(self._tables[-2].keys) < 2 * len(self._tables[-1].keys):
            self._tables.append(merge(self._tables.pop(), self._tables.pop()))

    def take(self) -> Table:
        """Return the table of all keys, and forget them."""
        self._sort()
        while len(self._tables) > 1:
            self._tables.append(merge(self._tables.pop(), self._tables.pop()))
        return self._tables.pop() if self._tables else Table(self._buffer[:0], np.empty(0, np.int64))


def _padded(counts: Counts, units: int, bins: int) -> Counts:
    """Pad counts with zeros at the far edges to this many units and bins."""
    return np.pad(counts, [(0, units - counts.shape[0]), (0, bins - counts.shape[1])])


@cache
def _in_order() -> NDArray[np.uint32]:
    """Return the index of every patch of 1 × 8 whose counts are at most 3, the patches in lexicographic order."""
    patches = np.arange(N_INDICES)[:, None] >> 2 * np.arange(8)[::-1] & 3
    return indices(patches.astype(np.uint8))


def _spread(indices: Words, bits: int, size: int) -> Words:
    """Make keys of 4 bits a bin, (patches,), from indices of `bits` bits a bin."""
    keys = np.zeros_like(indices)
    for i in range(size):
        keys |= (indices >> U(bits * i) & U((1 << bits) - 1)) << U(4 * i)
    return keys


@compiled
def _widened(keys: Words, size: int) -> Words:
    """Make keys of a byte a bin from keys of 4 bits a bin; the order stays the same."""
    words = (size + 7) // 8
    wide = np.empty((len(keys), words), np.uint64)
    for w in range(words):
        n = min(8, size - 8 * w)  # bins of the wide word
        below = min(16, size - 16 * (w // 2)) - 8 * (w % 2) - n  # bins of the narrow word that come after them
        mask, up = (U(1) << U(4 * n)) - U(1), U(8 * (8 - n))
        for i in range(len(keys)):
            x = (keys[i, w // 2] >> U(4 * below)) & mask
            x = (x | (x << U(16))) & U(0x0000FFFF0000FFFF)
            x = (x | (x << U(8))) & U(0x00FF00FF00FF00FF)
            x = (x | (x << U(4))) & U(0x0F0F0F0F0F0F0F0F)
            wide[i, w] = x << up
    return wide


def _sorted_table(keys: Words) -> Table:
    """Make a table of keys (n, words) in any order, fewer than 2**32. It may sort `keys` in place."""
    if keys.shape[1] == 1:
        keys[:, 0].sort()
        return Table(*_runs(keys, NONE))
    # Sort hashes of the keys, each with its place in the lower bits of the same word: equal keys become neighbours.
    # Where different keys share a hash, equal ones can stay apart; they meet when the few that are left are sorted.
    bits = U(len(keys).bit_length())
    places = _hashes(keys)
    _put_places(places, bits)
    places.sort()
    unique, frequencies = _runs(_taken(keys, places, (U(1) << bits) - U(1)), NONE)
    places = order(unique)
    return Table(*_runs(_taken(unique, places, ALL), frequencies[places]))


def order(keys: Words) -> Words:
    """Return the indices that sort keys (n, words), fewer than 2**32, stably: (n,), uint64.

    A radix sort: digits of 32 bits are sorted, the last first, each with its place in the lower half of the same word,
    because numpy sorts words with vector instructions.
    """
    found = np.arange(len(keys), dtype=np.uint64)
    digits = np.empty_like(found)
    for word in reversed(range(keys.shape[1])):
        for shift in (0, 32):
            if _digits(keys, word, U(shift), found, digits):
                digits.sort()
                found = _taken(found[:, None], digits, U(0xFFFFFFFF))[:, 0]
    return found


@compiled
def _digits(keys: Words, word: int, shift: np.uint64, places: Words, digits: Words) -> bool:
    """Write a digit of the keys at `places`, and its place, into `digits`. Return whether the keys differ in it."""
    differ = U(0)
    for i in range(len(places)):
        digit = (keys[places[i], word] >> shift) << U(32)
        digits[i] = digit | U(i)
        differ |= digit ^ (digits[0] & U(0xFFFFFFFF00000000))
    return bool(differ != 0)


@compiled
def _taken(keys: Words, places: Words, mask: np.uint64) -> Words:
    """Return the keys (n, words) at the places that the bits of `mask` in `places` hold."""
    taken = np.empty((len(places), keys.shape[1]), np.uint64)
    for i in range(len(places)):
        place = places[i] & mask
        for w in range(keys.shape[1]):
            taken[i, w] = keys[place, w]
    return taken


@compiled
def _put_places(hashes: Words, bits: np.uint64) -> None:
    """Replace the lower bits of each hash by its place."""
    for i in range(len(hashes)):
        hashes[i] = ((hashes[i] >> bits) << bits) | U(i)


@compiled
def _hashes(keys: Words) -> Words:
    """Hash keys by multiplication, word after word (Knuth, The Art of Computer Programming 3, 6.4): (n,), uint64."""
    hashes = np.zeros(len(keys), np.uint64)
    for i in range(len(keys)):
        for w in range(keys.shape[1]):
            mixed = (hashes[i] ^ keys[i, w]) * U(0x9E3779B97F4A7C15)
            hashes[i] = mixed ^ (mixed >> U(29))
    return hashes


@compiled
def _runs(keys: Words, frequencies: Frequencies) -> tuple[Words, Frequencies]:
    """Return the unique keys of keys (n, words) in which equal ones are neighbours, and how often each occurs.

    `frequencies` says how often each of `keys` counts; if it is empty, each counts once.
    """
    n, words = keys.shape
    starts = np.empty(n + 1, np.int64)
    k = 0
    for i in range(n):
        new = i == 0
        for w in range(words):
            new |= keys[i, w] != keys[i - 1, w]
        starts[k] = i
        k += new
    starts[k] = n
    unique = np.empty((k, words), np.uint64)
    for j in range(k):
        for w in range(words):
            unique[j, w] = keys[starts[j], w]
    found = np.diff(starts[: k + 1])
    if len(frequencies):
        for j in range(k):
            found[j] = frequencies[starts[j] : starts[j + 1]].sum()
    return unique, found


@compiled
def _merge(a: Words, n_a: Frequencies, b: Words, n_b: Frequencies) -> tuple[Words, Frequencies]:
    """Merge two sorted tables of unique keys. No branch depends on the keys: half of them would be mispredicted."""
    words = a.shape[1]
    keys = np.empty((len(a) + len(b), words), np.uint64)
    frequencies = np.empty(len(keys), np.int64)
    i = j = k = np.int64(0)
    while i < len(a) and j < len(b):
        less, same = False, True
        for w in range(words):
            less |= same & (a[i, w] < b[j, w])
            same &= a[i, w] == b[j, w]
        from_a, from_b = np.int64(less | same), np.int64(not less)
        for w in range(words):
            keys[k, w] = a[i, w] if less else b[j, w]
        frequencies[k] = from_a * n_a[i] + from_b * n_b[j]
        i += from_a
        j += from_b
        k += 1
    for rest, n_rest, start in ((a, n_a, i), (b, n_b, j)):
        left = len(rest) - start
        keys[k : k + left] = rest[start:]
        frequencies[k : k + left] = n_rest[start:]
        k += left
    return keys[:k], frequencies[:k]  # the memory beyond was never written, so the system never allocated it


@compiled
def _pack(
    counts: Counts, across: int, p_n: int, p_t: int, bits: int, direct: NDArray[np.uint32], narrow: Words, wide: Words
) -> tuple[int, int]:
    """Count the patches of at most 16 bins that `direct` has a place for, and write the keys of the others.

    `direct` has a place for every patch whose counts need at most `bits` bits each, and one more for all others.

    Returns:
        The number of keys written to `narrow` (4 bits a bin) and to `wide` (a byte a bin).
    """
    flat, n_bins = counts.reshape(-1), counts.shape[1]
    line = np.empty(BLOCK * p_t, np.uint8)
    keys = np.empty(BLOCK, np.uint64)
    above = np.empty(BLOCK, np.uint64)  # not 0 where a count is above 15
    others = np.uint32(direct.shape[1] - 1)
    index = np.full(BLOCK, others, np.uint32)
    n_narrow = n_wide = 0
    words = bits == 2 and p_n == 1 and p_t == 8
    for top in range(0, len(counts), p_n):
        for left in range(0, across, BLOCK):
            n = min(BLOCK, across - left)
            some = True
            if words:
                some = index_words(flat, top * n_bins + left * p_t, line, index, n)
            else:
                pack_block(flat, n_bins, top, left, p_n, p_t, line, keys, above, n)
                if bits:
                    some = index_block(keys, above, bits, others, index, n)
            if bits:
                for i in range(0, n - 3, 4):
                    direct[0, index[i]] += np.uint32(1)
                    direct[1, index[i + 1]] += np.uint32(1)
                    direct[2, index[i + 2]] += np.uint32(1)
                    direct[3, index[i + 3]] += np.uint32(1)
                for i in range(n // 4 * 4, n):
                    direct[0, index[i]] += np.uint32(1)
            for first in range(0, n if some else 0, FEW):
                end = min(first + FEW, n)
                if not has(index[first:end], others):
                    continue
                if words:
                    pack_block(
                        flat, n_bins, top, left + first, p_n, p_t, line, keys[first:], above[first:], end - first
                    )
                for i in range(first, end):
                    if index[i] == others and above[i]:
                        _bytes(counts, top, (left + i) * p_t, p_n, p_t, wide[n_wide])
                        n_wide += 1
                    else:
                        narrow[n_narrow, 0] = keys[i]
                        n_narrow += index[i] == others
    return n_narrow, n_wide


@compiled
def pack_block(
    flat: Counts, n_bins: int, top: int, left: int, p_n: int, p_t: int, line: Counts, keys: Words, above: Words, n: int
) -> None:
    """Make the keys, of 4 bits a bin, of n patches of at most 16 bins that lie side by side.

    Parameters:
        flat: counts of a row, unit after unit, of n_bins each.
        top: the first unit of the patches.
        left: how many patches are before them.
        p_n, p_t: units and bins of a patch.
        line: room for n × p_t counts.
        keys: the keys are written here; those of patches with a count above 15 are wrong.
        above: not 0 is written here for these.
        n: number of patches.
    """
    keys[:n] = 0
    above[:n] = 0
    for unit in range(top, top + p_n):
        part = flat[unit * n_bins + left * p_t :][: n * p_t]
        for i in range(len(part)):  # a copy is aligned, so it can be read as words
            line[i] = part[i]
        if p_t == 8:
            _add_words(line.view(np.uint64), p_t, keys, above, n)
        elif p_t == 4:
            _add_words(line.view(np.uint32), p_t, keys, above, n)
        elif p_t == 2:
            _add_words(line.view(np.uint16), p_t, keys, above, n)
        elif p_t == 1:
            _add_words(line, p_t, keys, above, n)
        else:
            _add_bins(line, p_t, keys, above, n)


@compiled
def _add_words(words: NDArray[np.unsignedinteger], p_t: int, keys: Words, above: Words, n: int) -> None:
    """Append p_t bins, read as one little-endian word of as many bytes, to each key. The loop vectorizes.

    The keys of patches with a count above 15 are wrong; `above` is not 0 for these.
    """
    up = U(4 * p_t)
    for i in range(n):
        x = U(words[i])
        above[i] |= x & U(0xF0F0F0F0F0F0F0F0)
        if p_t > 1:
            x = ((x << U(4)) | (x >> U(8))) & U(0x00FF00FF00FF00FF)
        if p_t > 2:
            x = ((x << U(8)) | (x >> U(16))) & U(0x0000FFFF0000FFFF)
        if p_t > 4:
            x = ((x << U(16)) | (x >> U(32))) & U(0x00000000FFFFFFFF)
        keys[i] = (keys[i] << up) | x


@compiled
def _add_bins(line: Counts, p_t: int, keys: Words, above: Words, n: int) -> None:
    """Append p_t bins to each key, as `_add_words` does, for any p_t."""
    eights, rest = p_t // 8, p_t % 8
    for i in range(n):
        key, seen = keys[i], U(0)
        b = U(i * p_t)  # unsigned: numba would check whether another index counts from the end
        for _ in range(eights):
            x = _eight(line, b)
            seen |= x
            key = (key << U(32)) | _squeezed(x)
            b += U(8)
        for _ in range(rest):
            x = U(line[b])
            seen |= x
            key = (key << U(4)) | (x & U(15))
            b += U(1)
        keys[i] = key
        above[i] |= seen & U(0xF0F0F0F0F0F0F0F0)


@compiled
def _eight(line: Counts, b: np.uint64) -> np.uint64:
    """Return eight bytes as a word, the first the highest. Compilers make one load of it."""
    x = U(0)
    for k in range(8):
        x |= U(line[b + U(k)]) << U(56 - 8 * k)
    return x


@compiled
def _squeezed(x: np.uint64) -> np.uint64:
    """Return the lower 4 bits of the eight bytes of a word, next to each other."""
    x &= U(0x0F0F0F0F0F0F0F0F)
    x = (x | (x >> U(4))) & U(0x00FF00FF00FF00FF)
    x = (x | (x >> U(8))) & U(0x0000FFFF0000FFFF)
    return (x | (x >> U(16))) & U(0x00000000FFFFFFFF)


@compiled
def index_block(keys: Words, above: Words, bits: int, others: np.uint32, index: NDArray[np.uint32], n: int) -> bool:
    """Turn keys of 4 bits a bin into indices of `bits` bits a bin, or `others` where a count needs more.

    Returns whether any index is `others`.
    """
    seen = U(0)
    if bits == 4:
        for i in range(n):
            seen |= above[i]
            index[i] = others if above[i] else np.uint32(keys[i])
    elif bits == 2:
        for i in range(n):
            x = keys[i]
            more = above[i] | (x & U(0xCCCCCCCCCCCCCCCC))
            seen |= more
            x = (x | (x >> U(2))) & U(0x0F0F0F0F0F0F0F0F)
            x = (x | (x >> U(4))) & U(0x00FF00FF00FF00FF)
            x = (x | (x >> U(8))) & U(0x0000FFFF0000FFFF)
            index[i] = others if more else np.uint32(x | (x >> U(16)))
    else:
        for i in range(n):
            x = keys[i]
            more = above[i] | (x & U(0xEEEEEEEEEEEEEEEE))
            seen |= more
            x = (x | (x >> U(3))) & U(0x0303030303030303)
            x = (x | (x >> U(6))) & U(0x000F000F000F000F)
            x = (x | (x >> U(12))) & U(0x000000FF000000FF)
            index[i] = others if more else np.uint32((x | (x >> U(24))) & U(0xFFFF))
    return bool(seen != 0)


@compiled
def has(values: NDArray[np.unsignedinteger], value: int | np.uint32) -> bool:
    """Return whether a value is among a few values. The loop vectorizes because it does not stop early."""
    found, same = False, values.dtype.type(value)
    for v in values:
        found |= v == same
    return found


def indices(patches: Counts) -> NDArray[np.uint32]:
    """Return the index that `index_words` gives each of patches (n, 8)."""
    index = np.empty(len(patches), np.uint32)
    index_words(np.ascontiguousarray(patches).reshape(-1), 0, np.empty(8 * len(patches), np.uint8), index, len(patches))
    return index


@compiled
def index_words(flat: Counts, start: int, line: Counts, index: NDArray[np.uint32], n: int) -> bool:
    """Write the index of n patches of 1 × 8: 2 bits a bin in an order that few steps give, or N_INDICES.

    N_INDICES is that of all patches with a count above 3. The loops vectorize.

    Returns whether any index is N_INDICES.

    Parameters:
        flat: counts of a row.
        start: of the first patch.
        line: room for n × 8 counts.
        index: the indices are written here.
        n: number of patches.
    """
    part = flat[start:][: 8 * n]
    for i in range(len(part)):  # a copy is aligned, so it can be read as words
        line[i] = part[i]
    words = line.view(np.uint64)
    seen = U(0)
    for i in range(n):
        x = words[i]
        more = x & U(0xFCFCFCFCFCFCFCFC)
        seen |= more
        half = np.uint32(x | (x >> U(30)))  # bins 5 to 8 beside bins 1 to 4
        index[i] = np.uint32(N_INDICES) if more else (half | (half >> np.uint32(12))) & np.uint32(0xFFFF)
    return bool(seen != 0)


@compiled
def _pack_long(counts: Counts, across: int, p_n: int, p_t: int, narrow: Words, wide: Words) -> tuple[int, int]:
    """Write the keys of patches of more than 16 bins: 4 bits a bin, or a byte where a count is above 15.

    Returns:
        The number of keys written to `narrow` and to `wide`.
    """
    flat, n_bins = counts.reshape(-1), counts.shape[1]
    n_narrow = n_wide = 0
    for top in range(0, len(counts), p_n):
        for left in range(0, across * p_t, p_t):
            key, seen, room, word = U(0), U(0), 16, U(0)
            for unit in range(top, top + p_n):
                b = U(unit * n_bins + left)
                done = 0
                while done < p_t:
                    if room == 0:
                        narrow[n_narrow, word] = key
                        key, room, word = U(0), 16, word + U(1)
                    if room >= 8 and p_t - done >= 8:
                        x = _eight(flat, b)
                        key, step = (key << U(32)) | _squeezed(x), 8
                    else:
                        x = U(flat[b])
                        key, step = (key << U(4)) | (x & U(15)), 1
                    seen |= x
                    room -= step
                    done += step
                    b += U(step)
            narrow[n_narrow, word] = key
            if seen & U(0xF0F0F0F0F0F0F0F0):
                _bytes(counts, top, left, p_n, p_t, wide[n_wide])
                n_wide += 1
            else:
                n_narrow += 1
    return n_narrow, n_wide


@compiled
def _bytes(counts: Counts, top: int, left: int, p_n: int, p_t: int, key: Words) -> None:
    """Write the key of one patch, of a byte a bin."""
    key[:] = 0
    i = 0
    for unit in range(top, top + p_n):
        for b in range(left, left + p_t):
            key[i // 8] |= U(counts[unit, b]) << U(56 - 8 * (i % 8))
            i += 1
