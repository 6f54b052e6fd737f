"""Fixtures that several tests need: real recordings, scripts run as users run them, and the seed of the faults."""

import json
import os
import signal
import subprocess
import sys
import time
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


@pytest.fixture
def dask(tmp_path):
    """The address of a scheduler, and its two workers."""
    address_file = tmp_path / "scheduler.json"
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    start += ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(address_file)]
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen(start, **quiet)]
    while not address_file.exists():
        assert processes[0].poll() is None
        time.sleep(0.05)
    for i in range(2):
        work = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(address_file)]
        work += ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(tmp_path / f"worker{i}")]
        processes.append(subprocess.Popen(work, **quiet))
    yield json.loads(address_file.read_text())["address"], processes[1:]
    for process in processes:
        process.kill()
        process.wait()
