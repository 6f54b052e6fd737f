"""athalye: bins of two widths."""

import h5py
import numpy as np
import pytest
from helpers.data_files import write_series
from helpers.nwb_miniatures import WRITERS

PLACE = "processing/behavior/spike_counts"


def test_bins_of_monkey_g_last_a_sixtieth_of_a_second_and_the_report_says_so(here, raw):
    """Monkey G's bins last 1/60 s, and the report says so; bins of 50 ms are the same for both."""
    sessions = WRITERS["athalye"](raw)
    data_g, data_j = sessions.values()
    built, said = here("athalye")
    assert [row.counts.shape[1] for row in built] == [123, 30]
    assert said.count("bins of 1/60 s, not of 0.02 s") == 1
    built, said = here("athalye", "--bin_size", "0.05")
    assert (built[0].counts == data_g.reshape(41, 3, -1).sum(axis=1).T).all()
    assert (built[1].counts == data_j[:120].reshape(12, 10, -1).sum(axis=1).T.clip(max=255)).all()
    assert "not of" not in said


@pytest.mark.parametrize("rate", [0.0, -0.0, -200.0, 1e-300, -1e-300, np.inf, -np.inf, np.nan, 1e9])
@pytest.mark.parametrize("how", ["rate", "timestamps"])
def test_a_rate_that_is_none_is_refused_in_one_line(script, raw, rate, how):
    path = raw / "sub-monk-j" / "a.nwb"
    write_series(path, PLACE, np.ones((400, 3), np.uint8))
    with h5py.File(path, "a") as file, np.errstate(all="ignore"):
        if how == "rate":
            file[f"{PLACE}/starting_time"] = 0.0
            file[f"{PLACE}/starting_time"].attrs["rate"] = rate
        else:
            file[f"{PLACE}/timestamps"] = np.arange(400) / np.float64(rate)
    done = script("data/athalye/preprocess.py", "--data_dir", raw)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2  # the file's, and that no session is left
    assert f"expected a rate of {PLACE} from 0.1 to 100000 Hz, found " in lines[0]


@pytest.mark.parametrize(
    ("rate", "built"),
    [(60.0, True), (50.0, True), (200.0, True), (70.0, True), (75.0, False), (99.0, False), (20.0, False)],
)
def test_bins_longer_than_those_asked_for_are_refused(script, raw, rate, built):
    write_series(raw / "sub-monk-j" / "a.nwb", PLACE, np.ones((400, 3), np.uint8), rate)
    done = script("data/athalye/preprocess.py", "--data_dir", raw)
    assert (done.returncode == 0) == built, done.stderr
    assert built or f"expected a --bin_size that is a multiple of 1/{rate:g} s" in done.stderr
