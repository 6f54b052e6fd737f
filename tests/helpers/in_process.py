"""Run a script within the tests' own process: starting Python and importing the library costs more than most tests."""

import io
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from helpers import ROOT
from neuralpile import catalog


def run(build: Path, script: object, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script, or "-m" and a module, as the command would run it; local builds are below `build`.

    What it prints and its exit status come back as those of a process would.
    """
    out, err = io.StringIO(), io.StringIO()
    argv = [str(script), *map(str, arguments)][script == "-m" :]  # as Python gives it, with the module for its path
    status: object = 0
    patched = mock.patch.object(sys, "argv", argv), mock.patch.object(catalog, "BUILD", build)
    with patched[0], patched[1], redirect_stdout(out), redirect_stderr(err):
        try:
            if script == "-m":
                runpy.run_module(str(arguments[0]), run_name="__main__")
            else:
                runpy.run_path(str(ROOT / str(script)), run_name="__main__")
        except SystemExit as ended:
            status = ended.code or 0
    assert isinstance(status, int)
    return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())
