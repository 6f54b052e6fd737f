"""Names of files and folders: bytes that are not UTF-8, and names near the longest that a file system takes."""

import os
from pathlib import Path

import pytest
from helpers.recordings import write_units_bare

from neuralpile.build.loop import rows_file
from neuralpile.open import open_data_set


@pytest.mark.parametrize("name", [b"\xff\xe9", "é".encode(), b"y" * 246, b"\xff" * 100, b"a\nb", b"\x1b[2J"])
def test_recordings_and_builds_of_any_name_become_rows(script, tmp_path, name):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + (name if len(name) < 200 else b"x")))
    stem = os.fsdecode(name)
    write_units_bare(folder / "raw" / f"sub-{stem[:50]}" / f"{stem}.nwb", [0.01, 0.03, 0.05], [1, 3])
    done = script("data/kim/preprocess.py", "--data_dir", folder / "raw", "--out_dir", folder / "out")
    assert done.returncode == 0, done.stderr
    (row,) = open_data_set(str(folder / "out"))
    assert row.counts.tolist() == [[1, 0, 0], [0, 1, 1]]
    assert row.session_id.isprintable()
    again = script("data/kim/preprocess.py", "--data_dir", folder / "raw", "--out_dir", folder / "out")
    assert again.returncode == 0, again.stderr
    assert len(list((folder / "out" / "rows").rglob("*.arrow"))) == 1


def test_long_names_that_begin_alike_have_files_of_their_own():
    first, second = rows_file("a/" + "é" * 120 + "1.nwb"), rows_file("a/" + "é" * 120 + "2.nwb")
    assert first != second
    assert (
        max(len(part.encode()) for part in first.split("/")) < 233
    )  # a suffix of 22 bytes follows while it is written
