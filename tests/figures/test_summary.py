"""The figure of a summary: labels that do not overlap, and numbers in the right grammar."""

from itertools import pairwise

import numpy as np
import pytest

from neuralpile.figures import summary
from neuralpile.figures.checks import CURVES, Checked, Curve


def drawn(rates, counts=(5, 3), curves=(), flags=(), about=None):
    histogram = np.zeros(256, np.int64)
    histogram[: len(counts)] = counts
    checked = Checked("x", 1, 1, 0.02, np.array(rates, float), histogram, list(curves), list(flags))
    figure = summary.draw(checked, about)
    figure.draw_without_rendering()
    return {axes.get_xlabel(): axes for axes in figure.axes}, figure


@pytest.mark.parametrize("low", [9e-9, *(pytest.param(low, marks=pytest.mark.slow) for low in (1e-5, 1e-3, 0.05)), 0.9])
@pytest.mark.parametrize("high", [1.0, 1.0001, 30.0, 9_999.0])
def test_labels_of_the_rate_axis_do_not_overlap(low, high):
    axes = drawn(np.geomspace(low, high, 30))[0]["rate of a unit, Hz (line: median)"]
    labels = [*axes.get_xticklabels(), *axes.get_xticklabels(minor=True)]
    left, right = axes.get_xlim()
    places = [*axes.get_xticks(), *axes.get_xticks(minor=True)]
    shown = [label for label, place in zip(labels, places, strict=True) if left <= place <= right and label.get_text()]
    boxes = sorted((label.get_window_extent() for label in shown), key=lambda box: box.x0)
    assert boxes
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes)), [label.get_text() for label in shown]


def test_one_unit_and_one_spike_are_singular():
    axes, _ = drawn([3.0], (8, 1))
    assert axes["rate of a unit, Hz (line: median)"].get_title() == "1 unit in rows, 0% of them silent"
    assert axes["spikes in a bin"].get_title() == "88.9% of the bins are empty; the fullest has 1 spike"


@pytest.mark.parametrize(
    ("empty", "full", "said"),
    [(10**7 - 1, 1, "99.99999%"), (10**7, 0, "100%"), (0, 7, "0%"), (1, 10**6, "0.0001%"), (9_999, 1, "99.99%")],
)
def test_bins_are_all_empty_only_where_there_is_no_spike(empty, full, said):
    title = drawn([3.0], (empty, full))[0]["spikes in a bin"].get_title()
    assert title.startswith(f"{said} of the bins are empty")


@pytest.mark.parametrize("n_flags", [0, 1, 9])
@pytest.mark.parametrize("n_curves", [0, 1, CURVES])
def test_flags_have_the_room_that_they_need_below_the_axes(n_flags, n_curves):
    """They neither leave the figure nor meet an axis, and no more than three of their lines stay blank."""
    name = "sub-MonkeyL-held-in-calib sub-MonkeyL-held-in-calib_ses-20120924_behavior+ecephys segment_0"
    flags = [f"10 of 60 rows with more than 1 s in which no unit spikes (longest: 4.0 s in {name}): where?"] * n_flags
    curves = [Curve(name, np.array([1.0, 2.0]), 8.0, [])] * n_curves
    figure = drawn([1.0, 3.0], curves=curves, flags=flags)[1]
    words, _ = figure.texts[1:]  # the first is the title, the last what is in the data set
    box = words.get_window_extent()
    lowest = min(axes.get_tightbbox().y0 for axes in figure.axes)
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= box.y0 < box.y1 <= lowest
    line = box.height / len(words.get_text().splitlines())
    assert box.y0 - figure.bbox.y0 < 2 * line
    assert lowest - box.y1 < 3 * line


def test_labels_of_an_axis_have_one_size():
    axes = drawn([0.9, 30.0])[0]["rate of a unit, Hz (line: median)"]
    labels = [*axes.get_xticklabels(), *axes.get_xticklabels(minor=True), *axes.get_yticklabels()]
    assert len({label.get_fontsize() for label in labels}) == 1


def test_what_is_in_a_data_set_stands_between_the_axes_and_the_flags():
    about = {"areas": "M1 (96 units), " * 30, "animals": "$x$ (1 session)"}
    figure = drawn([1.0, 3.0], flags=["odd"], about=about)[1]
    flags, known = figure.texts[1:]
    said = " ".join(known.get_text().split())
    assert said.startswith("areas: M1 (96 units), M1")
    assert said.endswith("animals: $x$ (1 session)")
    assert flags.get_text() == "⚠ odd"
    above, below = known.get_window_extent(), flags.get_window_extent()
    assert below.y1 < above.y0
    assert above.y1 < min(axes.get_tightbbox().y0 for axes in figure.axes)
    assert above.x1 < figure.bbox.x1
