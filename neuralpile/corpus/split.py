"""Which rows of a corpus are for testing, which for validation, and which for training.

The options and the names and sizes of a component's own rows decide: adding a component never moves another's rows.
There are two exceptions. Split by animals, components that have an animal in common are drawn together. As published,
all rows are.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from neuralpile import evaluation
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus.rows import AllNames, Names, Texts

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SplitBy = Literal["row", "session", "animal"]
SPLIT_BY: tuple[SplitBy, ...] = get_args(SplitBy)
PUBLISHED_SIZE = 0.01  # share of the rows in the published test split


@dataclass(frozen=True)
class SplitOptions:
    """How a corpus is split.

    Attributes:
        test_size: share of each component's tokens that is for testing; without effect if test rows are named.
        seed: of the choice, and of the order of rows.
        split_by: what stays whole, on one side: rows, sessions or animals.
        validation_size: share of each component's tokens that is for validation; 0 for no such split.
        test_subjects: subject ids whose rows are for testing.
        test_sessions: session ids whose rows are for testing.
        test_datasets: names of components whose rows are for testing.
        min_test_rows: rows of each component in the test split, if it has more than one group (`Part.groups`);
            without effect if test rows are named.
        hold_out: benchmarks whose evaluation data are for testing.
        leave_out: benchmarks whose evaluation data are not in the corpus.
        as_published: draw 1 % of all rows together, whatever their component; the sizes above have no effect.
    """

    test_size: float = 0.01
    seed: int = 0
    split_by: SplitBy = "row"
    validation_size: float = 0.0
    test_subjects: tuple[str, ...] = ()
    test_sessions: tuple[str, ...] = ()
    test_datasets: tuple[str, ...] = ()
    min_test_rows: int = 1
    hold_out: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    as_published: bool = False

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
        always = {"seed"} if self.as_published else {"seed", "test_size", "split_by", "min_test_rows"}
        unused = {"test_size", "split_by", "min_test_rows"} if self.as_published else set()
        return {key: value for key, value in asdict(self).items() if (value or key in always) and key not in unused}


@dataclass(frozen=True)
class Sides:
    """Rows, sessions, tokens, and groups of rows (`Part.groups`) of a component in each split."""

    rows: dict[str, int]
    sessions: dict[str, int]
    tokens: dict[str, int]
    groups: dict[str, int] = field(default_factory=dict)  # not in corpora of versions before 0.3.0


class Groups(NamedTuple):
    """Groups of a component's rows: those of one group stay on one side of the split.

    Attributes:
        keys: the name of each group.
        of_row: the number of each row's group: (rows,).
    """

    keys: Sequence[tuple[str, ...]]
    of_row: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """The rows of a component, as far as a split depends on them.

    Attributes:
        name: of the component, without the owner of a Hub repository: here and on the Hub the split is the same.
        info: which subjects are which animal, and which sessions belong together; without it, equal names do.
        tokens: of each row: (rows,).
        sessions: subject and session id of each session.
        session: the number of each row's session: (rows,).
        segments: the segment ids that there are, each a line of one column.
        segment: the number of each row's segment id: (rows,).
        taken_of: the part that these rows were taken of, and the numbers of their sessions there.
    """

    name: str
    info: DataSetInfo | None
    tokens: npt.NDArray[np.int64]
    sessions: Texts
    session: npt.NDArray[np.int64]
    segments: Texts
    segment: npt.NDArray[np.int64]
    taken_of: "tuple[Part, npt.NDArray[np.int64]] | None" = None

    @classmethod
    def of(cls, name: str, names: Sequence[Names], tokens: Sequence[int], info: DataSetInfo | None = None) -> "Part":
        """A component whose rows have these names and tokens."""
        table = (names if isinstance(names, AllNames) else AllNames.of(names)).table
        subject_id, session_id, segment_id = (table[column].combine_chunks() for column in Names._fields[:3])
        sessions, session = Texts(subject_id, session_id).different()
        segments, segment = Texts(segment_id).different()
        return cls(name, info, np.array(tokens, np.int64), sessions, session, segments, segment)

    def only(self, rows: npt.NDArray[np.int64]) -> "Part":
        """The same component with these rows only."""
        found, session = np.unique(self.session[rows], return_inverse=True)
        sessions = self.sessions.take(found)
        tokens, segment = self.tokens[rows], self.segment[rows]
        taken_of = self, found
        return replace(self, tokens=tokens, sessions=sessions, session=session, segment=segment, taken_of=taken_of)

    def groups(self, split_by: SplitBy) -> Groups:
        """The groups of rows that stay whole.

        Example:
            >>> from neuralpile import catalog
            >>> calib = Names("sub-MonkeyN-held-in-calib", "sub-MonkeyN-held-in-calib_ses-2020-10-19-Run1", "segment_0")
            >>> part = Part.of("m2", [calib], [1], catalog.load("m2"))
            >>> part.groups("session").keys, part.groups("animal").keys
            ([('sub-MonkeyN', '2020-10-19')], [('chestek-n',)])
        """
        if split_by == "row":
            places = self.session * len(self.segments) + self.segment
            found, of_row = np.unique(places, return_inverse=True)
            session, segment = np.divmod(found, len(self.segments))
            keys = Texts(*self.sessions.take(session).columns, *self.segments.take(segment).columns)
            return Groups(keys, of_row)
        of_session = self.animals() if split_by == "animal" else self.session_groups()
        numbers: dict[tuple[str, ...], int] = {}
        number = np.fromiter((numbers.setdefault(key, len(numbers)) for key in of_session), np.int64)
        return Groups([*numbers], number[self.session])

    def animals(self) -> list[tuple[str]]:
        """The animal of each session, by one name across components if the data set states one."""
        animal = cache(self.info.animal if self.info else lambda subject_id: f"{self.name}/{subject_id}")
        return [(animal(subject_id),) for subject_id, _ in self.sessions]

    def session_groups(self) -> Sequence[tuple[str, ...]]:
        """The group of each session: recordings of one group are of one session, as the data set states it."""
        if not self.info:
            return self.sessions
        subject, session = cache(self.info.subject_group), self.info.session_group
        return [(subject(subject_id), session(session_id)) for subject_id, session_id in self.sessions]

    def evaluated(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Which sessions are evaluation data of which benchmark: boolean (sessions,), by name.

        Where the list says that trials are repeated, all recordings of the same session are, also if `only` did not
        take the one that repeats them.
        """
        if self.taken_of is not None:
            whole, sessions = self.taken_of
            return {benchmark: its[sessions] for benchmark, its in whole.evaluated().items()}
        data_set = self.info.name if self.info else self.name
        found: dict[str, npt.NDArray[np.bool_]] = {}
        repeating: dict[str, list[int]] = {}
        for i, (subject_id, session_id) in enumerate(self.sessions):
            for benchmark, its in evaluation.parts_of(data_set, subject_id, session_id):
                if its.role in evaluation.EVALUATED:
                    found.setdefault(benchmark, np.zeros(len(self.sessions), bool))[i] = True
                    if its.repeats:
                        repeating.setdefault(benchmark, []).append(i)
        groups = self.session_groups() if repeating else ()
        for benchmark, those in repeating.items():
            repeated = {groups[i] for i in those}
            found[benchmark] |= np.array([group in repeated for group in groups], bool)
        return found

    def evaluated_by(self, benchmarks: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Which rows are evaluation data of any of these benchmarks: boolean (rows,)."""
        found = self.evaluated() if benchmarks else {}
        sessions = np.zeros(len(self.sessions), bool)
        for benchmark in benchmarks:
            sessions |= found.get(benchmark, False)
        return sessions[self.session]

    def sides(self, assigned: npt.NDArray[np.uint8], options: SplitOptions) -> Sides:
        """What is in each split; `assigned` as `assign` gives it."""
        chosen = {split: assigned == i for i, split in enumerate(options.splits)}
        group = self.groups(options.split_by).of_row
        return Sides(
            {split: int(rows.sum()) for split, rows in chosen.items()},
            {split: len(np.unique(self.session[rows])) for split, rows in chosen.items()},
            {split: int(self.tokens[rows].sum()) for split, rows in chosen.items()},
            {split: len(np.unique(group[rows])) for split, rows in chosen.items()},
        )


def place(*key: Any) -> bytes:
    """A place in a shuffled order that depends on the key alone: its SHA-256."""
    return hashlib.sha256(json.dumps(key).encode()).digest()


def places(part: Part, seed: int) -> npt.NDArray[np.bytes_]:
    """The place of each row in the order of the corpus, by its name: 32 bytes each (rows,)."""
    rows = part.groups("row")
    return np.fromiter((place(seed, part.name, *key) for key in rows.keys), "S32", len(rows.keys))[rows.of_row]


def named(parts: Sequence[Part], options: SplitOptions) -> list[npt.NDArray[np.bool_]]:
    """Which sessions of each component the options name for testing: boolean (sessions,).

    All sessions of a named subject's animal, in any component, and of a named session's group are in the test split.
    """
    own_names = {name.rpartition("/")[2] for name in options.test_datasets}
    animals = {
        animal
        for part in (parts if options.test_subjects else ())
        for animal, (subject_id, _) in zip(part.animals(), part.sessions, strict=True)
        if subject_id in options.test_subjects
    }
    found = []
    for part in parts:
        test = np.full(len(part.sessions), part.name in own_names)
        if animals:
            test |= np.array([animal in animals for animal in part.animals()], bool)
        if options.test_sessions:
            groups = part.session_groups()
            its = {group for group, ids in zip(groups, part.sessions, strict=True) if ids[1] in options.test_sessions}
            test |= np.array([group in its for group in groups], bool)
        found.append(test)
    return found


def assign(parts: Sequence[Part], options: SplitOptions) -> list[npt.NDArray[np.uint8]]:
    """The split of each row of each component, as an index into `options.splits`: (rows,).

    Parameters:
        parts: the components.
        options: how to split.
    """
    test = [
        session[part.session] | part.evaluated_by(options.hold_out)
        for session, part in zip(named(parts, options), parts, strict=True)
    ]
    groups = [part.groups(options.split_by) for part in parts]
    found = [np.zeros(len(part.tokens), np.uint8) for part in parts]
    for together in _linked([its.keys for its in groups], options.split_by):
        linked = sorted(together, key=lambda i: parts[i].name)
        draw = _Draw.of([parts[i] for i in linked], [groups[i] for i in linked], options)
        sides = draw.sides(np.concatenate([test[i] for i in linked]), options)
        for i, its in zip(linked, sides, strict=True):
            found[i] = its
    return found


def _linked(keys: Sequence[Sequence[tuple[str, ...]]], split_by: SplitBy) -> list[list[int]]:
    """The numbers of the components that are drawn together: those with an animal in common, at any remove."""
    if split_by != "animal":
        return [[i] for i in range(len(keys))]
    linked: list[tuple[set[tuple[str, ...]], list[int]]] = []
    for i, its in enumerate(keys):
        joined = {*its}, [i]
        apart = []
        for other in linked:
            if joined[0].isdisjoint(other[0]):
                apart.append(other)
            else:
                joined = joined[0] | other[0], joined[1] + other[1]
        linked = [*apart, joined]
    return [numbers for _, numbers in linked]


@dataclass(frozen=True)
class _Draw:
    """The groups of rows of components that are drawn together, in the order in which they are visited.

    Attributes:
        tokens: of each group: (groups,).
        rows: of each group in each component: (groups, components).
        of_row: the number of each row's group, by component: (rows,).
    """

    tokens: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    of_row: list[npt.NDArray[np.int64]]

    @classmethod
    def of(cls, parts: Sequence[Part], groups: Sequence[Groups], options: SplitOptions) -> "_Draw":
        """The groups of these components."""
        places = []
        for part, its in zip(parts, groups, strict=True):
            owner = () if options.split_by == "animal" else (part.name,)
            of_group = (place(options.seed, *owner, options.split_by, key) for key in its.keys)
            places.append(np.fromiter(of_group, "S32", len(its.keys)))
        different = np.unique(np.concatenate(places))
        of_row = [np.searchsorted(different, its)[group.of_row] for its, group in zip(places, groups, strict=True)]
        n = len(different)
        tokens = np.zeros(n, np.int64)
        for part, its_rows in zip(parts, of_row, strict=True):
            np.add.at(tokens, its_rows, part.tokens)
        rows = np.stack([np.bincount(its_rows, minlength=n) for its_rows in of_row], axis=1)
        return cls(tokens, rows, of_row)

    def sides(self, named: npt.NDArray[np.bool_], options: SplitOptions) -> list[npt.NDArray[np.uint8]]:
        """The split of each row by component; `named` says of the rows of all which are for testing in any case."""
        test = np.zeros(len(self.tokens), bool)
        test[np.concatenate(self.of_row)[named]] = True
        total = int(self.tokens.sum())
        if not options.names_test_rows:
            test = self.take(~test, test, options.test_size * total, options.min_test_rows)
        validation = np.zeros(len(test), bool)
        if options.validation_size:
            validation = self.take(~test, validation, options.validation_size * total)
        sides = np.where(test, len(options.splits) - 1, validation).astype(np.uint8)
        return [sides[its_rows] for its_rows in self.of_row]

    def take(
        self, left: npt.NDArray[np.bool_], taken: npt.NDArray[np.bool_], target: float, least: int = 0
    ) -> npt.NDArray[np.bool_]:
        """Which groups a split gets: boolean (groups,).

        Groups are visited in their order. A group is taken if the split then has at most the target. One more is
        taken if that comes nearer to the target. Then, of each component that has too few rows in the split, the
        smallest groups are taken.

        A group is never divided, and the last group of a component is not taken, so the split can be empty. There is
        one exception: the last group of a component is taken if another component has too few rows without it.

        Parameters:
            left: the groups that can be taken: boolean (groups,).
            taken: the groups that are in the split already: boolean (groups,).
            target: tokens in the split.
            least: rows of each component in the split.
        """
        left, taken = left.copy(), taken.copy()
        inside = self.rows > 0
        out = inside[left].sum(axis=0)  # groups of each component that stay out
        rows = self.rows[taken].sum(axis=0)
        held = int(self.tokens[taken].sum())

        def spare(i: int) -> bool:
            return bool((out[inside[i]] > 1).all())

        def move(i: int) -> None:
            nonlocal held, out, rows
            left[i], taken[i] = False, True
            out, rows, held = out - inside[i], rows + self.rows[i], held + int(self.tokens[i])

        for i, n in enumerate(self.tokens.tolist()):
            if left[i] and held + n <= target and spare(i):
                move(i)
        off = np.where(left & ((out > 1) | ~inside).all(axis=1), abs(held + self.tokens - target), np.inf)
        if len(off) and off.min() < abs(held - target):
            move(int(off.argmin()))
        smallest = np.argsort(self.tokens, kind="stable")
        for component in range(len(out)):
            its = smallest[inside[smallest, component]].tolist()
            for needed in (False, True):  # at first without the last groups of other components
                for i in its:
                    if rows[component] >= least or out[component] < 2:
                        break
                    if left[i] and (needed or spare(i)):
                        move(i)
        return taken


def as_published(n_rows: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """The split of the published corpus: 1 % of all rows, rounded up, are for testing, whatever their component.

    The rows are drawn as `Dataset.train_test_split(0.01, seed=seed)` of Hugging Face `datasets` draws them, which the
    published merge used. It used no seed, so its test rows themselves cannot be drawn again.

    Parameters:
        n_rows: of all components.
        seed: of the permutation.

    Returns:
        The order of the rows, and the split of each row: 0 for training, 1 for testing.
    """
    order = np.random.default_rng(seed).permutation(n_rows)
    assigned = np.zeros(n_rows, np.uint8)
    assigned[order[: min(math.ceil(PUBLISHED_SIZE * n_rows), n_rows - 1)]] = 1  # one row at least is for training
    return order, assigned
