"""A data set at a glance: what is planted in a population is found, and what is not there is not."""

import re
import tracemalloc

import numpy as np
import pytest
from helpers.reports import write_report

from neuralpile import catalog
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.figures import checks, summary
from neuralpile.open import open_data_set

SCRIPT = "visualize_dataset.py"


def population(seconds=60, n_units=40, rate=5.0, seed=0):
    """Poisson counts (units, bins of 20 ms)."""
    return np.random.default_rng(seed).poisson(rate * 0.02, (n_units, int(seconds * 50))).astype(np.uint8)


def write(folder, matrices):
    made = [Row(counts, "sub", f"ses-{i}", "segment_0") for i, counts in enumerate(matrices)]
    arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
    write_report(folder)
    return open_data_set(str(folder))


def test_rates_counts_and_silent_units_are_those_of_the_rows(tmp_path):
    """Rates in Hz, counts and silent units as they are in the rows."""
    matrices = [population(seed=i, n_units=n) for i, n in enumerate((40, 64, 150))]
    matrices[1][7] = 0
    seen = checks.check(write(tmp_path / "x", matrices))
    np.testing.assert_allclose(seen.rates, np.concatenate([counts.mean(axis=1) / 0.02 for counts in matrices]))
    assert seen.counts.tolist() == np.bincount(np.concatenate(matrices).reshape(-1), minlength=256).tolist()
    assert seen.silent == pytest.approx(1 / 254)
    assert seen.curves[0].rate.mean() == pytest.approx(matrices[0].mean() / 0.02, rel=0.01)
    assert seen.curves[0].seconds == pytest.approx(60, rel=0.01)
    assert seen.flags == []


def test_a_huge_row_is_checked_without_copies_of_it(tmp_path):
    """Also where all units have as many spikes, and some the very same."""
    counts = np.zeros((400, 200_000), np.uint8)
    counts[:, ::5_000] = 1
    data_set = write(tmp_path / "x", [np.stack([np.roll(unit, i % 300) for i, unit in enumerate(counts)])])
    checks.check(write(tmp_path / "y", [population()]))  # compiles
    tracemalloc.start()
    seen = checks.check(data_set)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < counts.nbytes / 3
    assert seen.counts[:2].tolist() == [400 * (200_000 - 40), 400 * 40]
    assert seen.flags[-1] == (
        "1 of 1 row with units that have the very same counts as another (up to 100 units: sub ses-0 segment_0): "
        "one channel twice?"
    )


def planted(kind):
    counts = population()
    if kind == "lead-in":
        counts[:, :600] = 0
    elif kind == "gap":
        counts[:, 1000:1100] = 0
    elif kind == "saturated":
        counts[3, 77] = 255
    elif kind == "silent":
        counts[:12] = 0
    elif kind == "fast":
        counts = population(rate=150)[:9]
    elif kind == "slow":  # 20 s at 30 kHz taken for 20 ks, in milliseconds of which 5 Hz are left
        counts = population(seconds=20_000, n_units=9, rate=0.005)
        counts[0, 0] = 1
    elif kind == "short":
        counts = population(seconds=0.6, rate=50)
    elif kind == "together":
        counts[:, ::200] = 1
    elif kind == "repeated":
        counts[5] = counts[6]
    return counts


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("lead-in", r"1 of 2 rows with more than 10 s before .*up to 12\.0 s"),
        ("gap", r"1 of 2 rows with more than 1 s .*longest: 2\.\d s, from 20\.0 s in sub ses-1"),
        ("saturated", "1 bin with 255 spikes, the most that a byte can hold; there may be more"),
        ("silent", "30% of the units without a spike"),
        ("fast", "half of the units spike faster than 1[45]"),
        ("together", "more than 90% of the units spike together"),
        (
            "slow",
            r"half of the units that spike have rates below 0\.00\d+ Hz \(less than 0\.02\): are the times in sec",
        ),
        ("short", r"1 of 1 row from sessions of less than 1 s \(down to 0\.6 s\)"),
        ("repeated", r"1 of 2 rows .* the very same counts .*up to 1 unit: sub ses-1"),
    ],
)
def test_what_is_planted_is_flagged(kind, said, tmp_path):
    clean = [] if kind in ("fast", "silent", "slow", "short") else [population(seed=1)]
    seen = checks.check(write(tmp_path / "x", [*clean, planted(kind)]))
    flags = "\n".join(seen.flags)
    assert re.search(said, flags), flags
    assert len(seen.flags) == 1


def test_rows_of_a_corpus_have_the_bin_widths_of_their_components(tmp_path, monkeypatch):
    """Each row has the rates and times of its own data set's bins."""
    monkeypatch.setattr(catalog, "BUILD", tmp_path / "build")
    for name, width in (("one", 0.02), ("two", 0.05)):
        write_report(tmp_path / "build" / name, bin_size=width)
    counts = population()
    made = [Row(counts, "sub", name, "segment_0", name) for name in ("one", "two")]
    folder = tmp_path / "corpus"
    arrow.write_rows(folder / "a.arrow", made, rows.MERGED_SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.MERGED_SCHEMA, "0" * 64)
    seen = checks.check(open_data_set(str(folder)))
    per_bin = counts.mean(axis=1)
    np.testing.assert_allclose(seen.rates, np.concatenate([per_bin / 0.02, per_bin / 0.05]))
    assert [curve.seconds for curve in seen.curves] == pytest.approx([60, 150], rel=0.01)


def test_rows_that_look_wrong_are_drawn_first(tmp_path):
    """First the worst of each kind, then the other rows with flags, then the rest; silences are marked."""
    matrices = [population(seed=i) for i in range(20)]
    matrices[11][:, 1000:1100] = 0  # 2 s from 20 s on
    matrices[17][:, 500:700] = 0  # 4 s from 10 s on: longer
    matrices[19][:, :600] = 0
    matrices[4][3] = matrices[4][7] = matrices[4][8]  # two units that repeat another
    matrices[17][3] = matrices[17][7] = matrices[17][8] = matrices[17][9]  # three
    seen = checks.check(write(tmp_path / "x", matrices))
    names = [curve.name for curve in seen.curves]
    assert names == [f"sub ses-{i} segment_0" for i in (17, 19, 4, 11, 0)]
    # Poisson counts at 4 spikes a bin: the silences are a bin longer at most
    ((start, end),) = seen.curves[0].silences
    assert (start, end) == pytest.approx((10, 14), abs=0.05)
    ((start, end),) = seen.curves[1].silences
    assert (start, end) == pytest.approx((0, 12), abs=0.05)
    ((start, end),) = seen.curves[3].silences
    assert (start, end) == pytest.approx((20, 22), abs=0.05)
    assert not seen.curves[2].silences
    assert not seen.curves[4].silences
    strips = [axes for axes in summary.draw(seen).axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in strips] == names
    assert len({axes.get_ylim() for axes in strips}) == len({axes.get_xlim() for axes in strips}) == 1


@pytest.mark.parametrize(("first", "last"), [(0, 1000), (1800, 2500)])
def test_a_gap_that_reaches_the_edge_of_a_row_is_flagged(first, last, tmp_path):
    """A session is cut into rows wherever it may be, within a gap too."""
    counts = population()
    counts[:, first:last] = 0
    folder = tmp_path / "x"
    made = [Row(part, "sub", "ses", f"segment_{i}") for i, part in enumerate((population(seed=1), counts[:, :2500]))]
    arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
    write_report(folder)
    seen = checks.check(open_data_set(str(folder)))
    (flag,) = seen.flags
    assert re.search(rf"1 of 2 rows with more than 1 s .* from {first / 50:,.1f} s in sub ses segment_1", flag)
    ((start, end),) = seen.curves[0].silences
    assert (start, end) == pytest.approx((first / 50, last / 50), abs=0.05)


def test_a_row_without_any_spike_is_flagged(tmp_path):
    seen = checks.check(write(tmp_path / "x", [*(population(seed=i) for i in range(9)), np.zeros((5, 1000), np.uint8)]))
    assert seen.flags == [
        "1 of 10 rows without a spike in more than 10 s (up to 20.0 s: sub ses-9 segment_0): "
        "was nothing recorded there?"
    ]
    assert (seen.curves[0].name, seen.curves[0].silences) == ("sub ses-9 segment_0", [(0.0, 20.0)])


def test_the_command_draws_a_summary_and_prints_its_flags(script, tmp_path):
    write(tmp_path / "build" / "m1-a", [planted("gap")])
    done = script(SCRIPT, "--repo_name", "m1-a", "--summary", "--format", "png", "--out_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m1-a_summary.png").stat().st_size > 10_000
    assert "in which no unit spikes" in done.stdout


def test_a_session_of_sample_numbers_is_flagged(tmp_path):
    """15 s at 30 kHz, binned as seconds: 125 hours, of which no single row has more than an hour."""
    hour = 3600 * 50
    counts = np.zeros((2, hour), np.uint8)
    counts[:, ::7] = 1
    folder = tmp_path / "x"
    made = [Row(counts, "sub", "ses", f"segment_{i}") for i in range(30)]
    arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
    write_report(folder, bin_size=0.02)
    flags = checks.check(open_data_set(str(folder))).flags
    assert any("a session lasts 30 hours or more (more than 24: sub ses segment_29)" in flag for flag in flags), flags


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (0, 5), (5, 0)])
def test_tiny_rows_are_drawn(shape, tmp_path):
    seen = checks.check(write(tmp_path / "x", [np.zeros(shape, np.uint8)]))
    summary.draw(seen)
    assert seen.counts.sum() == shape[0] * shape[1]


def test_each_component_of_a_corpus_is_checked_and_flagged_by_its_own_rates(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "ROWS", 10)
    many = population(seconds=10, n_units=9)
    few = population(seconds=10, n_units=9, rate=150)
    made = [Row(many, "sub", f"ses-{i}", "segment_0", "big") for i in range(300)]
    made[123:123] = [Row(few, "sub", "ses-0", "segment_0", "small")]
    arrow.write_rows(tmp_path / "x" / "a.arrow", made, rows.MERGED_SCHEMA)
    arrow.finish(tmp_path / "x", [tmp_path / "x" / "a.arrow"], rows.MERGED_SCHEMA, "0" * 64)
    write_report(tmp_path / "x")
    for seed in range(5):
        seen = checks.check(open_data_set(str(tmp_path / "x")), seed)
        assert (seen.checked, seen.rows, seen.where) == (10, 301, "these 10 of 301 rows")
        (flag,) = seen.flags
        assert re.match(r"small: half of the units spike faster than 1\d\d Hz \(more than 100\)", flag)


def test_a_figure_says_in_which_rows_nothing_looks_wrong(tmp_path):
    seen = checks.check(write(tmp_path / "x", [population(seed=i) for i in range(2)]))
    drawn = summary.draw(seen)
    assert any("Nothing looks wrong in all 2 rows, by" in text.get_text() for text in drawn.texts)
