"""makin: cells of spike times of sorted and unsorted units, against numpy.histogram."""

import numpy as np
import pytest
from helpers.data_files import MATLAB_FILES, makin_cells, save_73
from helpers.data_sets import one_line, read

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
