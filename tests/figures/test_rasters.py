"""Rasters: every spike is seen, in the right place and the right colour; and the command line."""

import dataclasses
import hashlib
from itertools import pairwise

import numpy as np
import pytest
from helpers.reports import write_report
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from matplotlib.colors import BoundaryNorm
from PIL import Image

from neuralpile import catalog
from neuralpile.corpus import arrow, rows, store
from neuralpile.corpus.rows import Row
from neuralpile.errors import BadInput
from neuralpile.figures import image, rasters, session_time, sheet, view
from neuralpile.figures.sheet import ABOVE, ASPECT, HEAD, LEFT, NARROWEST, RIGHT, WIDTH
from neuralpile.open import open_data_set

SCRIPT = "visualize_dataset.py"
WIDEST = WIDTH - LEFT - RIGHT  # pixels of a panel that is alone


def write(folder, matrices, source=None):
    made = [Row(counts, "sub-A", f"ses-{i}", "segment_0", source) for i, counts in enumerate(matrices)]
    schema = rows.SCHEMA if source is None else rows.MERGED_SCHEMA
    arrow.write_rows(folder / "a.arrow", made, schema)
    arrow.finish(folder, [folder / "a.arrow"], schema, hashlib.sha256(folder.name.encode()).hexdigest())
    return open_data_set(str(folder))


def some(n_rows, seed=0):
    return list(np.random.default_rng(seed).poisson(0.3, (n_rows, 5, 40)).astype(np.uint8))


def figure_of(matrices, name="x", source=None):
    return drawn([Row(m, "sub-A", "ses-1", "segment_0", source) for m in matrices], name, "chosen")


def drawn(rows, name, chosen):
    """The figure of whole rows, of bins of an unknown width."""
    return rasters.draw_rows([rasters.Shown(row, 0, None, "units") for row in rows], name, chosen)


def panels(figure):
    """For every panel its axes, the counts in its image, and its pixels (height, width, 3) from 0 to 255."""
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    for axes in figure.axes[:-1]:
        x0, y0, x1, y1 = axes.bbox.extents
        assert np.allclose([x0, y0, x1, y1], np.round([x0, y0, x1, y1]), atol=1e-6)  # it lies on whole pixels
        x0, y0, x1, y1 = (round(place) for place in (x0, len(pixels) - y1, x1, len(pixels) - y0))
        yield axes, axes.images[0].get_array(), pixels[y0:y1, x0:x1]


def texts(figure):
    return [text.get_text() for text in figure.texts]


# --- pooling ---


def pooled_by_hand(counts, width):
    n_bins = counts.shape[1]
    starts = [group * n_bins // width for group in range(width + 1)]
    return np.array([[max(unit[a:b]) for a, b in pairwise(starts)] for unit in counts], counts.dtype)


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40)), st.integers(1, 45))
def test_pooling_takes_the_largest_count_of_each_group(counts, width):
    pooled = image.pool_max(counts, width)
    assert pooled.dtype == counts.dtype
    if counts.shape[1] <= width:
        assert pooled is counts
    else:
        assert (pooled == pooled_by_hand(counts, width)).all()


@given(st.integers(1, 300), st.integers(1, 60))
def test_groups_are_near_equal_and_every_bin_is_in_just_one(n_bins, width):
    pooled = image.pool_max(np.eye(n_bins, dtype=np.uint8), width)  # unit i spikes in bin i alone
    assert (pooled.sum(axis=1) == 1).all()
    sizes = pooled.sum(axis=0, dtype=int)
    assert sizes.sum() == n_bins
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(pooled.argmax(axis=1)) >= 0).all()  # and in order


def test_pooling_reads_views_as_they_are_and_copies_nothing_large():
    import tracemalloc

    counts = np.zeros((100, 1_000_000), np.uint8)
    counts[:, ::2] = 1
    counts.flags.writeable = False
    tracemalloc.start()
    pooled = image.pool_max(counts[1:, 1:], 500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pooled.shape == (99, 500)
    assert peak < 1_000_000


# --- colours ---


@given(st.integers(0, 255))
def test_every_count_has_a_colour_and_none_is_cut_off(largest):
    scale = image.count_scale(largest)
    edges = scale.edges
    assert len(scale.labels) == len(edges) - 1
    assert (np.diff(edges) > 0).all()
    assert list(edges[:3]) == [0, 1, 2]  # no spike, and a single one, are always colours of their own
    assert edges[-2] <= max(largest, 1) < edges[-1] <= 256
    assert len(edges) <= 11


@pytest.mark.parametrize("n_colours", range(2, 11))
def test_colours_get_darker_with_the_count(n_colours):
    colours = image.palette(n_colours).colors
    luminance = np.array(colours)[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert luminance[0] == 1
    assert luminance[1] < 0.5  # a single spike stands out from white
    assert (np.diff(luminance) < -0.01).all()


# --- pixels ---


@pytest.mark.slow
@pytest.mark.parametrize("n_panels", [1, 2, 4, 9, 16, 17])
def test_a_pixel_is_the_mean_rate_of_a_group_of_bins_and_units(n_panels):
    """Where bins and units share pixels, each has the colour of its mean rate: nothing is resampled."""
    rng = np.random.default_rng(n_panels)
    matrices = rng.poisson(rng.lognormal(-3, 2, (n_panels, 1300, 1)), (n_panels, 1300, 2500)).clip(0, 255)
    matrices = matrices.astype(np.uint8)
    for (_, drawn_image, pixels), counts in zip(panels(figure_of(matrices)), matrices, strict=True):
        assert drawn_image.shape == pixels.shape[:2]
        height, width = pixels.shape[:2]
        starts = np.arange(height) * 1300 // height, np.arange(width) * 2500 // width
        total = np.add.reduceat(np.add.reduceat(counts.astype(int), starts[1], axis=1), starts[0])
        sizes = np.diff([*starts[0], 1300])[:, None] * np.diff([*starts[1], 2500])
        np.testing.assert_allclose(drawn_image, total / sizes, rtol=1e-12)
        scale = image.rate_scale(float(max(m.max() for m in matrices)), in_hz=False)
        edges = [0, 1e-12, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]  # spikes per bin
        classes = np.searchsorted(edges, drawn_image, side="right") - 1
        n_colours = len({*classes.reshape(-1)} | set(range(classes.max() + 1)))
        assert len(scale.labels) >= n_colours
        colours = pixels.astype(int) @ [1 << 16, 1 << 8, 1]
        shown = np.unique(colours)
        assert len(shown) <= len(scale.labels)
        # Pixels of one class have one colour, and no other class has it.
        assert len(np.unique(colours * 16 + classes)) == len(np.unique(classes)) == len(shown)


@pytest.mark.parametrize("n_panels", [1, 9])
def test_where_bins_have_pixels_only_units_are_pooled_by_their_largest_count(n_panels):
    rng = np.random.default_rng(n_panels)
    matrices = rng.integers(0, 256, (n_panels, 1300, 400), dtype=np.uint8)
    for (_, drawn_image, pixels), counts in zip(panels(figure_of(matrices)), matrices, strict=True):
        height = len(pixels)
        starts = np.arange(height) * 1300 // height
        assert (drawn_image == np.maximum.reduceat(counts, starts)).all()
        edges = image.count_scale(255).edges
        colours = image.palette(len(edges) - 1)(BoundaryNorm(edges, len(edges) - 1)(drawn_image), bytes=True)
        columns = (np.arange(400) + 0.5) * pixels.shape[1] / 400
        assert (pixels[:, columns.astype(int)] == colours[..., :3]).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (64, 440), (290, 439), (300, 700), (7, WIDEST)])
def test_units_and_bins_have_a_pixel_each_at_least(shape):
    counts = np.zeros(shape, np.uint8)
    counts[np.arange(max(shape)) % shape[0], np.arange(max(shape)) % shape[1]] = 1
    ((_, _, pixels),) = panels(figure_of([counts]))
    dark = pixels[..., 2] < 128
    y, x = (((np.arange(n) + 0.5) * size / n).astype(int) for n, size in zip(shape, dark.shape, strict=True))
    assert (dark[np.ix_(y, x)] == (counts > 0)).all()  # in the middle of every unit and bin
    assert dark.any(axis=0).all()


@pytest.mark.parametrize("unit, bin", [(0, 0), (77, 123_456), (199, 499_999), (0, 499_999), (199, 0)])
def test_a_single_spike_is_in_the_file(tmp_path, unit, bin):
    counts = np.zeros((200, 500_000), np.uint8)
    counts[unit, bin] = 1
    silent = np.zeros_like(counts[:, :1000])
    path, n_shown = rasters.draw(write(tmp_path / "x", [counts, *[silent] * 8]), 9, 0, tmp_path)
    assert n_shown == 9
    width = WIDTH // 3 - LEFT - RIGHT
    height = round(ASPECT * width)
    pixels = np.asarray(Image.open(path))[HEAD + ABOVE :, LEFT:][:height, :width].astype(int)
    y, x = np.nonzero(pixels[..., 0] - pixels[..., 2] > 60)
    assert set(x) == {bin * width // 500_000}
    assert set(y) <= set(range(unit * height // 200, (unit + 1) * height // 200 + 1))
    assert len(y) >= height // 200


# --- what the figure says ---


def test_labels_say_what_a_pixel_stands_for():
    assert (WIDEST, NARROWEST) == (1780, 500)
    axes, _, _ = next(panels(figure_of([np.zeros((2350, 17_801), np.uint8)])))
    assert axes.get_xlabel() == "time bins (mean of 10–11 bins a pixel)"
    assert axes.get_ylabel() == "units (mean of 2 units a pixel)"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "5,000", "10,000", "17,801"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0", "500", "1,000", "1,500", "2,000", "2,350"]
    axes, _, _ = next(panels(figure_of([np.zeros((3, 50), np.uint8)])))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time bins", "units")
    assert axes.get_xlim() == (0, 50)
    assert axes.get_ylim() == (3, 0)


@given(st.integers(0, 10**8), st.sampled_from([4, 6]))
def test_ticks_are_round_numbers_apart_from_each_other(n, most):
    places = rasters.ticks(n, most)
    assert places[0] == 0
    assert places[-1] == n
    assert len(places) <= most + 2
    assert all(b - a >= n / (1.5 * most) for a, b in pairwise(places))


def test_titles_name_the_row_and_the_data_set():
    counts = np.ones((64, 30_000), np.uint8)
    said = texts(figure_of([counts], "m1-a"))
    assert said[:2] == ["sub-A · ses-1 · segment_0", "64 units × 30,000 bins"]
    assert said[2] == f"m1-a: {catalog.load('m1-a').title}"
    assert texts(figure_of([counts], "me/m1-a"))[2].startswith("me/m1-a: FALCON")
    assert texts(figure_of([counts], "mine"))[2] == "mine"
    assert texts(figure_of([counts], "simulated-motor"))[2].endswith(" (simulated)")


def test_merged_rows_say_where_they_are_from_and_whether_they_are_simulated():
    counts = np.ones((2, 3), np.uint8)
    said = texts(figure_of([counts], "pile", "simulated-motor"))
    assert said[1:3] == ["2 units × 3 bins · simulated-motor", "pile (simulated)"]
    mixed = [Row(counts, "sub-A", "ses-1", "segment_0", source) for source in ("simulated-motor", "xiao")]
    assert texts(drawn(mixed, "pile", ""))[4] == "pile (partly simulated)"
    assert texts(drawn(mixed[1:], "pile", ""))[2] == "pile"


def test_long_and_odd_ids_do_not_reach_the_next_panel():
    row = Row(np.ones((2, 3), np.uint8), "$sub$", "x" * 500, "line\nbreak $\\frac{", "someone/" + "W" * 200)
    figure = drawn([row] * 9, "x" * 400, "chosen")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)
    assert figure.texts[0].get_text().startswith("$sub$ · xxx")
    assert figure.texts[0].get_text().endswith("x · line break $\\frac{")


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=3), st.integers(15, 60))
def test_titles_are_shortened_until_they_fit(parts, room):
    title = sheet.shorten(parts, lambda title: len(title) <= room)
    assert len(title) <= room
    whole = " · ".join(" ".join(part.split()) for part in parts)
    assert title == whole or (len(whole) > room and "…" in title)


@pytest.mark.parametrize("shape", [(0, 0), (5, 0)])
def test_rows_without_counts_are_white(shape):
    ((axes, _, pixels),) = panels(figure_of([np.zeros(shape, np.uint8)]))
    assert (pixels == 255).all()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time bins", "units")


# --- files ---


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    data_set = write(tmp_path / "x", some(30))
    first, second, other = (tmp_path / folder for folder in ("1", "2", "3"))
    for folder, seed in ((first, 5), (second, 5), (other, 6)):
        assert rasters.draw(data_set, 4, seed, folder) == (folder / "x.jpg", 4)
    assert (first / "x.jpg").read_bytes() == (second / "x.jpg").read_bytes()
    assert (first / "x.jpg").read_bytes() != (other / "x.jpg").read_bytes()


def test_no_style_of_the_user_touches_the_figure(tmp_path):
    import matplotlib

    data_set = write(tmp_path / "x", some(2))
    rasters.draw(data_set, 2, 0, tmp_path / "1")
    with matplotlib.rc_context({"savefig.bbox": "tight", "savefig.dpi": 50, "font.size": 30, "image.origin": "lower"}):
        rasters.draw(data_set, 2, 0, tmp_path / "2")
    assert (tmp_path / "1" / "x.jpg").read_bytes() == (tmp_path / "2" / "x.jpg").read_bytes()


def test_rows_are_drawn_without_replacement_in_the_order_of_the_data_set(tmp_path, monkeypatch):
    shown = []
    draw_rows = rasters.draw_rows
    monkeypatch.setattr(rasters, "draw_rows", lambda made, *rest: shown.append(made) or draw_rows(made[:1], *rest))
    data_set = write(tmp_path / "x", some(30))
    for n_examples in (12, 30, 50):
        rasters.draw(data_set, n_examples, 1, tmp_path)
    sessions = [[int(part.row.session_id.removeprefix("ses-")) for part in made] for made in shown]
    assert len(set(sessions[0])) == 12
    assert sessions[0] == sorted(sessions[0])
    assert sessions[1] == sessions[2] == list(range(30))


def test_slashes_in_names_of_repositories_do_not_make_folders(tmp_path):
    data_set = dataclasses.replace(write(tmp_path / "x", some(1)), name="someone/x", folder=None)
    assert rasters.draw(data_set, 1, 0, tmp_path)[0] == tmp_path / "someone--x.jpg"


def test_what_cannot_be_drawn_is_reported(tmp_path):
    with pytest.raises(BadInput, match="x: expected a data set with rows, found none"):
        rasters.draw(write(tmp_path / "x", []), 1, 0, tmp_path / "out")
    data_set = write(tmp_path / "y", some(500))
    with pytest.raises(BadInput, match="--n_examples: expected at most 400 in a figure, found 500"):
        rasters.draw(data_set, 1000, 0, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="expected a file that can be written"):
        rasters.draw(data_set, 1, 0, tmp_path / "file")


# --- the command line ---


def test_the_command_draws_one_data_set(script, tmp_path):
    write(tmp_path / "build" / "m1-a", some(12))
    done = script(SCRIPT, "--repo_name", "m1-a", "--n_examples", 2, "--out_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"data set    rows       of  figure\nm1-a           2       12  {tmp_path}/out/m1-a.jpg\n"
    assert done.stderr == ""
    with Image.open(tmp_path / "out" / "m1-a.jpg") as image:
        assert image.format == "JPEG"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["m1-a.jpg"]


def test_a_broken_data_set_does_not_stop_the_others(script, tmp_path):
    build = tmp_path / "build"
    write(build / "m1-a", some(1))
    write(build / "simulated-motor", some(3))
    write(build / "xiao", some(3))
    write(build / catalog.PILE, some(3), "m1-a")
    (build / "xiao" / "a.arrow").unlink()
    done = script(SCRIPT, "--plot_all", "--out_dir", tmp_path / "out")
    assert done.returncode == 1
    assert [" ".join(line.split()) for line in done.stdout.splitlines()] == [
        "data set rows of figure",
        f"m1-a 1 1 {tmp_path}/out/m1-a.jpg",
        f"simulated-motor 3 3 {tmp_path}/out/simulated-motor.jpg",
        f"{catalog.PILE} 3 3 {tmp_path}/out/{catalog.PILE}.jpg",
        f"overview: {tmp_path}/out/overview.jpg",
    ]
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(
        f"error: {build}/xiao/a.arrow: expected an Arrow file, found No such file or directory; run its "
    )


@pytest.mark.slow
def test_the_merged_corpus_is_the_default(script, tmp_path):
    write(tmp_path / "build" / catalog.PILE, some(1), "m1-a")
    done = script(SCRIPT, "--out_dir", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / f"{catalog.PILE}.jpg").is_file()


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ([], "neural-pile-primate: expected the merged corpus, found none; run merge_datasets.py"),
        (
            ["--plot_all"],
            "build: expected data sets that are built, found none; build some: python data/<name>/preprocess.py",
        ),
        (["--repo_name", "nope"], "nope: expected a data set, found none of this name"),
        (["--n_examples", "0"], "--n_examples: expected a whole number from 1, found '0'"),
        (["--seed", "-1"], "--seed: expected a whole number from 0, found '-1'"),
        (["--report", "--start", "1"], "--report: error: unrecognized arguments: --start 1"),
        (["--summary", "--sort", "rate"], "--summary: error: unrecognized arguments: --sort rate"),
        (["--plot_all", "--repo_name", "x"], "not allowed with"),
        (["--start", "nan"], "--start: expected a number from 0, found nan"),
        (["--start", "inf"], "--start: expected a number from 0, found inf"),
    ],
)
def test_mistakes_give_one_line_and_draw_nothing(script, tmp_path, arguments, expected):
    done = script(SCRIPT, *arguments, "--out_dir", tmp_path / "out")
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


# --- what is drawn of a row ---


def test_a_window_has_the_bins_of_its_seconds():
    """Seconds by the data set's bins; a row that ends before is left out."""
    counts = np.arange(200, dtype=np.uint8).reshape(2, 100)
    data_set = store.LocalRows("m1-a", {})
    row = Row(counts, "s", "1", "segment_0")
    part = rasters.view(data_set, row, view.View(start=0.5, seconds=0.3))
    assert part.row.counts.tolist() == counts[:, 25:40].tolist()
    assert (part.first_bin, part.bin_width) == (25, 0.02)
    axes, _, _ = next(panels(rasters.draw_rows([part], "m1-a", "")))
    assert axes.get_xlabel() == "time bins, and seconds"
    assert axes.get_xticklabels()[0].get_text() == "25\n0.5 s"
    assert rasters.view(data_set, row, view.View(start=2.0)) is None
    with pytest.raises(BadInput, match="whose width of bins is known"):
        rasters.view(store.LocalRows("someone/else", {}), row, view.View(start=1.0))


def test_the_width_of_bins_is_that_of_the_build(tmp_path):
    data_set = write(tmp_path / "x", some(1))
    assert session_time.bin_width(data_set, data_set.row(0)) is None
    write_report(tmp_path / "x", bin_size=0.05)
    assert session_time.bin_width(data_set, data_set.row(0)) == 0.05


def test_units_are_sorted_by_rate():
    counts = np.array([[0, 1, 0], [0, 0, 0], [3, 0, 1], [0, 2, 2]], np.uint8)
    part = rasters.view(store.LocalRows("x", {}), Row(counts, "s", "1", "g"), view.View(sort="rate"))
    assert part.label == "units, the most active first"
    axes, drawn_image, _ = next(panels(rasters.draw_rows([part], "x", "")))
    assert drawn_image.tolist() == counts[[2, 3, 0, 1]].tolist()
    assert axes.get_ylabel() == part.label


@pytest.mark.parametrize("sort", view.SORTS)
def test_drawing_a_huge_row_copies_little_of_it(sort, tmp_path):
    """What is put in order are pixels, not counts."""
    import tracemalloc

    counts = np.zeros((60, 2_000_000), np.uint8)
    counts[np.arange(60), np.arange(60) * 30_000] = 1
    data_set = store.LocalRows("x", {})
    # Compile first: what is compiled is allocated, too, and slowly where allocations are traced.
    rasters.draw_rows([rasters.view(data_set, Row(counts[:, :5000], "s", "1", "g"), view.View(sort=sort))], "x", "")
    tracemalloc.start()
    part = rasters.view(data_set, Row(counts, "s", "1", "g"), view.View(sort=sort))
    rasters.draw_rows([part], "x", "")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < counts.nbytes / 3


@pytest.mark.parametrize("kind", view.FORMATS)
def test_all_formats_give_the_same_bytes_again(tmp_path, kind):
    data_set = write(tmp_path / "x", some(3))
    written = [rasters.draw(data_set, 2, 0, tmp_path / f"{i}", view.View(format=kind))[0] for i in range(2)]
    assert written[0].name == f"x.{kind}"
    assert written[0].read_bytes() == written[1].read_bytes()


@pytest.mark.slow
def test_the_command_draws_a_window(script, tmp_path):
    write(tmp_path / "build" / "m1-a", [np.ones((3, 500), np.uint8)])
    options = ["--start", "2", "--seconds", "3", "--sort", "similarity", "--format", "png"]
    done = script(SCRIPT, "--repo_name", "m1-a", *options, "--out_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m1-a.png").is_file()
    done = script(SCRIPT, "--repo_name", "m1-a", "--start", "10", "--out_dir", tmp_path)
    assert done.returncode == 2
    assert "--start: expected a time within a row, found rows that end before 10 s" in done.stderr


def test_seconds_beyond_all_numbers_are_the_end_of_the_row():
    row = Row(np.ones((2, 100), np.uint8), "s", "1", "segment_0")
    data_set = store.LocalRows("m1-a", {})
    assert rasters.view(data_set, row, view.View(start=1e308)) is None
    assert rasters.view(data_set, row, view.View(seconds=1e308)).row.counts.shape == (2, 100)


def test_the_overview_shows_rows_that_reach_the_window(tmp_path):
    """Whichever row chance has for it: one that ends before is not drawn, and its data set is not left out."""
    matrices = [np.ones((3, n), np.uint8) for n in (50, 50, 50, 50, 500)]
    data_set = write(tmp_path / "m1-a", matrices)
    for seed in range(4):
        path = rasters.draw_overview([data_set], seed, tmp_path / "out", view.View(start=5))
        assert path.stat().st_size > 10_000
    with pytest.raises(BadInput, match="--start: expected a time within a row, found rows that end before 20 s"):
        rasters.draw_overview([data_set], 0, tmp_path / "out", view.View(start=20))


DAMAGED = ["[]", "{}", '{"options": {"bin_size": "x"}}', '{"options": {}}', "[" * 100_000]


@pytest.mark.parametrize("text", ["{", *(pytest.param(text, marks=pytest.mark.slow) for text in DAMAGED)])
@pytest.mark.parametrize("option", [pytest.param("--format=png", marks=pytest.mark.slow), "--summary"])
def test_a_damaged_report_is_named(text, option, script, tmp_path):
    write(tmp_path / "build" / "m1-a", some(1))
    (tmp_path / "build" / "m1-a" / "report.json").write_text(text)
    done = script(SCRIPT, "--repo_name", "m1-a", option, "--out_dir", tmp_path / "out")
    assert done.returncode == 2
    assert "report.json: expected the report of a build, found " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
