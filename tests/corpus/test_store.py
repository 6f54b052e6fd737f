"""Data sets on disk and on the Hub: one row at a time, as views; and references that lead nowhere."""

import mmap
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralpile import catalog
from neuralpile.corpus import arrow, rows, store
from neuralpile.corpus.rows import Row
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set


def write(folder, counts, schema=rows.SCHEMA):
    source = "x" if schema == rows.MERGED_SCHEMA else None
    made = [Row(c, "sub-A", f"ses-{i}", "segment_0", source) for i, c in enumerate(counts)]
    arrow.write_rows(folder / "a.arrow", made, schema)
    arrow.finish(folder, [folder / "a.arrow"], schema, "0" * 64)


MATRICES = [np.arange(12, dtype=np.uint8).reshape(3, 4), np.full((1, 7), 255, np.uint8), np.zeros((2, 1), np.uint8)]


@pytest.mark.parametrize("schema", [rows.SCHEMA, rows.MERGED_SCHEMA])
def test_rows_come_back_as_views(tmp_path, schema):
    write(tmp_path / "x", MATRICES, schema)
    opened = open_data_set(str(tmp_path / "x"))
    assert len(opened) == len(MATRICES)
    for row, matrix in zip(opened, MATRICES, strict=True):
        assert (row.counts == matrix).all()
        assert row.counts.dtype == np.uint8
        assert not row.counts.flags.owndata
        assert not row.counts.flags.writeable
    assert datasets.load_from_disk(str(tmp_path / "x"))[0]["spike_counts"] == MATRICES[0].tolist()


def test_opening_reads_no_counts(tmp_path):
    """200 MB of counts are opened, and a row's shape is known, in a few MB of memory."""
    import resource

    write(tmp_path / "x", [np.ones((100, 100_000), np.uint8)] * 20)
    opened = open_data_set(str(tmp_path / "x"))
    opened.row(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(row.counts.size for row in opened) == 200_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


def test_a_data_set_is_opened_by_name_or_by_path(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "BUILD", tmp_path / "build")
    write(tmp_path / "build" / "mine", MATRICES)
    assert open_data_set("mine").name == "mine"
    assert open_data_set(str(tmp_path / "build" / "mine")).name == "mine"
    assert open_data_set(str(tmp_path / "build" / "mine") + "/").name == "mine"
    monkeypatch.chdir(tmp_path / "build" / "mine")
    assert open_data_set(".").name == "mine"
    with pytest.raises(BadInput, match="nope: expected a data set"):
        open_data_set("nope")
    with pytest.raises(BadInput, match="expected a data set"):
        open_data_set(str(tmp_path / "nope"))


def test_unfinished_builds_are_no_data_sets(tmp_path):
    write(tmp_path / "x", MATRICES)
    arrow.mark_unfinished(tmp_path / "x")
    assert not arrow.is_finished(tmp_path / "x")
    with pytest.raises(BadInput, match="whose build has not finished"):
        open_data_set(str(tmp_path / "x"))


def test_data_sets_without_the_columns_are_refused(tmp_path):
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(str(tmp_path / "text"))
    with pytest.raises(BadInput, match="expected a column spike_counts of lists of lists of uint8, found None"):
        open_data_set(str(tmp_path / "text"))
    datasets.Dataset.from_dict({"spike_counts": [[[1, 2]]]}).save_to_disk(str(tmp_path / "wide"))
    with pytest.raises(BadInput, match="int64"):
        open_data_set(str(tmp_path / "wide"))
    features = datasets.Features(spike_counts=datasets.List(datasets.List(datasets.Value("uint8"))))
    nameless = datasets.Dataset.from_dict({"spike_counts": [[[1, 2]]]}, features=features)
    nameless.save_to_disk(str(tmp_path / "nameless"))
    with pytest.raises(BadInput, match="expected a column subject_id of strings, found None"):
        open_data_set(str(tmp_path / "nameless"))


@pytest.mark.parametrize(
    ("counts", "session", "said"),
    [
        ([[1, 2], [3]], "b", "all units of a row to have the same number of bins, found 1 to 2"),
        ([[1, 2], [3, None]], "b", "spike_counts of every unit in every bin, found null"),
        ([[1, 2], None], "b", "spike_counts of every unit in every bin, found null"),
        ([[1, 2], [3, 4]], None, "a session_id of every row, found null"),
    ],
)
def test_bad_rows_of_other_data_sets_are_refused(tmp_path, counts, session, said):
    row = {"spike_counts": counts, "subject_id": "a", "session_id": session, "segment_id": "c"}
    data = datasets.Dataset.from_list([row], features=datasets.Features.from_arrow_schema(rows.SCHEMA))
    data.save_to_disk(str(tmp_path / "x"))
    with pytest.raises(BadInput, match=f"row 0: expected {said}"):
        open_data_set(str(tmp_path / "x")).row(0)


def test_data_sets_as_others_write_them(tmp_path):
    """What `datasets` itself saved, shuffled and in several record batches, opens all the same."""
    features = datasets.Features.from_arrow_schema(rows.SCHEMA)
    made = [Row(np.full((2, 3), i, np.uint8), "s", str(i), "segment_0") for i in range(10)]
    data = datasets.Dataset.from_list(
        [dict(zip(rows.SCHEMA.names, (row.counts.tolist(), *row[1:4]), strict=True)) for row in made], features=features
    )
    data.shuffle(seed=1).save_to_disk(str(tmp_path / "x"), num_shards=3)
    opened = open_data_set(str(tmp_path / "x"))
    assert sorted(int(row.session_id) for row in opened) == list(range(10))
    assert all((row.counts == int(row.session_id)).all() for row in opened)


def test_record_batches_are_found_when_they_are_read_and_once(tmp_path, monkeypatch):
    """What costs time for each file of a data set is not done before its rows are read, and once."""
    files = [tmp_path / f"{i:03d}.arrow" for i in range(40)]
    for i, file in enumerate(files):
        arrow.write_rows(file, [Row(np.full((2, 3), i, np.uint8), "s", f"{i}", "segment_0")], rows.SCHEMA)
    arrow.finish(tmp_path, files, rows.SCHEMA, "0" * 64)
    (tmp_path / arrow.INDEX).unlink()  # as in what other programs save
    indexed = []
    outline = arrow.outline
    monkeypatch.setattr(arrow, "outline", lambda path: indexed.append(path.name) or outline(path))
    data_set = open_data_set(str(tmp_path))
    assert len(data_set) == 40
    assert data_set.splits == {"train": range(40)}
    assert indexed == []
    for _ in range(2):
        assert [int(row.counts[0, 0]) for row in data_set] == list(range(40))
    assert data_set.tokens() == [6] * 40
    assert [name.session_id for name in data_set.names()] == [f"{i}" for i in range(40)]
    assert indexed == [file.name for file in files]


def test_a_data_set_with_an_index_opens_without_reading_its_rows(tmp_path, monkeypatch):
    shapes = [(2, 3), (1, 7), (4, 5)]
    write(tmp_path / "x", [np.full(shape, i, np.uint8) for i, shape in enumerate(shapes)])
    names = [rows.Names("sub-A", f"ses-{i}", "segment_0") for i in range(3)]
    expected = names, [6, 7, 20], [list(shape) for shape in shapes]
    scanned = open_data_set(str(tmp_path / "x"))
    (tmp_path / "x" / arrow.INDEX).rename(tmp_path / "kept")
    assert ([*scanned.names()], scanned.tokens(), scanned.shapes().tolist()) == expected
    (tmp_path / "kept").rename(tmp_path / "x" / arrow.INDEX)
    monkeypatch.delattr(arrow, "outline")
    read = open_data_set(str(tmp_path / "x"))
    assert ([*read.names()], read.tokens(), read.shapes().tolist()) == expected
    assert [row.counts.shape for row in read.in_any_order()] == shapes


def test_an_index_of_other_rows_is_not_used(tmp_path):
    for name, value in (("x", 1), ("y", 2)):
        arrow.write_rows(
            tmp_path / name / "a.arrow", [Row(np.full((2, 3), value, np.uint8), name, "1", "segment_0")], rows.SCHEMA
        )
        arrow.finish(tmp_path / name, [tmp_path / name / "a.arrow"], rows.SCHEMA, f"{value}" * 64)
    (tmp_path / "y" / arrow.INDEX).replace(tmp_path / "x" / arrow.INDEX)
    assert [names.subject_id for names in open_data_set(str(tmp_path / "x")).names()] == ["x"]


def test_a_row_that_is_not_the_one_of_the_index_is_refused_in_one_line(tmp_path):
    folder = tmp_path / "x"
    write(folder, [np.ones((2, 3), np.uint8)])
    content = (folder / "a.arrow").read_bytes()
    changed = content.replace(b"segment_0", b"segment_9")
    assert changed != content
    (folder / "a.arrow").write_bytes(changed)
    with pytest.raises(BadInput, match=r"row 0 to be 2 × 3, .* segment_0, found 2 × 3, .*_9;") as error:
        open_data_set(str(folder)).row(0)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no /proc on this machine")
def test_what_was_read_does_not_stay_in_memory(tmp_path, monkeypatch):
    """Of 20 rows of 1 MB, no more than those read since the last release are in memory, and all come back."""
    write(tmp_path / "x", [np.full((10, 100_000), i, np.uint8) for i in range(20)])
    monkeypatch.setattr(store, "MAPPED", 4_000_000)
    data_set = open_data_set(str(tmp_path / "x"))
    most = 0
    for i, row in enumerate(data_set):
        assert (row.counts == i).all()
        most = max(most, resident(tmp_path / "x"))
    assert 3e6 < most < 6e6
    del row
    assert resident(tmp_path / "x") < 1e6
    assert (data_set.row(3).counts == 3).all()


def resident(folder):
    """Bytes of the files of a folder that are in this process's memory."""
    held, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if not line.split()[0].endswith(":"):  # the first line of a mapping, with its file
            inside = str(folder) in line
        elif inside and line.startswith("Rss:"):
            held += int(line.split()[1]) * 1024
    return held


def test_a_row_that_is_taken_again_is_the_same_view(tmp_path, monkeypatch):
    """Views are kept, a bounded number of them, and are right whatever was dropped in between."""
    write(tmp_path / "x", [np.full((2, 10), i, np.uint8) for i in range(10)])
    data_set = open_data_set(str(tmp_path / "x"))
    assert data_set.row(3) is data_set.row(3)
    monkeypatch.setattr(store, "KEPT", 4)
    monkeypatch.setattr(store, "MAPPED", 50)
    held = data_set.row(9).counts
    for _ in range(2):
        for i in np.random.default_rng(0).permutation(10).tolist():
            assert (data_set.row(i).counts == i).all()
            assert sum(len(mapped.rows) for mapped in data_set._maps._open.values()) <= 4
    assert (held == 9).all()


def test_no_more_than_some_files_are_open(tmp_path, monkeypatch):
    files = [tmp_path / f"{i}.arrow" for i in range(6)]
    for i, file in enumerate(files):
        arrow.write_rows(file, [Row(np.full((2, 3), i, np.uint8), "s", f"{i}", "segment_0")], rows.SCHEMA)
    arrow.finish(tmp_path, files, rows.SCHEMA, "0" * 64)
    monkeypatch.setattr(store, "OPEN", 2)
    data_set = open_data_set(str(tmp_path))
    held = data_set.row(0).counts
    for i in [*range(6), 1, 5, 0]:
        assert (data_set.row(i).counts == i).all()
        assert len(data_set._maps._open) <= 2
    assert (held == 0).all()


@given(st.lists(st.integers(0, 29), unique=True, max_size=30), st.integers(0, 9_000), st.integers(1, 2_000))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_pages_that_a_window_needs_are_asked_for_and_few_others(tmp_path, monkeypatch, units, start, length):
    if not (tmp_path / "x").exists():
        write(tmp_path / "x", [np.zeros((3, 5), np.uint8), np.zeros((30, 12_000), np.uint8)])
    asked = []
    monkeypatch.setattr(store, "_will_need", lambda pages, begin, size: asked.extend(range(begin, begin + size)))
    rows_read = open_data_set(str(tmp_path / "x")).in_any_order()
    rows_read.prefetch(1, np.sort(np.array(units, np.int64)), start, start + length)
    counts = rows_read.row(1).counts
    (mapped,) = rows_read._maps._open.values()
    begin = counts.ctypes.data - mapped.content.address
    size = mmap.PAGESIZE
    needed = {
        page
        for unit in units
        for page in range(
            (begin + unit * 12_000 + start) // size, (begin + unit * 12_000 + start + length - 1) // size + 1
        )
    }
    assert {at // size for at in asked[::size]} == needed


def test_an_index_in_another_order_than_the_file_is_refused(tmp_path):
    import pyarrow.parquet as pq

    write(tmp_path / "x", MATRICES)
    index = pq.read_table(tmp_path / "x" / "index.parquet")
    pq.write_table(index.take([2, 1, 0]), tmp_path / "x" / "index.parquet")
    with pytest.raises(BadInput, match="expected its rows where the index says, found others"):
        open_data_set(str(tmp_path / "x")).row(2)
