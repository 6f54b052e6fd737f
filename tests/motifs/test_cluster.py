"""extract_motifs.py --scheduler: a real Dask scheduler and two real worker processes, one of which is killed."""

import signal

import numpy as np
import pytest

from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row
from neuralpile.errors import BadInput
from neuralpile.motifs import cluster, extract, kernels, parquet, spill
from neuralpile.open import open_data_set


@pytest.fixture
def corpus(tmp_path):
    rng = np.random.default_rng(0)
    made = [Row(rng.poisson(0.4, (20, 5_003)).astype(np.uint8), "s", f"{i}", "segment_0") for i in range(40)]
    folder = tmp_path / "build" / "x"
    arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
    return open_data_set(str(folder))


def count(address, corpus, shape, work, advance):
    """The table of a cluster, and that of this process, as bytes."""
    written = []
    for n, parts in (
        cluster.extract(address, open_data_set, corpus, corpus.tokens(), *shape, work, 10**8, advance),
        extract.extract(corpus, corpus.tokens(), *shape, work / "local", 10**8, 1),
    ):
        parquet.write(parts, work / "x.parquet", parquet.Counted("x", *shape, 0, n), 5)
        written.append((work / "x.parquet").read_bytes())
    return written


@pytest.mark.slow
def test_a_cluster_gives_the_same_file_also_when_a_worker_is_killed(corpus, dask, tmp_path, monkeypatch):
    """The same file to the last byte; a worker is killed after the first blocks that were counted."""
    address, workers = dask
    monkeypatch.setattr(extract, "BLOCK_TOKENS", 200_000)
    counted = []
    there, here = count(address, corpus, (1, 8), tmp_path / "a", counted.append)
    assert there == here
    assert sum(counted) == sum(corpus.tokens())
    assert len(counted) > 10

    def kill(_):
        if workers[0].poll() is None:
            workers[0].send_signal(signal.SIGKILL)
            workers[0].wait()

    there, here = count(address, corpus, (3, 7), tmp_path / "b", kill)
    assert workers[0].returncode == -signal.SIGKILL
    assert there == here


def make(folder, matrices, digest):
    made = [Row(counts, "s", f"{i}", "segment_0") for i, counts in enumerate(matrices)]
    arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, digest * 64)
    return open_data_set(str(folder))


@pytest.mark.slow
def test_rows_that_were_built_again_are_counted_again_or_refused(dask, tmp_path):
    """Workers that had the old rows open count the new ones; where they find others than we, that is an error."""
    for digest, value in (("a", 0), ("b", 1)):
        data_set = make(tmp_path / "x", [np.full((20, 800), value, np.uint8)] * 10, digest)
        n, parts = cluster.extract(dask[0], open_data_set, data_set, data_set.tokens(), 1, 8, tmp_path / "work", 10**8)
        (table,) = parts
        assert n == 20_000
        assert (table.keys.tolist(), table.frequencies.tolist()) == ([[int.from_bytes([value] * 8)]], [20_000])
    data_set = make(tmp_path / "x", [np.full((20, 800), 2, np.uint8)] * 10, "c")
    make(tmp_path / "x", [np.full((20, 800), 3, np.uint8)] * 10, "d")
    with pytest.raises(BadInput, match="expected on a worker the rows that this command found, found others"):
        cluster.extract(dask[0], open_data_set, data_set, data_set.tokens(), 1, 8, tmp_path / "work", 10**8)


@pytest.mark.slow
def test_first_rows_without_tokens_or_spikes_do_not_decide_the_ranges(dask, tmp_path, monkeypatch):
    """What the first block has, nothing or one silent patch, does not decide how the others are divided."""
    monkeypatch.setattr(extract, "BLOCK_TOKENS", 1)
    rng = np.random.default_rng(0)
    loud = [rng.integers(0, 9, (20, 803), np.uint8) for _ in range(30)]
    for digest, first in (("a", np.zeros((0, 0), np.uint8)), ("b", np.zeros((20, 4_000), np.uint8))):
        data_set = make(tmp_path / digest, [first, *loud], digest)
        (tmp_path / "work").mkdir(exist_ok=True)
        there, here = count(dask[0], data_set, (1, 8), tmp_path / "work", lambda _: None)
        assert there == here


def test_ranges_of_sampled_tables_have_about_equal_sizes():
    several = [np.zeros((1, 1), np.uint64), np.arange(9_000, dtype=np.uint64)[:, None], np.empty((0, 1), np.uint64)]
    limits = spill.splitters(
        [key for keys in several for key in spill.sample(kernels.Table(keys, np.ones(len(keys), np.int64)))], 9
    )
    sizes = np.diff([0, *(limit[0] for limit in limits), 9_000])
    assert len(sizes) == 9
    assert sizes.max() < 1_100


def test_a_missing_scheduler_is_reported(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(BadInput, match=r"tcp://127.0.0.1:1: expected a Dask scheduler with workers"):
        cluster.extract("tcp://127.0.0.1:1", open_data_set, corpus, corpus.tokens(), 1, 8, tmp_path, 10**8)
