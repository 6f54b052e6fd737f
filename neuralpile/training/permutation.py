"""Permutations and random numbers that are functions of a key: nothing is drawn in order, and nothing is kept.

A permutation of any size takes no memory: a Feistel network permutes the numbers below a power of four (Luby & Rackoff
1988, SIAM J Comput 17:373), and numbers that fall outside of the size are permuted again until they are inside
(cycle walking: Black & Rogaway 2002, CT-RSA). Hashes are the finalizer of SplitMix64 (Steele et al. 2014, OOPSLA).
"""

import numpy as np
import numpy.typing as npt

from neuralpile.compile import compiled
from neuralpile.corpus.split import place

ROUNDS = 6  # of the Feistel network: four are a pseudorandom permutation, by Luby & Rackoff

GOLDEN, FIRST, SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))

Integers = npt.NDArray[np.int64]


def key_of(*parts: object) -> np.uint64:
    """A key of 64 bits that depends on these parts alone, the same on every machine.

    Example:
        >>> bool(key_of(0, "order", 3) == key_of(0, "order", 3)), bool(key_of(0, "order", 3) == key_of(0, "order", 4))
        (True, False)
    """
    return np.uint64(int.from_bytes(place(*parts)[:8], "little"))


def _hashed(key, value):  # type: ignore[no-untyped-def]
    """A number of 64 bits that depends on a key and a value, both of 64 bits, or arrays of them."""
    z = key + (value + np.uint64(1)) * GOLDEN
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    return z ^ (z >> np.uint64(31))


hashed = compiled(_hashed)


@compiled
def permuted(i, size, key):  # type: ignore[no-untyped-def]
    """Where a permutation of `size` numbers, chosen by a key, takes number `i`."""
    half = np.uint64(1)
    while (np.uint64(1) << (np.uint64(2) * half)) < np.uint64(size):
        half += np.uint64(1)
    mask = (np.uint64(1) << half) - np.uint64(1)
    z = np.uint64(i)
    while True:
        left, right = z >> half, z & mask
        for turn in range(ROUNDS):
            left, right = right, left ^ (hashed(key + np.uint64(turn), right) & mask)
        z = (left << half) | right
        if z < np.uint64(size):
            return np.int64(z)


def hashes(keys: npt.ArrayLike, values: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """A number of 64 bits for each key and value: `hashed` of whole arrays."""
    with np.errstate(over="ignore"):
        return np.asarray(_hashed(np.asarray(keys, np.uint64), np.asarray(values).astype(np.uint64)))


def below(numbers: npt.NDArray[np.uint64], sizes: Integers) -> Integers:
    """A number below each size, of numbers of 64 bits."""
    return (numbers % sizes.astype(np.uint64)).astype(np.int64)


@compiled
def _permute(numbers, sizes, keys, out):  # type: ignore[no-untyped-def]
    for k in range(len(numbers)):
        out[k] = permuted(numbers[k], sizes[k], keys[k])


def permute(numbers: Integers, sizes: Integers, keys: npt.NDArray[np.uint64]) -> Integers:
    """Permute numbers, each by a permutation of its own.

    Parameters:
        numbers: (n,), from 0 to below the size.
        sizes: (n,), how many numbers each permutation is of, at least 1.
        keys: (n,), which permutation.

    Example:
        >>> numbers = np.arange(5)
        >>> sorted(permute(numbers, np.full(5, 5), np.full(5, key_of("any"))).tolist())
        [0, 1, 2, 3, 4]
    """
    out = np.empty(len(numbers), np.int64)
    _permute(numbers, sizes, keys, out)
    return out


def subset(n_of: int, size: int, key: np.uint64) -> Integers:
    """`n_of` different numbers below `size`, in rising order; every subset is as likely as any other.

    Example:
        >>> subset(3, 3, key_of("any"))
        array([0, 1, 2])
    """
    return np.sort(permute(np.arange(n_of), np.full(n_of, size), np.full(n_of, key)))
