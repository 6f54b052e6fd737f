"""Data sets that are a units table of spike times, on miniatures with the names and the layout of their real files."""

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile, TimeSeries

from neuralpile import catalog, simulation
from neuralpile.open import open_data_set

# The names of real files (DANDI listings), as `dandi download` lays them out.
FILES = {
    "dmfc-rsg": [
        "000130/sub-Haydn/sub-Haydn_desc-test_ecephys.nwb",
        "000130/sub-Haydn/sub-Haydn_desc-train_ecephys.nwb",
    ],
    "area2-bump": [
        "000127/sub-Han/sub-Han_desc-test_ecephys.nwb",
        "000127/sub-Han/sub-Han_desc-train_behavior+ecephys.nwb",
    ],
    "m1-a": [
        "000941/sub-MonkeyL-held-in-calib/sub-MonkeyL-held-in-calib_ses-20120924_behavior+ecephys.nwb",
        "000941/sub-MonkeyL-held-in-minival/sub-MonkeyL-held-in-minival_ses-20120924_behavior+ecephys.nwb",
        "000941/sub-MonkeyL-held-out-calib/sub-MonkeyL-held-out-calib_ses-20121004_behavior+ecephys.nwb",
    ],
}


def write_miniature(path, n_units, seed):
    """Spike times beside what the real files have, too: behaviour, other columns, observed intervals with gaps."""
    rng = np.random.default_rng(seed)
    trains = [np.sort(rng.uniform(0.3, 9, rng.integers(0, 60))) for _ in range(n_units)]
    nwb = NWBFile("miniature", path.stem, simulation.SESSION_START)
    nwb.add_acquisition(TimeSeries(name="eval_mask", data=np.ones(450, bool), unit="bool", rate=50.0))
    nwb.add_unit_column("heldout", "held out from the benchmark's participants")
    for unit, train in enumerate(trains):
        nwb.add_unit(spike_times=train, obs_intervals=[[0, 4], [5, 9]], heldout=unit >= n_units - 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    edges = np.arange(0, max(np.max(train, initial=0) for train in trains) + 0.02, 0.02)
    return np.stack([np.histogram(train, edges)[0] for train in trains])


@pytest.mark.parametrize("name", FILES)
def test_spike_times_of_every_file_become_counts(name, script, tmp_path):
    expected = {file: write_miniature(tmp_path / "raw" / file, 5 + i, i) for i, file in enumerate(FILES[name])}
    done = script(f"data/{name}/preprocess.py", "--data_dir", tmp_path / "raw")
    assert done.returncode == 0, done.stderr
    rows = list(open_data_set(str(tmp_path / "build" / name)))
    assert len(rows) == len(expected)
    for row, (file, counts) in zip(rows, expected.items(), strict=True):
        _, subject, stem = file.removesuffix(".nwb").split("/")
        assert (row.subject_id, row.session_id, row.segment_id) == (subject, stem, "segment_0")
        assert (row.counts == counts).all()
    assert {row.subject_id for row in rows} <= set(catalog.load(name).subject_ids)
