"""Compile functions on arrays with numba, and keep the compiled code between runs where that is possible."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function on its first call. It runs without the interpreter lock, so threads run it in parallel.

    The machine code is cached beside the source file, or in the user's cache folder, or in `NUMBA_CACHE_DIR`. Where
    none of these can be written (installed code and no home folder, say), every process compiles anew, which takes
    some seconds.

    Parameters:
        function: a function that numba compiles in its nopython mode.

    Returns:
        The compiled function, with the same signature.

    Example:
        >>> import numpy as np
        >>> @compiled
        ... def total(values: np.ndarray) -> int:
        ...     found = 0
        ...     for value in values:
        ...         found += value
        ...     return found
        >>> total(np.array([1, 2, 3]))
        6
    """
    try:
        made: Callable[P, R] = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found no folder that it can write to
        made = numba.njit(nogil=True)(function)
    return made
