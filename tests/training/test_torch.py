"""PyTorch's loaders take windows as they are: with workers, over several processes, and from a checkpoint on."""

import json
import os
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from helpers import ROOT
from helpers.small_corpora import write_rows_of

from neuralpile.training import Stream, StreamedWindows, Windows

torch = pytest.importorskip("torch", reason="torch is not installed (the extra `train`)")
pytest.importorskip("torchdata", reason="torchdata is not installed (the extra `train`)")
from torch.utils.data import DataLoader, default_convert  # noqa: E402

pytestmark = pytest.mark.slow  # workers import torch

PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)

# Runs in this process, and in another one that goes on from a state: a loader, and a digest of each of its batches.
LOADERS = """
import hashlib, json, sys
import torch
from torch.utils.data import default_convert
from torchdata.stateful_dataloader import StatefulDataLoader
from neuralpile.training import Stream, StreamedWindows, Windows

def loader(kind, folder, workers):
    if kind == "map":
        windows = Windows(folder, n_bins=8, n_units=4)
        return StatefulDataLoader(windows, batch_size=5, num_workers=workers, collate_fn=default_convert)
    if kind == "stream":
        stream = Stream(Windows(folder, n_bins=8, n_units=4), 5, steps=20)
        return StatefulDataLoader(stream, batch_size=None, num_workers=workers)
    windows = StreamedWindows(folder, n_bins=8, n_units=4, pool=2)
    return StatefulDataLoader(windows, batch_size=5, num_workers=workers, collate_fn=windows.collate)

def digest(batch):
    sha = hashlib.sha256()
    for values in batch:
        sha.update(torch.as_tensor(values).numpy().tobytes())
    return sha.hexdigest()
"""
REST = (
    LOADERS
    + """
folder, states = sys.argv[1:]
rest = []
for kind, workers, state in torch.load(states, weights_only=True):
    resumed = loader(kind, folder, workers)
    resumed.load_state_dict(state)
    rest.append([digest(batch) for batch in resumed])
print(json.dumps(rest))
"""
)
COMBINATIONS = [(kind, workers) for kind in ("map", "stream", "streamed") for workers in (0, 2)]


def run(*arguments, **environment):
    command, env = [sys.executable, *map(str, arguments)], os.environ | environment
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    rng = np.random.default_rng(0)
    shapes = [(3, 40), (7, 65), (1, 9), (5, 130), (12, 60), (4, 100)]
    matrices = [rng.poisson(1, shape).astype(np.uint8) for shape in shapes]
    return write_rows_of(tmp_path_factory.mktemp("rows") / "x", matrices)


def test_loaders_go_on_in_another_process_with_the_same_batches_to_the_last_bit(data_set, tmp_path):
    names: dict = {}
    exec(LOADERS, names)
    loader, digest, folder = names["loader"], names["digest"], str(data_set.folder)
    expected, states = [], []
    for kind, workers in COMBINATIONS:
        whole = [digest(batch) for batch in loader(kind, folder, workers)]
        assert len(set(whole)) == len(whole) > 8
        expected.append(whole[5:])
        stopped = loader(kind, folder, workers)
        batches = iter(stopped)
        assert [digest(next(batches)) for _ in range(5)] == whole[:5]
        states.append((kind, workers, stopped.state_dict()))
    torch.save(states, tmp_path / "states")
    assert json.loads(run("-c", REST, folder, tmp_path / "states").splitlines()[-1]) == expected


@pytest.mark.parametrize(("workers", "start"), [(0, None), (2, "fork"), (2, "spawn")])
def test_a_loader_makes_tensors_of_windows_with_any_kind_of_workers_and_warns_of_nothing(data_set, workers, start):
    windows = Windows(data_set, n_bins=8, n_units=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader = DataLoader(
            windows, batch_size=5, num_workers=workers, multiprocessing_context=start, collate_fn=default_convert
        )
        found = list(loader)
        for step, batch in enumerate(found):
            numbers = range(step * 5, min((step + 1) * 5, len(windows)))
            for tensor, array in zip(batch, windows.batch(numbers), strict=True):
                assert isinstance(tensor, torch.Tensor)
                assert np.array_equal(tensor.numpy(), array)
                tensor.zero_()  # it can be written
    assert len(found) == -(-len(windows) // 5)


def test_what_workers_get_is_small(tmp_path):
    """Names, and some numbers for each of 2,000 rows; not their counts, of 2 MB."""
    windows = Windows(write_rows_of(tmp_path / "x", [np.ones((10, 100), np.uint8)] * 2000), n_bins=10)
    windows.batch(range(100))
    streamed = StreamedWindows(windows.data_set, n_bins=10)
    next(iter(streamed))
    for source in (windows, Stream(windows, 5), streamed):
        assert len(pickle.dumps(source)) < 600_000


def test_processes_that_torchrun_starts_see_their_share_and_together_everything_once(data_set, tmp_path):
    """The script of docs/training.md, on three epochs of a small data set, which its steps just cover."""
    (code,) = [code for code in EXAMPLES if "init_process_group" in code]
    assert '"simulated-pile"' in code and "steps=1000" in code
    windows = Windows(data_set, n_bins=100, seed=0)
    steps = -(-3 * len(windows) // 64)
    code = code.replace('"simulated-pile"', repr(str(data_set.folder))).replace("steps=1000", f"steps={steps}")
    (tmp_path / "script.py").write_text(code)
    printed = run("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", 2, tmp_path / "script.py")
    lines = [line.split(maxsplit=2) for line in printed.splitlines()]
    batches = {(int(step), int(rank)): re.findall(r"\d+", rest) for step, rank, rest in lines}
    assert sorted(batches) == [(step, rank) for step in range(steps) for rank in (0, 1)]
    found = [place for key in sorted(batches) for place in zip(batches[key][:32], batches[key][32:], strict=True)]
    expected = [(str(w.row), str(w.start)) for epoch in range(3) for w in windows.epoch(epoch)]
    assert found[: len(expected)] == expected


@pytest.mark.parametrize("code", [c for c in EXAMPLES if "torch" in c and "init_process_group" not in c])
def test_an_example_with_torch_runs(code, data_set, tmp_path):
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "simulated-pile").symlink_to(data_set.folder)
    (tmp_path / "script.py").write_text(code)
    run(tmp_path / "script.py", NEURALPILE_BUILD=str(tmp_path / "build"))
