"""Windows that are read from a repository on the Hub, row by row, with the real clients and a stand-in for the Hub."""

import json

import numpy as np
import pytest
from helpers.loopback_hub import LEAVE, LoopbackHub
from helpers.small_corpora import write_rows_of

from neuralpile.training import Windows

PUSH = """
import datasets, sys
datasets.load_from_disk(sys.argv[1]).push_to_hub("me/x", num_shards=3)
"""
# Stops after some windows, goes on in a copy that another process could have got, and prints all windows of two epochs.
STREAM = (
    """
import json, pickle
from itertools import islice
from neuralpile import http_client
from neuralpile.training import StreamedWindows
http_client.RETRY_SECONDS, http_client.SILENT_SECONDS = 0.01, 1
windows = StreamedWindows("me/x", n_bins=10, n_units=4, pool=2)
found = list(islice(windows, 37))
state = json.dumps(windows.state_dict())
windows = pickle.loads(pickle.dumps(windows))
windows.load_state_dict(json.loads(state))
for _ in range(2):
    found += windows
print(json.dumps([[w.row, w.start, w.units.tolist(), w.counts.tolist(), w.source, w.names] for w in found]))
"""
    + LEAVE
)


def written(windows):
    return [[w.row, w.start, w.units.tolist(), w.counts.tolist(), w.source, list(w.names)] for w in windows]


@pytest.mark.slow
def test_a_repository_gives_the_windows_of_the_local_rows_without_a_copy_and_over_broken_connections(tmp_path):
    rng = np.random.default_rng(0)
    rows = write_rows_of(tmp_path / "x", [rng.poisson(1, (6, 100)).astype(np.uint8) for _ in range(9)])
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        hub.run(PUSH, str(rows.folder))
        faults = [hub.fail("GET .*parquet$", failure) for failure in ("reset", 500, "lost")]
        found = json.loads(hub.run(STREAM))
        assert [fault.left for fault in faults] == [0, 0, 0]
        local = Windows(rows, n_bins=10, n_units=4)
        assert len(found) == 2 * len(local) == 180
        for epoch in (0, 1):
            here = sorted(found[epoch * 90 :][:90])
            assert here == sorted([*w[:4], "me/x", w[5]] for w in written(local.epoch(epoch)))
        assert [w[0] for w in found[:90]] != sorted(w[0] for w in found[:90])
        assert not [path for path in (tmp_path / "hf").rglob("*") if path.suffix in (".parquet", ".arrow")]
