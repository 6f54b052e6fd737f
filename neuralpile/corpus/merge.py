"""One corpus of many data sets: rows shuffled with a seed, a part of each data set set aside as a test split.

Which side a row is on follows from the names and sizes of its data set's rows and the seed, its place among others from
its own name, its data set's and the seed: another component moves nothing. Only names and sizes of rows are in memory;
the rows themselves go from file to file.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from tqdm import tqdm

from neuralpile import __version__, catalog
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus import arrow, rows, split
from neuralpile.corpus.rows import MERGED_SCHEMA, SCHEMA, Row, RowSource
from neuralpile.corpus.split import TEST, TRAIN, Sides, SplitBy, in_test, place
from neuralpile.corpus.store import LocalRows
from neuralpile.errors import BadInput
from neuralpile.files import take_away_old, whole_folder, write_text
from neuralpile.open import open_data_set

SHARD = 500_000_000  # tokens in an Arrow file of a merged corpus, a row more at most: near what the Hub advises
FETCHED = "fetched"  # folder for what comes from the Hub, while a merge is at work


def merge(
    components: list[RowSource], out_dir: Path, test_size: float, seed: int, split_by: SplitBy = "row"
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
        infos = [info_of(component) for component in components]
        sides = _write(local, infos, folder, job, **options)
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
    components: list[LocalRows],
    infos: list[DataSetInfo | None],
    folder: Path,
    job: str,
    test_size: float,
    seed: int,
    split_by: SplitBy,
) -> dict[str, Sides]:
    """Write the shards of both splits that are not there yet; what is on both sides."""
    at: list[tuple[LocalRows, int]] = []
    test: list[bool] = []
    places: list[bytes] = []
    sizes: list[int] = []
    sides: dict[str, Sides] = {}
    for component, info in zip(components, infos, strict=True):
        names, tokens = component.names(), component.tokens()
        own = component.name.rpartition("/")[2]  # here and on the Hub the same rows are for testing
        chosen = in_test(own, names, tokens, test_size, seed, split_by, info)
        at += [(component, i) for i in range(len(names))]
        test += chosen.tolist()
        sizes += tokens
        places += [place(seed, own, *row) for row in names]
        sides[component.name] = split.sides(names, tokens, chosen)
    order = sorted(range(len(at)), key=places.__getitem__)  # of rows of one name, the first stays the first
    with _bar("merge", sum(sizes)) as bar:

        def made(numbers: list[int]) -> Iterator[Row]:
            for component, i in (at[number] for number in numbers):
                row = component.row(i)
                yield row._replace(source_dataset=component.name)
                bar.update(row.counts.size)
            for component in components:
                component.release()

        for side in (TRAIN, TEST):
            files = []
            for shard in _shards([i for i in order if test[i] == (side == TEST)], sizes):
                files.append(folder / side / f"data-{len(files):05d}.arrow")
                if files[-1].exists():  # of a run that was killed
                    bar.update(sum(sizes[i] for i in shard))
                else:
                    arrow.write_rows(files[-1], made(shard), MERGED_SCHEMA)
            digest = hashlib.sha256(f"{job} {side}".encode()).hexdigest()
            arrow.finish(folder / side, files, MERGED_SCHEMA, digest, side)
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


def info_of(component: RowSource) -> DataSetInfo | None:
    """The data set that a component is a build of: its manifest names it, or its name does; None if it is not known."""
    try:
        name = str((component.manifest() or {})["data_set"])
    except (TypeError, KeyError):
        name = component.name.rpartition("/")[2]
    return catalog.load(name) if name in catalog.names() else None


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
