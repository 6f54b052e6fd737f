"""Areas in figures: their order, and colours that everybody can tell apart."""

from itertools import combinations, pairwise

import numpy as np
import pyarrow as pa
import pytest
from helpers.small_corpora import write_rows_of
from helpers.unit_tables import units_of
from hypothesis import given
from hypothesis import strategies as st

from neuralpile.corpus import store, tables
from neuralpile.corpus.rows import Row
from neuralpile.figures import areas, rasters, session_units, view
from neuralpile.figures.sheet import RIGHT
from neuralpile.training import unit_order

NAMES = st.lists(st.sampled_from(["M1", "PMd", "V4", "V1", "$x$", None]), min_size=1, max_size=40)
# How people without one kind of cone see colours in linear RGB: Machado, Oliveira & Fernandes 2009, IEEE Trans Vis
# Comput Graph 15:1291, table of severity 1.
WITHOUT = {
    "all cones": np.eye(3),
    "long": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "medium": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]  # of linear sRGB
WHITE = np.array([0.9505, 1.0, 1.089])


def lab(colour, cones):
    """CIELAB of a colour as seen without one kind of cone."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array(XYZ) @ (np.array(WITHOUT[cones]) @ linear).clip(0, 1) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("cones", WITHOUT)
def test_colours_of_areas_differ_to_everybody(cones):
    """A difference of 10 in CIELAB is seen at a glance; 2.3 is just noticeable."""
    for one, other in combinations([*areas.COLOURS, areas.OTHER, areas.UNKNOWN], 2):
        assert np.linalg.norm(lab(one, cones) - lab(other, cones)) > 10, (one, other)


@given(NAMES)
def test_units_of_an_area_are_together_in_file_order_and_those_without_come_last(names):
    order = unit_order.by_area(names)
    assert sorted(order) == list(range(len(names)))
    shown = [names[unit] for unit in order]
    known = [name for name in shown if name is not None]
    assert shown == sorted(known) + [None] * (len(names) - len(known))
    assert all(a < b for a, b in pairwise(order) if names[a] == names[b])


@given(NAMES)
def test_blocks_are_runs_of_one_area(names):
    rebuilt = [block.area for block in areas.blocks(names) for _ in range(block.start, block.stop)]
    assert rebuilt == names


def test_the_largest_areas_have_colours_and_the_others_share_a_grey():
    names = [f"area {i}" for i in range(9) for _ in range(i + 1)]
    colour_of = areas.colours([names, [None]])
    assert list(colour_of) == [*(f"area {i}" for i in range(9)), None]
    assert [area for area, colour in colour_of.items() if colour == areas.OTHER] == ["area 0", "area 1"]
    assert len({*colour_of.values()}) == 9
    assert list(areas.legend(colour_of)) == [*(f"area {i}" for i in range(2, 9)), "2 other areas", "area not stated"]


# --- in rasters ---


def raster(names, counts):
    row = Row(counts, "s", "1", "segment_0")
    units = units_of("x", "s", "1", area=names)
    return rasters.view(store.LocalRows("x", {}), row, view.View(sort="area"), units=units)


def test_a_raster_groups_units_by_area_with_their_own_numbers():
    names = ["PMd", None, "M1", "PMd", "M1"]
    counts = np.arange(50, dtype=np.uint8).reshape(5, 10)
    part = raster(names, counts)
    assert part.areas == ["M1", "M1", "PMd", "PMd", None]
    figure = rasters.draw_rows([part], "x", "chosen")
    axes, bar = figure.axes[:2]
    assert axes.images[0].get_array().tolist() == counts[[2, 4, 0, 3, 1]].tolist()
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["2", "4", "0", "3", "1"]
    assert axes.get_ylabel() == "units, by area"
    pieces = [(piece.get_y(), piece.get_height()) for piece in bar.patches]
    assert pieces == [(0, 2), (2, 2), (4, 1)]
    assert bar.bbox.x0 > axes.bbox.x1
    assert bar.bbox.x1 < axes.bbox.x1 + RIGHT
    assert (bar.bbox.y0, bar.bbox.y1) == pytest.approx((axes.bbox.y0, axes.bbox.y1))
    said = [text.get_text() for text in figure.texts]
    assert said.count("M1") == said.count("PMd") == 2  # beside the bar, and in the legend
    assert said.count("area not stated") == 1


def test_names_of_areas_stay_beside_their_units():
    """A name that is longer than the piece of its area is in the legend only."""
    names = ["W" * 60] * 5 + ["x"] + ["$y$"] * 300
    figure = rasters.draw_rows([raster(names, np.zeros((306, 50), np.uint8))] * 9, "x", "chosen")
    figure.canvas.draw()
    upright = [text for text in figure.texts if text.get_rotation() == 90]
    assert {text.get_text() for text in upright} == {"$y$"}
    boxes = [text.get_window_extent() for text in figure.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.parametrize("names", [[None, None], None])
def test_where_no_area_is_known_the_raster_says_so(names):
    counts = np.array([[0, 1], [3, 0]], np.uint8)
    part = raster(names, counts) if names else raster(["M1"], counts)  # a table without a line for each unit
    assert (part.label, part.order, part.areas) == ("units, whose areas the recording does not state", None, None)
    figure = rasters.draw_rows([part], "x", "chosen")
    assert figure.axes[0].images[0].get_array().tolist() == counts.tolist()


def test_units_are_those_of_the_row_and_its_data_set(tmp_path):
    """Components can share the names of subjects and sessions."""
    both = [units_of(source, "s", "1", area=[area] * 2) for source, area in (("a", "M1"), ("b", "V4"))]
    units = pa.concat_tables([both[1].take([1, 0]), both[0]])
    counts = np.zeros((2, 5), np.uint8)
    found = session_units.of_row(units, Row(counts, "s", "1", "segment_3", "b"), "pile")
    assert found.column("area").to_pylist() == ["V4", "V4"]
    assert found.column("unit").to_pylist() == [0, 1]
    assert session_units.of_row(units, Row(counts, "s", "1", "segment_0"), "me/a").column("area")[0].as_py() == "M1"
    assert session_units.of_row(units, Row(counts, "s", "2", "segment_0"), "a") is None


def test_the_command_sorts_by_area(script, tmp_path):
    folder = tmp_path / "build" / "m1-a"
    write_rows_of(folder, [np.ones((3, 50), np.uint8)])
    none = pa.Table.from_pylist([], tables.SESSIONS)
    tables.write(folder, none, units_of("m1-a", "sub-A", "ses-0", area=["M1", "PMd", "M1"]))
    done = script("visualize_dataset.py", "--repo_name", "m1-a", "--sort", "area", "--out_dir", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    sorted_by_area = (tmp_path / "m1-a.jpg").read_bytes()
    script("visualize_dataset.py", "--repo_name", "m1-a", "--out_dir", tmp_path)
    assert (tmp_path / "m1-a.jpg").read_bytes() != sorted_by_area
