"""Which rows of a component are for testing, which for validation, and which for training.

The options and the names and sizes of the component's own rows decide: adding a component never moves another's rows.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from neuralpile.catalog import DataSetInfo
from neuralpile.corpus.rows import Names

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SplitBy = Literal["row", "session", "subject"]
SPLIT_BY: tuple[SplitBy, ...] = get_args(SplitBy)


@dataclass(frozen=True)
class SplitOptions:
    """How a corpus is split.

    Attributes:
        test_size: share of each component's tokens that is for testing; without effect if test rows are named.
        seed: of the choice, and of the order of rows.
        split_by: what stays whole, on one side: rows, sessions or subjects.
        validation_size: share of each component's tokens that is for validation; 0 for no such split.
        test_subjects: subject ids whose rows are for testing.
        test_sessions: session ids whose rows are for testing.
        test_datasets: names of components whose rows are for testing.
    """

    test_size: float = 0.01
    seed: int = 0
    split_by: SplitBy = "row"
    validation_size: float = 0.0
    test_subjects: tuple[str, ...] = ()
    test_sessions: tuple[str, ...] = ()
    test_datasets: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of the corpus."""
        return (TRAIN, VALIDATION, TEST) if self.validation_size else (TRAIN, TEST)

    @property
    def names_test_rows(self) -> bool:
        """Whether the test rows are named, and not chosen by size."""
        return bool(self.test_subjects or self.test_sessions or self.test_datasets)

    def stated(self) -> dict[str, Any]:
        """The options for `manifest.json`: those that every merge has, and others that are used."""
        return {key: value for key, value in asdict(self).items() if value or key in ("seed", "test_size", "split_by")}


@dataclass(frozen=True)
class Sides:
    """Rows, sessions and tokens of a component in each split."""

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


def assign(
    name: str,
    names: Sequence[Names],
    tokens: Sequence[int],
    options: SplitOptions,
    info: DataSetInfo | None = None,
) -> npt.NDArray[np.uint8]:
    """The split of each row of a component, as an index into `options.splits`: (rows,).

    Parameters:
        name: of the component, without the owner of a Hub repository: here and on the Hub the split is the same.
        names: of its rows.
        tokens: of its rows.
        options: how to split.
        info: which subjects and sessions of this data set belong together.
    """
    if options.names_test_rows:
        test = named(name, names, options, info)
    else:
        test = in_test(name, names, tokens, options.test_size, options.seed, options.split_by, info)
    found = np.where(test, len(options.splits) - 1, 0).astype(np.uint8)
    if options.validation_size:
        left = np.flatnonzero(~test).tolist()
        size = options.validation_size * sum(tokens) / max(1, sum(tokens[i] for i in left))
        some = [names[i] for i in left], [tokens[i] for i in left]
        validation = in_test(name, *some, min(size, 1.0), options.seed, options.split_by, info)
        found[np.array(left, np.int64)[validation]] = 1
    return found


def named(
    name: str, names: Sequence[Names], options: SplitOptions, info: DataSetInfo | None = None
) -> npt.NDArray[np.bool_]:
    """Which rows of a component the options name for testing: boolean (rows,).

    All rows of a named subject's or session's group, as `info` states it, are in the test split too.
    """
    if name in {data_set.rpartition("/")[2] for data_set in options.test_datasets}:
        return np.ones(len(names), bool)
    subjects = {group_of(row, "subject", info) for row in names if row.subject_id in options.test_subjects}
    sessions = {group_of(row, "session", info) for row in names if row.session_id in options.test_sessions}
    return np.array(
        [group_of(row, "subject", info) in subjects or group_of(row, "session", info) in sessions for row in names],
        bool,
    )


def in_test(
    name: str,
    names: Sequence[Names],
    tokens: Sequence[int],
    test_size: float,
    seed: int,
    split_by: SplitBy = "row",
    info: DataSetInfo | None = None,
) -> npt.NDArray[np.bool_]:
    """Which rows of a component are in the test split, by size: boolean (rows,).

    Groups of rows (`group_of`) are visited in the order of hashes of their names. A group is taken if the
    test split then has at most `test_size` of the component's tokens. One more is taken if that comes nearer to
    `test_size`. A group is never divided, and at least one stays out, so the split can be empty.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, row in enumerate(names):
        groups.setdefault(group_of(row, split_by, info), []).append(i)
    sizes = {group: sum(tokens[i] for i in its) for group, its in groups.items()}
    target, held = test_size * sum(tokens), 0
    taken: list[tuple[str, ...]] = []
    left: list[tuple[str, ...]] = []
    for group in sorted(groups, key=lambda group: place(seed, name, split_by, group)):
        fits = held + sizes[group] <= target and len(taken) + 1 < len(groups)
        (taken if fits else left).append(group)
        held += sizes[group] if fits else 0
    if len(left) > 1:
        nearest = min(left, key=lambda group: abs(held + sizes[group] - target))
        if abs(held + sizes[nearest] - target) < abs(held - target):
            taken.append(nearest)
    found = np.zeros(len(names), bool)
    found[[i for group in taken for i in groups[group]]] = True
    return found


def sides(
    names: Sequence[Names], tokens: Sequence[int], assigned: npt.NDArray[np.uint8], splits: Sequence[str]
) -> Sides:
    """What is in each split; `assigned` as `assign` gives it."""
    sizes = np.array(tokens, np.int64)
    chosen = {split: np.flatnonzero(assigned == i).tolist() for i, split in enumerate(splits)}
    return Sides(
        {split: len(numbers) for split, numbers in chosen.items()},
        {split: len({names[i][:2] for i in numbers}) for split, numbers in chosen.items()},
        {split: int(sizes[numbers].sum()) for split, numbers in chosen.items()},
    )
