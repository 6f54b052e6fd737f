"""Compile functions on arrays with numba, and keep the compiled code between runs where that is possible."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function on its first call. It runs without the interpreter lock, so threads run it in parallel.

    The machine code is cached beside the source file, or in the user's cache folder, or in `NUMBA_CACHE_DIR`. Where
    none of these can be written (installed code and no home folder, or a full disk), every process compiles anew, which
    takes some seconds. numba, whose import takes half a second, is imported on the first call too.

    Parameters:
        function: a function that numba compiles in its nopython mode. It may call other compiled functions that are
            names in its module.

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
    return _Compiled(function)


class _Compiled(Generic[P, R]):
    """A function that becomes numba's on its first call."""

    _lock = threading.RLock()

    def __init__(self, function: Callable[P, R]) -> None:
        self._function = function
        self._made: Callable[P, R] | None = None
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return (self._made or self._make())(*args, **kwargs)

    def _make(self) -> Callable[P, R]:
        with self._lock:
            if self._made is None:
                names: dict[str, Any] = self._function.__globals__
                named = {name: value for name, value in list(names.items()) if isinstance(value, _Compiled)}
                own = [self, *(value for value in named.values() if value._function.__globals__ is names)]
                for value in named.values():
                    if value not in own:  # of another module: what it calls is numba's first
                        value._make()
                made = {id(value): value._made or _numba(value._function) for value in [*named.values(), self]}
                # What a function calls must be numba's when another thread finds it: all names change at once.
                names.update({name: made[id(value)] for name, value in named.items()})
                for value in own:
                    value._made = made[id(value)]
            assert self._made is not None
            return self._made


def _numba(function: Callable[..., Any]) -> Any:
    """The function as numba compiles it on its first call."""
    import numba
    from numba.core.caching import FunctionCache

    class Cache(FunctionCache):
        """numba's cache, where a full disk ends no work: the code is compiled anew next time."""

        def save_overload(self, sig: Any, data: Any) -> None:
            with suppress(OSError):
                super().save_overload(sig, data)

    try:
        made: Any = numba.njit(cache=True, nogil=True)(function)
        made._cache = Cache(function)
    except RuntimeError:  # numba found no folder that it can write to
        return numba.njit(nogil=True)(function)
    return made
