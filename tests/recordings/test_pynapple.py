"""Files that pynapple saved: those of the package itself, and what its older versions wrote."""

import numpy as np
import pytest

from neuralpile.errors import BadInput
from neuralpile.recordings import pynapple
from neuralpile.spikes.session import Options


def save(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def group(path, **more):
    arrays = {"type": np.array(["TsGroup"]), "t": np.array([0.01, 0.03, 0.05, 0.051]), "index": np.array([5, 2, 5, 5])}
    return save(path, **arrays, **more)


def test_a_group_that_pynapple_saves_has_its_silent_units(tmp_path):
    nap = pytest.importorskip("pynapple", reason="pynapple is not installed")
    trains = {3: nap.Ts(np.array([0.5, 2.25])), 7: nap.Ts(np.array([])), 11: nap.Ts(np.array([1.0]))}
    labels = {"quality": np.array(["good", "mua", "good"])}  # pynapple pickles them, and no pickle is loaded
    path = tmp_path / "mouse" / "day.npz"
    path.parent.mkdir()
    nap.TsGroup(trains, time_support=nap.IntervalSet(0, 5), metadata=labels).save(str(path))
    found = pynapple.read_spike_trains(path)
    assert list(found.ids) == ["3", "7", "11"]
    assert found.times.tolist() == [0.5, 2.25, 1.0]
    assert found.ends.tolist() == [2, 2, 3]
    assert found.quality is None
    session = pynapple.count_units(path, Options())
    assert (session.subject_id, session.session_id, session.counts.shape) == ("", "day", (3, 113))
    nap.Ts(np.array([0.1, 0.2])).save(str(tmp_path / "one.npz"))
    assert pynapple.read_spike_trains(tmp_path / "one.npz").times.tolist() == [0.1, 0.2]


def test_units_are_sorted_with_their_labels(tmp_path):
    keys = {"keys": np.array([5, 2, 9]), "quality": np.array(["good", "mua", "noise"])}
    found = pynapple.read_spike_trains(group(tmp_path / "x.npz", **keys))
    assert list(found.ids) == ["2", "5", "9"]
    assert found.quality == ["mua", "good", "noise"]
    assert found.times.tolist() == [0.03, 0.01, 0.05, 0.051]
    assert pynapple.count_units(tmp_path / "x.npz", Options(min_quality="good")).counts.tolist() == [[1, 0, 2]]


def test_without_keys_units_are_those_with_spikes(tmp_path):
    assert list(pynapple.read_spike_trains(group(tmp_path / "x.npz")).ids) == ["2", "5"]


def test_what_pynapple_did_not_save_is_one_clear_line(tmp_path):
    tsd = save(tmp_path / "tsd.npz", type=np.array(["Tsd"]), t=np.arange(3.0), d=np.arange(3.0))
    with pytest.raises(BadInput, match="expected a TsGroup or Ts that pynapple saved, found Tsd"):
        pynapple.read_spike_trains(tsd)
    with pytest.raises(BadInput, match="spikes of unit 5"):
        pynapple.read_spike_trains(group(tmp_path / "keys.npz", keys=np.array([2, 9])))
    pickled = save(tmp_path / "p.npz", type=np.array(["TsGroup"]), t=np.array([None, 1], object))
    with pytest.raises(BadInput, match="expected a TsGroup or Ts"):
        pynapple.read_spike_trains(pickled)
    (tmp_path / "cut.npz").write_bytes(tsd.read_bytes()[:-40])
    with pytest.raises(BadInput, match="expected a whole NumPy archive"):
        pynapple.read_spike_trains(tmp_path / "cut.npz")
    np.save(tmp_path / "a.npy", np.arange(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(BadInput, match="found a single array"):
        pynapple.read_spike_trains(tmp_path / "a.npz")


def test_locations_saved_as_an_array_are_the_areas_of_units(tmp_path):
    path = group(tmp_path / "mouse" / "x.npz", keys=np.array([5, 2]), location=np.array(["CA1", ""]))
    assert pynapple.count_units(path, Options()).units == {"id": ["2", "5"], "area": [None, "CA1"]}
