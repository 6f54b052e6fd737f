"""papale: envelopes of multi-unit activity to threshold events, against plain loops over the samples."""

import itertools
import math
import runpy
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from helpers import ROOT
from helpers.data_files import envelopes, write_envelopes
from helpers.data_sets import build, read

from neuralpile.errors import BadInput
from neuralpile.recordings.hdf5 import tiles
from neuralpile.spikes.session import Options

PUBLISHED = Options(as_published=True)


def loop_events(mua, bin_ms=20):
    """Events of every presentation and electrode, sample after sample: (presentations, bins, electrodes)."""
    n_samples, n_presentations, n_electrodes = mua.shape
    counts = np.zeros((n_presentations, n_samples // bin_ms, n_electrodes), int)
    for j, e in itertools.product(range(n_presentations), range(n_electrodes)):
        x = mua[:, j, e].tolist()
        mean = sum(x) / n_samples
        threshold = mean + 3.5 * math.sqrt(sum((value - mean) ** 2 for value in x) / n_samples)
        for t in range(n_samples - 1):
            if x[t] > threshold and x[t + 1] <= threshold and t // bin_ms < counts.shape[1]:
                counts[j, t // bin_ms, e] += 1
    return counts


def test_the_command_builds_a_row_for_each_monkey(script, tmp_path):
    """Two monkeys, one told by the folder, one by the name; bins in the order of time, or as published."""
    expected = {}
    for i, place in enumerate(["monkeyF/THINGS_MUA_trials.mat", "monkeyN/THINGS_MUA_trials_N.mat"]):
        mua = envelopes(seed=i)
        write_envelopes(tmp_path / "raw" / place, mua, chunks=(300, 7, 16), compression="gzip")
        expected["FN"[i]] = loop_events(mua)
    for options in [], ["--as_published"]:
        rows, _ = build(script, tmp_path, "papale", *options)
        assert [(row.subject_id, row.session_id) for row in rows] == [("monkey_F", "F_0"), ("monkey_N", "N_0")]
        for row in rows:
            events = expected[row.session_id[0]]
            assert events.sum() > 1000
            if options:
                columns = [events[j, b] for b in range(15) for j in range(40)]
            else:
                columns = [events[j, b] for j in range(40) for b in range(15)]
            assert (row.counts == np.array(columns).T).all()


@pytest.mark.parametrize("chunks", [None, (300, 1, 16), (1, 40, 16), (300, 40, 1), (60, 9, 5)])
def test_counts_do_not_depend_on_the_chunks_of_the_file(tmp_path, monkeypatch, chunks):
    """Parts of a few kilobytes, of one chunk or less: the same counts, bit for bit those of the whole array."""
    mua = envelopes()
    path = write_envelopes(tmp_path / "monkeyF" / "THINGS_MUA_trials.mat", mua, chunks=chunks)
    script = runpy.run_path(str(ROOT / "data" / "papale" / "preprocess.py"))
    monkeypatch.setitem(script["read"].__globals__, "SLAB", 300 * 8 * 24)
    above = mua > mua.mean(axis=0) + 3.5 * mua.std(axis=0)
    falls = np.concatenate([above[:-1] & ~above[1:], np.zeros((1, 40, 16), bool)])
    whole = falls.reshape(15, 20, 40, 16).sum(axis=1)
    assert (script["read"](path, replace(PUBLISHED, own_bin=0.001)).counts == whole.reshape(600, 16).T).all()
    assert (script["read"](path, Options(own_bin=0.001)).counts == whole.transpose(1, 0, 2).reshape(600, 16).T).all()
    with h5py.File(path) as file:
        parts = list(tiles(file["ALLMUA"], 300 * 8 * 24))
    assert all((p.stop - p.start) * (e.stop - e.start) <= 24 or chunks == (60, 9, 5) for p, e in parts)


@pytest.mark.parametrize("chunks", [None, (300, 1, 1024), (300, 2000, 1), (30, 500, 64), (1, 25_248, 1024)])
def test_tiles_cover_every_presentation_and_electrode_once_within_the_limit(chunks):
    """Each presentation and electrode once, and never more at a time than is asked for, whatever the chunks."""
    mua = SimpleNamespace(shape=(300, 25_248, 1024), chunks=chunks, dtype=np.dtype("f8"))
    seen = np.zeros((25_248, 1024), np.uint8)
    for presentations, electrodes in tiles(mua, 50_000_000):
        seen[presentations, electrodes] += 1
        assert 300 * 8 * (presentations.stop - presentations.start) * (electrodes.stop - electrodes.start) <= 50_000_000
    assert (seen == 1).all()


def test_an_event_is_the_falling_edge_of_an_excursion():
    """An excursion counts once, in the bin of its last sample; one that is not over at the end does not count."""
    mua = np.zeros((300, 3, 2))
    mua[15:25, 0, 0] = 1  # ends in bin 1
    mua[19, 1, 0] = 1  # the last sample of bin 0
    mua[295:, 2, 0] = 1
    events, without = runpy.run_path(str(ROOT / "data" / "papale" / "preprocess.py"))["threshold_events"](mua, 20)
    assert np.argwhere(events).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert without == 0


def test_events_are_counted_in_bins_of_any_width(tmp_path):
    mua = envelopes(4, 3)
    path = write_envelopes(tmp_path / "monkeyN" / "THINGS_MUA_trials.mat", mua)
    for ms in (1, 7, 300):
        found = read("papale", path, Options(bin_size=ms / 1000)).counts
        assert (found == loop_events(mua, ms).reshape(-1, 3).T).all()


def test_missing_samples_are_noted_and_contradicting_names_are_refused(tmp_path):
    mua = envelopes(4, 3)
    expected = loop_events(mua)
    mua[100, 2, 1], mua[200, 3, 0] = np.nan, np.inf
    expected[2, :, 1] = expected[3, :, 0] = 0
    session = read("papale", write_envelopes(tmp_path / "THINGS_MUA_trials_N.mat", mua))
    assert (session.counts == expected.reshape(-1, 3).T).all()
    assert session.notes == ["2 presentations of an electrode with missing samples have no events"]
    path = write_envelopes(tmp_path / "monkeyF" / "THINGS_MUA_trials_N.mat", mua)
    with pytest.raises(BadInput, match="found both"):
        read("papale", path)


def test_a_large_file_is_read_in_little_memory(tmp_path):
    """A file of 307 MB in chunks that each span all presentations: far less than the file is in memory."""
    path = tmp_path / "monkeyF" / "THINGS_MUA_trials.mat"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        mua = file.create_dataset("ALLMUA", (300, 500, 256), "f8", chunks=(1, 500, 256))
        for sample in range(300):
            mua[sample] = float(sample == 30)
    code = f"""
import resource, runpy
from pathlib import Path
from neuralpile.spikes.session import Options
read = runpy.run_path({str(ROOT / "data" / "papale" / "preprocess.py")!r})["read"]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
counts = read(Path({str(path)!r}), Options(own_bin=0.001)).counts
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, counts.sum())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    kilobytes, events = map(int, done.stdout.split())
    assert events == 500 * 256
    assert kilobytes * 1024 < 250_000_000
