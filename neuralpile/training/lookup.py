"""Find the id of every patch of a row: of its own motif by hashing, else of the nearest motif."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuralpile.compile import compiled
from neuralpile.motifs import kernels
from neuralpile.motifs.kernels import BLOCK, FEW, Counts, Table, Words, index_words
from neuralpile.training.nearest import Nearest
from neuralpile.training.vocabulary import FIRST_MOTIF, UNK, Vocabulary, keys_of

U = np.uint64
Ids = NDArray[np.unsignedinteger[Any]]
ROOM = 4  # slots of the hash table for each motif, at least: a second one is rarely looked at


class Others(NamedTuple):
    """The patches of a row that are not in the vocabulary.

    Attributes:
        places: where they are, as indices of the flat array of ids, (n,), int64.
        table: those that differ, and how often each occurs.
        which: the place of each in the table, (n,), int64.
        nearest: rank of the motif that is nearest to each in the table, int32; empty if it was not looked for.
    """

    places: NDArray[np.int64]
    table: Table
    which: NDArray[np.int64]
    nearest: NDArray[np.int32]

    def counts(self, size: int) -> Counts:
        """Return the patches of the table: counts (patches, size), uint8; `size` is p_n × p_t."""
        if not len(self.table.keys):
            return np.empty((0, size), np.uint8)
        return kernels.bytes_of(self.table.keys, size)


class Lookup:
    """The motifs of a vocabulary in a hash table, those of 1 × 8 in an array too, and all in the tree of `Nearest`.

    The key of a patch in the hash table is its bytes, unit after unit, as little-endian words.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.p_n, self.p_t, self.dtype = vocabulary.p_n, vocabulary.p_t, vocabulary.dtype
        patches = vocabulary.motifs.patches
        ids = np.arange(FIRST_MOTIF, vocabulary.n_ids).astype(self.dtype)
        keys = np.ascontiguousarray(keys_of(patches).byteswap().T)
        self._keys, self._ids = _hashed(keys, ids, (ROOM * len(ids) - 1).bit_length())
        self._direct = _direct(patches, ids)
        self._nearest = Nearest.of(patches)

    def find(self, counts: Counts, nearest: bool = True) -> tuple[Ids, Others]:
        """Find the ids of all patches of a row.

        Parameters:
            counts: (units, bins), uint8. Patches at the far edges are padded with zeros.
            nearest: whether to look for the nearest motifs.

        Returns:
            Ids (groups of units, patches), and the patches that the vocabulary does not have, whose ids are those of
            the nearest motifs, or UNK.
        """
        counts = np.ascontiguousarray(counts)
        p_n, p_t = self.p_n, self.p_t
        ids = np.empty((-(-counts.shape[0] // p_n), -(-counts.shape[1] // p_t)), self.dtype)
        room = np.empty(ids.size, np.int64)  # the system allocates what is written of it
        n = _find(counts, p_n, p_t, self._direct, self._keys, self._ids, ids, room)
        places = room[:n].copy()
        keys = np.empty((self._keys.shape[1], n), np.uint64)
        _keys_at(counts.reshape(-1), counts.shape[1], places, ids.shape[1], p_n, p_t, keys)
        others = _unique(places, np.ascontiguousarray(keys.T).byteswap(), p_n * p_t)
        if nearest and n:
            others = others._replace(nearest=self._nearest_of(others))
            ids.reshape(-1)[places] = (others.nearest[others.which] + FIRST_MOTIF).astype(self.dtype)
        return ids, others

    def _nearest_of(self, others: Others) -> NDArray[np.int32]:
        """Return the rank of the motif that is nearest to each patch of the table."""
        keys = np.ascontiguousarray(others.table.keys.T).byteswap()
        ids = _adjacent(keys, self.p_n, self.p_t, self._keys, self._ids)
        ranks = ids.astype(np.int32) - FIRST_MOTIF
        far = np.flatnonzero(ids == UNK)
        if len(far):
            patches = others.counts(self.p_n * self.p_t)[far].reshape(-1, self.p_n, self.p_t)
            ranks[far] = self._nearest.find(patches)
        return ranks


def _direct(motifs: Counts, ids: Ids) -> Ids:
    """Return the id of every patch of 1 × 8 by the index that `kernels.index_words` gives it, or UNK.

    The last one is that of all patches with a count above 3. For patches of another shape, the array is empty.
    """
    if motifs.shape[1:] != (1, 8):
        return np.empty(0, ids.dtype)
    direct = np.full(kernels.N_INDICES + 1, UNK, ids.dtype)
    direct[kernels.indices(motifs[:, 0])] = ids
    direct[-1] = UNK
    return direct


def _unique(places: NDArray[np.int64], keys: Words, size: int) -> Others:
    """Sort the patches that are not in the vocabulary, and count how often each occurs."""
    nearest = np.empty(0, np.int32)
    if not len(keys):
        return Others(places, kernels.empty_table(size), places, nearest)
    order = kernels.order(keys).astype(np.int64)
    ordered = keys[order]
    new = np.ones(len(keys), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    which = np.empty(len(keys), np.int64)
    which[order] = np.cumsum(new) - 1
    starts = np.flatnonzero(new)
    return Others(places, Table(ordered[starts], np.diff(starts, append=len(keys))), which, nearest)


@compiled
def _first_slots(keys: Words, bits: int, slots: NDArray[np.int64], n: int) -> None:
    """Write at which of 2**bits slots to look first for each of n keys (words, n).

    It is a hash by multiplication (Knuth, The Art of Computer Programming 3, 6.4), whose highest bits depend on all
    bits of the key.
    """
    for i in range(n):
        mixed = U(0)
        for w in range(len(keys)):
            mixed ^= mixed >> U(32)
            mixed = (mixed ^ keys[w, i]) * U(0x9E3779B97F4A7C15)
        slots[i] = mixed >> U(64 - bits)


@compiled
def _hashed(keys: Words, ids: Ids, bits: int) -> tuple[Words, Ids]:
    """Make a hash table of 2**bits slots of unique keys (words, n): the key of each slot, and its id, or UNK."""
    slots = np.empty(len(ids), np.int64)
    _first_slots(keys, bits, slots, len(ids))
    found = np.full(1 << bits, UNK, ids.dtype)
    held = np.zeros((len(found), len(keys)), np.uint64)
    for i in range(len(ids)):
        slot = slots[i]
        while found[slot] != UNK:
            slot = (slot + 1) & (len(found) - 1)
        held[slot] = keys[:, i]
        found[slot] = ids[i]
    return held, found


@compiled
def _look_up(keys: Words, held: Words, ids: Ids, slots: NDArray[np.int64], found: Ids, n: int) -> None:
    """Write the ids of n keys (words, n) by a hash table, or UNK. `slots` is room for n numbers."""
    bits = 0
    while 1 << bits < len(ids):
        bits += 1
    _first_slots(keys, bits, slots, n)
    for i in range(n):
        slot = slots[i]
        while ids[slot] != UNK:
            same = True
            for w in range(len(keys)):
                same &= held[slot, w] == keys[w, i]
            if same:
                break
            slot = (slot + 1) & (len(ids) - 1)
        found[i] = ids[slot]


@compiled
def _find(
    counts: Counts, p_n: int, p_t: int, direct: Ids, held: Words, ids_held: Ids, ids: Ids, places: NDArray[np.int64]
) -> int:
    """Write the id of each patch, or UNK where the vocabulary does not have it.

    Returns how many it does not have. Where they are is written to `places`, as indices of the flat array of ids.
    """
    flat, n_bins, words = counts.reshape(-1), counts.shape[1], held.shape[1]
    block = max(FEW, min(BLOCK, 2 * BLOCK // words))
    line, index = np.empty(block * p_t, np.uint8), np.empty(block, np.uint32)
    keys, slots, by_key = np.empty((words, block), np.uint64), np.empty(block, np.int64), np.empty(block, ids.dtype)
    all_of_block, chosen = np.arange(block), np.empty(block, np.int64)
    missing = 0
    for group in range(len(ids)):
        top, row, start = group * p_n, ids[group], group * ids.shape[1]
        whole = n_bins // p_t if top + p_n <= len(counts) else 0  # patches that do not reach beyond an edge
        left = 0
        while left < len(row):
            n = m = min(block, (whole if left < whole else len(row)) - left)
            found, by = row[left : left + n], all_of_block  # patches that are looked up by their keys
            if left >= whole:
                _keys_at(flat, n_bins, start + left + by[:n], len(row), p_n, p_t, keys)
            elif len(direct):
                index_words(flat, top * n_bins + left * p_t, line, index, n)
                for i in range(n):
                    found[i] = direct[index[i]]
                m, by = _unknown(found, chosen), chosen
                words_of = line.view(np.uint64)
                for k in range(m):
                    keys[0, k] = words_of[by[k]]
            else:
                _keys(flat, n_bins, top, left, p_n, p_t, line, keys, n)
            _look_up(keys, held, ids_held, slots, by_key, m)
            for k in range(m):
                found[by[k]] = by_key[k]
                places[missing] = start + left + by[k]
                missing += by_key[k] == UNK
            left += n
    return missing


@compiled
def _unknown(found: Ids, places: NDArray[np.int64]) -> int:
    """Write where UNK is, and return how often. `FEW` ids without it are skipped together."""
    m, whole = 0, len(found) // FEW * FEW
    for first in range(0, whole, FEW):
        start, some = U(first), False  # unsigned: numba would check whether another index counts from the end
        for k in range(FEW):
            some |= found[start + U(k)] == UNK
        if some:
            for k in range(FEW):
                places[m] = first + k
                m += found[start + U(k)] == UNK
    for i in range(whole, len(found)):
        places[m] = i
        m += found[i] == UNK
    return m


@compiled
def _keys(
    flat: Counts, n_bins: int, top: int, left: int, p_n: int, p_t: int, line: Counts, keys: Words, n: int
) -> None:
    """Write the keys of n whole patches side by side, `left` patches from the left, to keys (words, n).

    `line` is room for n × p_t counts.
    """
    keys[:, :n] = U(0)
    for unit in range(p_n):
        start = U((top + unit) * n_bins + left * p_t)
        part = flat[start:][: n * p_t]
        for i in range(len(part)):  # a copy is aligned, so it can be read as words
            line[i] = part[i]
        first = unit * p_t
        word, shift = keys[first // 8], U(first % 8 * 8)
        if p_t == 8:
            _put(line.view(np.uint64), shift, word, n)
        elif p_t == 4:
            _put(line.view(np.uint32), shift, word, n)
        elif p_t == 2:
            _put(line.view(np.uint16), shift, word, n)
        elif p_t == 1:
            _put(line, shift, word, n)
        elif p_n == 1 and p_t > 8:
            for w in range(p_t // 8):
                _put_eight(line, p_t, 8 * w, U(0), keys[w], n)
            if p_t % 8:
                _put_eight(line, p_t, p_t - 8, U(8 * (8 - p_t % 8)), keys[p_t // 8], n)
        else:
            for place in range(first, first + p_t):
                _put(line[place - first :: p_t], U(place % 8 * 8), keys[place // 8], n)


@compiled
def _put(bins: NDArray[np.unsignedinteger], shift: np.uint64, words: Words, n: int) -> None:
    """Put n little-endian words of one or more bins into words of keys. The loop vectorizes."""
    for i in range(n):
        words[i] |= U(bins[i]) << shift


@compiled
def _put_eight(line: Counts, p_t: int, first: int, down: np.uint64, words: Words, n: int) -> None:
    """Write eight bins of n patches of one unit, from bin `first`, as words of keys, less those shifted out."""
    for i in range(n):
        b = U(i * p_t + first)  # unsigned: numba would check whether another index counts from the end
        word = U(0)
        for k in range(8):  # compilers make one load of it
            word |= U(line[b + U(k)]) << U(8 * k)
        words[i] = word >> down


@compiled
def _keys_at(
    flat: Counts, n_bins: int, places: NDArray[np.int64], across: int, p_n: int, p_t: int, keys: Words
) -> None:
    """Write the keys of some patches, of which `across` are side by side, to keys (words, n); 0 beyond the edges."""
    for i in range(len(places)):
        keys[:, i] = U(0)
        place = 0
        for unit in range(places[i] // across * p_n, places[i] // across * p_n + p_n):
            for b in range(places[i] % across * p_t, places[i] % across * p_t + p_t):
                if b < n_bins and unit * n_bins + b < len(flat):
                    keys[place // 8, i] |= U(flat[unit * n_bins + b]) << U(place % 8 * 8)
                place += 1


@compiled
def _adjacent(keys: Words, p_n: int, p_t: int, held: Words, ids_held: Ids) -> Ids:
    """Return the id of the motif that is nearest to each of keys (words, n), if it is as near as can be; else UNK.

    So near are patches in which one spike is one bin earlier or later; or, in patches of one bin, is one more or less.
    Looking these up is faster than the tree, and mostly one of them is a motif. None of the keys is one.
    """
    n, most = keys.shape[1], 2 * p_n * p_t
    found = np.full(n, UNK, ids_held.dtype)
    tried, slots, ids = np.empty((len(keys), most), np.uint64), np.empty(most, np.int64), np.empty(most, found.dtype)
    for i in range(n):
        m = 0
        for unit in range(p_n):
            for b in range(unit * p_t, unit * p_t + max(1, p_t - 1)):
                for turn in range(2):
                    less, more = b + turn, b + 1 - turn  # the bins that have a spike less, and more
                    if p_t == 1:
                        less, more = (b, -1) if turn else (-1, b)
                    if less >= 0 and keys[less // 8, i] >> U(less % 8 * 8) & U(255) == 0:
                        continue
                    if more >= 0 and keys[more // 8, i] >> U(more % 8 * 8) & U(255) == 255:
                        continue
                    for w in range(len(keys)):
                        tried[w, m] = keys[w, i]
                    if less >= 0:
                        tried[less // 8, m] -= U(1) << U(less % 8 * 8)
                    if more >= 0:
                        tried[more // 8, m] += U(1) << U(more % 8 * 8)
                    m += 1
        _look_up(tried, held, ids_held, slots, ids, m)
        for k in range(m):
            if ids[k] != UNK and (found[i] == UNK or ids[k] < found[i]):
                found[i] = ids[k]
    return found
