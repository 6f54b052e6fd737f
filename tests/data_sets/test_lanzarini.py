"""lanzarini: spike times as variables of a MATLAB file, against counts worked out spike by spike."""

import numpy as np
import pytest
from helpers.data_files import MATLAB_FILES, save_mat, write_lanzarini
from helpers.data_sets import build, one_line, read

from neuralpile.errors import BadInput
from neuralpile.spikes.session import Options

PUBLISHED = Options(as_published=True)


def published_by_hand(trains, bin_size=0.02):
    """The published values: the first row of each, quotients cut towards 0, negative ones from the end, modulo 256."""
    n_bins = int(np.ceil(max(max(train[0], default=0) for train in trains) / bin_size))
    rows = [[0] * n_bins for _ in trains]
    for row, train in zip(rows, trains, strict=True):
        for spike in train[0]:
            if (place := int(spike / bin_size)) < n_bins:
                row[place] = (row[place] + 1) % 256
    return rows


def test_published_counts_wrap_and_ours_stay_at_255(tmp_path):
    rng = np.random.default_rng(0)
    random = {channel: [np.sort(rng.uniform(-0.1, 11.9, 300))] for channel in range(0, 128, 3)}
    edges = {1: [np.arange(600) * 0.02], 2: [np.arange(600) / 50], 4: [[12.0] * 3], 5: [[0.3] * 700]}
    column = {7: np.array([[1.0], [2.0], [3.0]])}
    trains = random | edges | column
    path = write_lanzarini(tmp_path / MATLAB_FILES["lanzarini"], trains)
    stored = [np.asarray(trains.get(channel, [[0.5]])) for channel in range(128)]
    session = read("lanzarini", path, PUBLISHED)
    assert (session.counts == published_by_hand(stored)).all()
    assert session.counts[5, 15] == 700 % 256  # wrapped
    assert session.counts[4].sum() == 0  # at the very end: dropped
    assert session.counts[7].sum() == 1  # a column: its first spike
    ours = read("lanzarini", path)
    assert ours.counts.shape == session.counts.shape
    assert ours.counts[5, 15] == 255
    assert ours.counts[4].tolist() == [0] * 599 + [3]
    assert np.flatnonzero(ours.counts[7]).tolist() == [50, 100, 150]
    assert (ours.counts[1] == np.histogram(np.arange(600) * 0.02, np.arange(601) * 0.02)[0]).all()
    assert (ours.counts[1] != session.counts[1]).any()  # quotients put some spikes a bin early
    n_before = sum(np.count_nonzero(train[0] < 0) for train in random.values())
    assert f"{n_before:,} spikes before the first bin left out" in ours.notes
    in_range = sum(len(train[0]) for train in random.values()) - n_before
    assert ours.counts[list(random)].sum(dtype=int) == in_range


@pytest.mark.parametrize("last", [2.0, 2.001, 2.0199, 2.02, np.nextafter(0.06, 1)])
def test_the_last_spike_is_in_the_last_of_the_published_number_of_bins(tmp_path, last):
    """As published, and the last spike is in the last bin; 0.06 and a rounding error is beyond 3 bins' edges."""
    path = tmp_path / MATLAB_FILES["lanzarini"]
    save_mat(path, {f"Spk_{channel:03d}a_sh": np.array([[last]]) for channel in range(128)})
    n_bins = {2.0: 100, 2.001: 101, 2.0199: 101, 2.02: 101}.get(last, 3)
    assert read("lanzarini", path, PUBLISHED).counts.shape == (128, n_bins)
    assert read("lanzarini", path).counts[0].tolist() == [0] * (n_bins - 1) + [1]


def test_only_the_first_row_of_a_matrix_is_read(tmp_path):
    """Of a matrix the first row, published or not: what a second would be is not known."""
    path = write_lanzarini(tmp_path / MATLAB_FILES["lanzarini"], {3: [[0.1, 0.3], [0.2, 0.4]]})
    assert np.flatnonzero(read("lanzarini", path).counts[3]).tolist() == [5, 15]
    assert np.flatnonzero(read("lanzarini", path, PUBLISHED).counts[3]).tolist() == [5, 15]


def test_whole_seconds_in_narrow_integers_are_seconds(tmp_path):
    """MATLAB stores whole numbers in the narrowest integer type, and scipy gives them in it."""
    path = tmp_path / MATLAB_FILES["lanzarini"]
    save_mat(path, {f"Spk_{channel:03d}a_sh": np.array([[1, 200]], "u1") for channel in range(128)})
    for options in (Options(), PUBLISHED):
        counts = read("lanzarini", path, options).counts
        assert counts.shape == (128, 10_000)
        assert counts[0].nonzero()[0].tolist() == ([50] if options.as_published else [50, 9_999])


def test_a_file_that_ends_early_is_refused(tmp_path):
    """A file that ends early is an error: its last channels are not silent."""
    path = write_lanzarini(tmp_path / MATLAB_FILES["lanzarini"], {})
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BadInput) as error:
        read("lanzarini", path)
    one_line(error)


def lanzarini_trains(trains):
    return {
        f"Spk_{channel:03d}a_sh": np.array(train, float).reshape(shape) for channel, (train, shape) in trains.items()
    }


def test_lanzarini_columns_are_read_whole_but_as_published_are_not(script, tmp_path):
    """Columns are read whole, spikes before 0 s are reported, the last spike counts; published, none of these."""
    trains = {channel: ([0.5], (1, 1)) for channel in range(126)}
    trains[0] = ([0.01, 0.03, 0.05], (3, 1))  # a column
    trains[1] = ([-0.5, -0.01, 0.03, 2.0], (1, 4))  # the very end is 100 bins
    trains[2] = ([0.01] * 300, (1, 300))
    trains[3] = ([], (0, 0))
    path = tmp_path / "raw" / "Router" / "Router_1.mat"
    save_mat(path, lanzarini_trains(trains) | {"Spk_005b_sh": np.array([[1.0]])})
    rows, said = build(script, tmp_path, "lanzarini")
    counts = rows[0].counts
    assert counts.shape == (128, 100)
    assert rows[0].subject_id == "Router"
    assert counts[0, :4].tolist() == [1, 1, 1, 0]
    assert np.flatnonzero(counts[1]).tolist() == [1, 99]
    assert counts[2, 0] == 255
    assert not counts[[3, 126, 127]].any()
    assert counts[5].sum() == 1
    assert "2 spikes before the first bin left out" in said
    assert "no Spk_126a_sh, Spk_127a_sh: 2 silent channels" in said
    rows, _ = build(script, tmp_path, "lanzarini", "--as_published")
    published = rows[0].counts
    assert published.shape == (128, 100)
    assert published[0].nonzero()[0].tolist() == [0]
    assert published[1].nonzero()[0].tolist() == [0, 1, 75]  # -0.01 to bin 0, -0.5 from the end, 2.0 dropped
    assert published[2, 0] == 300 - 256
    assert (published[4:] == counts[4:]).all()


def test_a_lanzarini_file_without_its_variables_is_refused(script, tmp_path):
    save_mat(tmp_path / "raw" / "Wifi" / "x.mat", {"other": np.ones(3)})
    done = script("data/lanzarini/preprocess.py", "--data_dir", tmp_path / "raw")
    assert "expected variables Spk_000a_sh to Spk_127a_sh, found none of them" in done.stderr
