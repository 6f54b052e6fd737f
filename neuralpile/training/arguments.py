"""What users give to windows and streams: numbers and words are checked once, and what is wrong is one line."""

import math
import operator
import sys
from collections.abc import Sequence

import numpy as np

from neuralpile.errors import BadInput
from neuralpile.training.permutation import Integers

MOST = 1 << 31  # of what is counted: products of two stay within 64 bits
FARTHEST = 1 << 62  # place in the stream of all epochs


def whole(name: str, value: object, least: int | None = 0, most: int | None = MOST) -> int:
    """A whole number, of Python or numpy, as Python has it.

    Parameters:
        name: what it is called in the error.
        value: what a user gave.
        least, most: its range; None for no bound.

    Raises:
        BadInput: it is none, or outside of the range.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or (least is not None and number < least):
        of = "" if least is None else f" of at least {least}"
        kind, found = ("a whole number", repr(value)) if number is None else ("a number", str(number))
        raise BadInput(name, kind + of, found[:80], "give another")
    if most is not None and number > most:
        raise BadInput(name, f"a whole number of at most {most}", f"{number:,}"[:80], "give another")
    return number


def whole_numbers(name: str, values: Sequence[int] | Integers, most: int = FARTHEST) -> Integers:
    """Whole numbers that count from 0, as an array.

    Raises:
        BadInput: they are none, or too large.
        IndexError: one is negative.
    """
    try:
        found = np.asarray(values)
    except ValueError:  # lists of several lengths
        found = np.empty(1, object)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise BadInput("numbers", "whole numbers, one after another", repr(values)[:80], "give others")
    if found.size and (least := int(found.min())) < 0:
        raise IndexError(f"{name} {least}: numbers count from 0")
    if found.size and (largest := int(found.max())) > most:
        raise BadInput(name, f"a whole number of at most {most}", f"{largest:,}", "give another")
    return found.astype(np.int64)


def number(name: str, value: object, least: float, of: str = "") -> float:
    """A number that is not too small, infinite or NaN. `of` names it more closely. Raises BadInput."""
    found = f"{of} {repr(value) if isinstance(value, str) else value}".strip()[:80]
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise BadInput(name, f"numbers of at least {least:g}", found, "give another")
    if not (least <= value <= sys.float_info.max) or not math.isfinite(value):
        raise BadInput(name, f"numbers of at least {least:g}", found, "give another")
    return float(value)


def flag(name: str, value: object) -> bool:
    """Whether something is wanted. Raises BadInput for what is neither True nor False: "no" would count as yes."""
    if not isinstance(value, bool | np.bool_):
        raise BadInput(name, "True or False", repr(value)[:80], "give one of these")
    return bool(value)


def check_word(name: str, word: str, known: Sequence[str]) -> None:
    """Raise BadInput if a word is not one of those that have a meaning."""
    if word not in known:
        raise BadInput(name, f"one of {', '.join(known)}", str(word)[:80], "give one of these")
