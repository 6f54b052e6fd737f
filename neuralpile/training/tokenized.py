"""Tokenize a data set: fit a vocabulary on a split, encode all rows, and report what is lost.

The result is a Hugging Face data set with the splits of its source, the vocabulary and the report. Rows are encoded
several at a time, in threads or on a Dask cluster, and written in their order. A shard that is complete is kept by a
run that is killed; its losses lie beside it until all shards are complete.
"""

import hashlib
import json
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from neuralpile import __version__, files
from neuralpile.corpus import arrow, ordered
from neuralpile.corpus.arrow import parse_manifest
from neuralpile.corpus.ordered import Order, OrderedRows
from neuralpile.corpus.rows import Names, Row, RowSource, consecutive
from neuralpile.errors import BadInput
from neuralpile.motifs import cluster, kernels, spill
from neuralpile.motifs.kernels import Table
from neuralpile.motifs.run import Count, checked_tokens
from neuralpile.motifs.spill import TableFile
from neuralpile.training import loss, vocabulary
from neuralpile.training.lookup import Ids
from neuralpile.training.loss import Loss
from neuralpile.training.tokens import Tokenizer
from neuralpile.training.vocabulary import Vocabulary

SHARD = 500_000_000  # tokens in an Arrow file, or one row more: what a killed run has to encode again
MOST_IDS = 2**31 - 1  # in a row: Arrow's lists count with 32 bits
REPORT, FIGURE = "report.json", "coverage.png"
WORK = ".work"  # folder in an unfinished result: tables of motifs, and the losses of shards
NAMES = Names._fields


class Job(NamedTuple):
    """What is made of a data set.

    Attributes:
        p_n, p_t: units and bins of a patch.
        vocabulary: how many motifs it has, at most; or the one to use, with its own motifs.
        split: that a vocabulary is fitted on.
        lossless: write patches that the vocabulary does not have as ESCAPE and their counts.
    """

    p_n: int
    p_t: int
    vocabulary: int | Vocabulary
    split: str = "train"
    lossless: bool = False

    def options(self) -> dict[str, Any]:
        """Return what decides the result: of a vocabulary that is used, its checksum."""
        if isinstance(self.vocabulary, int):
            return self._asdict()
        return self._asdict() | {"vocabulary": self.vocabulary.sha256, "split": None}


class Encoded(NamedTuple):
    """A row that was encoded.

    Attributes:
        names: of subject, session, segment and source data set.
        shape: units and bins.
        ids: of all groups of units, one after the other.
        lengths: number of ids of each group.
        loss: what the ids change.
        others: the patches that are not in the vocabulary.
        order: the unit at each place, where units are in another order than recorded.
    """

    names: tuple[str, ...]
    shape: tuple[int, int]
    ids: Ids
    lengths: NDArray[np.int64]
    loss: Loss
    others: Table
    order: Order | None


class Encode(Protocol):
    """Encodes rows of a data set in their order: `in_threads` or `OnCluster`."""

    def __call__(
        self, data_set: RowSource, numbers: Sequence[int], tokenizer: Tokenizer, lossless: bool
    ) -> Iterator[Encoded]:
        """Yield the rows of these numbers, encoded."""


def encode(data_set: RowSource, row: Row, tokenizer: Tokenizer, lossless: bool) -> Encoded:
    """Encode a row of a data set. Raises BadInput if it has more ids than a row can have."""
    ids, others = tokenizer.lookup.find(row.counts, nearest=not lossless)
    lengths = np.full(len(ids), ids.shape[1], np.int64)
    flat = ids.reshape(-1)
    if lossless and len(others.places):
        groups = tokenizer.escape(ids, others)
        lengths, flat = np.array([len(group) for group in groups]), np.concatenate(groups)
    if len(flat) > MOST_IDS:
        raise BadInput(row.session_id, f"at most {MOST_IDS:,} ids in a row", f"{len(flat):,}", "build shorter rows")
    lost = loss.measure(row.counts, ids, others, tokenizer.vocabulary, flat)
    names = row.subject_id, row.session_id, row.segment_id, row.source_dataset or data_set.name
    n_units, n_bins = row.counts.shape
    order = data_set.order(row, n_units) if isinstance(data_set, OrderedRows) else None
    return Encoded(names, (n_units, n_bins), flat, lengths, lost, others.table, order)


def in_threads(
    data_set: RowSource, numbers: Sequence[int], tokenizer: Tokenizer, lossless: bool, jobs: int
) -> Iterator[Encoded]:
    """Encode rows of a data set, several at a time."""
    tokenizer.lookup.find(np.zeros((1, 1), np.uint8))  # compiles once, and not in each thread
    with ThreadPoolExecutor(jobs) as pool:  # threads: the kernels run without the interpreter lock
        rows = data_set.read(numbers)
        yield from _in_order(pool.submit, ((encode, data_set, row, tokenizer, lossless) for row in rows), 2 * jobs)


def _in_order(submit: Callable[..., Any], calls: Iterable[tuple[Any, ...]], at_once: int) -> Iterator[Any]:
    """Submit calls, so that at most `at_once` of them wait, and yield their results in order."""
    coming: deque[Any] = deque()
    try:
        for call in calls:
            coming.append(submit(*call))
            if len(coming) >= at_once:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        for future in coming:
            future.cancel()


@dataclass(frozen=True)
class OnCluster:
    """Encodes rows on a Dask cluster, whose workers must see the same data set.

    Attributes:
        address: of the scheduler.
        open_data_set: opens a data set on a worker by its path or name.
    """

    address: str
    open_data_set: Callable[[str], RowSource]

    def __call__(
        self, data_set: RowSource, numbers: Sequence[int], tokenizer: Tokenizer, lossless: bool
    ) -> Iterator[Encoded]:
        """Encode rows of a data set. Raises BadInput if there is no cluster, or a worker finds other rows."""
        reference, fingerprint = cluster.reference_of(data_set), data_set.fingerprint
        with cluster.connect(self.address) as client:
            (sent,) = client.scatter([Tokenizer(tokenizer.vocabulary)], broadcast=True)
            calls = ((_encode, self.open_data_set, reference, fingerprint, i, sent, lossless) for i in numbers)
            threads = sum(client.nthreads().values())
            # Results of "pure" tasks are cached by their arguments: rows that were built again would not be encoded.
            yield from _in_order(partial(client.submit, pure=False), calls, 2 * threads)


def _encode(
    open_data_set: Callable[[str], RowSource],
    reference: str,
    fingerprint: str,
    number: int,
    tokenizer: Tokenizer,
    lossless: bool,
) -> Encoded:
    """Encode a row on a worker."""
    data_set = cluster.opened(open_data_set, reference, fingerprint)
    return encode(data_set, data_set.row(number), tokenizer, lossless)


def schema(ids: np.dtype[Any], ordered: bool) -> pa.Schema:
    """Return the columns of a tokenized data set.

    They are `tokens` (ids of this type), names, the shape of the counts, and, where units are in another order than
    recorded, the unit at each place.
    """
    names = [(name, pa.string()) for name in NAMES]
    lengths = [("n_units", pa.int32()), ("n_bins", pa.int32())]
    order = [("order", pa.list_(pa.int32()))] if ordered else []
    return pa.schema([("tokens", pa.list_(pa.list_(pa.from_numpy_dtype(ids)))), *names, *lengths, *order])


def to_record_batch(row: Encoded) -> pa.RecordBatch:
    """Return a row as an Arrow record batch of `schema`."""
    offsets = np.concatenate([[0], np.cumsum(row.lengths)]).astype(np.int32)
    groups = pa.ListArray.from_arrays(pa.array(offsets), pa.array(row.ids))
    tokens = pa.ListArray.from_arrays(pa.array([0, len(row.lengths)], pa.int32()), groups)
    columns = [tokens, *(pa.array([name], pa.string()) for name in row.names)]
    columns += [pa.array([n], pa.int32()) for n in row.shape]
    if row.order is not None:
        columns.append(pa.array([row.order], pa.list_(pa.int32())))
    return pa.RecordBatch.from_arrays(columns, schema=schema(row.ids.dtype, row.order is not None))


class Shard(NamedTuple):
    """What encoding a shard changed, by component.

    Attributes:
        losses: of each component.
        others: files of patches that are not in the vocabulary, of each component.
    """

    losses: dict[str, Loss]
    others: dict[str, list[Path]]


class Made(NamedTuple):
    """A tokenized data set: its folder and its report."""

    folder: Path
    report: dict[str, Any]


def run(data_set: RowSource, job: Job, count: Count, encode_rows: Encode, memory: int, out_dir: Path) -> Made:
    """Tokenize a data set.

    The same rows and job give the same bytes, also if an earlier run was killed: what that run completed is kept.

    Parameters:
        data_set: where the rows are.
        job: what is made of it.
        count: counts the motifs of the split that the vocabulary is fitted on.
        encode_rows: encodes rows.
        memory: bytes to use, about.
        out_dir: folder of the result.

    Raises:
        BadInput: there is no such split, no row of it is as large as a patch, the vocabulary has patches of another
            size or of units in another order, or `out_dir` holds something else.
    """
    fitted = data_set
    if isinstance(job.vocabulary, int):
        fitted = data_set.only(job.split)
    else:
        _check_given(job.vocabulary, job, ordered.measure(data_set))
    stated = {"version": __version__, "rows": data_set.fingerprint, "options": job.options(), "shard": SHARD}
    if (done := _done(out_dir, stated)) is not None:
        files.remove_replaced(out_dir)
        return done
    replaces = (out_dir / vocabulary.FILE).is_file() or not out_dir.exists()
    if not replaces and (not out_dir.is_dir() or any(out_dir.iterdir())):
        do = "give another --out_dir, or delete it"
        raise BadInput(out_dir, "a new folder, or a tokenized data set to replace", "something else", do)
    tokens = checked_tokens(fitted, job.p_n, job.p_t)
    with files.whole_folder(out_dir, json.dumps(stated)) as folder:
        if not (folder / arrow.SPLITS).is_file():  # the last file; where a killed run wrote it, all is there
            _make(folder, data_set, job, tokens, count, encode_rows, memory, stated)
        if (folder / WORK).exists():
            files.remove_folder(folder / WORK)
    return Made(out_dir, json.loads((out_dir / REPORT).read_bytes()))


def _make(
    folder: Path,
    data_set: RowSource,
    job: Job,
    tokens: Sequence[int],
    count: Count,
    encode_rows: Encode,
    memory: int,
    stated: Mapping[str, Any],
) -> None:
    """Write all files of the result that a killed run has not written yet."""
    tokenizer = Tokenizer(_vocabulary(folder, data_set, job, tokens, count, memory))
    sizes = data_set.tokens()
    columns = schema(tokenizer.vocabulary.dtype, isinstance(data_set, OrderedRows))
    with tqdm(total=sum(sizes), unit="token", unit_scale=True, desc="encode", disable=None) as bar:
        for split, its in data_set.splits.items():
            # A split without rows has one file without rows.
            ranges = [its[part.start : part.stop] for part in consecutive(sizes[its.start : its.stop], SHARD)]
            ranges = ranges or [its]
            paths = [folder / split / f"data-{i:05d}.arrow" for i in range(len(ranges))]
            for path, numbers in zip(paths, ranges, strict=True):
                if not path.exists():
                    rows = encode_rows(data_set, numbers, tokenizer, job.lossless) if numbers else iter(())
                    _write(path, rows, columns, job.p_n * job.p_t, folder / WORK, memory, bar.update)
                else:
                    bar.update(sum(lost.tokens for lost in _read(path, folder / WORK).losses.values()))
            digest = hashlib.sha256(f"{json.dumps(stated)} {split}".encode()).hexdigest()
            arrow.finish(folder / split, paths, columns, digest, split)
    report = _report(data_set, job, tokenizer.vocabulary, folder, memory)
    files.write_text(folder / REPORT, json.dumps(report, indent=1) + "\n")
    loss.draw(report, folder / FIGURE)
    files.write_text(folder / arrow.MANIFEST, json.dumps({"tokenized": data_set.name, **stated}, indent=1) + "\n")
    files.write_text(folder / arrow.SPLITS, json.dumps({"splits": list(data_set.splits)}))


def _check_given(given: Vocabulary, job: Job, order: str | None) -> None:
    """Check that a vocabulary has patches of the job's size, and of units in this order. Raises BadInput if not."""
    shape, its = (given.p_n, given.p_t), given.fitted_on.order
    if shape != (job.p_n, job.p_t):
        do = f"give --p_n {shape[0]} --p_t {shape[1]}, or another vocabulary"
        raise BadInput("--vocabulary", f"patches of {job.p_n} × {job.p_t}", f"{shape[0]} × {shape[1]}", do)
    if its != order and job.p_n > 1:  # patches of one unit are the same in any order
        expected, found = (f"units by {by}" if by else "units as recorded" for by in (order, its))
        do = f"give --order {its}" if its else "take the data set without an order"
        raise BadInput("--vocabulary", f"motifs of {expected}", found, f"{do}, or another vocabulary")


def _done(out_dir: Path, stated: Mapping[str, Any]) -> Made | None:
    """Return the result in a folder, if it is finished and the one that is asked for."""
    manifest = out_dir / arrow.MANIFEST
    found = parse_manifest(manifest.read_bytes()) if manifest.is_file() and (out_dir / arrow.SPLITS).is_file() else None
    report = out_dir / REPORT
    if found is None or any(found.get(key) != value for key, value in stated.items()) or not report.is_file():
        return None
    content = parse_manifest(report.read_bytes())
    return None if content is None else Made(out_dir, content)


def _vocabulary(
    folder: Path, data_set: RowSource, job: Job, tokens: Sequence[int], count: Count, memory: int
) -> Vocabulary:
    """Fit the vocabulary, or take the one that is given or that a killed run has fitted. It is saved to `folder`."""
    if (folder / vocabulary.FILE).is_file():
        return Vocabulary.load(folder)
    if not isinstance(job.vocabulary, int):
        job.vocabulary.save(folder)
        return job.vocabulary
    work = folder / WORK / "motifs"
    with tqdm(total=sum(tokens), unit="token", unit_scale=True, desc="count motifs", disable=None) as bar:
        _, parts = count(tokens=tokens, p_n=job.p_n, p_t=job.p_t, work=work, memory=memory, advance=bar.update)
    made = vocabulary.fit(
        parts,
        job.vocabulary,
        job.p_n,
        job.p_t,
        data_set.name,
        job.split,
        data_set.fingerprint,
        sum(tokens),
        ordered.measure(data_set),
    )
    made.save(folder)
    shutil.rmtree(work, ignore_errors=True)
    return made


class _Others:
    """Patches of one component that are not in the vocabulary, of which few are in memory."""

    def __init__(self, stem: Path, size: int, memory: int) -> None:
        self.stem, self.size, self.memory = stem, size, memory
        self.held: list[Table] = []
        self.n_files = 0

    def add(self, table: Table) -> None:
        """Add the patches of a row."""
        if len(table.keys):
            self.held.append(table)
        if sum(held.nbytes for held in self.held) * spill.COPIES > self.memory:
            self.flush()

    def flush(self) -> None:
        """Write what is in memory to a file."""
        if self.held:
            spill.write(spill.merged(self.held, self.size), Path(f"{self.stem}-{self.n_files}.patches"))
            self.held = []
            self.n_files += 1


def _write(
    path: Path,
    rows: Iterator[Encoded],
    columns: pa.Schema,
    size: int,
    work: Path,
    memory: int,
    advance: Callable[[int], object],
) -> None:
    """Write a shard, and then what encoding it changed; it appears when all of this is complete."""
    stem = _stem(path, work)
    for left in work.glob(f"{stem.name}-*"):  # of a run that was killed
        left.unlink()
    losses: dict[str, Loss] = {}
    others: dict[str, _Others] = {}
    with files.whole_file(path) as unfinished:
        with pa.OSFile(str(unfinished), "wb") as sink, pa.ipc.new_stream(sink, columns) as writer:
            for row in rows:
                writer.write_batch(to_record_batch(row))
                name = row.names[-1]
                losses[name] = losses[name] + row.loss if name in losses else row.loss
                if name not in others:
                    others[name] = _Others(Path(f"{stem}-{len(others)}"), size, memory // 4)
                others[name].add(row.others)
                advance(row.loss.tokens)
        for table in others.values():
            table.flush()
        values = {f"{i} {key}": value for i, lost in enumerate(losses.values()) for key, value in vars(lost).items()}
        with files.whole_file(Path(f"{stem}-losses.npz")) as part, part.open("wb") as file:
            np.savez(file, names=np.array(list(losses), np.str_), **values)


def _stem(path: Path, work: Path) -> Path:
    return work / f"{path.parent.name}-{path.stem}"


def _read(path: Path, work: Path) -> Shard:
    """Read what encoding a shard changed. Nothing in the files is code: numpy reads no pickles unless it is told to."""
    stem = _stem(path, work)
    with np.load(f"{stem}-losses.npz") as content:
        names = content["names"].tolist()
        losses = {}
        for i, name in enumerate(names):
            values = {field.name: content[f"{i} {field.name}"] for field in fields(Loss)}
            losses[name] = Loss(**{key: value if value.ndim else value.item() for key, value in values.items()})
    return Shard(losses, {name: sorted(work.glob(f"{stem.name}-{i}-*.patches")) for i, name in enumerate(names)})


def _report(data_set: RowSource, job: Job, of: Vocabulary, folder: Path, memory: int) -> dict[str, Any]:
    """Return what was lost: of each component, of each split, and of all rows."""
    size = of.p_n * of.p_t
    components: dict[str, list[tuple[Loss, list[TableFile]]]] = {}
    splits: dict[str, list[tuple[Loss, list[TableFile]]]] = {}
    for split in data_set.splits:
        splits[split] = []
        for file in sorted((folder / split).glob("data-*.arrow")):
            shard = _read(file, folder / WORK)
            for name, lost in shard.losses.items():
                entry = lost, [TableFile(path, kernels.n_words(size)) for path in shard.others[name]]
                components.setdefault(name, []).append(entry)
                splits[split].append(entry)

    def described(entries: Sequence[tuple[Loss, list[TableFile]]]) -> dict[str, Any]:
        tables = [file for _, some in entries for file in some]
        merged = spill.merge_files(tables, size, memory) if tables else iter(())
        return loss.describe(loss.total((lost for lost, _ in entries), of.n_ids), merged)

    return {
        "data_set": data_set.name,
        "order": ordered.measure(data_set),
        "lossless": job.lossless,
        "vocabulary": {"p_n": of.p_n, "p_t": of.p_t, "motifs": len(of), "sha256": of.sha256, **asdict(of.fitted_on)},
        "components": {name: described(entries) for name, entries in sorted(components.items())},
        "splits": {name: described(entries) for name, entries in splits.items()},
        "all": described([entry for entries in splits.values() for entry in entries]),
    }
