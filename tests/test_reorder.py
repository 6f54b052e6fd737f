"""reorder_units.py: one order for a session, of its training rows, in rows, in the table of units, and in a file."""

import copy
import hashlib
import json
import os
import signal
import subprocess
import sys

import datasets
import numpy as np
import pyarrow as pa
import pytest
from helpers import ROOT
from helpers.builds import write_build, write_tables
from helpers.in_process import run
from helpers.loopback_hub import LoopbackHub
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from neuralpile import catalog, figure_files
from neuralpile.corpus import arrow, merge, ordered, rows, tables
from neuralpile.corpus.rows import Row
from neuralpile.corpus.split import SplitOptions
from neuralpile.errors import BadInput
from neuralpile.figures import rasters, view
from neuralpile.open import open_data_set
from neuralpile.training import Windows, reordered

SCRIPT = "reorder_units.py"
SILENT = (1, 4)  # units of every session
KEY = ("source_dataset", "subject_id", "session_id")


def write_corpus(folder, tests_seed=7):
    """Two components: sessions a and b with rows in both splits, c with test rows alone; two units are silent."""
    rng, of_tests = np.random.default_rng(3), np.random.default_rng(tests_seed)
    train, test, sessions, units = [], [], [], []
    for source, session, n_units in (("x", "a", 9), ("y", "a", 12), ("y", "b", 7), ("x", "c", 8)):
        key = dict(zip(KEY, (source, "sub", session), strict=True))
        rates = rng.gamma(2, 0.4, (n_units, 1)) * (1 + np.sin(np.arange(200) / 9 + rng.integers(0, 3, (n_units, 1))))
        rates[list(SILENT)] = 0
        counts = [rng.poisson(rates).astype(np.uint8) for _ in range(2)] if session != "c" else []
        its = [Row(its, "sub", session, f"segment_{i}", source) for i, its in enumerate(counts)]
        train += its
        test.append(Row(of_tests.poisson(rates).astype(np.uint8), "sub", session, f"segment_{len(its)}", source))
        total = sum(int(row.counts.sum()) for row in [*its, test[-1]])
        sessions.append({**key, "n_units": n_units, "spikes": total, "areas": ["M1", "V1"], "bin_size": 0.05})
        sums = np.sum([row.counts.sum(axis=1) for row in [*its, test[-1]]], axis=0)
        for i in range(n_units):
            area = ["V1", None, "M1"][i % 3]
            units.append({**key, "unit": i, "id": f"{source}{session}{i}", "area": area, "n_spikes": int(sums[i])})
    parts = {"train": [train[i] for i in rng.permutation(len(train))], "test": test}
    for split, part in parts.items():
        arrow.write_rows(folder / split / "a.arrow", part, rows.MERGED_SCHEMA)
        digest = hashlib.sha256(repr((split, tests_seed)).encode()).hexdigest()
        arrow.finish(folder / split, [folder / split / "a.arrow"], rows.MERGED_SCHEMA, digest, split)
    (folder / arrow.SPLITS).write_text('{"splits": ["train", "test"]}')
    tables.write(folder, pa.Table.from_pylist(sessions, tables.SESSIONS), pa.Table.from_pylist(units, tables.UNITS))
    return parts


@pytest.fixture
def build(tmp_path):
    return tmp_path / "build"


@pytest.fixture
def corpus(build):
    return write_corpus(build / "two")


@pytest.fixture
def reorder(build, corpus):
    """Reorder the corpus."""

    def reorder(*options, status=0):
        done = run(build, SCRIPT, "--repo_name", "two", *options)
        assert done.returncode == status, done.stderr
        return done

    return reorder


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def orders_in(folder):
    """The lines of orders.parquet by session, read without our code."""
    return {tuple(line[k] for k in KEY): line for line in parquet.read_table(folder / "orders.parquet").to_pylist()}


@pytest.mark.parametrize("by", ["similarity", "rate", "area"])
def test_all_rows_of_a_session_are_in_its_order_and_keep_names_splits_and_places(reorder, corpus, build, by):
    reorder("--by", by)
    folder = build / f"two-by-{by}"
    lines, found = orders_in(folder), datasets.load_from_disk(str(folder))
    assert list(found) == ["train", "test"]
    for split, expected in corpus.items():
        for row, source in zip(found[split], expected, strict=True):
            assert (row["subject_id"], row["session_id"], row["segment_id"], row["source_dataset"]) == source[1:5]
            line = lines[source.source_dataset, source.subject_id, source.session_id]
            assert sorted(line["order"]) == list(range(len(source.counts)))
            assert np.array_equal(np.array(row["spike_counts"], np.uint8), source.counts[line["order"]])
            assert np.array_equal(np.array(row["spike_counts"], np.uint8)[line["inverse"]], source.counts)
            assert line["order"][-2:] == list(SILENT)
    assert {key: line["split"] for key, line in lines.items()} == {
        ("x", "sub", "a"): "train",
        ("y", "sub", "a"): "train",
        ("y", "sub", "b"): "train",
        ("x", "sub", "c"): "test",
    }
    assert [line["n_bins"] for key, line in sorted(lines.items())] == [400, 200, 400, 400]


def test_the_order_by_rate_is_that_of_the_training_rows_and_by_area_that_of_names(reorder, corpus, build):
    reorder("--by", "rate", "--orders_only")
    reorder("--by", "area", "--orders_only")
    for key, line in orders_in(build / "two-by-rate").items():
        its = [row for row in corpus["train"] if (row.source_dataset, row.session_id) == (key[0], key[2])]
        its = its or [row for row in corpus["test"] if (row.source_dataset, row.session_id) == (key[0], key[2])]
        sums = sum(row.counts.sum(axis=1, dtype=int) for row in its)
        assert line["order"] == sorted(range(len(sums)), key=lambda unit: (-sums[unit], unit))
    # Units 0, 3, 6 are in V1, 2, 5, 8 in M1, 1, 4, 7 in none; 1 and 4 are silent.
    assert orders_in(build / "two-by-area")["x", "sub", "a"]["order"] == [2, 5, 8, 0, 3, 6, 7, 1, 4]


def test_test_rows_do_not_change_the_order_of_a_session_with_training_rows(build):
    for name, seed in (("one", 7), ("other", 8)):
        write_corpus(build / name, seed)
        assert run(build, SCRIPT, "--repo_name", name, "--orders_only").returncode == 0
    one, other = (orders_in(build / f"{name}-by-similarity") for name in ("one", "other"))
    assert all(one[key]["order"] == other[key]["order"] for key in one if key[2] != "c")
    assert one["x", "sub", "c"]["order"] != other["x", "sub", "c"]["order"]


def test_the_table_of_units_follows_and_keeps_what_units_were(reorder, corpus, build):
    reorder()
    folder = build / "two-by-similarity"
    lines, opened = orders_in(folder), open_data_set(str(folder))
    units = parquet.read_table(folder / "units.parquet").to_pylist()
    assert opened.units().to_pylist() == units
    for key, line in lines.items():
        its = [unit for unit in units if tuple(unit[k] for k in KEY) == key]
        assert [unit["unit"] for unit in its] == list(range(len(its)))
        assert [unit["order"] for unit in its] == line["order"]
        assert [unit["id"] for unit in its] == [f"{key[0]}{key[2]}{unit}" for unit in line["order"]]
        counts = np.concatenate([row.counts for row in opened.session(*key)], axis=1)
        assert [unit["n_spikes"] for unit in its] == counts.sum(axis=1).tolist()
    manifest = json.loads((folder / "manifest.json").read_text())["reordered"]
    assert (manifest["by"], manifest["data_set"], manifest["orders"]) == ("similarity", "two", "orders.parquet")


def test_units_that_are_reordered_twice_keep_their_first_numbers(reorder, build):
    reorder("--by", "rate")
    assert run(build, SCRIPT, "--repo_name", "two-by-rate", "--out_dir", build / "twice").returncode == 0
    units = parquet.read_table(build / "twice" / "units.parquet").to_pylist()
    assert all(unit["id"].endswith(f"{unit['session_id']}{unit['order']}") for unit in units)


def test_the_same_rows_give_the_same_bytes_and_a_result_that_is_there_is_kept(reorder, build, tmp_path):
    reorder()
    before = {path: path.stat().st_mtime_ns for path in (build / "two-by-similarity").rglob("*")}
    assert "sessions" in reorder().stdout
    assert before == {path: path.stat().st_mtime_ns for path in (build / "two-by-similarity").rglob("*")}
    reorder("--out_dir", tmp_path / "again")
    assert content(tmp_path / "again") == content(build / "two-by-similarity")
    reorder("--orders_only", "--out_dir", tmp_path / "alone")
    assert content(tmp_path / "alone") == {"orders.parquet": (tmp_path / "again" / "orders.parquet").read_bytes()}


def test_where_chooses_sessions(reorder, build):
    reorder("--where", "n_units > 7 and source_dataset = 'x'", "--out_dir", build / "some")
    assert set(orders_in(build / "some")) == {("x", "sub", "a"), ("x", "sub", "c")}
    opened = open_data_set(str(build / "some"))
    assert {name.session_id for name in opened.names()} == {"a", "c"}
    assert set(opened.units()["source_dataset"].to_pylist()) == {"x"}


def test_a_build_stays_a_build_and_files_of_one_name_with_other_units_have_an_order_each(build):
    rng = np.random.default_rng(0)
    made = [Row(rng.poisson(0.5, (n, 50)).astype(np.uint8), "s", "t", f"segment_{i}") for i, n in enumerate((5, 6, 5))]
    arrow.write_rows(build / "b" / "a.arrow", made, rows.SCHEMA)
    arrow.finish(build / "b", [build / "b" / "a.arrow"], rows.SCHEMA, "0" * 64)
    assert run(build, SCRIPT, "--repo_name", "b").returncode == 0
    found = datasets.load_from_disk(str(build / "b-by-similarity"))
    assert isinstance(found, datasets.Dataset)
    orders = {
        line["n_units"]: line["order"]
        for line in parquet.read_table(build / "b-by-similarity" / "orders.parquet").to_pylist()
    }
    for row, source in zip(found, made, strict=True):
        assert np.array_equal(row["spike_counts"], source.counts[orders[len(source.counts)]])


@pytest.mark.parametrize("options", [(), ("--orders_only",)])
def test_a_folder_with_something_else_is_not_replaced(reorder, tmp_path, options):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    assert "mine: expected a new folder" in reorder("--out_dir", tmp_path / "mine", *options, status=2).stderr
    assert content(tmp_path / "mine") == {"notes.txt": b"x"}


def test_orders_alone_do_not_spoil_rows_in_other_orders(reorder, build, tmp_path):
    reorder("--out_dir", tmp_path / "out")
    before = content(tmp_path / "out")
    done = reorder("--by", "rate", "--orders_only", "--out_dir", tmp_path / "out", status=2)
    assert "one with orders to replace" in done.stderr
    assert content(tmp_path / "out") == before
    reorder("--by", "rate", "--out_dir", tmp_path / "out")  # a whole result replaces another
    assert content(tmp_path / "out") != before


def test_an_order_by_area_needs_areas(build):
    arrow.write_rows(build / "b" / "a.arrow", [Row(np.ones((2, 3), np.uint8), "s", "t", "segment_0")], rows.SCHEMA)
    arrow.finish(build / "b", [build / "b" / "a.arrow"], rows.SCHEMA, "0" * 64)
    done = run(build, SCRIPT, "--repo_name", "b", "--by", "area")
    assert done.returncode == 2
    assert "b: expected areas of units" in done.stderr
    assert not list(build.glob("b-by-area*/*"))


def test_a_merge_into_the_folder_of_a_reordered_corpus_is_made(build):
    rng = np.random.default_rng(1)
    made = [Row(rng.poisson(0.5, (4, 50)).astype(np.uint8), "s", f"{i}", "segment_0") for i in range(3)]
    arrow.write_rows(build / "b" / "a.arrow", made, rows.SCHEMA)
    arrow.finish(build / "b", [build / "b" / "a.arrow"], rows.SCHEMA, "0" * 64)
    merge.merge([open_data_set(str(build / "b"))], build / "pile", SplitOptions())
    reordered.run(open_data_set(str(build / "pile")), reordered.Job("rate"), build / "other")
    plain = content(build / "pile")
    merge.merge([open_data_set(str(build / "b"))], build / "other", SplitOptions())
    assert content(build / "other") == plain


def test_a_reordered_data_set_is_published_with_its_orders(corpus, build, tmp_path):
    command = [sys.executable, SCRIPT, "--repo_name", "two", "--hf_repo_name", "me/sorted"]
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        env = os.environ | hub.environment() | {"NEURALPILE_BUILD": str(build)}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        published = {path: file.data for path, file in hub.commits("me/sorted")[-1].tree.items()}
        again = [sys.executable, SCRIPT, "--repo_name", "me/sorted", "--by", "rate", "--orders_only"]  # read on the Hub
        done = subprocess.run(again, cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    folder = build / "two-by-similarity"
    assert published["orders.parquet"] == (folder / "orders.parquet").read_bytes()
    (alone,) = open_data_set(str(folder)).session("x", "sub", "c")  # a session of one row, in the test split
    sums = alone.counts.sum(axis=1, dtype=int).tolist()
    found = orders_in(build / "me--sorted-by-rate")["x", "sub", "c"]
    assert found["order"] == sorted(range(len(sums)), key=lambda unit: (-sums[unit], unit))
    units = parquet.read_table(pa.BufferReader(published["data/units.parquet"]))
    assert units.equals(parquet.read_table(folder / "units.parquet"))
    assert "reordered" in json.loads(published["manifest.json"])
    assert "reorder_units.py --repo_name two" in published["README.md"].decode()


# --- orders that are applied while rows are read ---


@pytest.mark.parametrize("where", [None, "n_units > 7"])
@pytest.mark.parametrize("split", [None, "train", "test"])
def test_rows_in_an_order_are_those_of_the_reordered_data_set(reorder, build, monkeypatch, split, where):
    reorder("--by", "rate")
    monkeypatch.setattr(catalog, "BUILD", build)
    expected = open_data_set("two-by-rate", split, where)
    for order in ("rate", str(build / "two-by-rate"), str(build / "two-by-rate" / "orders.parquet")):
        found = open_data_set("two", split, where, order)
        assert [*found.names()] == [*expected.names()]
        assert found.tokens() == expected.tokens()
        assert found.splits == expected.splits
        assert all(np.array_equal(a.counts, b.counts) for a, b in zip(found, expected, strict=True))
        assert found.units().equals(expected.units())
        assert found.sessions().equals(expected.sessions())
        key = found.names()[0]
        for one, other in zip(
            found.session("y", "sub", "a") if where is None else [found.row(0)],
            expected.session("y", "sub", "a") if where is None else [expected.row(0)],
            strict=True,
        ):
            assert np.array_equal(one.counts, other.counts)
        assert key.session_id == expected.row(0).session_id


@pytest.mark.parametrize("by", ["similarity", "area"])
def test_motifs_of_rows_in_an_order_are_those_of_the_reordered_data_set(reorder, build, tmp_path, by):
    reorder("--by", by)
    shape = ("--p_n", 3, "--p_t", 2)
    for name, options in {
        "there": ("--repo_name", f"two-by-{by}"),
        "here": ("--repo_name", "two", "--order", by),
        "folder": ("--repo_name", "two", "--order", build / f"two-by-{by}" / "orders.parquet"),
        "none": ("--repo_name", "two"),
    }.items():
        done = run(build, "extract_motifs.py", *shape, *options, "--out_dir", tmp_path / name)
        assert done.returncode == 0, done.stderr
    there, here, of_folder, unordered = (
        parquet.read_table(next((tmp_path / name).glob("*.parquet"))) for name in ("there", "here", "folder", "none")
    )
    for folder in ("here", "folder"):  # files of several orders can be in one folder, and say which they are of
        (path,) = (tmp_path / folder).glob("*.parquet")
        assert path.name.startswith(f"two-by-{by}_(")
        assert parquet.read_schema(path).metadata[b"order"].decode() == by
        assert json.loads(path.with_name(f"{path.stem}_summary.json").read_text())["order"] == by
    assert here.equals(there)
    assert of_folder.equals(there)
    assert not unordered.equals(there)


def test_motifs_in_two_orders_of_one_measure_have_files_of_their_own(reorder, build, tmp_path):
    reorder("--by", "rate", "--orders_only")
    of_others = ordered.read(build / "two-by-rate" / "orders.parquet")
    lists = [order[::-1] for order in of_others.table["order"].to_pylist()]
    table = of_others.table.set_column(6, ordered.ORDERS.field("order"), pa.array(lists, pa.list_(pa.int32())))
    inverses = pa.array([np.argsort(order).tolist() for order in lists], pa.list_(pa.int32()))
    other = ordered.Orders(table.set_column(7, ordered.ORDERS.field("inverse"), inverses), of_others.stated)
    ordered.write(tmp_path / "orders.parquet", other)
    for order in ("rate", tmp_path / "orders.parquet"):
        options = "--repo_name", "two", "--order", order, "--p_n", 3, "--p_t", 2, "--out_dir", tmp_path / "motifs"
        assert run(build, "extract_motifs.py", *options).returncode == 0
    found = sorted(path.name for path in (tmp_path / "motifs").glob("*.parquet"))
    assert found == [f"two-by-rate-{other.digest[:8]}_(3x2)_motifs.parquet", "two-by-rate_(3x2)_motifs.parquet"]


@pytest.mark.parametrize(
    "options",
    [
        {"n_units": 4},
        {"n_units": 4, "units": "block", "where": "n_units > 7"},
        {"n_units": 5, "jitter": False, "layout": "time", "bin_size": 0.1},
        {"pack": 30},
    ],
)
def test_windows_of_rows_in_an_order_are_those_of_the_reordered_data_set(reorder, build, monkeypatch, options):
    reorder()
    monkeypatch.setattr(catalog, "BUILD", build)
    expected = Windows("two-by-similarity", n_bins=30, seed=5, **options)
    folder = str(build / "two-by-similarity")
    plain = Windows("two", n_bins=30, seed=5, **options)
    for found in (
        Windows("two", n_bins=30, seed=5, order="similarity", **options),
        Windows(open_data_set("two", order=folder), n_bins=30, seed=5, **options),
        copy.deepcopy(Windows("two", n_bins=30, seed=5, order=folder, **options)),
    ):
        assert len(found) == len(expected)
        one, other = (windows.batch(range(2 * len(expected))) for windows in (found, expected))
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        assert not np.array_equal(one.counts, plain.batch(range(2 * len(expected))).counts)
        window = found[1]
        counts = found.data_set.row(window.row).counts[window.units, window.start : window.start + 30]
        assert "bin_size" in options or np.array_equal(counts, window.counts)
    with pytest.raises(BadInput, match="expected orders of these rows"):
        Windows("two", order="area")


def test_orders_of_other_rows_are_refused(reorder, build, tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "BUILD", build)
    with pytest.raises(BadInput, match=r"run: python reorder_units\.py --by rate --orders_only --repo_name .*two"):
        open_data_set("two", order="rate")
    reorder("--by", "rate", "--orders_only", "--where", "source_dataset = 'y'")
    with pytest.raises(BadInput, match="x, sub, a: expected an order of its units"):
        open_data_set("two", order=str(build / "two-by-rate"))
    chosen = open_data_set("two", where="source_dataset = 'y'", order=str(build / "two-by-rate"))
    assert {name.source_dataset for name in chosen.names()} == {"y"}
    reorder("--by", "similarity")
    write_corpus(build / "two", 8)  # other rows: orders in the default folder are of what was there
    with pytest.raises(BadInput, match=r"orders of these rows, found orders of other rows; run: .* --orders_only"):
        open_data_set("two", order="rate")
    # a whole result is replaced by a whole result only, so that is advised
    with pytest.raises(BadInput, match=r"found orders of other rows; run: .* --by similarity --repo_name"):
        open_data_set("two", order="similarity")
    reorder("--by", "similarity")
    open_data_set("two", order="similarity")
    for order, where in (("similarty", "similarty"), (tmp_path, "orders.parquet"), (tmp_path / "no", "no")):
        with pytest.raises(BadInput, match=rf"{where}: .* found no such file; .* give similarity, rate, area, or the"):
            open_data_set("two", order=str(order))


def test_an_order_of_other_units_than_a_row_has_is_refused(corpus, build):
    session = ordered.Orders(orders_of([1, 0]), {})
    ordered.write(build / "orders.parquet", session)
    source = open_data_set(str(build / "two"), where="session_id = 'c'")
    table = session.table.set_column(2, "session_id", pa.array(["c"]))
    ordered.write(build / "orders.parquet", ordered.Orders(table, {}))
    with pytest.raises(BadInput, match="x, sub, c: expected an order of 8 units, found none"):
        ordered.rows(source, build / "orders.parquet").row(0)


def test_rasters_by_similarity_are_in_the_orders_of_sessions_where_these_are_made(reorder, build, monkeypatch):
    monkeypatch.setattr(catalog, "BUILD", build)
    opened, wanted = open_data_set("two"), view.View(seconds=float("inf"), sort="similarity")
    drawn = []
    monkeypatch.setattr(rasters, "draw_rows", lambda shown, *_: drawn.append(shown))
    monkeypatch.setattr(figure_files, "save", lambda *_: None)
    rasters.draw(opened, 9, 0, build, wanted)
    reorder("--orders_only")
    rasters.draw(opened, 9, 0, build, wanted)
    lines = orders_in(build / "two-by-similarity")
    before, after = drawn
    for part in after:
        line = lines[part.row.source_dataset, part.row.subject_id, part.row.session_id]
        assert part.order.tolist() == line["order"]
        assert "of the session" in part.label
    assert any(a.order.tolist() != b.order.tolist() for a, b in zip(before, after, strict=True))


def test_rasters_by_similarity_of_sessions_without_an_order_go_by_what_they_show(reorder, build, monkeypatch):
    monkeypatch.setattr(catalog, "BUILD", build)
    reorder("--orders_only", "--where", "session_id = 'a'")
    drawn = []
    monkeypatch.setattr(rasters, "draw_rows", lambda shown, *_: drawn.extend(shown))
    monkeypatch.setattr(figure_files, "save", lambda *_: None)
    rasters.draw(open_data_set("two"), 9, 0, build, view.View(seconds=float("inf"), sort="similarity"))
    assert {(part.row.session_id, "of the session" in part.label) for part in drawn} == {
        ("a", True),
        ("b", False),
        ("c", False),
    }


def test_rasters_of_a_reordered_build_know_areas_and_seconds_though_its_folder_has_another_name(build):
    write_tables(write_build(build / "m1-a", 3, 5))
    assert run(build, SCRIPT, "--repo_name", "m1-a", "--by", "rate").returncode == 0
    opened = open_data_set(str(build / "m1-a-by-rate"))
    shown = rasters.view(opened, opened.row(0), view.View(sort="area"), units=opened.units())
    assert shown.bin_width == 0.02  # of data/m1-a/dataset.toml
    assert shown.areas == ["M1"] * 4


# --- the file of orders ---


def orders_of(*orders):
    lines = [("x", "sub", str(i), len(o), "train", 9, o, np.argsort(o).tolist()) for i, o in enumerate(orders)]
    return pa.table([list(column) for column in zip(*lines, strict=True)], ordered.ORDERS)


@given(st.lists(st.integers(0, 9).flatmap(lambda n: st.permutations(range(n))), min_size=1, max_size=5))
def test_orders_are_read_as_they_were_written(tmp_path_factory, orders):
    path = tmp_path_factory.mktemp("orders") / "orders.parquet"
    ordered.write(path, ordered.Orders(orders_of(*orders), {"by": "rate"}))
    found = ordered.read(path)
    assert [found.of("x", "sub", str(i), len(order)).tolist() for i, order in enumerate(orders)] == orders
    assert found.stated == {"by": "rate"}


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("order", [[0, 1, 1]], "each of 3 units once"),
        ("order", [[0, 1]], "each of 3 units once"),
        ("order", [[0, -1, 2]], "each of 3 units once"),
        ("inverse", [[0, 1, 2]], "the inverse of each order"),
        ("order", [None], "found missing values"),
        ("order", [[0, None, 2]], "found missing values"),
        ("inverse", [[0, None, 2]], "found missing values"),
        ("n_units", [None], "found missing values"),
    ],
)
def test_a_damaged_order_is_reported(tmp_path, column, values, message):
    table = orders_of([1, 2, 0])
    place = table.schema.get_field_index(column)
    table = table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))
    ordered.write(tmp_path / "orders.parquet", ordered.Orders(table, {}))
    with pytest.raises(BadInput, match=message):
        ordered.read(tmp_path / "orders.parquet")


def test_two_lines_of_one_session_are_reported(tmp_path):
    table = pa.concat_tables([orders_of([1, 0]), orders_of([0, 1])])
    ordered.write(tmp_path / "orders.parquet", ordered.Orders(table, {}))
    with pytest.raises(BadInput, match="found several lines of one session; run reorder_units"):
        ordered.read(tmp_path / "orders.parquet")


def test_another_file_is_no_file_of_orders(tmp_path):
    path = tmp_path / "orders.parquet"
    for content_ in (b"", b"PAR1 and more", None):
        if content_ is None:
            parquet.write_table(pa.table({"a": [1]}), path)
        else:
            path.write_bytes(content_)
        with pytest.raises(BadInput, match="expected orders of units"):
            ordered.read(path)


# --- kills ---

# Killed before it writes its `sys.argv[3]`-th row.
KILLED = """
import itertools, os, signal, sys
from pathlib import Path
from neuralpile.corpus import arrow
from neuralpile.open import open_data_set
from neuralpile.training import Windows, reordered
to_record_batch = arrow.to_record_batch
rows = itertools.count(1)
def killed(row):
    if next(rows) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return to_record_batch(row)
arrow.to_record_batch, reordered.SHARD = killed, 2_000
reordered.run(open_data_set(sys.argv[1]), reordered.Job("similarity"), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_command_killed_and_run_again_yields_the_same_bytes(corpus, build, tmp_path):
    """In the midst of a file: those that were complete are kept."""
    command = [sys.executable, "-c", KILLED, str(build / "two")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([*command, str(tmp_path / "undisturbed"), "0"], cwd=ROOT, check=True, env=environment)
    done = subprocess.run([*command, str(tmp_path / "out"), "6"], cwd=ROOT, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    partial = tmp_path / "out.partial"
    complete = list(partial.glob("train/*.arrow"))
    assert len(complete) >= 2
    kept = {path: path.stat().st_mtime_ns for path in [partial / "orders.parquet", *complete]}
    subprocess.run([*command, str(tmp_path / "out"), "0"], cwd=ROOT, check=True, env=environment)
    assert content(tmp_path / "out") == content(tmp_path / "undisturbed")
    for path, written in kept.items():
        assert (tmp_path / "out" / path.relative_to(partial)).stat().st_mtime_ns == written
