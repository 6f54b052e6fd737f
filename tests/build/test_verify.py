"""make verify: what is built, beside what dataset.toml says."""

import numpy as np

from neuralpile import catalog
from neuralpile.build import compare
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row


def write(folder, made):
    arrow.write_rows(folder / "a.arrow", [Row(*row, f"segment_{i}") for i, row in enumerate(made)], rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)


def test_differences_from_the_published_counts_are_listed(script, tmp_path):
    """area2-bump with one bin too few, and moore exactly as published, in segments."""
    build = tmp_path / "build"
    published = catalog.load("area2-bump")
    write(
        build / "area2-bump",
        [(np.zeros((65, 111_172), np.uint8), "sub-Han", "train"), (np.zeros((49, 3_425), np.uint8), "sub-X", "test")],
    )
    lengths = [94_580, 94_580, 94_580, 94_579]
    write(build / "moore", [(np.zeros((81, n), np.uint8), "sub-MG", "sub-MG_ecephys") for n in lengths])
    done = script("-m", "neuralpile.build.verify")
    assert done.returncode == 1, done.stderr
    lines = {line.split()[0]: line for line in done.stdout.splitlines()[1:]}
    assert lines["area2-bump"].endswith("unexpected subjects: sub-X; -65 tokens")
    assert lines["moore"].endswith("30,643,839  none")
    assert f"{published.tokens - 65:,}" in lines["area2-bump"]
    last = done.stdout.splitlines()[-1]
    assert last == "2 data sets built, 1 of them different; 23 of 25 published data sets not built"


def test_missing_sessions_are_listed_as_differences(script, tmp_path):
    write(tmp_path / "build" / "dmfc-rsg", [(np.zeros((54, 240_467), np.uint8), "sub-Haydn", "train")])
    done = script("-m", "neuralpile.build.verify")
    assert done.returncode == 1
    assert "1 session instead of 2; 54 units instead of 40 to 54; -1,018,600 tokens" in done.stdout


def test_files_that_are_parts_of_a_session():
    """card: a session is a day, of up to three files, each with an id of its own."""
    days = [f"t15.2023.08.{day:02}" for day in range(1, 32)] + [f"t15.2023.10.{day:02}" for day in range(1, 15)]
    n_bins = 9_705_698
    files = [(day, part) for i, day in enumerate(days) for part in ("train", "val", "test")[: 2 + i % 2]]
    lengths = [10] * (len(files) - 1) + [n_bins - 10 * (len(files) - 1)]
    made = [
        (np.broadcast_to(np.uint8(0), (256, n)), "T15", f"{day}_data_{part}")
        for (day, part), n in zip(files, lengths, strict=True)
    ]
    card = catalog.load("card")
    found = compare.holdings_of_rows(card, [Row(*row, "segment_0") for row in made])
    assert found.sessions == 45
    assert compare.differences(card, found) == {}


def test_units_that_were_seen_in_part():
    """kim: sessions with 9 to 97 units were seen. A wider range is no difference, a narrower one is."""
    kim = catalog.load("kim")

    def said(units):
        return compare.differences(kim, compare.Holdings(frozenset(kim.subject_ids), kim.sessions, units, kim.tokens))

    assert said((9, 97)) == said((5, 120)) == {}
    assert said((11, 97)) == {"units": "11 to 97 units instead of 9 to 97"}


def test_verify_without_builds_is_refused(script):
    done = script("-m", "neuralpile.build.verify")
    assert done.returncode == 2
    assert "expected built data sets, found none" in done.stderr
