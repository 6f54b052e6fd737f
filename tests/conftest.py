"""Fixtures that several tests need: real recordings, scripts run as users run them, and the seed of the faults."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from hypothesis import settings

# The first call compiles, and test machines are noisy: examples have no time limit.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# A process started in the background ignores Ctrl-C, and its children do too. Tests interrupt children: undo that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


REAL = ROOT.parent / "shared" / "real"


def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores, because many tests wait for a server or for a process to end."""
    return -(-len(os.sched_getaffinity(0)) * 3 // 2) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pytest_report_header() -> str:
    """The seed that repeats this run's faults."""
    return f"FAULTS_SEED={os.environ.get('FAULTS_SEED', '0')}"


@pytest.fixture(scope="session")
def faults_seed() -> int:
    """The seed of everything that tests marked `faults` draw; `make faults FAULTS_SEED=7` sets it."""
    return int(os.environ.get("FAULTS_SEED", "0"))


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
