"""makin: cells of spike times of sorted and unsorted units, against numpy.histogram."""

import h5py
import numpy as np
import pytest
from helpers.data_files import CELLS, MATLAB_FILES, makin_cells, save_73
from helpers.data_sets import build, one_line, read

from neuralpile.errors import BadInput
from neuralpile.spikes.session import Options

PUBLISHED = Options(as_published=True)


@pytest.mark.parametrize("n_channels", [96, 192])
@pytest.mark.parametrize("options", [Options(), PUBLISHED])
def test_all_units_of_a_channel_are_counted_together(tmp_path, n_channels, options):
    """S1 (channels 97 to 192) is included where it is in the file."""
    cells = makin_cells(n_channels)
    session = read("makin", save_73(tmp_path / "raw" / "loco_20170210_03.mat", cells), options)
    merged = [np.concatenate([slot[channel] for slot in cells]) for channel in range(n_channels)]
    edges = np.arange(3.2, 20.5 + 0.02, 0.02)
    if not options.as_published:
        edges[-1] = max(edges[-1], 20.5)
    assert (session.counts == [np.histogram(train, edges)[0] for train in merged]).all()
    assert session.counts.shape == (n_channels, len(edges) - 1)
    assert session.counts[0, 0] >= 1  # the first bin begins with the first spike
    assert not session.counts[1].any()  # an empty cell holds [0, 0], which are no spikes at 0 s
    assert session.subject_id == "loco"


def test_a_last_spike_beyond_the_last_edge_is_dropped_only_as_published(tmp_path):
    """Rounding leaves the last published edge below it: published, it is dropped, in the same number of bins."""
    path = save_73(tmp_path / MATLAB_FILES["makin"], [[[5.03], [9.31]]])
    session, published = read("makin", path), read("makin", path, PUBLISHED)
    assert np.arange(5.03, 9.31 + 0.02, 0.02)[-1] < 9.31
    assert session.counts.shape == published.counts.shape
    assert (session.counts[1, -1], published.counts[1].sum()) == (1, 0)
    assert any("1 spike after the last published bin edge" in note for note in published.notes)


def test_counts_above_255_stay_at_255_and_wrap_only_as_published(tmp_path):
    path = save_73(tmp_path / MATLAB_FILES["makin"], [[[1.0] + [1.005] * 199, [2.0]], [[1.01] * 100, []]])
    session, published = read("makin", path), read("makin", path, PUBLISHED)
    assert (session.counts[0, 0], published.counts[0, 0]) == (255, 300 - 256)
    assert any("45 spikes above 255" in note for note in session.notes)


def test_a_session_without_spikes_is_empty_and_times_in_another_unit_are_refused(tmp_path):
    path = save_73(tmp_path / MATLAB_FILES["makin"], [[[], [], []]] * 5)
    assert read("makin", path).counts.shape == (3, 0)
    path = save_73(tmp_path / MATLAB_FILES["makin"], [[[1.0, 3e9], []]])
    with pytest.raises(BadInput) as error:
        read("makin", path)
    assert "seconds" in one_line(error)


def test_a_transposed_cell_array_is_refused(tmp_path):
    with pytest.raises(BadInput) as error:
        read("makin", save_73(tmp_path / MATLAB_FILES["makin"], [[[1.0]] * 5] * 96))
    assert "(at most 5 units, channels)" in one_line(error)


@pytest.mark.parametrize("options", [[], ["--as_published"]])
def test_units_of_a_makin_channel_are_counted_together(script, tmp_path, options):
    """All slots of a channel together, bins from the first spike on; the subject is in the file's name."""
    save_73(tmp_path / "raw" / "data" / "indy_20160407_02.mat", CELLS)
    rows, _ = build(script, tmp_path, "makin", *options)
    merged = [np.concatenate([slot[channel] for slot in CELLS]) for channel in range(3)]
    edges = np.arange(5.03, 9.31 + 0.02, 0.02)
    assert edges[-1] < 9.31  # rounding: the published last bin misses the last spike
    if not options:
        edges[-1] = 9.31
    assert (rows[0].counts == [np.histogram(train, edges)[0] for train in merged]).all()
    assert rows[0].counts.sum() == (5 if options else 6)
    assert rows[0].session_id == "indy_20160407_02"
    assert rows[0].subject_id == "indy"


def test_makin_edges_are_those_of_numpy(script, tmp_path):
    """The edges begin at a number that is no multiple of the bin: many spikes, on and beside edges."""
    rng = np.random.default_rng(0)
    edges = 123.456789 + np.arange(2000) * 0.02
    times = np.concatenate(
        [[123.456789], edges, np.nextafter(edges, 0), np.nextafter(edges, 1e9), rng.uniform(124, 160, 500)]
    )
    times = times[times >= 123.456789]
    save_73(tmp_path / "raw" / "loco" / "loco_20170210_03.mat", [[times], [[]]])
    rows, _ = build(script, tmp_path, "makin", "--as_published")
    published = np.arange(times.min(), times.max() + 0.02, 0.02)
    assert (rows[0].counts[0] == np.histogram(times, published)[0]).all()


def test_a_makin_session_without_spikes_is_skipped(script, tmp_path):
    save_73(tmp_path / "raw" / "a" / "indy_1.mat", [[[], []]])
    save_73(tmp_path / "raw" / "a" / "indy_2.mat", CELLS)
    rows, said = build(script, tmp_path, "makin")
    assert [row.session_id for row in rows] == ["indy_2"]
    assert "indy_1: no spike" in said


def test_cells_without_the_mark_of_emptiness_are_read(tmp_path):
    """2 × 3 cells of eight spikes; cells 0, 2 and 4 are stored with one dimension, and none is marked as empty."""
    path = tmp_path / "indy" / "indy_20160407_02.mat"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        references = np.empty((2, 3), h5py.ref_dtype)
        for i in range(6):
            times = np.arange(1, 5, 0.5) + 0.1 * i
            file[f"#refs#/{i}"] = times if i % 2 == 0 else times[None]
            references.flat[i] = file[f"#refs#/{i}"].ref
        file["spikes"] = references
    counts = read("makin", path).counts
    assert counts.shape == (3, 200)
    assert counts.sum() == 48
