"""The script of a data set, run within this process on a file or from its command line."""

import runpy
from dataclasses import replace

from helpers import ROOT
from neuralpile import catalog
from neuralpile.open import open_data_set
from neuralpile.spikes.session import Options


def read(name, path, options=None):
    """What the script of a data set makes of a file."""
    options = replace(options or Options(), own_bin=catalog.load(name).own_bin)
    return runpy.run_path(str(ROOT / "data" / name / "preprocess.py"))["read"](path, options)


def build(script, tmp_path, name, *options):
    """Build a data set from tmp_path/raw with its command; its rows and what was said."""
    out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
    done = script(f"data/{name}/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", out, *options)
    assert done.returncode == 0, done.stderr
    return list(open_data_set(str(out))), done.stdout


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert "expected" in text and "found" in text
    return text
