"""Scripts run within this process; tests of the process itself start their own."""

import runpy
import sys

import numpy as np
import pytest
from helpers import ROOT, in_process

from neuralpile.open import open_data_set


@pytest.fixture
def script(tmp_path):
    """Run a `preprocess.py` with local builds under tmp_path/build; the exit status and what it printed."""
    return lambda *arguments: in_process.run(tmp_path / "build", *arguments)


@pytest.fixture
def rates():
    rates = np.random.default_rng(0).uniform(0, 0.08, (5, 79, 100))
    rates[0, 0, :3] = [0.01, 0.03, 0.05]  # 0.5, 1.5, 2.5: a half goes to the even number
    rates[:, :, -1] = np.nan  # the last bin of each condition has no value
    return rates


@pytest.fixture
def here(monkeypatch, capsys, tmp_path):
    """Run a data set's script in this process with the given command line; its rows, and what it said."""

    def run(name, *options):
        out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        path = f"data/{name}/preprocess.py"
        argv = [path, "--data_dir", tmp_path / "raw", "--out_dir", out, *options]
        monkeypatch.setattr(sys, "argv", [str(word) for word in argv])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / path), run_name="__main__")
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return list(open_data_set(str(out))) if "--help" not in options else [], said.out

    return run


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "raw"
