"""Merge data sets into one corpus: shuffle the rows with a seed, and put some rows of each data set into a test split.

A row's name, its data set's name and the seed decide its place: adding a component never moves another's rows. Only
names and sizes of rows are in memory; the rows themselves go from file to file.
"""

import hashlib
import json
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neuralpile import __version__, evaluation
from neuralpile.catalog import DataSetInfo
from neuralpile.cli import plural
from neuralpile.corpus import arrow, rows, split, tables
from neuralpile.corpus.chosen import ChosenRows
from neuralpile.corpus.manifest import Component, CorpusManifest, content_of, digests_of, info_of
from neuralpile.corpus.rows import MERGED_SCHEMA, SCHEMA, Row, RowSource
from neuralpile.corpus.split import Part, Sides, SplitOptions
from neuralpile.corpus.store import LocalRows, open_folder
from neuralpile.errors import BadInput
from neuralpile.files import remove_replaced, whole_folder, write_text

if TYPE_CHECKING:
    from tqdm import tqdm

SHARD = 500_000_000  # tokens in an Arrow file of a merged corpus, a row more at most: near what the Hub advises
LEFT_OUT = np.uint8(255)  # in place of the number of a split
FETCHED = "fetched"  # folder for what comes from the Hub, while a merge is at work


def merge(components: Sequence[RowSource], out_dir: Path, options: SplitOptions) -> dict[str, Sides]:
    """Write the rows of all components, shuffled and split, as a data set of several splits.

    The same components (in any order) and the same options give the same bytes, also if an earlier run was killed:
    what that run completed is kept. A corpus that was in `out_dir` is replaced when the new one is complete.

    Parameters:
        components: opened data sets, each of another name.
        out_dir: folder of the corpus.
        options: how the corpus is split.

    Returns:
        For every component what is in each split.

    Raises:
        BadInput: no components, two of one name or with the same rows, a corpus that is merged already, rows of
            another schema, a name in the options that no row has, or an `out_dir` that holds something else.
    """
    components = sorted(components, key=lambda component: component.name)
    _check(components, out_dir)
    fingerprints = {component.name: component.fingerprint + tables.digest(component) for component in components}
    infos = [info_of(component) for component in components]
    rules = _rules(infos)
    if (done := _done(out_dir, options, fingerprints, rules)) is not None:
        remove_replaced(out_dir)
        return done
    if options.names_test_rows or options.leave_out:
        _check_named([_part(component, info) for component, info in zip(components, infos, strict=True)], options)
    job = json.dumps([__version__, fingerprints, options.stated(), rules, SHARD])
    with whole_folder(out_dir, job) as folder:
        local = [_fetched(component, folder / FETCHED / str(n)) for n, component in enumerate(components)]
        order = _Order(local, infos, options)
        for its in order.tables(options.splits):  # tables of another build are noticed before rows are written
            deque(its.sessions, maxlen=0)
        _write(order, folder, job, options.splits)
        tables.write_parts(folder, order.tables(options.splits))
        made = {
            component.name: Component(
                fingerprints[component.name],
                order.sides[component.name],
                content_of(component),
                component.expression if isinstance(component, ChosenRows) else None,
            )
            for component in components
        }
        manifest = CorpusManifest(__version__, options.stated(), made, rules, order.evaluated)
        manifest.write(folder)
        write_text(folder / arrow.SPLITS, json.dumps({"splits": list(options.splits)}))
        shutil.rmtree(folder / FETCHED, ignore_errors=True)
    return order.sides


class _Order:
    """The rows of all components in the order of the corpus, as numbers.

    Attributes:
        sides: what is in each split, by component.
        evaluated: tokens of the training split that are evaluation data, by benchmark.
        sizes: tokens of each row, in the order of the components.
        assigned: the split of each row, in the order of the components; LEFT_OUT for rows that are in none.
        order: the rows in the order of the corpus; of rows of one name, the first stays the first.
    """

    def __init__(
        self, components: Sequence[RowSource], infos: Sequence[DataSetInfo | None], options: SplitOptions
    ) -> None:
        self.components = components
        parts: list[Part] = []
        kept: list[npt.NDArray[np.int64]] = []  # the numbers of the rows that are in the corpus
        self.starts = np.cumsum([0, *map(len, components)])
        self.sizes = np.zeros(self.starts[-1], np.int64)
        for component, info, start in zip(components, infos, self.starts, strict=False):
            part = _part(component, info)
            self.sizes[start : start + len(part.tokens)] = part.tokens
            its = np.flatnonzero(~part.evaluated_by(options.leave_out))
            parts.append(part.only(its))
            kept.append(start + its)
        rows = np.concatenate(kept)
        if options.as_published:
            order, assigned = split.as_published(len(rows), options.seed)
        else:
            order = np.argsort(np.concatenate([split.places(part, options.seed) for part in parts]), kind="stable")
            assigned = np.concatenate(split.assign(parts, options))
        self.order = rows[order]
        self.assigned = np.full(len(self.sizes), LEFT_OUT)
        self.assigned[rows] = assigned
        self.sides: dict[str, Sides] = {}
        self.evaluated = dict.fromkeys(evaluation.benchmarks(), 0)
        for component, part, its_rows in zip(components, parts, kept, strict=True):
            sides = self.assigned[its_rows]
            self.sides[component.name] = part.sides(sides, options)
            for benchmark, sessions in part.evaluated().items():
                self.evaluated[benchmark] += int(part.tokens[sessions[part.session] & (sides == 0)].sum())

    def row(self, number: int) -> Row:
        """A row by its number in the order of the components, with the name of its component."""
        which = int(np.searchsorted(self.starts, number, side="right")) - 1
        component = self.components[which]
        return component.row(number - int(self.starts[which]))._replace(source_dataset=component.name)

    def tables(self, splits: Sequence[str]) -> Iterator[tables.Parts]:
        """The tables of sessions and of units of each component, as they are in the corpus."""
        for component, start in zip(self.components, self.starts, strict=False):
            its = self.assigned[start : start + len(component)]
            yield tables.of_component(component, component.names(), its, splits)


def _part(component: RowSource, info: DataSetInfo | None) -> Part:
    """What a split needs to know of a component."""
    if isinstance(component, ChosenRows):  # rows that were not chosen can say which others are evaluation data
        return _part(component.source, info).only(component.numbers)
    return Part.of(component.name.rpartition("/")[2], component.names(), component.tokens(), info)


def _check_named(parts: Sequence[Part], options: SplitOptions) -> None:
    """Raise BadInput if the options name what no row has, or leave out all rows."""
    parts = [part.only(np.flatnonzero(~part.evaluated_by(options.leave_out))) for part in parts]
    if not any(len(part.tokens) for part in parts):
        found = f"nothing but evaluation data of {', '.join(options.leave_out)}"
        raise BadInput("--leave_out", "rows that are left", found, "leave out fewer benchmarks")
    for option, given, known in (
        ("--test_subjects", options.test_subjects, {subject_id for part in parts for subject_id, _ in part.sessions}),
        ("--test_sessions", options.test_sessions, {session_id for part in parts for _, session_id in part.sessions}),
        ("--test_datasets", [name.rpartition("/")[2] for name in options.test_datasets], {part.name for part in parts}),
    ):
        if unknown := set(given) - known:
            do = f"list them: python inspect_dataset.py {parts[0].name}"
            raise BadInput(option, "names that the data sets have", ", ".join(sorted(unknown)), do)


def _write(order: _Order, folder: Path, job: str, splits: Sequence[str]) -> None:
    """Write the shards of all splits that are not there yet."""
    with _bar("merge", int(order.sizes[order.order].sum())) as bar:
        for i, name in enumerate(splits):
            its = order.order[order.assigned[order.order] == i]

            def read(part: range, its: npt.NDArray[np.int64] = its) -> Iterator[Row]:
                return map(order.row, its[part.start : part.stop].tolist())

            digest = hashlib.sha256(f"{job} {name}".encode()).hexdigest()
            sizes = order.sizes[its].tolist()
            arrow.write_shards(folder / name, sizes, SHARD, read, MERGED_SCHEMA, digest, name, bar.update)


def _fetched(component: RowSource, folder: Path) -> RowSource:
    """A local copy of a component. One on the Hub is read once, in its own order, and kept in `folder`.

    In the order of the corpus, a row group of many rows would be fetched as many times.
    """
    if component.folder is not None:
        return component
    sizes = component.tokens()
    digest = hashlib.sha256(component.fingerprint.encode()).hexdigest()

    def read(part: range) -> Iterator[Row]:
        return (row._replace(source_dataset=None) for row in component.read(part))

    with _bar(f"fetch {component.name}", sum(sizes)) as bar:
        arrow.write_shards(folder, sizes, SHARD, read, SCHEMA, digest, "train", bar.update)
    if (own := tables.stored(component)) is not None:
        tables.write(folder, *own)
    return replace(open_folder(folder), name=component.name)


def _bar(what: str, tokens: int) -> "tqdm[Any]":
    from tqdm import tqdm  # takes 20 ms, for which a command's help need not wait

    return tqdm(total=tokens, unit="token", unit_scale=True, desc=what, disable=None)


def _rules(infos: Sequence[DataSetInfo | None]) -> str:
    """Digest of what decides the split beside the rows and the options, so that a merge after a change of it is new."""
    of_data_sets = [
        info and (info.subject_pattern, info.session_pattern, [asdict(animal) for animal in info.animals])
        for info in infos
    ]
    return hashlib.sha256(json.dumps([of_data_sets, evaluation.digest()]).encode()).hexdigest()


def _done(out_dir: Path, options: SplitOptions, fingerprints: dict[str, str], rules: str) -> dict[str, Sides] | None:
    """What is in each split of the corpus in a folder, if it is finished and the one that is asked for."""
    manifest = CorpusManifest.read(out_dir) if _opened(out_dir) is not None else None
    if manifest is None or manifest.reordered is not None:
        return None
    found = {name: made.rows for name, made in manifest.components.items()}
    wanted = json.loads(json.dumps(options.stated()))  # tuples are lists in a manifest
    if (manifest.version, manifest.options, found, manifest.rules) != (__version__, wanted, fingerprints, rules):
        return None
    return {name: made.sides for name, made in manifest.components.items()}


def _check(components: Sequence[RowSource], out_dir: Path) -> None:
    """Raise BadInput as `merge` does."""
    names = [component.name for component in components]
    if not components or len(set(names)) < len(names):
        found = ", ".join(names) or "none"
        raise BadInput("--components", "data sets with different names", found, "name each data set once")
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
    return CorpusManifest.read(folder) is not None or (corpus is not None and corpus.is_merged)


def _opened(folder: Path) -> LocalRows | None:
    """The data set of several splits in a folder; None if there is none, or it is damaged."""
    try:
        return open_folder(folder) if (folder / arrow.SPLITS).is_file() else None
    except BadInput:
        return None


def _digests(component: RowSource) -> set[str]:
    """What distinguishes a component's rows: its fingerprint, and the digests of its sessions' rows, if known."""
    return {component.fingerprint, *digests_of(component)} - {rows.digest([])}


def check(corpus: RowSource, components: Sequence[RowSource], leave_out: Sequence[str] = ()) -> list[str]:
    """Compare a corpus with its components, row by row, and its tables with theirs; one row is in memory.

    Parameters:
        corpus: merged of the components.
        components: opened data sets.
        leave_out: benchmarks whose evaluation data are not in the corpus.

    Returns:
        The differences in words: rows that only the corpus has, rows that it lacks, and tables that are not those of
        the components. Empty if there are none.
    """

    def shown(data_set: RowSource, numbers: Sequence[int]) -> Iterator[Row]:
        from tqdm import tqdm

        title = f"check {data_set.name}"
        yield from tqdm(data_set.read(numbers), unit="row", desc=title, total=len(numbers), disable=None)

    def digests(data_set: RowSource, numbers: Sequence[int], source: str | None = None) -> npt.NDArray[np.bytes_]:
        named = (row._replace(source_dataset=source or row.source_dataset) for row in shown(data_set, numbers))
        return np.fromiter((bytes.fromhex(rows.digest([row])) for row in named), "S32", len(numbers))

    def of_rows() -> Iterator[str]:
        expected = [np.empty(0, "S32")]
        for component in components:
            numbers: Sequence[int] = range(len(component))
            if leave_out:
                numbers = np.flatnonzero(~_part(component, info_of(component)).evaluated_by(leave_out)).tolist()
            expected.append(digests(component, numbers, component.name))
        held = digests(corpus, range(len(corpus)))
        beyond = _beyond(held, np.concatenate(expected)).tolist()
        names = corpus.names() if beyond else ()
        for i in beyond:
            subject_id, session_id, segment_id, source = names[i]
            yield f"row {i}, {source} {subject_id} {session_id} {segment_id}: not in the component, or twice"
        for component, its in zip(components, expected[1:], strict=True):
            if lost := len(_beyond(its, held)):
                yield f"missing: {plural(lost, 'row')} of {component.name}"

    return [*of_rows(), *tables.differences(corpus, components)]


def _beyond(ours: npt.NDArray[np.bytes_], theirs: npt.NDArray[np.bytes_]) -> npt.NDArray[np.int64]:
    """The numbers of those of ours that are not among theirs, or more often than there."""
    order = np.argsort(ours, kind="stable")
    ordered, theirs = ours[order], np.sort(theirs)
    which = np.arange(len(ours)) - np.searchsorted(ordered, ordered)  # of equal ones: the first is 0
    times = np.searchsorted(theirs, ordered, side="right") - np.searchsorted(theirs, ordered)
    return np.sort(order[which >= times])
