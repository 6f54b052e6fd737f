"""Damaged and hostile files of a data set: each run ends in rows or in one line, never in a signal or a traceback."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT

from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set

SEED = int(os.environ.get("FAULTS_SEED", "0"))
# Reads everything that readers read, and compares the rows that it gets with those that were written.
READ = """
import sys
from neuralpile.corpus import rows
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
for folder in sys.argv[2:]:
    try:
        data_set = open_data_set(folder)
        names, tokens, read = data_set.names(), data_set.tokens(), list(data_set)
        assert [row[1:5] for row in read] == [tuple(row) for row in names], "names differ"
        assert [row.counts.size for row in read] == tokens, "tokens differ"
        shapes = all(row.counts.ndim == 2 and row.counts.sum() >= 0 for row in read)
        print("rows", len(read), shapes, flush=True)
    except BadInput as error:
        print("refused", str(error).count("\\n"), flush=True)
"""


def write(folder, n_rows=6):
    rng = np.random.default_rng(3)
    made = [Row(rng.poisson(1, (3, 20 + i)).astype(np.uint8), "sub-A", f"ses-{i}", "segment_0") for i in range(n_rows)]
    arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
    return folder


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ([0, 2], [0, 5, 3]),  # fall
        ([0, 2], [4, 2, 0]),
        ([0, 2], [-5, 0, 5]),  # begin before the values
        ([0, 2], [0, 5, 1_000_000_000]),  # lie outside of them
        ([0, 2], [2_000_000_000, 2_000_000_005, 2_000_000_010]),
        ([0, 2_000_000_000], [0, 5, 10]),
        ([2, 0], [0, 5, 10]),
        ([-1, 1], [0, 5, 10]),
    ],
)
def test_offsets_that_lead_outside_of_the_values_are_refused(tmp_path, outer, inner):
    """pyarrow refuses to write them: the offsets of a good file are replaced."""
    arrow.write_rows(tmp_path / "a.arrow", [Row(np.full((2, 5), 7, np.uint8), "a", "b", "c")], rows.SCHEMA)
    content = (tmp_path / "a.arrow").read_bytes()
    for old, new in (([0, 2], outer), ([0, 5, 10], inner)):
        old, new = (np.array(offsets, np.int32).tobytes() for offsets in (old, new))
        place = content.rindex(old + bytes(-len(old) % 8))  # Arrow pads to 8 bytes
        content = content[:place] + new + content[place + len(new) :]
    (tmp_path / "a.arrow").write_bytes(content)
    state = {"_data_files": [{"filename": "a.arrow"}], "_fingerprint": "0", "_split": None}
    (tmp_path / arrow.STATE).write_text(json.dumps(state))
    data_set = open_data_set(str(tmp_path))
    for read in (lambda: data_set.row(0), data_set.tokens, lambda: list(data_set)):
        with pytest.raises(BadInput, match="expected"):
            read()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (arrow.STATE, "[]"),
        (arrow.STATE, "{"),
        (arrow.STATE, "[" * 100_000),
        (arrow.STATE, '{"_data_files": 3, "_fingerprint": "0"}'),
        (arrow.STATE, '{"_data_files": [{"filename": 3}], "_fingerprint": "0"}'),
        (arrow.STATE, '{"_data_files": [{"filename": "a.arrow", "rows": "6"}], "_fingerprint": "0"}'),
        (arrow.STATE, '{"_data_files": [{"filename": "a.arrow", "rows": 7}], "_fingerprint": "0"}'),
        (arrow.STATE, '{"_data_files": [{"filename": "a.arrow", "bytes": 7}], "_fingerprint": "0"}'),
        *(
            (arrow.STATE, f'{{"_data_files": [{{"filename": "a.arrow", "rows": {n}}}], "_fingerprint": "0"}}')
            for n in (2**70, 2**63, -1, 6.5)
        ),
        (arrow.STATE, '{"_data_files": [{"filename": "a.arrow"}, {"filename": "./a.arrow"}], "_fingerprint": "0"}'),
        (arrow.STATE, f'{{"_data_files": [{{"filename": "a.arrow", "rows": 5}}], "_fingerprint": "{"0" * 16}"}}'),
        (arrow.STATE, f'{{"_data_files": [], "_fingerprint": "{"0" * 16}"}}'),
        (arrow.SPLITS, '{"splits": [".", "."]}'),
        (arrow.STATE, '{"_data_files": [{"filename": "../x/a.arrow"}], "_fingerprint": "0"}'),
        (arrow.STATE, '{"_data_files": [{"filename": "/etc/passwd"}], "_fingerprint": "0"}'),
        (arrow.STATE, '{"_data_files": [{"filename": "a\\u0000.arrow"}], "_fingerprint": "0"}'),
        (arrow.STATE, '{"_data_files": [{"filename": "nope.arrow"}], "_fingerprint": "0"}'),
        (arrow.STATE, '{"_data_files": [{"filename": "."}], "_fingerprint": "0"}'),
        (arrow.STATE, '{"_data_files": [], "_fingerprint": 0}'),
        (arrow.SPLITS, '{"splits": 3}'),
        (arrow.SPLITS, '{"splits": ["train", "../x"]}'),
        (arrow.SPLITS, "3"),
    ],
)
def test_json_files_with_other_content_are_refused_in_one_line(tmp_path, file, content):
    folder = write(tmp_path / "x")
    (folder / file).write_text(content)
    with pytest.raises(BadInput) as error:
        list(open_data_set(str(folder)))
    assert "\n" not in str(error.value)
    assert "Traceback" not in str(error.value)


def mutated(content, rng):
    """Bytes flipped, zeroed, cut off, doubled or replaced by extreme numbers."""
    data = bytearray(content)
    at = rng.randrange(len(data))
    match rng.randrange(6):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            data[at : at + rng.choice([1, 4, 8, 200])] = bytes(min(rng.choice([1, 4, 8]), len(data) - at))
        case 2:
            del data[at:]
        case 3:
            data[at:at] = data[at : at + 64]
        case 4:
            number = rng.choice([2**31 - 1, -1, -(2**31), 2**30]).to_bytes(4, "little", signed=True)
            at -= at % 4
            data[at : at + 4] = number
        case 5:
            data[at : at + 8] = (2**63 - 1).to_bytes(8, "little")
    return bytes(data)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "stated"),
    [
        pytest.param("a.arrow", True, id="sizes stated-a.arrow"),
        pytest.param("a.arrow", False, id="sizes not stated-a.arrow"),
        pytest.param(arrow.STATE, True, id="sizes stated-state.json"),
        pytest.param(arrow.STATE, False, id="sizes not stated-state.json"),
        pytest.param(arrow.INDEX, True, id="index.parquet"),
    ],
)
def test_mutated_files_end_in_rows_or_in_one_line(tmp_path, name, stated):
    rng = random.Random(f"{SEED} {name} {stated}")
    folders = []
    for i in range(400):
        folder = write(tmp_path / f"{i:03d}")
        if not stated:
            state = json.loads((folder / arrow.STATE).read_text())
            state["_data_files"] = [{"filename": "a.arrow"}]
            (folder / arrow.STATE).write_text(json.dumps(state))
        (folder / name).write_bytes(mutated((folder / name).read_bytes(), rng))
        folders.append(str(folder))
    done = subprocess.run(
        [sys.executable, "-c", READ, "x", *folders], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    lines = done.stdout.splitlines()
    where = folders[len(lines)] if len(lines) < len(folders) else "the end"
    assert done.returncode == 0, f"FAULTS_SEED={SEED}, {where}: {done.returncode} {done.stderr[-2000:]}"
    # A damaged index is not used, and made anew of the rows
    assert {line.split()[0] for line in lines} == ({"rows"} if name == arrow.INDEX else {"rows", "refused"})
    assert not [line for line in lines if line not in ("refused 0", "rows 6 True") and not line.startswith("rows ")]
