"""Compiled functions work, and are right, where no cache can be written."""

import ctypes
import os
import shutil
import subprocess
import sys

import pytest
from helpers import ROOT

COUNT = """
import numpy as np
from neuralpile.spikes.binning import bin_spikes
print(bin_spikes(np.array([0.01, 0.03, 0.05]), np.array([3]), 0.02).counts.tolist())
"""
REFUSED = """
import numba
from neuralpile import errors
try:
    numba.njit(cache=True)(errors.Mismatch.at)
except RuntimeError as error:
    print(error)
"""
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1  # linux/prctl.h, linux/capability.h


def obey_permissions():
    """Take from root, in whose name containers run tests, the right to write anywhere."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)


@pytest.mark.skipif(sys.platform != "linux", reason="permissions of Linux")
def test_functions_compile_where_neither_the_code_nor_the_home_folder_can_be_written(tmp_path):
    """Numba refuses to cache there, with a RuntimeError at import; the counts are right without a cache."""
    shutil.copytree(ROOT / "neuralpile", tmp_path / "neuralpile", ignore=shutil.ignore_patterns("__pycache__"))
    folders = [path for path in (tmp_path, *tmp_path.rglob("*")) if path.is_dir()]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}

    def run(code):
        return subprocess.run(
            [sys.executable, "-c", code], cwd="/", env=env, capture_output=True, text=True, preexec_fn=obey_permissions
        )

    try:
        for folder in folders:
            folder.chmod(0o555)
        assert "no locator available" in run(REFUSED).stdout  # so this test would fail without the fallback
        done = run(COUNT)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[[1, 1, 1]]\n"
    assert not list(tmp_path.rglob("*.nbi"))


FULL_DISK = """
import resource
import called
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
print(called.calls(1))
"""


def test_functions_work_where_a_full_disk_holds_no_compiled_code(tmp_path):
    """A build on a full disk would blame the recording whose session was the first to be binned."""
    (tmp_path / "called.py").write_text(MODULE)
    env = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", FULL_DISK], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")
    assert [path.stat().st_size for path in tmp_path.rglob("*.nbc")] == []


MODULE = """
from neuralpile.compile import compiled

@compiled
def called(n: int) -> int:
    return n + 1

@compiled
def calls(n: int) -> int:
    return called(n)
"""
IN_THREADS = """
import threading, time
import numba
njit = numba.njit
njit(lambda n: n + 1)(1)  # what numba does once
def slowly(*functions, **options):
    if "cache" not in options:  # numba itself
        return njit(*functions, **options)
    def made(function):
        time.sleep(0.8 * (function.__name__ == "called"))
        return njit(nogil=True)(function)
    return made
numba.njit = slowly
import module
failed, together = [], threading.Barrier(3)
def call(delay):
    together.wait()
    time.sleep(delay)
    try:
        assert module.calls(1) == 2
    except Exception as error:
        failed.append(error)
threads = [threading.Thread(target=call, args=(delay,)) for delay in (0, 0.3, 0.6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(failed)
"""


@pytest.mark.slow
def test_threads_that_call_a_function_first_at_the_same_time_find_it_and_what_it_calls_compiled(tmp_path):
    (tmp_path / "module.py").write_text(MODULE)
    env = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", IN_THREADS], env=env, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
