"""Publish data sets, corpora, motif tables and tokens on the Hugging Face Hub: Parquet files and a card, in one commit.

The Parquet files are written beside the build, one row in a row group, several files at a time. They hold less than a
tenth of the bytes of the build as a rule, and are deleted after the push, or by the next one if this one is killed.
"""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from tqdm import tqdm

from neuralpile import cli
from neuralpile.catalog import DataSetInfo
from neuralpile.cli import plural
from neuralpile.corpus import ordered, tables
from neuralpile.corpus.arrow import SPLITS
from neuralpile.corpus.manifest import MANIFEST, CorpusManifest
from neuralpile.corpus.rows import MERGED_SCHEMA, SCHEMA, Row, RowSource, consecutive, to_record_batch
from neuralpile.errors import BadInput
from neuralpile.files import PARTIAL, room_for
from neuralpile.hub import card
from neuralpile.hub.repository import DATA, Repository

SHARD = 1_000_000_000  # tokens in a Parquet file, or one row more: 70 to 350 MB
# In a file of a corpus, whose files are of one component each: smaller, because neighbours are then sooner of others.
CORPUS_SHARD = 250_000_000
TABLE_SHARD = 500_000_000  # bytes in a Parquet file of motifs, or one row group more
CARD = "README.md"
COUNTS = "spike_counts.list.element.list.element"  # the column of counts in Parquet's words
IDS = "tokens.list.element.list.element"


def push(
    data_set: RowSource,
    repository: Repository,
    made: Mapping[str, object],
    described: Mapping[str, DataSetInfo] | None = None,
) -> str:
    """Publish the rows of a data set, with its tables of sessions and of units, a card and its manifest.

    Parameters:
        data_set: its splits become those of the repository, except empty ones, which `load_dataset` refuses.
        repository: where it goes.
        made: how it was built, as titles and values, for the card.
        described: what is known of its components, by name; by default what the catalog knows.

    Returns:
        The address of the page of what is published.

    Raises:
        BadInput: the Hub refuses, there are no rows, or another process is publishing the same build.
    """
    folder = data_set.folder
    if folder is None or not len(data_set):
        raise BadInput(data_set.name, "a local build with rows", "none", "build sessions that have spikes")
    repository.create()
    schema = MERGED_SCHEMA if data_set.is_merged else SCHEMA
    with _staging(folder) as staging:
        splits = write_splits(data_set, schema, staging, f"push {repository.target.name}")
        files: dict[str, Path | bytes] = {f"{DATA}{path.name}": path for path in sorted(staging.glob("*.parquet"))}
        known_of_units = tables.of(data_set)
        tables.write(staging / "tables", *known_of_units)
        held = card.TABLES if len(known_of_units.units) else card.TABLES[:1]  # `load_dataset` refuses an empty table
        files |= {f"{DATA}{name}.parquet": staging / "tables" / f"{name}.parquet" for name in held}
        files |= {name: folder / name for name in (MANIFEST, ordered.FILE) if (folder / name).is_file()}
        names = {name for facts in splits.values() for name in facts.parts}
        known = card.describe(names, data_set.manifest()) if described is None else described
        listed = MANIFEST if MANIFEST in files else None
        corpus = CorpusManifest.read(folder)
        evaluated = corpus.evaluation if corpus else None
        page = card.write(repository.target.name, splits, schema, known, made, listed, held, evaluated)
        files[CARD] = page.encode()
        return repository.commit(files, plural(sum(s.whole.rows for s in splits.values()), "row"))


def push_table(
    path: Path, repository: Repository, made: Mapping[str, object], described: Mapping[str, DataSetInfo]
) -> str:
    """Publish a table of motifs, with a card.

    Parameters:
        path: a Parquet file written by `motifs.extract`.
        repository: where it goes.
        made: how it was counted, as titles and values, for the card.
        described: what is known of the data sets that were counted, by name.

    Returns and raises as `push` does.
    """
    repository.create()
    facts = pq.read_metadata(path)
    schema = facts.schema.to_arrow_schema()
    counted = {key.decode(): value.decode() for key, value in schema.metadata.items() if not key.startswith(b"ARROW")}
    with _staging(path) as staging:
        files: dict[str, Path | bytes] = {
            f"{DATA}{shard_name('train', i)}": shard for i, shard in enumerate(table_shards(path, staging))
        }
        split = card.Split({"": card.Part(rows=facts.num_rows)})
        split.memory = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
        split.files, split.shards = sum(Path(str(shard)).stat().st_size for shard in files.values()), len(files)
        page = card.write_motifs(repository.target.name, split, schema, counted, described, made)
        return repository.commit(files | {CARD: page.encode()}, plural(facts.num_rows, "motif"))


def push_tokens(
    folder: Path, repository: Repository, made: Mapping[str, object], described: Mapping[str, DataSetInfo]
) -> str:
    """Publish a tokenized data set, with its vocabulary, its report and a card.

    Parameters:
        folder: of the data set, as tokenize_dataset.py wrote it.
        repository: where it goes.
        made: how it was made, as titles and values, for the card.
        described: what is known of its components, by name.

    Returns and raises as `push` does.
    """
    repository.create()
    report = json.loads((folder / "report.json").read_bytes())
    splits: dict[str, card.Split] = {}
    with _staging(folder) as staging:
        for split in json.loads((folder / SPLITS).read_bytes())["splits"]:
            for i, path in enumerate(sorted((folder / split).glob("*.arrow"))):
                shard = staging / shard_name(split, i)
                if (facts := _write_tokens(path, shard)) is not None:
                    splits[split] = splits.get(split, card.Split()) | facts
        files: dict[str, Path | bytes] = {f"{DATA}{path.name}": path for path in sorted(staging.iterdir())}
        schema = pq.read_schema(next(staging.iterdir()))
        for pattern in ("vocabulary*", "report.json", "coverage.png", MANIFEST):
            files |= {path.name: path for path in sorted(folder.glob(pattern))}
        files[CARD] = card.write_tokens(repository.target.name, splits, schema, report, described, made).encode()
        return repository.commit(files, f"{sum(split.whole.rows for split in splits.values()):,} rows of tokens")


def _write_tokens(source: Path, path: Path) -> card.Split | None:
    """Write an Arrow file of tokenized rows as Parquet, one row in a row group; nothing if there are no rows."""
    facts = card.Split(shards=1)
    with pa.memory_map(str(source)) as mapped, pa.ipc.open_stream(mapped) as reader:
        columns = {"use_dictionary": [IDS], "write_statistics": reader.schema.names[1:]}
        with pq.ParquetWriter(path, reader.schema, compression="zstd", write_page_checksum=True, **columns) as writer:
            for batch in reader:
                writer.write_batch(batch)
                facts.memory += batch.nbytes
                for row in batch.drop_columns(["tokens"]).to_pylist():
                    part = facts.parts.setdefault(row["source_dataset"], card.Part())
                    part.rows += 1
                    part.tokens += row["n_units"] * row["n_bins"]
                    part.subjects.add((row["source_dataset"], row["subject_id"]))
                    part.sessions.add((row["source_dataset"], row["subject_id"], row["session_id"]))
    if not facts.parts:
        path.unlink()
        return None
    facts.files = path.stat().st_size
    return facts


def table_shards(path: Path, staging: Path) -> list[Path]:
    """A Parquet file, or its row groups in several files in `staging` if it has more than TABLE_SHARD bytes.

    The same file gives the same bytes.
    """
    if path.stat().st_size <= TABLE_SHARD:
        return [path]
    table = pq.ParquetFile(path)
    shards: list[Path] = []
    left = iter(range(table.num_row_groups))
    group = next(left, None)
    while group is not None:
        shards.append(staging / shard_name("train", len(shards)))
        with (
            shards[-1].open("wb") as file,
            pq.ParquetWriter(file, table.schema_arrow, compression="zstd") as writer,
        ):
            while group is not None and file.tell() < TABLE_SHARD:
                writer.write_table(table.read_row_group(group))
                group = next(left, None)
    return shards


def shard_name(split: str, number: int, component: str = "") -> str:
    """The name of a Parquet file, as `card.files_of` describes those of a split and of a component."""
    return f"{split}-{number:05d}{component and '-'}{component}.parquet"


def write_shard(path: Path, rows: Iterable[Row], schema: pa.Schema, name: str = "") -> card.Split:
    """Write rows to a Parquet file, each as a row group of its own. The same rows give the same bytes.

    Readers can fetch one row by its byte range, find a session's rows by the statistics of the names, and notice
    damage by the checksums of the pages.

    Parameters:
        path: of the file.
        rows: at least one.
        schema: SCHEMA, or MERGED_SCHEMA of rows that say which data set they are from.
        name: the data set that rows are from if they do not say so.

    Returns:
        What the file holds, for the card.
    """
    facts = card.Split(shards=1)
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=[COUNTS],
        write_statistics=schema.names[1:],
        write_page_index=True,
        write_page_checksum=True,
    ) as writer:
        for row in rows:
            batch = to_record_batch(row)
            writer.write_batch(batch)
            facts.parts.setdefault(row.source_dataset or name, card.Part()).add(row)
            facts.memory += batch.nbytes
    facts.files = path.stat().st_size
    return facts


def by_component(rows: RowSource, numbers: Sequence[int], tokens: Sequence[int]) -> list[tuple[str, list[int]]]:
    """Divide rows of a corpus into parts of one component each, of about CORPUS_SHARD tokens; within a part, rows keep
    their order.

    The parts of every component are spread evenly over the whole: a reader that takes them one after the other meets
    all components at all times.

    Parameters:
        rows: the corpus.
        numbers: of its rows, those to divide.
        tokens: in each row of the corpus.

    Returns:
        The component's name and the numbers of its rows, of each part.
    """
    names = rows.names()
    its: dict[str, list[int]] = {}
    for number in numbers:
        its.setdefault(names[number].source_dataset or "", []).append(number)
    placed: list[tuple[float, str, list[int]]] = []
    for component, held in its.items():
        parts = consecutive([tokens[number] for number in held], CORPUS_SHARD)
        first = int.from_bytes(hashlib.sha256(component.encode()).digest()[:6]) / 2**48  # in [0, 1)
        for i, part in enumerate(parts):
            placed.append(((i + first) / len(parts), component, [held[n] for n in part]))
    return [(component, part) for _, component, part in sorted(placed)]


def write_splits(data_set: RowSource, schema: pa.Schema, folder: Path, title: str) -> dict[str, card.Split]:
    """Write the Parquet files of all splits that have rows, several at a time.

    Parameters:
        data_set: whose rows are written, in order.
        schema: as for `write_shard`.
        folder: where the files go: `<split>-00000.parquet` and so on, each of about SHARD tokens; of a corpus, each of
            one component, with its name behind the number, and of about CORPUS_SHARD tokens.
        title: of the progress bar.

    Returns:
        What each split holds, for the card.
    """
    stop, lock = threading.Event(), threading.Lock()
    tokens = data_set.tokens()
    jobs: list[tuple[str, Path, Sequence[int]]] = []
    for name, numbers in data_set.splits.items():
        if data_set.is_merged:
            for i, (component, part) in enumerate(by_component(data_set, numbers, tokens)):
                jobs.append((name, folder / shard_name(name, i, card.configuration(component)), part))
            continue
        for i, these in enumerate(consecutive([tokens[n] for n in numbers], SHARD)):
            jobs.append((name, folder / shard_name(name, i), numbers[these.start : these.stop]))

    with tqdm(total=len(data_set), unit="row", desc=title, disable=None) as bar:

        def rows(numbers: Sequence[int]) -> Iterator[Row]:
            for row in data_set.read(numbers):
                if stop.is_set():
                    return
                yield row
                with lock:
                    bar.update()

        def write(job: tuple[str, Path, Sequence[int]]) -> card.Split:
            _, path, numbers = job
            return write_shard(path, rows(numbers), schema, data_set.name)

        splits: dict[str, card.Split] = {}
        with ThreadPoolExecutor(cli.cores()) as pool:
            try:
                for (name, *_), facts in zip(jobs, pool.map(write, jobs), strict=True):
                    splits[name] = splits.get(name, card.Split()) | facts
            finally:  # also after an interrupt: the threads end before the files are deleted
                stop.set()
    return splits


@contextmanager
def _staging(build: Path) -> Iterator[Path]:
    """A new folder beside a build for what is uploaded. It is deleted at the end, or by the next push of the build.

    Raises BadInput if another process is pushing the same build.
    """
    build = build.resolve()
    folder = build.with_name(f".{build.name}.push{PARTIAL}")
    try:
        with FileLock(build.with_name(f".{build.name}.push.lock"), timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            try:
                with room_for(folder):
                    yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        raise BadInput(build, "no other process that pushes it", "one", "wait until that push has ended") from None
