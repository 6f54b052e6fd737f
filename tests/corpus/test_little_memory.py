"""Scripts with little address space and few file handles: they work, or end in one line, in bounded time."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT
from helpers.small_corpora import write_rows_of

COMMANDS = {
    "merge": ["merge_datasets.py", "--components", "a", "b", "--out_dir", "{out}"],
    "inspect": ["inspect_dataset.py", "a", "--table", "animals"],
    "summary": ["visualize_dataset.py", "--repo_name", "a", "--summary"],
    "motifs": ["extract_motifs.py", "--repo_name", "a", "--p_n", "1", "--p_t", "2", "--out_dir", "{out}"],
    "tokens": ["tokenize_dataset.py", "--repo_name", "a", "--p_n", "1", "--p_t", "2", "--out_dir", "{out}"],
}


@pytest.mark.parametrize("limit", ["0.8 GB", pytest.param("1.5 GB", marks=pytest.mark.slow), "32 files"])
@pytest.mark.parametrize("name", ["merge", *(pytest.param(name, marks=pytest.mark.slow) for name in [*COMMANDS][1:])])
def test_a_script_works_or_ends_in_one_line(name, limit, tmp_path):
    for digest, build in (("0" * 64, "a"), ("1" * 64, "b")):
        write_rows_of(tmp_path / build, [np.full((3, 40), i + int(digest[0]), np.uint8) for i in range(3)], digest)
    most, unit = limit.split()
    kind = resource.RLIMIT_AS if unit == "GB" else resource.RLIMIT_NOFILE
    value = int(float(most) * 1e9) if unit == "GB" else int(most)
    done = subprocess.run(
        [sys.executable, *(part.format(out=tmp_path / "out") for part in COMMANDS[name])],
        cwd=ROOT,
        env=os.environ | {"NEURALPILE_BUILD": str(tmp_path)},
        preexec_fn=lambda: resource.setrlimit(kind, (value, value)),
        capture_output=True,
        text=True,
        timeout=200,
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr, done.stderr
    assert (done.returncode, len(errors)) in ((0, 0), (1, 0), (1, 1), (2, 1)), done.stderr
