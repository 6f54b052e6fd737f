"""What several tests need: the project's folder, the real recordings where they are, scripts run as users run them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from hypothesis import settings

# The first call compiles, and these machines are noisy: no time limit on an example.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# What is started in the background ignores Ctrl-C, and so would all the processes that tests start, and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


REAL = ROOT.parent / "shared" / "real"


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores for two of them: many tests wait for a server or for a process to end."""
    return -(-len(os.sched_getaffinity(0)) * 3 // 2) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.fixture
def real():
    """Path of a real recording by its name; skips the test, naming the file, where it is not on this machine."""

    def path(name: str) -> Path:
        if not (REAL / name).is_file():
            pytest.skip(f"real recording {name} is not on this machine")
        return REAL / name

    return path


@pytest.fixture
def script(tmp_path):
    """Run a script of the project in a process of its own, with local builds under tmp_path/build."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"NEURALPILE_BUILD": str(tmp_path / "build")} | environment
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)

    return run
