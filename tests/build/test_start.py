"""What a `preprocess.py` imports before it works: `--help` and wrong options need not wait for libraries."""

import subprocess
import sys

from helpers import ROOT

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
