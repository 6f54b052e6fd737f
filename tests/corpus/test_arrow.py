"""What is written is what `datasets` writes and reads."""

import json

import datasets
import numpy as np
import pyarrow as pa
import pytest

from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.open import open_data_set


def write(folder, schema, n_files=3):
    source = "x" if schema == rows.MERGED_SCHEMA else None
    files = [folder / "rows" / f"{i}.arrow" for i in range(n_files)]
    for i, file in enumerate(files):
        made = [Row(np.full((2, 3), i, np.uint8), "sub-A", f"ses-{i}", f"segment_{j}", source) for j in range(i + 1)]
        arrow.write_rows(file, made, schema)
    arrow.finish(folder, files, schema, "abcdef" * 10)
    return folder


@pytest.mark.parametrize("schema", [rows.SCHEMA, rows.MERGED_SCHEMA])
def test_the_json_files_say_what_datasets_itself_writes(tmp_path, schema):
    ours = write(tmp_path / "ours", schema)
    loaded = datasets.load_from_disk(str(ours))
    loaded.save_to_disk(str(tmp_path / "theirs"))
    assert loaded.features == datasets.Features.from_arrow_schema(schema)
    assert loaded.features == datasets.load_from_disk(str(tmp_path / "theirs")).features
    found, theirs = (
        {name: json.loads((folder / name).read_text()) for name in (arrow.INFO, arrow.STATE)}
        for folder in (ours, tmp_path / "theirs")
    )
    assert found[arrow.STATE].keys() == theirs[arrow.STATE].keys()
    own = ("_data_files", "_fingerprint")  # `datasets` makes a new fingerprint with every save
    assert {key: value for key, value in found[arrow.STATE].items() if key not in own} == {
        key: value for key, value in theirs[arrow.STATE].items() if key not in own
    }
    assert found[arrow.STATE]["_fingerprint"] == ("abcdef" * 10)[:16]
    assert {key: value for key, value in found[arrow.INFO].items() if key != "features"} == {
        key: theirs[arrow.INFO][key] for key in found[arrow.INFO] if key != "features"
    }
    assert found[arrow.STATE]["_data_files"] == [
        {"filename": f"rows/{i}.arrow", "rows": i + 1, "bytes": (ours / "rows" / f"{i}.arrow").stat().st_size}
        for i in range(3)
    ]


def test_splits_say_what_datasets_itself_writes(tmp_path):
    made = datasets.load_from_disk(str(write(tmp_path / "x", rows.SCHEMA)))
    datasets.DatasetDict({"train": made, "test": made}).save_to_disk(str(tmp_path / "theirs"))
    for split in ("train", "test"):
        write(tmp_path / "ours" / split, rows.SCHEMA)
    (tmp_path / "ours" / arrow.SPLITS).write_text(json.dumps({"splits": ["train", "test"]}))
    assert (tmp_path / "theirs" / arrow.SPLITS).read_text() == (tmp_path / "ours" / arrow.SPLITS).read_text()
    assert list(datasets.load_from_disk(str(tmp_path / "ours"))) == ["train", "test"]
    assert open_data_set(str(tmp_path / "ours")).splits == {"train": range(6), "test": range(6, 12)}


def test_each_row_is_a_record_batch(tmp_path):
    folder = write(tmp_path / "x", rows.SCHEMA)
    with pa.memory_map(str(folder / "rows" / "2.arrow")) as source:
        assert [batch.num_rows for batch in pa.ipc.open_stream(source)] == [1, 1, 1]


def test_metadata_that_is_kept_comes_back(tmp_path):
    arrow.write_rows(tmp_path / "a.arrow", [], rows.SCHEMA, {"made": "of", "n": [1, 2]}, modified_ns=10**18)
    assert arrow.read_metadata(tmp_path / "a.arrow") == {"made": "of", "n": [1, 2]}
    assert (tmp_path / "a.arrow").stat().st_mtime_ns == 10**18
    arrow.write_rows(tmp_path / "b.arrow", [], rows.SCHEMA)
    (tmp_path / "c.arrow").write_bytes(b"no Arrow file")
    assert [arrow.read_metadata(tmp_path / f"{name}.arrow") for name in "bcd"] == [None] * 3


@pytest.mark.parametrize("content", [b"[]", b"{", b"[" * 100_000, b"3", b"\xff"])
def test_a_manifest_of_others_is_none(content):
    assert arrow.parse_manifest(content) is None
