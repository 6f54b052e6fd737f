"""What a `preprocess.py` imports before it works: `--help` and wrong options need not wait for libraries."""

import resource
import subprocess
import sys

import pytest
from helpers import ROOT
from helpers.recordings import write_units_bare

HEAVY = {"datasets", "numba", "matplotlib", "dandi", "pyarrow", "requests", "scipy", "pandas", "pynwb"}
ALL_HELP = """
import contextlib, io, runpy, sys
for script in sys.argv[1:]:
    sys.argv = [script, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        runpy.run_path(script, run_name="__main__")
    assert "--bin_size" in out.getvalue(), script
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_help_imports_no_heavy_library():
    scripts = sorted(map(str, ROOT.glob("data/*/preprocess.py")))
    assert len(scripts) >= 27
    done = subprocess.run([sys.executable, "-c", ALL_HELP, *scripts], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == set()


@pytest.mark.slow
def test_too_little_memory_to_start_a_worker_is_one_line(tmp_path):
    write_units_bare(tmp_path / "raw" / "sub-A" / "sub-A_ses-1.nwb", [0.5], [1])
    command = [sys.executable, "data/perich/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", tmp_path / "b"]
    limit = 400 * 2**20
    small = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, **small)
    assert done.returncode == 2
    assert "error: workers: expected a process that reads recordings" in done.stderr
    assert "forkserver.py" not in done.stderr.rpartition("error: workers")[2]
