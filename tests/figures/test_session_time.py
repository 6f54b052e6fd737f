"""Time axes count from the beginning of the session, and ticks of sorted units are the units' own numbers."""

import numpy as np
import pytest

from neuralpile.corpus import arrow, rows, store
from neuralpile.corpus.rows import Row, segments
from neuralpile.figures import rasters, session_time
from neuralpile.figures.view import View
from neuralpile.open import open_data_set


def write(folder, made, schema=rows.SCHEMA):
    arrow.write_rows(folder / "a.arrow", made, schema)
    arrow.finish(folder, [folder / "a.arrow"], schema, "0" * 64)
    return open_data_set(str(folder))


def session(n_bins, limit, name="ses", source=None):
    """The rows of a session of 4 units, cut into segments as a build cuts it."""
    counts = np.ones((4, n_bins), np.uint8)
    return [Row(c, "sub", name, f"segment_{i}", source) for i, c in enumerate(segments(counts, limit))]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_segments_begin_where_the_segments_before_them_end(order, tmp_path):
    """1,000 bins in segments of 334, 334 and 332, in any order of rows."""
    made = session(1_000, 1_400)
    assert [row.counts.shape[1] for row in made] == [334, 334, 332]
    data_set = write(tmp_path / "x", [made[i] for i in order])
    starts = session_time.SegmentStarts(data_set)
    assert [starts.first_bin(data_set.row(i)) for i in range(3)] == [334 * i for i in order]


def test_a_last_segment_without_its_session_has_no_known_start(tmp_path):
    data_set = write(tmp_path / "x", session(1_000, 1_400)[2:])
    assert session_time.SegmentStarts(data_set).first_bin(data_set.row(0)) is None
    part = rasters.view(data_set, data_set.row(0), View())
    assert (part.first_bin, part.in_session) == (0, False)
    axes = rasters.draw_rows([part], "x", "").axes[0]
    assert axes.get_xlabel() == "time bins of the segment"


def test_sessions_of_one_name_in_two_components_are_not_mixed(tmp_path):
    made = [*session(1_000, 1_400, source="one")[2:], *session(500, 800, source="two")]
    data_set = write(tmp_path / "x", made, rows.MERGED_SCHEMA)
    starts = session_time.SegmentStarts(data_set)
    assert [starts.first_bin(data_set.row(i)) for i in range(len(data_set))] == [None, 0, 167, 334]


def test_the_time_axis_is_that_of_the_session():
    made = session(1_000, 2_000)

    class Both(store.LocalRows):
        def names(self):
            return [rows.Names(*row[1:4]) for row in made]

        def row(self, i):
            return made[i]

    part = rasters.view(Both("m1-a", {}), made[1], View(start=1.0, seconds=2.0))  # bins of 20 ms
    assert part.first_bin == 500 + 50
    axes = rasters.draw_rows([part], "m1-a", "").axes[0]
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert labels[0] == "550\n11 s"
    assert labels[-1] == "650\n13 s"


def test_ticks_of_sorted_units_are_the_numbers_of_the_units():
    counts = np.zeros((12, 50), np.uint8)
    for unit in range(12):
        counts[unit, : 4 * unit + 1] = 1  # the last unit is the most active
    part = rasters.view(store.LocalRows("x", {}), Row(counts, "s", "1", "segment_0"), View(sort="rate"))
    axes = rasters.draw_rows([part], "x", "").axes[0]
    image = axes.images[0].get_array()
    for place, tick in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
        assert image[int(place)].sum() == counts[int(tick.get_text())].sum()
    assert axes.get_yticklabels()[0].get_text() == "11"


def test_without_options_the_window_is_ten_seconds_in_the_middle_of_the_row():
    row = Row(np.ones((2, 4_000), np.uint8), "s", "1", "segment_0")
    part = rasters.view(store.LocalRows("m1-a", {}), row, View())
    assert (part.first_bin, part.row.counts.shape[1]) == (1_750, 500)
    assert rasters.view(store.LocalRows("m1-a", {}), row, View(seconds=float("inf"))).row.counts.shape[1] == 4_000
    assert rasters.view(store.LocalRows("unknown", {}), row, View()).row.counts.shape[1] == 4_000


def test_the_colour_bar_is_as_high_as_all_panels():
    row = Row(np.ones((2, 40), np.uint8), "s", "1", "segment_0")
    figure = rasters.draw_rows([rasters.Shown(row, 0, None, "units")] * 5, "x", "")
    *panels, bar = figure.axes
    assert bar.bbox.y1 == pytest.approx(max(axes.bbox.y1 for axes in panels))
    assert bar.bbox.y0 == pytest.approx(min(axes.bbox.y0 for axes in panels))
    assert bar.get_ylabel() == "spikes per bin, in all panels"
