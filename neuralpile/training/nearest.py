"""Find the motif of a vocabulary that is nearest to a patch, exactly.

The distance has two parts, of which the second decides where the first is equal:

1. spikes that are added and removed: the differences of the units' spike counts over the patch, summed;
2. how far spikes move in time: the earth mover's distance within each unit, in bins × spikes, summed. In one dimension
   it is the sum of absolute differences of cumulative counts (Vallender 1974, Theory Probab Appl 18:784).

Of motifs at the same distance, the one of lower rank, which is more frequent, is the nearest. Rates are kept where the
vocabulary has a motif of the same spike counts; a cosine ignores amplitude, and would turn [2, 2] into [1, 1].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuralpile.compile import compiled

Counts = NDArray[np.uint8]
Integers = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Nearest:
    """Motifs in a tree, in which few of them are compared with a patch.

    A level of the tree divides the units of a patch into parts: one part, halves, quarters, up to single units. A node
    stands for all motifs with the same spike counts in these parts. The differences of the parts' counts, summed, are
    at most the first part of the distance. Motifs of a leaf are sorted by mass, the sum of their cumulative counts;
    masses of two of them differ by at most the second part.

    Attributes:
        edges: the first unit of each part, the levels one after the other, each ended by p_n, int32.
        starts: the first node of each level, and the number of nodes, int32.
        sums: spike counts of the parts of each node, flat, int32.
        children: the first child of each node, and the last one's end; the motifs are numbered after the nodes, int32.
        masses: of motifs, (motifs,), int32.
        cumulative: counts added up along time, (motifs, p_n × p_t), int32.
        ranks: of motifs, (motifs,), int32.
    """

    edges: list[Integers]
    starts: Integers
    sums: Integers
    children: Integers
    masses: Integers
    cumulative: Integers
    ranks: Integers

    @classmethod
    def of(cls, motifs: Counts) -> "Nearest":
        """Sort motifs: counts (motifs, p_n, p_t), at least one, in the order of their ranks."""
        n, p_n, _ = motifs.shape
        cumulative = np.cumsum(motifs, axis=2, dtype=np.int32)
        edges = _edges(p_n)
        levels = [np.add.reduceat(cumulative[:, :, -1], level[:-1], axis=1) for level in edges]
        masses = cumulative.sum(axis=(1, 2), dtype=np.int32)
        columns = [column for level in levels for column in level.T]
        ranks = np.lexsort([np.arange(n), masses, *reversed(columns)]).astype(np.int32)
        new = np.zeros(n, bool)
        new[0] = True
        firsts: list[NDArray[np.int64]] = []  # the first motif of each node
        sums: list[Integers] = []
        for level in levels:
            ordered = level[ranks]
            new[1:] |= (np.diff(ordered, axis=0) != 0).any(axis=1)
            firsts.append(np.flatnonzero(new))
            sums.append(ordered[firsts[-1]].reshape(-1))
        starts = np.cumsum([0, *map(len, firsts)])
        children = [
            s + np.searchsorted(below, at) for s, at, below in zip(starts[1:], firsts, firsts[1:], strict=False)
        ]
        return cls(
            edges,
            starts.astype(np.int32),
            np.concatenate(sums),
            np.concatenate([*children, starts[-1] + firsts[-1], [starts[-1] + n]]).astype(np.int32),
            masses[ranks],
            np.ascontiguousarray(cumulative[ranks].reshape(n, -1)),
            ranks,
        )

    def find(self, patches: Counts) -> Integers:
        """Return the rank of the motif that is nearest to each patch: counts (patches, p_n, p_t)."""
        cumulative = np.cumsum(patches, axis=2, dtype=np.int32)
        parts = [np.add.reduceat(cumulative[:, :, -1], level[:-1], axis=1) for level in self.edges]
        n_parts = np.array([len(level) - 1 for level in self.edges], np.int32)
        return _find(
            np.ascontiguousarray(cumulative.reshape(len(patches), -1)),
            np.concatenate(parts, axis=1),
            n_parts,
            self.starts,
            self.sums,
            self.children,
            self.masses,
            self.cumulative,
            self.ranks,
        )


def _edges(n: int) -> list[Integers]:
    """Divide n units into one part, halves, quarters and so on, up to single units.

    Example:
        >>> [level.tolist() for level in _edges(3)]
        [[0, 3], [0, 2, 3], [0, 1, 2, 3]]
    """
    levels = [np.array([0, n], np.int32)]
    while len(levels[-1]) <= n:
        level = levels[-1]
        levels.append(np.unique(np.concatenate([level, (level[:-1] + level[1:] + 1) // 2])))
    return levels


@compiled
def _find(
    patches: Integers,
    parts: Integers,
    n_parts: Integers,
    starts: Integers,
    sums: Integers,
    children: Integers,
    masses: Integers,
    cumulative: Integers,
    ranks: Integers,
) -> Integers:
    """Find the nearest motif of each patch.

    The tree is searched within a distance that grows until a motif is found, and shrinks to that motif's.

    Parameters:
        patches: counts added up along time, (patches, p_n × p_t).
        parts: counts of the parts of all levels, (patches, parts).
        n_parts: parts of each level.
        starts, sums, children, masses, cumulative, ranks: as in `Nearest`.
    """
    n, size = patches.shape
    last = len(n_parts) - 1
    n_nodes = starts[last + 1]
    at_sums, at_parts = np.zeros(last + 1, np.int64), np.zeros(last + 1, np.int64)  # where each level begins
    for level in range(last):
        at_sums[level + 1] = at_sums[level] + np.int64(starts[level + 1] - starts[level]) * n_parts[level]
        at_parts[level + 1] = at_parts[level] + n_parts[level]
    node, stop = np.empty(last + 1, np.int64), np.empty(last + 1, np.int64)
    found = np.empty(n, np.int32)
    none = np.int64(1) << 40
    for i in range(n):
        mass = np.int64(0)
        for b in range(size):
            mass += patches[i, b]
        best = np.int64(-1)
        spikes = np.int64(0)  # how far away to search, and then the first part of the least distance
        bins = none  # the second part
        while best < 0:
            level = 0
            node[0], stop[0] = 0, starts[1]
            while level >= 0:
                if node[level] == stop[level]:
                    level -= 1
                    continue
                g = node[level]
                node[level] += 1
                m = n_parts[level]
                a, p = at_sums[level] + (g - starts[level]) * m, at_parts[level]
                differ = np.int64(0)
                for k in range(m):
                    differ += abs(parts[i, p + k] - sums[a + k])
                if differ > spikes:
                    continue
                if level < last:
                    level += 1
                    node[level], stop[level] = children[g], children[g + 1]
                    continue
                if differ < spikes:
                    best, bins, spikes = np.int64(-1), none, differ
                first, end = np.int64(children[g] - n_nodes), np.int64(children[g + 1] - n_nodes)
                middle = first + np.searchsorted(masses[first:end], mass)
                for step in (1, -1):
                    j = middle if step == 1 else middle - 1
                    while first <= j < end and abs(masses[j] - mass) <= bins:
                        moved = np.int64(0)
                        for b in range(size):
                            moved += abs(patches[i, b] - cumulative[j, b])
                        if moved < bins or (moved == bins and ranks[j] < best):
                            bins, best = moved, np.int64(ranks[j])
                        j += step
            if best < 0:
                spikes += 1 + spikes // 4
        found[i] = best
    return found
