"""Maps of electrodes: each at its place, with the rate of all its units."""

import numpy as np
import pyarrow as pa
import pytest
from helpers.small_corpora import write_rows_of
from helpers.unit_tables import units_of
from hypothesis import given
from hypothesis import strategies as st

from neuralpile.corpus import tables
from neuralpile.errors import BadInput
from neuralpile.figures import electrode_map

PLACES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.floats(0, 100)), min_size=1, max_size=60)


def grid(session="1", group="a", n=3, **columns):
    """n × n electrodes 400 apart with a unit each; unit i spikes at i Hz."""
    x, y = (places.ravel() * 400.0 for places in np.meshgrid(np.arange(n), np.arange(n)))
    known = {"x": x, "y": y, "rate": np.arange(n * n, dtype=float), "group": [group] * n * n}
    known["electrode"] = [str(i) for i in range(n * n)]
    return units_of("d", "s", session, **{**known, **columns})


@given(PLACES)
def test_rates_of_units_at_one_place_are_added_up(units):
    x, y, rates = zip(*units, strict=True)
    table = units_of("d", "s", "1", x=[float(v) for v in x], y=[float(v) for v in y], rate=rates)
    by_hand = {}
    for place, rate in zip(zip(x, y, strict=True), rates, strict=True):
        by_hand.setdefault(place, []).append(rate)
    found = electrode_map.arrays(table)
    if len(by_hand) < 3:
        assert found == []
        return
    (array,) = found
    assert {tuple(place) for place in array.places} == set(by_hand)
    for place, rate, n in zip(array.places, array.rates, array.n_units, strict=True):
        assert rate == pytest.approx(sum(by_hand[tuple(place)]))
        assert n == len(by_hand[tuple(place)])
    assert array.axes == ("x", "y")


def test_a_session_has_an_array_for_each_group():
    table = pa.concat_tables([grid(group="PMd", area=["PMd"] * 9), grid(group="M1", area=[None] * 8 + ["M1"])])
    assert [(array.group, array.areas) for array in electrode_map.arrays(table)] == [("M1", ["M1"]), ("PMd", ["PMd"])]
    (one,) = electrode_map.arrays(grid(group=None))
    assert (one.group, one.session) == ("", ("s", "1"))


@pytest.mark.parametrize(("names", "axes"), [("xz", ("x", "z")), ("yz", ("y", "z")), ("zx", ("x", "z"))])
def test_a_map_shows_the_axes_along_which_electrodes_lie_apart(names, axes):
    x, y = (places.ravel() * 400.0 for places in np.meshgrid(np.arange(3), np.arange(3)))
    third = next(axis for axis in "xyz" if axis not in names)
    table = units_of("d", "s", "1", **{names[0]: x, names[1]: y, third: np.full(9, 7.0)}, rate=np.ones(9))
    (array,) = electrode_map.arrays(table)
    assert array.axes == axes
    shown = [dict(zip(names, place, strict=True)) for place in zip(x, y, strict=True)]
    assert {tuple(place) for place in array.places} == {(place[axes[0]], place[axes[1]]) for place in shown}


def test_units_without_a_place_are_stated():
    x = np.arange(9.0)
    x[4] = np.nan
    (array,) = electrode_map.arrays(grid(x=[None if np.isnan(v) else v for v in x], y=[None] * 9))
    assert (array.nowhere, len(array.places)) == (1, 8)
    figure = electrode_map.draw_arrays([array], "d", "chosen")
    assert "8 units on 8 electrodes, 1 elsewhere" in [text.get_text() for text in figure.texts]


def test_electrodes_that_share_their_place_are_stated():
    table = grid(x=[0.0, 0, 0, 1, 1, 1, 2, 2, 2], y=[0.0] * 9)
    figure = electrode_map.draw_arrays(electrode_map.arrays(table), "d", "chosen")
    assert "9 units on 9 electrodes at 3 places" in [text.get_text() for text in figure.texts]


def squares(figure):
    """Of every panel: places and colours of its squares, and the texts in it."""
    figure.canvas.draw()
    for axes in figure.axes[:-1]:
        (points,) = axes.collections
        yield axes, points, {tuple(text.get_position()): text.get_text() for text in axes.texts}


def test_each_electrode_is_a_square_at_its_place_in_the_colour_of_its_rate():
    table = pa.concat_tables([grid(n=10), grid(n=10).slice(7, 1)])
    ((axes, points, numbers),) = squares(electrode_map.draw_arrays(electrode_map.arrays(table), "d", "chosen"))
    places = [tuple(place) for place in points.get_offsets().tolist()]
    rates = dict(zip(places, points.get_array().tolist(), strict=True))
    expected = {(400.0 * (i % 10), 400.0 * (i // 10)): float(i) for i in range(100)} | {(2800.0, 0.0): 14.0}
    assert rates == expected
    assert numbers == {(2800.0, 0.0): "2"}
    pixels = axes.transData.transform(places)
    side = np.sqrt(points.get_sizes()[0]) * 128 / 72
    assert side < np.ptp(pixels[:, 0]) / 9  # squares do not touch
    assert np.ptp(pixels[:, 0]) == pytest.approx(np.ptp(pixels[:, 1]))  # the array is not distorted
    inside = axes.bbox.extents
    assert (pixels - side / 2 > inside[:2]).all()
    assert (pixels + side / 2 < inside[2:]).all()


@pytest.mark.parametrize("seed", range(3))
def test_probes_and_scattered_electrodes_fit_in_their_panels(seed):
    rng = np.random.default_rng(seed)
    probe = grid(n=8, x=[0.0, 32.0] * 32, y=[20.0 * (i // 2) for i in range(64)])
    line = grid(n=8, x=[5.0] * 64, y=[20.0 * i for i in range(64)])
    scattered = grid(n=8, x=rng.normal(0, 1e-3, 64), y=rng.normal(1e5, 1e-3, 64), rate=np.zeros(64))
    shown = [array for table in (probe, line, scattered) for array in electrode_map.arrays(table)]
    for axes, points, _ in squares(electrode_map.draw_arrays(shown, "d", "chosen")):
        pixels = axes.transData.transform(points.get_offsets())
        assert (pixels > axes.bbox.extents[:2]).all()
        assert (pixels < axes.bbox.extents[2:]).all()


@pytest.mark.parametrize(("length", "drawn"), [(100, 100 / 32), (2_000, 4)])
def test_a_long_probe_is_drawn_four_times_as_long_as_wide(length, drawn):
    table = grid(n=8, x=[0.0, 32.0] * 32, y=np.linspace(0, length, 64))
    ((axes, points, _),) = squares(electrode_map.draw_arrays(electrode_map.arrays(table), "d", "chosen"))
    wide, high = np.ptp(axes.transData.transform(points.get_offsets()), axis=0)
    assert high / wide == pytest.approx(drawn, rel=1e-3)


def test_a_line_of_electrodes_has_one_axis_and_two_sessions_stand_side_by_side():
    lines = [electrode_map.arrays(grid(f"{i}", n=8, x=[5.0] * 64, y=[20.0 * i for i in range(64)]))[0] for i in "ab"]
    found = [axes for axes, _, _ in squares(electrode_map.draw_arrays(lines, "d", "chosen"))]
    assert [(axes.get_xlabel(), axes.get_ylabel()) for axes in found] == [("", "y, as the recording states it")] * 2
    (left, bottom), (right, other) = ((axes.bbox.x0, axes.bbox.y0) for axes in found)
    assert left < right and bottom == other


# --- files and the command line ---


def table_of(n_sessions):
    return pa.concat_tables([grid(f"{i}") for i in range(n_sessions)])


def test_sessions_are_drawn_with_a_seed_and_the_same_bytes(tmp_path):
    drawn = {}
    for folder, seed in (("1", 0), ("2", 0), ("3", 1)):
        path, *numbers = electrode_map.draw(table_of(6), "me/d", 2, seed, tmp_path / folder, "png")
        assert (path, numbers) == (tmp_path / folder / "me--d_map.png", [2, 6])
        drawn[folder] = path.read_bytes()
    assert drawn["1"] == drawn["2"] != drawn["3"]


def test_without_positions_nothing_is_drawn(tmp_path):
    nowhere = grid(x=[None] * 9, y=[None] * 9)
    few = grid(x=[0.0, 1.0, 1.0] * 3, y=[0.0] * 9)
    for table in (None, nowhere, few, nowhere.slice(0, 0)):
        assert electrode_map.draw(table, "d", 9, 0, tmp_path / "out", "png") == (None, 0, 0)
    assert not (tmp_path / "out").exists()


def test_more_arrays_than_fit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(electrode_map, "MAX_ARRAYS", 3)
    with pytest.raises(BadInput, match="--n_examples: expected at most 3 arrays in a figure, found 4; give a small"):
        electrode_map.draw(table_of(4), "d", 9, 0, tmp_path, "png")


def test_the_command_draws_maps_and_says_where_there_is_none(script, tmp_path):
    for name in ("h1", "h2", "m1-a"):
        write_rows_of(tmp_path / "build" / name, [np.ones((9, 50), np.uint8)])
    none = pa.Table.from_pylist([], tables.SESSIONS)
    tables.write(tmp_path / "build" / "h1", none, grid())
    tables.write(tmp_path / "build" / "h2", none, grid(x=[None] * 9, y=[None] * 9))
    done = script("visualize_dataset.py", "--map", "--plot_all", "--out_dir", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "data set  sessions       of  figure\n"
        f"h1               1        1  {tmp_path}/out/h1_map.jpg\n"
        "h2               0        0  –\n"
        "  ⚠ no map: no recording states 3 positions or more on one array\n"
        "m1-a             0        0  –\n"
        "  ⚠ no map: it has no table of units; build it again\n"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["h1_map.jpg"]
    assert script("visualize_dataset.py", "--map", "--sort", "area").returncode == 2
