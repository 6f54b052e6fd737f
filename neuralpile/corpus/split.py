"""Which rows of a component are in the test split.

The answer follows from the names and sizes of the component's own rows and the seed: adding a component never moves
another's rows.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from neuralpile.catalog import DataSetInfo
from neuralpile.corpus.rows import Names

TRAIN, TEST = "train", "test"
SplitBy = Literal["row", "session", "subject"]
SPLIT_BY: tuple[SplitBy, ...] = get_args(SplitBy)


@dataclass(frozen=True)
class Sides:
    """Rows, sessions and tokens on both sides of the split."""

    rows: dict[str, int]
    sessions: dict[str, int]
    tokens: dict[str, int]


def group_of(names: Names, split_by: SplitBy, info: DataSetInfo | None = None) -> tuple[str, ...]:
    """The group that a row is in: rows of one group stay on one side of the split.

    `info` states which subjects and which sessions belong together; without it, equal names do.

    Example:
        >>> from neuralpile import catalog
        >>> calib = Names("sub-MonkeyL-held-in-calib", "sub-MonkeyL-held-in-calib_ses-20120924", "segment_0")
        >>> group_of(calib, "session", catalog.load("m1-a"))
        ('sub-MonkeyL', '20120924')
    """
    if split_by == "row":
        return tuple(names)
    subject = info.subject_group(names.subject_id) if info else names.subject_id
    if split_by == "subject":
        return (subject,)
    return subject, info.session_group(names.session_id) if info else names.session_id


def place(*key: Any) -> bytes:
    """A place in a shuffled order that depends on the key alone: its SHA-256."""
    return hashlib.sha256(json.dumps(key).encode()).digest()


def in_test(
    name: str,
    names: Sequence[Names],
    tokens: Sequence[int],
    test_size: float,
    seed: int,
    split_by: SplitBy = "row",
    info: DataSetInfo | None = None,
) -> npt.NDArray[np.bool_]:
    """Which rows of a component are in the test split: boolean (rows,).

    Groups of rows (`group_of`) are visited in the order of hashes of their names. Each is taken with which the test
    split still has at most `test_size` of the component's tokens. One more is taken where that comes nearer to
    `test_size`. A group is never divided, and at least one stays out: the split can be empty.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, row in enumerate(names):
        groups.setdefault(group_of(row, split_by, info), []).append(i)
    sizes = {group: sum(tokens[i] for i in its) for group, its in groups.items()}
    target, held = test_size * sum(tokens), 0
    taken, left = [], []
    for group in sorted(groups, key=lambda group: place(seed, name, split_by, group)):
        fits = held + sizes[group] <= target
        (taken if fits else left).append(group)
        held += sizes[group] if fits else 0
    if len(left) > 1:
        nearest = min(left, key=lambda group: abs(held + sizes[group] - target))
        if abs(held + sizes[nearest] - target) < abs(held - target):
            taken.append(nearest)
    found = np.zeros(len(names), bool)
    found[[i for group in taken for i in groups[group]]] = True
    return found


def sides(names: Sequence[Names], tokens: Sequence[int], test: npt.NDArray[np.bool_]) -> Sides:
    """What is on both sides of the split."""
    sizes = np.array(tokens, np.int64)
    chosen = {TRAIN: np.flatnonzero(~test), TEST: np.flatnonzero(test)}
    return Sides(
        {split: len(numbers) for split, numbers in chosen.items()},
        {split: len({names[i][:2] for i in numbers}) for split, numbers in chosen.items()},
        {split: int(sizes[numbers].sum()) for split, numbers in chosen.items()},
    )
