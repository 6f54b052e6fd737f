"""Folders of Kilosort and phy: one is a recording, its clusters are units."""

import numpy as np
import pytest
from helpers.recordings_of_labs import write_phy

from neuralpile.errors import BadInput
from neuralpile.recordings import phy
from neuralpile.spikes.session import Options

SAMPLES, CLUSTERS = [300, 900, 1500, 30_000, 59_999], [4, 2, 4, 9, 4]
GROUP = "cluster_id\tgroup\n2\tgood\n4\tmua\n9\tnoise\n"


def test_samples_become_seconds_and_clusters_units_by_ascending_number(tmp_path):
    folder = write_phy(tmp_path / "rat1" / "2024-01-01", SAMPLES, CLUSTERS)
    trains = phy.read_spike_trains(folder)
    assert list(trains.ids) == ["2", "4", "9"]
    assert [train.tolist() for train in np.split(trains.times, trains.ends[:-1])] == [
        [0.03],
        [0.01, 0.05, 59_999 / 30_000],
        [1.0],
    ]
    assert trains.quality is None
    session = phy.count_units(folder / phy.SESSION_FILE, Options())
    assert (session.subject_id, session.session_id) == ("", "2024-01-01")  # the build takes the folder: test_names.py
    assert session.counts.shape == (3, 100)
    assert [np.flatnonzero(unit).tolist() for unit in session.counts] == [[1], [0, 2, 99], [50]]


@pytest.mark.parametrize(("lowest", "kept"), [("noise", 3), ("mua", 2), ("good", 1)])
def test_min_quality_keeps_units_of_at_least_that_label(tmp_path, lowest, kept):
    folder = write_phy(tmp_path, SAMPLES, CLUSTERS, cluster_group=GROUP.replace("good", "Good"))
    assert len(phy.count_units(folder, Options(min_quality=lowest)).counts) == kept


def test_clusters_of_every_label_are_counted_with_a_note_of_how_many_have_which(tmp_path):
    labels = "cluster_id\tgroup\n2\tgood\n4\tNoise\n"
    session = phy.count_units(write_phy(tmp_path, SAMPLES, CLUSTERS, cluster_group=labels), Options())
    assert len(session.counts) == 3
    expected = "units of every label are counted: 1 good, 1 noise, 1 without a label; --min_quality chooses"
    assert session.notes == [expected]
    assert not phy.count_units(write_phy(tmp_path / "unlabelled", SAMPLES, CLUSTERS), Options()).notes


def test_a_label_set_by_hand_wins_over_that_of_kilosort(tmp_path):
    folder = write_phy(
        tmp_path,
        SAMPLES,
        CLUSTERS,
        cluster_KSLabel="cluster_id\tKSLabel\n2\tmua\n4\tgood\n9\tgood\n",
        cluster_group="cluster_id\tgroup\n9\tnoise\n4\tunsorted\n",
    )
    assert phy.read_spike_trains(folder).quality == ["mua", "good", "noise"]


def test_labels_of_phy_1_win_over_those_of_kilosort(tmp_path):
    folder = write_phy(tmp_path, SAMPLES, CLUSTERS, cluster_KSLabel="cluster_id\tKSLabel\n2\tmua\n4\tgood\n9\tgood\n")
    (folder / "cluster_groups.csv").write_text(GROUP)
    trains = phy.read_spike_trains(folder)
    assert (trains.quality, trains.notes) == (["good", "mua", "noise"], [])


@pytest.mark.parametrize(
    ("rate", "samples_a_second"),
    [("30000", 30_000), ("25000.0 # Hz", 25_000), ("2.4414e4", 24_414)],
)
def test_sample_rate_is_read_without_executing_params(tmp_path, rate, samples_a_second):
    folder = write_phy(tmp_path, SAMPLES, CLUSTERS, rate)
    canary = tmp_path / "executed"
    text = (folder / "params.py").read_text()
    (folder / "params.py").write_text(f"open({str(canary)!r}, 'w')\nimport os\n{text}")
    assert phy.read_sample_rate(folder / "params.py") == samples_a_second
    assert not canary.exists()


@pytest.mark.parametrize("rate", ["open('x')", "-1", "0", "True", "float('nan')", "'30000'", "1e999", "(" * 500])
def test_a_sample_rate_that_is_no_number_is_one_clear_line(tmp_path, rate):
    folder = write_phy(tmp_path, SAMPLES, CLUSTERS, rate)
    with pytest.raises(BadInput, match="sample_rate") as error:
        phy.read_spike_trains(folder)
    assert "\n" not in str(error.value)


def test_files_that_do_not_fit_each_other_are_refused(tmp_path):
    with pytest.raises(BadInput, match="units of 4 spikes and 5 times"):
        phy.read_spike_trains(write_phy(tmp_path / "a", SAMPLES, CLUSTERS[:-1]))
    folder = write_phy(tmp_path / "b", SAMPLES, CLUSTERS)
    np.save(folder / "spike_times.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(BadInput, match="Python objects"):
        phy.read_spike_trains(folder)
    (folder / "spike_times.npy").unlink()
    with pytest.raises(BadInput, match=r"spike_times\.npy: expected a file"):
        phy.read_spike_trains(folder)
    (folder / "params.py").unlink()
    with pytest.raises(BadInput, match=r"expected a params\.py"):
        phy.read_spike_trains(folder)
    with pytest.raises(BadInput, match="columns cluster_id"):
        phy.read_spike_trains(write_phy(tmp_path / "c", SAMPLES, CLUSTERS, cluster_group="x\ty\n1\t2\n"))


def test_units_that_are_all_labelled_otherwise_are_not_dropped_silently(tmp_path):
    folder = write_phy(tmp_path, SAMPLES, CLUSTERS, cluster_group="cluster_id\tgroup\n2\tnice\n4\tbad\n9\tbad\n")
    with pytest.raises(BadInput, match="expected quality labels noise, mua, good, found only 'bad', 'nice'"):
        phy.count_units(folder, Options(min_quality="mua"))


INFO = "cluster_id\tKSLabel\tch\tsh\n2\tgood\t17\t0\n9\tmua\t\t1\n"


def test_channels_and_shanks_are_those_of_cluster_info(tmp_path):
    folder = write_phy(tmp_path / "rat1" / "day", SAMPLES, CLUSTERS, cluster_group=GROUP, cluster_info=INFO)
    session = phy.count_units(folder / phy.SESSION_FILE, Options(min_quality="mua"))
    assert session.units == {
        "id": ["2", "4"],
        "electrode": ["17", None],
        "group": ["0", None],
        "quality": ["good", "mua"],
    }


def test_a_damaged_cluster_info_is_a_note(tmp_path):
    folder = write_phy(tmp_path / "rat1" / "day", SAMPLES, CLUSTERS)
    (folder / "cluster_info.tsv").write_bytes(b"\xff\xfe\x00")
    session = phy.count_units(folder / phy.SESSION_FILE, Options())
    assert session.units == {"id": ["2", "4", "9"]}
    assert "channels of clusters cannot be read" in session.notes[0]


POSITIONS = np.array([[0, 0], [32, 0], [0, 20], [32, 20], [0, 40.5]])


def with_channels(folder, channel_map=(7, 17, 3, 5, 9), **tables):
    write_phy(folder, SAMPLES, CLUSTERS, **tables)
    np.save(folder / "channel_positions.npy", POSITIONS)
    np.save(folder / "channel_map.npy", np.array(channel_map, np.int32).reshape(-1, 1))
    return folder


def places(folder):
    about = phy.read_spike_trains(folder).about
    return {name: [None if value != value else value for value in its] for name, its in about.items()}


def test_positions_are_those_of_the_channels_that_cluster_info_names_in_the_raw_data(tmp_path):
    info = "cluster_id\tch\tdepth\tsh\n2\t17\t0.0\t0\n4\t9\t40.5\t0\n9\t4\t20.0\t1\n"
    assert places(with_channels(tmp_path, cluster_info=info)) == {
        "electrode": ["17", "9", "4"],
        "group": ["0", "0", "1"],
        "x": [32, 0, None],  # no channel is number 4
        "y": [0, 40.5, 20],
    }


def test_a_stated_depth_shows_that_channels_are_counted_from_0(tmp_path):
    info = "cluster_id\tch\tdepth\n2\t3\t20\n4\t4\t40.5\n9\t1\t0\n"  # channel 3 is the third line by the map
    assert places(with_channels(tmp_path, (4, 3, 2, 1, 0), cluster_info=info))["x"] == [32, 0, 32]
    without = places(with_channels(tmp_path / "b", (4, 3, 2, 1, 0), cluster_info="cluster_id\tch\n2\t3\n"))
    assert (without["x"], without["y"]) == ([32, None, None], [0, None, None])


def test_without_cluster_info_the_largest_channel_of_a_template_is_a_cluster_s(tmp_path):
    templates = np.zeros((5, 6, 5), np.float32)
    templates[2, :, 1], templates[4, 3, 4], templates[4, :, 0] = [0, -5, 2, 0, 0, 0], -3, 1
    folder = with_channels(tmp_path)
    np.save(folder / "templates.npy", templates)
    assert places(folder) == {"electrode": ["17", "9", None], "x": [32, 0, None], "y": [0, 40.5, None]}  # 9 is merged


def test_depth_alone_is_a_position_and_a_damaged_file_a_note(tmp_path):
    folder = write_phy(tmp_path, SAMPLES, CLUSTERS, cluster_info="cluster_id\tdepth\n2\t20\n9\tdeep\n")
    assert places(folder) == {"y": [20, None, None]}
    (folder / "channel_positions.npy").write_bytes(b"no array")
    trains = phy.read_spike_trains(folder)
    assert "channels of clusters cannot be read" in trains.notes[0]


def test_times_with_fractions_are_seconds_with_a_note(tmp_path):
    folder = write_phy(tmp_path, SAMPLES, CLUSTERS)
    np.save(folder / "spike_times.npy", np.array(SAMPLES) / 30_000)
    trains = phy.read_spike_trains(folder)
    assert np.sort(trains.times).tolist() == (np.array(SAMPLES) / 30_000).tolist()
    assert trains.notes == ["spike_times.npy holds fractions (0.01): they are taken for seconds, not samples"]


@pytest.mark.parametrize(
    ("raw", "folder", "session"),
    [
        ("[r'D:\\lab\\rat1_g0_t0.imec0.ap.bin']", "data/kilosort4", "rat1_g0_t0.imec0.ap"),
        ("'../rat1_day2.dat'", "sorted/ks", "rat1_day2"),
        ("'recording.dat'", "data/ks", "data"),
        ("open('x')", "data/ks", "data"),
        ("'../rat1_day2.dat'", "rat1/ks", "rat1"),
    ],
)
def test_a_folder_whose_name_says_nothing_is_called_after_the_raw_data(tmp_path, raw, folder, session):
    path = write_phy(tmp_path / "data" / folder, SAMPLES, CLUSTERS)
    (path / "params.py").write_text(f"sample_rate = 30000.\ndat_path = {raw}\n")
    assert phy.count_units(path, Options()).session_id == session
