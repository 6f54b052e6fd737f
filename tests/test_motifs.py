"""Motifs: exactly what a plain count of patches gives, for every shape and every count; and the command's outputs."""

import io
from collections import Counter

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neuralpile import catalog, motifs, rows, store
from neuralpile.rows import Row

SHAPES = [(1, 1), (1, 8), (1, 10), (1, 15), (15, 1), (4, 4), (1, 32), (3, 5), (2, 8), (7, 1)]


def plainly(matrices, p_n, p_t):
    """Frequencies of patches by their bytes, cut one by one."""
    counter = Counter()
    for counts in matrices:
        for unit in range(0, counts.shape[0], p_n):
            for b in range(0, counts.shape[1], p_t):
                patch = np.zeros((p_n, p_t), np.uint8)
                block = counts[unit : unit + p_n, b : b + p_t]
                patch[: block.shape[0], : block.shape[1]] = block
                counter[patch.tobytes()] += 1
    return counter


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


@given(matrices(), st.sampled_from(SHAPES), st.sampled_from([1, 50, motifs.SLAB]), st.sampled_from([4, 2**16]))
@settings(max_examples=300)
def test_equal_to_a_plain_count(rows, shape, slab, slots):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(motifs, "SLAB", slab)
        patched.setattr(motifs, "SMALLEST_TABLE", slots)
        counted = motifs.count(iter(rows), *shape)
    assert counted.patches.shape[1:] == shape
    assert counted.patches.dtype == np.uint8
    assert_same(counted, plainly(rows, *shape))
    assert counted.tokens == sum(counts.size for counts in rows)
    assert counted.probabilities.sum() == pytest.approx(1)


def test_ties_are_in_lexicographic_order():
    counted = motifs.count([np.array([[2, 0, 0, 1, 0, 255, 1, 0]], np.uint8)], 1, 2)
    assert counted.patches.tolist() == [[[0, 1]], [[0, 255]], [[1, 0]], [[2, 0]]]
    assert counted.frequencies.tolist() == [1, 1, 1, 1]


def test_many_unique_patches():
    """More unique patches than the table starts with, of more than one word."""
    counts = np.random.default_rng(0).integers(0, 256, (64, 20_000), np.uint8)
    for shape in [(1, 8), (2, 6)]:
        assert_same(motifs.count([counts], *shape), plainly([counts], *shape))


def test_rows_are_not_copied_where_patches_lie_in_order():
    counts = np.zeros((4, 32), np.uint8)
    assert np.shares_memory(motifs.patch_words(counts, 1, 8), counts)
    assert np.shares_memory(motifs.patch_words(counts, 1, 32), counts)


def pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return {tuple(colour) for colour in np.asarray(Image.open(buffer).convert("RGB")).reshape(-1, 3)}


def rgb(colour):
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def test_colours_of_the_figure():
    """A colour is there just where its count is: in the motifs shown and in the legend."""
    counted = motifs.count([np.array([[0, 0, 0, 0, 1, 0, 3, 0, 9, 0]], np.uint8)], 1, 2)
    blue, red, orange, yellow, teal = map(rgb, motifs.COLOURS)
    shown = pixels(motifs.draw(counted, "x", 2))
    assert {blue, red} <= shown
    assert not {orange, yellow, teal, rgb(motifs.MANY)} & shown
    shown = pixels(motifs.draw(counted, "x", 16))
    assert {blue, red, yellow, rgb(motifs.MANY)} <= shown
    assert not {orange, teal} & shown


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (20, 20)])
@pytest.mark.parametrize("top", [1, 5, 100])
def test_figure_of_any_shape(shape, top):
    counted = motifs.count([np.random.default_rng(0).poisson(1, (60, 200)).astype(np.uint8)], *shape)
    width, height = motifs.draw(counted, "x", top).get_size_inches()
    assert width < 100
    assert height < 100


@pytest.fixture
def corpus(tmp_path):
    """A merged corpus of two splits under tmp_path/build, as the command finds it."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "build" / catalog.PILE
    made = [Row(rng.poisson(0.4, (5, 83)).astype(np.uint8), "s", f"{i}", "segment_0", "x") for i in range(6)]
    for split, part in {"train": made[:4], "test": made[4:]}.items():
        store.write_rows(folder / split / "a.arrow", part, rows.MERGED_SCHEMA)
        store.finish(folder / split, [folder / split / "a.arrow"], rows.MERGED_SCHEMA, "0" * 64, split)
    (folder / store.SPLITS).write_text('{"splits": ["train", "test"]}')
    return [row.counts for row in made]


def test_command(corpus, script, tmp_path):
    """Without a name it is the whole corpus, over all its splits."""
    done = script("extract_motifs.py", "--p_n", 1, "--p_t", 8, "--out_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "primate_(1x8)_motifs.jpeg",
        "primate_(1x8)_motifs.parquet",
    }
    with Image.open(tmp_path / "out" / "primate_(1x8)_motifs.jpeg") as image:
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


def test_table_in_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(motifs, "ROW_GROUP", 7 * 2 * 3)
    counted = motifs.count([np.random.default_rng(0).poisson(1, (9, 64)).astype(np.uint8)], 2, 3)
    motifs.write_table(counted, tmp_path / "x.parquet", "x")
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
    ],
)
def test_wrong_arguments(corpus, script, tmp_path, arguments, message):
    done = script("extract_motifs.py", *arguments, "--out_dir", tmp_path / "out")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
