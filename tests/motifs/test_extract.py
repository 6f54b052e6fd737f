"""Motifs: exactly what a plain count of patches gives, for every shape and every count; and the command's outputs."""

import dataclasses
import io
import json
import math
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import datasets
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import ROOT
from helpers.in_process import run
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from neuralpile import catalog
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.motifs import extract, figures, kernels, parquet, spill, summary
from neuralpile.open import open_data_set

SHAPES = [(1, 1), (1, 8), (1, 10), (1, 15), (15, 1), (4, 4), (1, 32), (3, 5), (2, 8), (7, 1)]


def plainly(matrices, p_n, p_t):
    """Frequencies of patches by their bytes, cut one by one."""
    counter = Counter()
    for counts in matrices:
        padded = np.pad(counts, ((0, -counts.shape[0] % p_n), (0, -counts.shape[1] % p_t)))
        for unit in range(0, len(padded), p_n):
            group = padded[unit : unit + p_n]
            counter.update(group[:, b : b + p_t].tobytes() for b in range(0, group.shape[1], p_t))
    return counter


CELLS = """
    with cells as (
        select m as matrix, unnest(range(units)) as unit, bins, bytes from matrices
    ), counts as (
        select matrix, unit, b.bin, bytes[unit * bins + b.bin + 1] as n from cells, lateral unnest(range(bins)) b(bin)
    ), patches as (
        select list(n order by unit, bin) as patch from counts group by matrix, unit // $p_n, bin // $p_t
    )
    select patch, count(*) from patches group by patch order by count(*) desc, patch
"""


def by_duckdb(matrices, p_n, p_t):
    """Patches and frequencies by a database's GROUP BY and ORDER BY; the matrices are padded before."""
    padded = [np.pad(counts, ((0, -len(counts) % p_n), (0, -counts.shape[1] % p_t))) for counts in matrices]
    table = pa.table(
        {
            "m": range(len(padded)),
            "units": [len(counts) for counts in padded],
            "bins": [counts.shape[1] for counts in padded],
            "bytes": [counts.reshape(-1).tolist() for counts in padded],
        }
    )
    return (
        duckdb.connect()
        .from_arrow(table)
        .query("matrices", CELLS.replace("$p_n", f"{p_n}").replace("$p_t", f"{p_t}"))
        .fetchall()
    )


def assert_same(counted, expected):
    found = [(patch.tobytes(), int(n)) for patch, n in zip(counted.patches, counted.frequencies, strict=True)]
    assert found == sorted(expected.items(), key=lambda item: (-item[1], item[0]))


@st.composite
def matrices(draw):
    """Rows of several sizes, most counts 0 or 1, some anything up to 255."""
    seed, largest = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([2, 4, 17, 256]))
    rng = np.random.default_rng(seed)
    sizes = draw(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 70)), min_size=1, max_size=4))
    sparse = [
        rng.integers(0, largest, size) * (rng.random(size) < draw(st.sampled_from([0.05, 0.5, 1]))) for size in sizes
    ]
    return [matrix.astype(np.uint8) for matrix in sparse]


@given(matrices(), st.sampled_from(SHAPES), st.sampled_from([1, 50, kernels.BUFFER]), st.sampled_from([0, 8, 16]))
@settings(max_examples=300)
def test_counts_equal_those_of_a_plain_counter(rows, shape, buffer, direct_bits):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kernels, "BUFFER", buffer)
        patched.setattr(kernels, "DIRECT_BITS", direct_bits)
        counted = extract.count(iter(rows), *shape)
    assert counted.patches.shape[1:] == shape
    assert counted.patches.dtype == np.uint8
    assert_same(counted, plainly(rows, *shape))
    assert counted.frequencies.sum() == sum(extract.n_patches(counts.shape, *shape) for counts in rows)


@given(matrices(), st.sampled_from(SHAPES))
@settings(max_examples=25)
def test_a_database_groups_and_orders_the_patches_alike(rows, shape):
    counted = extract.count(iter(rows), *shape)
    found = zip(counted.patches.reshape(len(counted.patches), -1).tolist(), counted.frequencies.tolist(), strict=True)
    assert list(found) == by_duckdb(rows, *shape)


def test_ties_are_in_lexicographic_order():
    counted = extract.count([np.array([[2, 0, 0, 1, 0, 255, 1, 0]], np.uint8)], 1, 2)
    assert counted.patches.tolist() == [[[0, 1]], [[0, 255]], [[1, 0]], [[2, 0]]]
    assert counted.frequencies.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("largest", [*(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4, 16)), 256])
def test_long_rows_and_many_unique_patches_are_counted_exactly(largest):
    """More patches across than are worked on at a time, most of them unique where counts are large."""
    counts = np.random.default_rng(0).integers(0, largest, (6, 60_001), np.uint8)
    for shape in [(1, 8), (2, 6), (1, 15), (1, 32)]:
        assert_same(extract.count([counts], *shape), plainly([counts], *shape))


def test_more_patches_than_one_tally_holds_are_counted_exactly(monkeypatch):
    monkeypatch.setattr(extract, "MOST_PATCHES", 10)
    rows = [np.random.default_rng(i).poisson(0.5, (3, 50)).astype(np.uint8) for i in range(5)]
    assert_same(extract.count(rows, 1, 8), plainly(rows, 1, 8))


def test_keys_that_share_a_hash_are_told_apart(monkeypatch):
    """Keys of several words are brought together by hashes: with one hash for all, the count is the same."""
    monkeypatch.setattr(kernels, "_hashes", lambda keys: np.zeros(len(keys), np.uint64))
    counts = np.random.default_rng(0).integers(0, 2, (4, 3_200), np.uint8)
    assert_same(extract.count([counts, counts], 1, 32), plainly([counts, counts], 1, 32))


@given(st.lists(st.lists(st.integers(0, 300), max_size=40), min_size=1, max_size=4), st.integers(1, 3), st.data())
def test_tables_in_files_merge_and_sort_as_tables_in_memory(numbers, words, data):
    """Merged range by range and put in order of frequency with little memory: what it is in memory."""
    memory = data.draw(st.sampled_from([64, 1_000, 1_000_000]))
    made = []
    for seed, some in enumerate(numbers):
        keys = np.array([[n, *[n % 3] * (words - 1)] for n in sorted(set(some))], np.uint64).reshape(-1, words)
        frequencies = np.random.default_rng(seed).choice([1, 2, 15, 16, 17, 40_000], len(keys)).astype(np.int64)
        made.append(kernels.Table(keys, frequencies))
    expected = Counter()
    for table in made:
        for key, n in zip(table.keys.tolist(), table.frequencies.tolist(), strict=True):
            expected[tuple(key)] += n
    with tempfile.TemporaryDirectory() as folder:
        files = [spill.write(table, Path(folder) / f"{i}") for i, table in enumerate(made)]
        merged = list(spill.merge_files(files, 8 * words, memory))
        ordered = list(spill.by_frequency(merged, Path(folder) / "order", memory))

    def items(parts):
        return [(tuple(k), n) for p in parts for k, n in zip(p.keys.tolist(), p.frequencies.tolist(), strict=True)]

    assert items(merged) == sorted(expected.items())
    assert items(ordered) == sorted(expected.items(), key=lambda item: (-item[1], item[0]))
    if memory == 64 and len(expected) > 30:
        assert len(merged) > 3


@given(
    st.lists(st.integers(1, 9_000), min_size=1, max_size=30),
    st.sampled_from([1_000, 100_000, 10**9]),
    st.integers(1, 4),
)
def test_blocks_have_every_row_once_and_fit_in_memory(tokens, memory, at_once):
    found = extract.blocks(tokens, 8, memory, at_once)
    assert [i for block in found for i in block] == list(range(len(tokens)))
    for block in found:
        n = sum(tokens[i] for i in block) // 8
        assert len(block) == 1 or n * 16 * extract.COPIES * at_once <= memory


@pytest.mark.parametrize("frequencies", [[16] * 9_000, [*range(1_000, 10_000)], [1 << 40, (1 << 40) + 1] * 4_500])
def test_little_memory_suffices_to_sort_many_frequent_patches(tmp_path, frequencies):
    """What a run with little memory has at a time is little, whatever the frequencies are."""
    frequencies = np.random.default_rng(0).permutation(np.array(frequencies, np.int64))
    keys = np.arange(len(frequencies), dtype=np.uint64)[:, None]
    parts = [kernels.Table(keys[i : i + 500], frequencies[i : i + 500]) for i in range(0, len(keys), 500)]
    memory = 16 * spill.COPIES * 500
    found = list(spill.by_frequency(parts, tmp_path, memory))
    assert max(len(part.keys) for part in found) <= 500
    places = np.lexsort([keys[:, 0], -frequencies])
    assert np.concatenate([part.keys for part in found]).tolist() == keys[places].tolist()
    assert np.concatenate([part.frequencies for part in found]).tolist() == frequencies[places].tolist()
    assert not any(tmp_path.iterdir())


def pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return {tuple(colour) for colour in np.asarray(Image.open(buffer).convert("RGB")).reshape(-1, 3)}


def rgb(colour):
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def first(counted, n):
    return extract.Motifs(counted.patches[:n], counted.frequencies[:n])


def spectrum_of(counted):
    return np.stack(np.unique(counted.frequencies, return_counts=True), axis=1)[::-1]


def summary_of(counted):
    _, p_n, p_t = counted.patches.shape
    job = parquet.Counted("x", p_n, p_t, 1000, int(counted.frequencies.sum()))
    return summary.summarize(job, spectrum_of(counted), 1.0)


def test_the_figure_has_exactly_the_colours_of_its_counts():
    """A colour is there just where its count is: in the motifs shown and in the legend."""
    counted = extract.count([np.array([[0, 0, 0, 0, 1, 0, 3, 0, 9, 0]], np.uint8)], 1, 2)
    blue, red, orange, yellow, teal = map(rgb, figures.COLOURS)
    shown = pixels(figures.draw(first(counted, 2), summary_of(counted)))
    assert {blue, red} <= shown
    assert not {orange, yellow, teal, rgb(figures.MANY)} & shown
    shown = pixels(figures.draw(first(counted, 16), summary_of(counted)))
    assert {blue, red, yellow, rgb(figures.MANY)} <= shown
    assert not {orange, teal} & shown


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (20, 20)])
@pytest.mark.parametrize("top", [1, 5, 100])
def test_figures_of_all_shapes_have_reasonable_sizes(shape, top):
    counted = extract.count([np.random.default_rng(0).poisson(1, (60, 200)).astype(np.uint8)], *shape)
    width, height = figures.draw(first(counted, top), summary_of(counted)).get_size_inches()
    assert width < 100
    assert height < 100


@pytest.mark.parametrize(
    "name, chosen",
    [
        ("x", "most above independent units (× lift)"),
        ("neural-pile-primate-by-similarity-of-all-sessions-of-my-lab", "most frequent"),
    ],
)
def test_the_heading_of_a_figure_is_not_cut(name, chosen):
    counted = extract.count([np.random.default_rng(0).poisson(1, (60, 200)).astype(np.uint8)], 1, 8)
    made = dataclasses.replace(summary_of(counted), data_set=name, patches=773_520, unique=7_912)
    figure = figures.draw(first(counted, 16), made, chosen)
    figure.draw(FigureCanvasAgg(figure).get_renderer())
    for text in figure.texts:
        box = text.get_window_extent()
        assert 0 < box.x0 < box.x1 < figure.bbox.width, text.get_text()


@pytest.fixture
def corpus(tmp_path):
    """A merged corpus of two splits under tmp_path/build, as the command finds it."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "build" / catalog.PILE
    made = [Row(rng.poisson(0.4, (5, 83)).astype(np.uint8), "s", f"{i}", "segment_0", "x") for i in range(6)]
    for split, part in {"train": made[:4], "test": made[4:]}.items():
        arrow.write_rows(folder / split / "a.arrow", part, rows.MERGED_SCHEMA)
        arrow.finish(folder / split, [folder / split / "a.arrow"], rows.MERGED_SCHEMA, "0" * 64, split)
    (folder / arrow.SPLITS).write_text('{"splits": ["train", "test"]}')
    return [row.counts for row in made]


OUTPUTS = [f"primate_(1x8)_motifs{end}" for end in (".jpeg", ".parquet", "_ranks.jpeg", "_summary.json")]


def test_the_command_counts_all_splits_of_the_corpus_by_default(corpus, script, tmp_path):
    """Without a name it is the whole corpus, over all its splits."""
    done = script("extract_motifs.py", "--p_n", 1, "--p_t", 8, "--out_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == OUTPUTS
    for name in OUTPUTS[0], OUTPUTS[2]:
        with Image.open(tmp_path / "out" / name) as image:
            assert image.format == "JPEG"
    expected = plainly(corpus, 1, 8)
    path = str(tmp_path / "out" / "primate_(1x8)_motifs.parquet")
    table = datasets.Dataset.from_parquet(path, cache_dir=str(tmp_path / "cache"))
    assert table.features["patch"] == datasets.List(datasets.List(datasets.Value("uint8")))
    assert [(bytes(row["patch"][0]), row["frequency"]) for row in table] == sorted(
        expected.items(), key=lambda item: (-item[1], item[0])
    )
    assert [row["probability"] for row in table] == [row["frequency"] / expected.total() for row in table]
    metadata = pq.read_schema(path).metadata
    assert (metadata[b"tokens"], metadata[b"patches"]) == (b"2490", str(expected.total()).encode())
    assert f"{len(expected):,}" in done.stdout


def test_the_summary_has_the_numbers_of_a_plain_count(corpus, tmp_path):
    done = run(tmp_path / "build", "extract_motifs.py", "--p_n", 1, "--p_t", 8, "--out_dir", tmp_path / "out")
    assert done.returncode == 0
    said = json.loads((tmp_path / "out" / OUTPUTS[3]).read_text())
    frequencies = sorted(plainly(corpus, 1, 8).values(), reverse=True)
    total = sum(frequencies)
    assert (said["tokens"], said["patches"], said["unique"]) == (2490, total, len(frequencies))
    for top in (10, 100, 1_000, 32_000, 128_000):
        assert said["coverage"][str(top)] == pytest.approx(sum(frequencies[:top]) / total)
    entropy = -sum(n / total * math.log2(n / total) for n in frequencies)
    assert said["entropy_per_patch"] == pytest.approx(entropy)
    assert said["entropy_per_token"] == pytest.approx(entropy / 8)


@pytest.mark.parametrize("shape", [(1, 8), (3, 7)])
def test_the_table_is_the_same_with_little_memory_and_several_jobs(corpus, tmp_path, shape, monkeypatch):
    """With little memory and several blocks at a time, the table is the same to the last byte."""
    data_set = open_data_set(str(tmp_path / "build" / catalog.PILE))
    n = sum(extract.n_patches(counts.shape, *shape) for counts in corpus)
    written = []
    for memory, jobs, tokens in ((10**9, 1, 10**9), (2_000, 3, 400), (500, 2, 1)):
        monkeypatch.setattr(extract, "BLOCK_TOKENS", tokens)
        counted = []
        work, path = tmp_path / f"work{memory}", tmp_path / f"{memory}.parquet"
        total, parts = extract.extract(data_set, data_set.tokens(), *shape, work, memory, jobs, counted.append)
        assert total == n
        parquet.write(parts, path, parquet.Counted("x", *shape, 2490, n), 5)
        assert sum(counted) == 2490
        written.append(path.read_bytes())
    assert written[0] == written[1] == written[2]


# Killed before it counts its `sys.argv[3]`-th block.
KILLED = """
import itertools, os, signal, sys
from pathlib import Path
from neuralpile.motifs import extract
from neuralpile.open import open_data_set
count_rows, blocks = extract.count_rows, itertools.count()
def killed(data_set, numbers, *more):
    print(*numbers, flush=True)
    if next(blocks) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return count_rows(data_set, numbers, *more)
extract.count_rows, extract.BLOCK_TOKENS = killed, 1
data_set = open_data_set(sys.argv[1])
_, parts = extract.extract(data_set, data_set.tokens(), 1, 8, Path(sys.argv[2]), 10**9, 1)
print("unique", sum(len(part.keys) for part in parts))
"""


def test_a_killed_run_continues_where_it_was(corpus, tmp_path):
    """What was counted is not counted again; for other rows, or another shape, all is."""
    folder, work = tmp_path / "build" / catalog.PILE, tmp_path / "work"
    command = [sys.executable, "-c", KILLED, str(folder), str(work)]
    killed = subprocess.run([*command, "3"], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    kept = len(list(work.rglob("block-*.patches")))
    assert kept == 3
    said = subprocess.run([*command, "-1"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[:-1] == [f"{i}" for i in range(kept, 6)]
    assert said[-1] == f"unique {len(plainly(corpus, 1, 8))}"
    data_set = open_data_set(str(folder))
    again = []
    extract.extract(data_set, data_set.tokens(), 1, 4, work, 10**9, 1, again.append)
    assert sum(again) == 2490
    assert len(list(work.rglob("block-*.patches"))) == 6


def test_blocks_of_an_older_run_that_still_writes_are_not_used(corpus, tmp_path, monkeypatch):
    """What a run that counts other rows, since built again, writes into the same folder is not taken for ours."""
    old = open_data_set(str(tmp_path / "build" / catalog.PILE))
    arrow.write_rows(tmp_path / "x" / "a.arrow", [Row(np.ones_like(c), "s", "a", "b") for c in corpus], rows.SCHEMA)
    arrow.finish(tmp_path / "x", [tmp_path / "x" / "a.arrow"], rows.SCHEMA, "1" * 64)
    new = open_data_set(str(tmp_path / "x"))
    count_rows = extract.count_rows

    def disturbed(data_set, *more):
        if data_set is new:
            raise KeyboardInterrupt
        if not list((tmp_path / "work").rglob("block-*")):
            with pytest.raises(KeyboardInterrupt):
                extract.extract(new, new.tokens(), 1, 1, tmp_path / "work", 10**9, 1)
        return count_rows(data_set, *more)

    monkeypatch.setattr(extract, "count_rows", disturbed)
    extract.extract(old, old.tokens(), 1, 1, tmp_path / "work", 10**9, 1)
    monkeypatch.undo()
    monkeypatch.setattr(extract, "BLOCK_TOKENS", 1)
    total, parts = extract.extract(new, new.tokens(), 1, 1, tmp_path / "work", 10**9, 1)
    assert [part.frequencies.tolist() for part in parts] == [[total]]


def test_the_table_has_row_groups_of_one_size(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROW_GROUP", 7 * 2 * 3)
    counts = np.random.default_rng(0).poisson(1, (9, 64)).astype(np.uint8)
    tally = kernels.Tally(2, 3)
    tally.add(counts)
    n = tally.n_patches
    parts = extract.ordered(iter([tally.table()]), tmp_path, 10**9)
    counted = extract.count([counts], 2, 3)
    parquet.write(parts, tmp_path / "x.parquet", parquet.Counted("x", 2, 3, counts.size, n), 16)
    table = pq.ParquetFile(tmp_path / "x.parquet")
    assert table.num_row_groups == -(-len(counted.frequencies) // 7)
    assert table.read()["patch"].to_pylist() == counted.patches.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--p_n", "0", "--p_t", "8"], "argument --p_n: expected a whole number from 1, found '0'"),
        (["--p_n", "1", "--p_t", "x"], "argument --p_t: expected a whole number from 1"),
        (["--p_n", "6", "--p_t", "1"], "expected a row of at least 6 units × 1 bins, found rows of at most 5 units"),
        (["--p_n", "1", "--p_t", "84"], "and 83 bins; take a smaller --p_n or --p_t"),
        (["--p_n", "1", "--p_t", "8", "--repo_name", "nope"], "nope: expected a data set, found none of this name"),
        (["--p_n", "100000", "--p_t", "100000"], "expected a row of at least 100000 units × 100000 bins"),
        (["--p_n", "1", "--p_t", "8", "--top", "401"], "--top: expected at most 400, found 401"),
        (["--p_n", "1", "--p_t", "8", "--top", "0"], "argument --top: expected a whole number from 1"),
        (["--p_n", "1", "--p_t", "8", "--memory", "lots"], "argument --memory: expected at least 1MB, like 2GB"),
        (["--p_n", "1", "--p_t", "8", "--memory", "1e999"], "argument --memory: expected at least 1MB, like 2GB"),
        (["--p_n", "1", "--p_t", "8", "--scheduler", "x"], "x: expected a Dask scheduler with workers"),
    ],
)
def test_wrong_arguments_give_one_line_and_write_nothing(corpus, tmp_path, arguments, message):
    done = run(tmp_path / "build", "extract_motifs.py", *arguments, "--out_dir", tmp_path / "out")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_data_set_without_rows_is_refused(tmp_path):
    arrow.write_rows(tmp_path / "x" / "a.arrow", [], rows.SCHEMA)
    arrow.finish(tmp_path / "x", [tmp_path / "x" / "a.arrow"], rows.SCHEMA, "0" * 64)
    done = run(tmp_path / "build", "extract_motifs.py", "--p_n", 1, "--p_t", 8, "--repo_name", tmp_path / "x")
    assert done.returncode == 2
    assert done.stderr == "error: x: expected a data set with rows, found none; build it again, or take another\n"


def anonymous(pid):
    """Bytes of memory that a process has now, but for mapped files, whose pages the system takes back at need."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1000 if "RssAnon" in status else 0


def count_random(tmp_path, n_rows, memory):
    """Count rows of 10 million random bytes: the table's path, and the most memory that was used."""
    folder = tmp_path / "random"
    if not folder.exists():
        rng = np.random.default_rng(0)
        made = (Row(rng.integers(0, 256, (100, 100_000), np.uint8), "s", f"{i}", "segment_0") for i in range(n_rows))
        arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
        arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
    command = [sys.executable, "extract_motifs.py", "--p_n", "1", "--p_t", "8", "--repo_name", str(folder)]
    command += ["--memory", memory, "--out_dir", str(tmp_path / memory), "--jobs", "2"]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    most = 0
    while running.poll() is None:
        most = max(most, anonymous(running.pid))
        time.sleep(0.01)
    assert running.returncode == 0
    return tmp_path / memory / "random_(1x8)_motifs.parquet", most


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc on this machine")
def test_more_unique_patches_than_memory_give_the_same_file(tmp_path):
    """15 million patches, nearly all unique: 240 MB of table, with 100 MB for it."""
    small, most = count_random(tmp_path, 12, "100MB")
    assert pq.ParquetFile(small).metadata.num_rows == 15_000_000
    large, more = count_random(tmp_path, 12, "6GB")
    assert small.read_bytes() == large.read_bytes()
    assert most < min(700e6, more)  # libraries and buffers take some 400 MB whatever is counted


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc on this machine")
def test_200_million_unique_patches_need_less_than_2_gb(tmp_path):
    """Random bytes: all patches are unique. The same file as with 16 GB of memory."""
    small, most = count_random(tmp_path, 160, "1GB")
    assert most < 2e9
    assert pq.ParquetFile(small).metadata.num_rows == 200_000_000
    large, _ = count_random(tmp_path, 160, "16GB")
    assert subprocess.run(["cmp", str(small), str(large)]).returncode == 0
