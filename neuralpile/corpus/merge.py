"""One corpus of many data sets: rows shuffled with a seed, a part of each data set set aside as a test split.

Which side a row is on follows from the names and sizes of its data set's rows and the seed, its place among others from
its own name, its data set's and the seed: another component moves nothing. Only names and sizes of rows are in memory;
the rows themselves go from file to file.
"""

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from neuralpile import __version__
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import MERGED_SCHEMA, SCHEMA, Names, Row, RowSource
from neuralpile.corpus.store import LocalRows
from neuralpile.errors import BadInput
from neuralpile.files import take_away_old, whole_folder, write_text
from neuralpile.open import open_data_set

SHARD = 500_000_000  # tokens in an Arrow file of a merged corpus, a row more at most: near what the Hub advises
TRAIN, TEST = "train", "test"
FETCHED = "fetched"  # folder for what comes from the Hub, while a merge is at work

# FALCON: "held-in-minival" repeats the beginning of "held-in-calib", of the same day and under a subject of its own
SPLIT_OF_A_SUBJECT = re.compile(r"-held-(in|out)-\w+$")
# The day in a session's name: 20120924, 2020-10-19, t15.2023.08.11_data_train, 06242019 (neupane). The recordings of a
# day are of the same units: kim's blocks of one penetration, 20190101SL and 20190101TX, say.
DAY = re.compile(r"(?<!\d)\d{4}[-.]?\d\d[-.]?\d\d(?!\d)")
# NLB's two files of one session, which can differ in what else is in them: sub-Han_desc-train_behavior+ecephys,
# sub-Han_desc-test_ecephys
PART_OF_A_SESSION = re.compile(r"_desc-(train|test)(_.*)?$")


@dataclass(frozen=True)
class Sides:
    """Rows, sessions and tokens on both sides of the split."""

    rows: dict[str, int]
    sessions: dict[str, int]
    tokens: dict[str, int]


def _row(names: Names) -> tuple[str, ...]:
    return tuple(names)


def _subject(names: Names) -> tuple[str, ...]:
    return (SPLIT_OF_A_SUBJECT.sub("", names.subject_id),)


def _session(names: Names) -> tuple[str, ...]:
    own = names.session_id.rpartition("_ses-")[2]  # what precedes it names the subject
    day = DAY.search(own)
    return (*_subject(names), day[0] if day else PART_OF_A_SESSION.sub("", own))


# What stays on one side: the choices of --split_by
GROUPS: dict[str, Callable[[Names], tuple[str, ...]]] = {"row": _row, "session": _session, "subject": _subject}


def _place(*key: object) -> bytes:
    """A place in a shuffled order that depends on the key alone: its SHA-256."""
    return hashlib.sha256(json.dumps(key).encode()).digest()


def in_test(
    name: str, names: list[Names], tokens: list[int], test_size: float, seed: int, split_by: str = "row"
) -> np.ndarray:
    """Which rows of a component are in the test split: boolean (rows,).

    Groups of rows (rows, sessions or subjects) are gone through in the order of hashes of their names, and those are
    taken with which the test split has at most `test_size` of the component's tokens; and one more, where it comes
    nearer by it. A group is never divided, and not all of them are taken: the split can be empty.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, row in enumerate(names):
        groups.setdefault(GROUPS[split_by](row), []).append(i)
    sizes = {group: sum(tokens[i] for i in its) for group, its in groups.items()}
    target, held = test_size * sum(tokens), 0
    taken, left = [], []
    for group in sorted(groups, key=lambda group: _place(seed, name, split_by, group)):
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


def merge(
    components: list[RowSource], out_dir: Path, test_size: float, seed: int, split_by: str = "row"
) -> dict[str, Sides]:
    """Write the rows of all components, shuffled and split, as a data set of two splits to `out_dir`.

    The same components (in any order), test size, seed and kind of split give the same bytes, also where an earlier run
    was killed: what it completed is kept. A corpus that was in `out_dir` is replaced when the new one is complete.

    Returns:
        For every component what is on both sides.

    Raises:
        BadInput: no components, two of one name or with the same rows, a corpus that is merged already, rows of
            another schema, or an `out_dir` that holds something else.
    """
    components = sorted(components, key=lambda component: component.name)
    _check(components, out_dir)
    options = {"seed": seed, "test_size": test_size, "split_by": split_by}
    fingerprints = {component.name: component.fingerprint for component in components}
    if (done := _done(out_dir, options, fingerprints)) is not None:
        take_away_old(out_dir)
        return done
    job = json.dumps([__version__, fingerprints, test_size, seed, split_by, SHARD])
    with whole_folder(out_dir, job) as folder:
        local = [_fetched(component, folder / FETCHED / str(n)) for n, component in enumerate(components)]
        sides = _write(local, folder, job, **options)
        made = {
            component.name: {
                "rows": component.fingerprint,
                "sides": asdict(sides[component.name]),
                "manifest": component.manifest(),
            }
            for component in components
        }
        manifest = {"version": __version__, "options": options, "components": made}
        write_text(folder / arrow.MANIFEST, json.dumps(manifest, indent=1) + "\n")
        write_text(folder / arrow.SPLITS, json.dumps({"splits": [TRAIN, TEST]}))
        shutil.rmtree(folder / FETCHED, ignore_errors=True)
    return sides


def _write(
    components: list[LocalRows], folder: Path, job: str, test_size: float, seed: int, split_by: str
) -> dict[str, Sides]:
    """Write the shards of both splits that are not there yet; what is on both sides."""
    at: list[tuple[LocalRows, int]] = []
    test: list[bool] = []
    places: list[bytes] = []
    sizes: list[int] = []
    sides: dict[str, Sides] = {}
    for component in components:
        names, tokens = component.names(), component.tokens()
        own = component.name.rpartition("/")[2]  # here and on the Hub the same rows are for testing
        chosen = in_test(own, names, tokens, test_size, seed, split_by)
        at += [(component, i) for i in range(len(names))]
        test += chosen.tolist()
        sizes += tokens
        places += [_place(seed, own, *row) for row in names]
        sides[component.name] = _sides(names, np.array(tokens, np.int64), chosen)
    order = sorted(range(len(at)), key=places.__getitem__)  # of rows of one name, the first stays the first
    with _bar("merge", sum(sizes)) as bar:

        def made(numbers: list[int]) -> Iterator[Row]:
            for component, i in (at[number] for number in numbers):
                row = component.row(i)
                yield row._replace(source_dataset=component.name)
                bar.update(row.counts.size)
            for component in components:
                component.release()

        for split in (TRAIN, TEST):
            files = []
            for shard in _shards([i for i in order if test[i] == (split == TEST)], sizes):
                files.append(folder / split / f"data-{len(files):05d}.arrow")
                if files[-1].exists():  # of a run that was killed
                    bar.update(sum(sizes[i] for i in shard))
                else:
                    arrow.write_rows(files[-1], made(shard), MERGED_SCHEMA)
            digest = hashlib.sha256(f"{job} {split}".encode()).hexdigest()
            arrow.finish(folder / split, files, MERGED_SCHEMA, digest, split)
    return sides


def _fetched(component: RowSource, folder: Path) -> LocalRows:
    """A component that is on this machine: one on the Hub is read through once, in its order, and kept in `folder`.

    Row by row in the order of the corpus, a row group of many rows would be fetched as many times.
    """
    if isinstance(component, LocalRows):
        return component
    files = []
    sizes = component.tokens()
    with _bar(f"fetch {component.name}", sum(sizes)) as bar:

        def read(numbers: list[int]) -> Iterator[Row]:
            for row in component.read(numbers):
                yield row
                bar.update(row.counts.size)

        for shard in _shards(list(range(len(component))), sizes):
            files.append(folder / f"data-{len(files):05d}.arrow")
            if files[-1].exists():  # of a run that was killed
                bar.update(sum(sizes[i] for i in shard))
            else:
                arrow.write_rows(files[-1], read(shard), SCHEMA)
    arrow.finish(folder, files, SCHEMA, hashlib.sha256(component.fingerprint.encode()).hexdigest())
    return replace(open_data_set(str(folder)), name=component.name)


def _bar(what: str, tokens: int) -> tqdm:
    return tqdm(total=tokens, unit="token", unit_scale=True, desc=what, disable=None)


def _done(out_dir: Path, options: dict[str, object], fingerprints: dict[str, str]) -> dict[str, Sides] | None:
    """What is on both sides of the corpus in a folder, if it is finished and the one that is asked for."""
    manifest = made_of(out_dir) if _opened(out_dir) is not None else None
    if manifest is None:
        return None
    components = manifest["components"]
    found = {name: made["rows"] for name, made in components.items()}
    if (manifest["version"], manifest["options"], found) != (__version__, options, fingerprints):
        return None
    return {name: Sides(**made["sides"]) for name, made in components.items()}


def made_of(folder: Path) -> dict[str, object] | None:
    """The manifest of a corpus that `merge` wrote; None where there is none, or another."""
    path = folder / arrow.MANIFEST
    manifest = arrow.parse_manifest(path.read_bytes()) if path.is_file() else None
    try:
        whole = all(made.keys() == {"rows", "sides", "manifest"} for made in manifest["components"].values())
        return manifest if whole and manifest.keys() == {"version", "options", "components"} else None
    except (TypeError, KeyError, AttributeError):
        return None


def _check(components: list[RowSource], out_dir: Path) -> None:
    """Raise BadInput as `merge` does."""
    names = [component.name for component in components]
    if not components or len(set(names)) < len(names):
        found = ", ".join(names) or "none"
        raise BadInput("--components", "data sets, each of another name", found, "name each data set once")
    for component in components:
        if component.is_merged:
            do = "name the data sets it was merged from"
            raise BadInput(component.name, "a data set, not yet merged with others", "a merged corpus", do)
    held: dict[str, str] = {}  # of digests of rows, the component that has them
    for component in components:
        for digest in _digests(component):
            if (other := held.setdefault(digest, component.name)) != component.name:
                found = f"the same rows in {other} and {component.name}"
                raise BadInput("--components", "different data sets", found, f"name {other} or {component.name}")
    if not any(len(component) for component in components):
        raise BadInput("--components", "data sets with rows", "none", "build them first")
    if out_dir.exists() and not _is_corpus(out_dir) and (not out_dir.is_dir() or any(out_dir.iterdir())):
        do = "give another --out_dir, or delete it"
        raise BadInput(out_dir, "a new folder, or a merged corpus to replace", "something else", do)


def _is_corpus(folder: Path) -> bool:
    """Whether there is a merged corpus in a folder, whole or damaged."""
    corpus = _opened(folder)
    return made_of(folder) is not None or (corpus is not None and corpus.is_merged)


def _opened(folder: Path) -> LocalRows | None:
    """The data set of several splits in a folder; None where there is none, or it is damaged."""
    try:
        return open_data_set(str(folder.resolve())) if (folder / arrow.SPLITS).is_file() else None
    except BadInput:
        return None


def _digests(component: RowSource) -> set[str]:
    """What tells a component's rows from others: its fingerprint, and the digests of its sessions' rows, if known."""
    try:
        sessions = {session["rows_sha256"] for session in component.manifest()["sessions"]}
    except (TypeError, KeyError):  # no manifest, or another's
        sessions = set()
    return {component.fingerprint, *sessions} - {rows.digest([])}


def _sides(names: list[Names], tokens: np.ndarray, test: np.ndarray) -> Sides:
    chosen = {TRAIN: np.flatnonzero(~test), TEST: np.flatnonzero(test)}
    return Sides(
        {split: len(numbers) for split, numbers in chosen.items()},
        {split: len({names[i][:2] for i in numbers}) for split, numbers in chosen.items()},
        {split: int(tokens[numbers].sum()) for split, numbers in chosen.items()},
    )


def _shards(numbers: list[int], sizes: list[int]) -> list[list[int]]:
    """Rows, in this order, in groups of about `SHARD` tokens; one without rows where there are none."""
    shards: list[list[int]] = [[]]
    held = 0
    for i in numbers:
        if held >= SHARD:
            shards.append([])
            held = 0
        shards[-1].append(i)
        held += sizes[i]
    return shards


def check(corpus: LocalRows, components: list[RowSource]) -> list[str]:
    """What a merged corpus has that its components do not have, and the reverse, in words; one row is in memory."""

    def told(data_set: RowSource) -> Iterator[Row]:
        return tqdm(data_set, unit="row", desc=f"check {data_set.name}", total=len(data_set), disable=None)

    missing: Counter[tuple[str, str]] = Counter()
    for component in components:
        missing.update((component.name, rows.digest([row])) for row in told(component))
    said = []
    for i, row in enumerate(told(corpus)):
        key = row.source_dataset or "", rows.digest([row._replace(source_dataset=None)])
        if missing[key] > 0:
            missing[key] -= 1
        else:
            name = f"{row.source_dataset} {row.subject_id} {row.session_id} {row.segment_id}"
            said.append(f"row {i}, {name}: not in the component, or twice")
    lost = Counter(name for (name, _), n in missing.items() for _ in range(n))
    return [*said, *(f"{n:,} rows of {name} are missing" for name, n in lost.items())]
