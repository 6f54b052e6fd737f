"""What willett, makin, lanzarini and rajalingham share: a bad MATLAB file does not stop their builds."""

import numpy as np
import pytest
from helpers.data_files import MATLAB_FILES, makin_cells, save_73, save_mat, write_lanzarini, write_rajalingham

from neuralpile import catalog
from neuralpile.build import record
from neuralpile.open import open_data_set


@pytest.mark.parametrize("name", MATLAB_FILES)
def test_a_bad_file_is_reported_and_the_good_one_beside_it_is_built(name, tmp_path, script, rates):
    """The good one is built, the bad one is told of in one line, and the exit status says so."""
    data = tmp_path / "raw"
    good = data / MATLAB_FILES[name]
    if name == "willett":
        save_mat(good, {"tx1": np.ones((30, 256), "u1")})
    elif name == "makin":
        save_73(good, makin_cells(96))
    elif name == "lanzarini":
        write_lanzarini(good, {})
    else:
        write_rajalingham(good, rates)
    bad = data / MATLAB_FILES[name].replace("04", "05").replace("session1", "session2").replace("mahler", "perle")
    bad.write_bytes(good.read_bytes()[:-300])
    done = script(f"data/{name}/preprocess.py", "--data_dir", data)
    assert done.returncode == 1
    assert sum(str(bad) in line for line in done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    (row,) = open_data_set(str(tmp_path / "build" / name))
    assert row.subject_id in catalog.load(name).subject_ids
    assert record.REPORT in {path.name for path in (tmp_path / "build" / name).iterdir()}
