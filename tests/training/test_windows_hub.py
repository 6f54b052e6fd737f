"""Windows of a repository on the Hub, with the real clients and a stand-in for the Hub."""

import json

import numpy as np
import pytest
from helpers.loopback_hub import LoopbackHub
from helpers.small_corpora import write_rows_of

from neuralpile.training import Windows

PUSH = """
import sys, datasets
from huggingface_hub import HfApi
datasets.load_from_disk(sys.argv[1]).push_to_hub("me/x")
manifest = {"path_or_fileobj": b'{"data_set": "x"}', "path_in_repo": "manifest.json"}
HfApi().upload_file(**manifest, repo_id="me/x", repo_type="dataset")
"""
WINDOWS = """
import json
from neuralpile.training import Windows
windows = Windows("me/x", n_bins=10, n_units=4)
assert windows.data_set.manifest() == {"data_set": "x"}
batch = windows.batch(range(20))
print(json.dumps([batch.counts.tolist(), batch.rows.tolist()]))
"""


@pytest.mark.slow
def test_a_repository_is_downloaded_once_and_gives_the_windows_of_the_local_rows(tmp_path):
    rng = np.random.default_rng(0)
    rows = write_rows_of(tmp_path / "x", [rng.poisson(1, (6, 100)).astype(np.uint8) for _ in range(5)])
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        hub.run(PUSH, str(rows.folder))
        expected = Windows(rows, n_bins=10, n_units=4).batch(range(20))
        for _ in range(2):
            counts, numbers = json.loads(hub.run(WINDOWS).splitlines()[-1])
            assert counts == expected.counts.tolist()
            assert numbers == expected.rows.tolist()
