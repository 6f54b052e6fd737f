"""Find the id of every patch of a row: of its own motif by hashing, else of the nearest motif."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuralpile.compile import compiled
from neuralpile.motifs import kernels
from neuralpile.motifs.kernels import BLOCK, FEW, Counts, Table, Words, has, index_block, index_words, pack_block
from neuralpile.training.nearest import Nearest
from neuralpile.training.vocabulary import FIRST_MOTIF, UNK, Vocabulary, keys_of

U = np.uint64
Ids = NDArray[np.unsignedinteger[Any]]


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
    """The motifs of a vocabulary in a hash table, and in the tree of `Nearest`."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.p_n, self.p_t, self.dtype = vocabulary.p_n, vocabulary.p_t, vocabulary.dtype
        self._keys = keys_of(vocabulary.motifs.patches)
        self._slots = _hashed(self._keys, 4 << (len(vocabulary) - 1).bit_length())
        self._bits = kernels.index_bits(self.p_n * self.p_t)
        self._direct = self._small(vocabulary.motifs.patches)
        self._nearest = Nearest.of(vocabulary.motifs.patches)

    def _small(self, motifs: Counts) -> Ids:
        """Return the id of every patch of small counts, or UNK, by the index that `kernels.index_block` computes."""
        size, bits = self.p_n * self.p_t, self._bits
        direct = np.full((1 << bits * size if bits else 0) + 1, UNK, self.dtype)
        flat = motifs.reshape(len(motifs), -1).astype(np.int64)
        ranks = np.flatnonzero((flat < 1 << bits).all(axis=1)) if bits else np.empty(0, np.int64)
        direct[flat[ranks] @ (1 << bits * np.arange(size)[::-1])] = ranks + FIRST_MOTIF
        return direct

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
        shape = -(-counts.shape[0] // self.p_n), -(-counts.shape[1] // self.p_t)
        ids = np.empty(shape, self.dtype)
        missing = _find(counts, self.p_n, self.p_t, self._bits, self._direct, self._keys, self._slots, ids)
        n = int(missing.sum())
        places = np.empty(n, np.int64)
        keys = np.empty((n, self._keys.shape[1]), np.uint64)
        if n:
            _others(counts, self.p_n, self.p_t, ids, missing, places, keys)
        others = _unique(places, keys, self.p_n * self.p_t)
        if nearest and n:
            patches = others.counts(self.p_n * self.p_t).reshape(-1, self.p_n, self.p_t)
            others = others._replace(nearest=self._nearest.find(patches))
            ids.reshape(-1)[places] = (others.nearest[others.which] + FIRST_MOTIF).astype(self.dtype)
        return ids, others


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
def _hash(keys: Words, i: int) -> np.uint64:
    """Hash a key by multiplication, word after word (Knuth, The Art of Computer Programming 3, 6.4)."""
    mixed = U(0)
    for w in range(keys.shape[1]):
        mixed = (mixed ^ keys[i, w]) * U(0x9E3779B97F4A7C15)
        mixed ^= mixed >> U(29)
    return mixed


@compiled
def _hashed(keys: Words, n_slots: int) -> NDArray[np.int32]:
    """Make a hash table of unique keys: rank + 1 in a slot, or 0. The number of slots is a power of two."""
    slots = np.zeros(n_slots, np.int32)
    mask = U(n_slots - 1)
    for i in range(len(keys)):
        slot = _hash(keys, i) & mask
        while slots[slot]:
            slot = (slot + U(1)) & mask
        slots[slot] = i + 1
    return slots


@compiled
def _find(
    counts: Counts,
    p_n: int,
    p_t: int,
    bits: int,
    direct: Ids,
    keys: Words,
    slots: NDArray[np.int32],
    ids: Ids,
) -> NDArray[np.int64]:
    """Write the id of each patch, or UNK where the vocabulary does not have it.

    Returns how many it does not have, of each group of units.
    """
    flat, n_bins = counts.reshape(-1), counts.shape[1]
    line, index = np.empty(BLOCK * p_t, np.uint8), np.empty(BLOCK, np.uint32)
    narrow, above = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    key = np.empty((1, keys.shape[1]), np.uint64)
    others = np.uint32(len(direct) - 1)
    missing = np.zeros(len(ids), np.int64)
    for group in range(ids.shape[0]):
        top = group * p_n
        row = ids[group]
        whole = n_bins // p_t if bits and top + p_n <= counts.shape[0] else 0  # patches that have an index
        for left in range(0, whole, BLOCK):
            n = min(BLOCK, whole - left)
            if bits == 2 and p_n == 1 and p_t == 8:
                index_words(flat, top * n_bins + left * p_t, line, others, index, n)
            else:
                pack_block(flat, n_bins, top, left, p_n, p_t, line, narrow, above, n)
                index_block(narrow, above, bits, others, index, n)
            found = row[left : left + n]
            some = False
            for i in range(n):
                found[i] = direct[index[i]]
                some |= found[i] == UNK
            for first in range(0, n if some else 0, FEW):
                end = min(first + FEW, n)
                if not has(found[first:end], UNK):
                    continue
                for i in range(first, end):
                    if index[i] == others:
                        found[i] = _id(flat, n_bins, top, (left + i) * p_t, p_n, p_t, keys, slots, key)
                    missing[group] += found[i] == UNK
        for j in range(whole, len(row)):
            row[j] = _id(flat, n_bins, top, j * p_t, p_n, p_t, keys, slots, key)
            missing[group] += row[j] == UNK
    return missing


@compiled
def _id(
    flat: Counts,
    n_bins: int,
    top: int,
    left: int,
    p_n: int,
    p_t: int,
    keys: Words,
    slots: NDArray[np.int32],
    key: Words,
) -> int:
    """Return the id of a patch by the hash table, or UNK. `key` (1, words) is room for its key."""
    _key(flat, n_bins, top, left, p_n, p_t, key)
    mask = U(len(slots) - 1)
    slot = _hash(key, 0) & mask
    while slots[slot]:
        rank = slots[slot] - 1
        same = True
        for w in range(keys.shape[1]):
            same &= keys[rank, w] == key[0, w]
        if same:
            return int(rank) + FIRST_MOTIF
        slot = (slot + U(1)) & mask
    return UNK


@compiled
def _others(
    counts: Counts,
    p_n: int,
    p_t: int,
    ids: Ids,
    missing: NDArray[np.int64],
    places: NDArray[np.int64],
    keys: Words,
) -> None:
    """Write the places and the keys of the patches whose id is UNK; `missing` is what `_find` returned."""
    n = 0
    flat, n_bins = counts.reshape(-1), counts.shape[1]
    for group in range(ids.shape[0]):
        if not missing[group]:
            continue
        for first in range(0, ids.shape[1], FEW):
            if not has(ids[group, first : first + FEW], UNK):
                continue
            for j in range(first, min(first + FEW, ids.shape[1])):
                if ids[group, j] == UNK:
                    places[n] = group * ids.shape[1] + j
                    _key(flat, n_bins, group * p_n, j * p_t, p_n, p_t, keys[n : n + 1])
                    n += 1


@compiled
def _key(flat: Counts, n_bins: int, top: int, left: int, p_n: int, p_t: int, key: Words) -> None:
    """Write the key of a patch to `key` (1, words): its bytes, unit after unit, and zeros beyond the edges."""
    word, shift, w = U(0), U(56), 0
    if p_n == 1 and left + p_t <= n_bins:
        b = U(top * n_bins + left)
        for w in range(p_t // 8):
            word = U(0)
            for k in range(8):  # compilers make one load of it
                word |= U(flat[b + U(k)]) << U(56 - 8 * k)
            key[0, w] = word
            b += U(8)
        if p_t % 8:
            word = U(0)
            for _ in range(p_t % 8):
                word |= U(flat[b]) << shift
                b += U(1)
                shift -= U(8)
            key[0, p_t // 8] = word
        return
    filled = 0
    for unit in range(top, top + p_n):
        for i in range(left, left + p_t):
            if filled == 8:
                key[0, w] = word
                word, filled, w = U(0), 0, w + 1
            word <<= U(8)
            if i < n_bins and unit * n_bins + i < len(flat):
                word |= U(flat[unit * n_bins + i])
            filled += 1
    key[0, w] = word << U(8 * (8 - filled))
