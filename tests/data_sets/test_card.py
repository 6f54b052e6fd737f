"""card: what a file must state, and what the report states of its counts."""

import json
import runpy

import h5py
import numpy as np
import pytest
from helpers import ROOT
from helpers.data_files import simulate, write_trials

from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.spikes.session import Options

READ = runpy.run_path(str(ROOT / "data" / "card" / "preprocess.py"))["read"]


def session_file(folder, n_trials=4):
    counts, scored = simulate(0.5, n_trials=n_trials, n_channels=256)
    return counts, scored, folder / "t15.2023.08.11" / "data_train.hdf5"


@pytest.mark.parametrize("value", [None, np.nan, "two", [1, 2]])
def test_a_trial_without_a_block_number_is_refused_in_one_line(tmp_path, value):
    _, scored, path = session_file(tmp_path)
    write_trials(path, scored, [1] * 4)
    with h5py.File(path, "a") as file:
        del file["trial_0002"].attrs["block_num"]
        if value is not None:
            file["trial_0002"].attrs["block_num"] = value
    with pytest.raises(BadInput, match="trial_0002: expected block_num, the number of the trial's block") as error:
        READ(path, Options(own_bin=0.02))
    assert "\n" not in str(error.value)
    assert READ(path, Options(own_bin=0.02, as_published=True)).counts.any()  # blocks are not needed


def test_the_report_states_how_many_channels_have_no_lattice(script, tmp_path):
    counts, scored, path = session_file(tmp_path / "raw")
    rng = np.random.default_rng(0)
    for z in scored:
        z[:, 7] = rng.normal(size=len(z))
        z[rng.choice(len(z), 4), 9] += np.float32(1.5e-5)
    write_trials(path, scored, [1] * 4)
    done = script("data/card/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "out" / "report.json").read_text())["sessions"][0]["facts"]
    assert facts["derived"].startswith("counts are recovered from z-scores")
    assert facts["channel_trials"] == 4 * 256
    assert facts["channel_trials_off_lattice"] == 4
    assert facts["channels_without_lattice"] == 1
    (row,) = open_data_set(str(tmp_path / "out"))
    assert not row.counts[7].any()
    assert (row.counts[9] == np.concatenate(counts)[:, 9]).all()
