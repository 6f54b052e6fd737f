"""The scripts of data sets that hold no spikes but rates or envelopes, on miniatures in the layout of their files."""

import math
import runpy
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from conftest import ROOT

from neuralpile import store


def build(script, tmp_path, name, *options):
    """Build a data set from tmp_path/raw; its rows and what was said."""
    out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
    done = script(f"data/{name}/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", out, *options)
    assert done.returncode == 0, done.stderr
    return list(store.open_data_set(str(out))), done.stdout


def save_rates(path, rates):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, rates)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_wojcik(script, tmp_path, dtype):
    """The sum of a unit's counts is the integral of its rate to within one; published, every positive rate is 1."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.5, 8, (6, 4, 215)).astype(dtype)  # 15 ms at the end of a trial fill no bin
    rates[:, 1] = 0
    rates[2, 2, :20] = 51  # 1.02 expected spikes
    save_rates(tmp_path / "raw" / "m1_ses1" / "Wom20200910_Spikes_preprocessed.npy", rates)
    save_rates(tmp_path / "raw" / "m1_ses1" / "Wom20200910_meta.npy", np.ones(6))
    rows, _ = build(script, tmp_path, "wojcik")
    (row,) = rows
    assert (row.subject_id, row.session_id) == ("M1", "Wom20200910_Spikes_preprocessed")
    assert row.counts.shape == (4, 60)
    for unit in range(4):
        integral = 0.0
        for b, n in enumerate(row.counts[unit]):  # trial after trial
            trial, within = divmod(b, 10)
            integral += float(rates[trial, unit, within * 20 : within * 20 + 20].mean()) * 0.02
            assert abs(row.counts[unit, : b + 1].sum(dtype=int) - integral) <= 0.5 + 1e-4, (unit, b, n)
    rows, _ = build(script, tmp_path, "wojcik", "--as_published")
    published = rows[0].counts
    for unit in range(4):
        for b in range(60):
            trial, within = divmod(b, 10)
            mean = rates[trial, unit, within * 20 : within * 20 + 20].mean()
            assert published[unit, b] == math.ceil(0.02 * mean)
    assert published[2, 20] == 2
    assert not published[1].any()
    assert (published[0] >= 1).all()


def test_wojcik_odd_rates_and_names(script, tmp_path):
    rates = np.full((1, 3, 40), 100.0)
    rates[0, 1, :20] = np.nan
    rates[0, 2, 20:] = -5
    save_rates(tmp_path / "raw" / "M2" / "a.npy", rates)
    rows, said = build(script, tmp_path, "wojcik")
    assert rows[0].subject_id == "M2"
    assert rows[0].counts.tolist() == [[2, 2], [0, 2], [2, 0]]
    assert "1 bins without a rate count as 0" in said
    assert "1 bins of a negative rate count as 0" in said
    save_rates(tmp_path / "raw" / "other" / "a.npy", rates)
    save_rates(tmp_path / "raw" / "M1" / "flat.npy", np.ones(5))
    np.save(tmp_path / "raw" / "M1" / "pickled.npy", np.array([{"a": 1}]), allow_pickle=True)
    done = script("data/wojcik/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", tmp_path / "x")
    assert done.returncode == 1
    assert "flat.npy: expected rates (trials, units, samples of 1 ms), found float64 of shape (5,)" in done.stderr
    assert "pickled.npy: expected a whole .npy file of numbers" in done.stderr
    assert "other/a.npy: expected a file or folder named after m1, m2" in done.stderr


def save_envelopes(path, mua, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("ALLMUA", data=mua, **options)
        file["ALLMAT"] = np.ones((6, mua.shape[1]))
        file["tb"] = np.arange(-100, 200.0)[:, None]


def events(mua):
    """Threshold events (presentations, bins of 20 ms, electrodes), one sample after the other."""
    n_samples, n_presentations, n_electrodes = mua.shape
    counts = np.zeros((n_presentations, 15, n_electrodes), int)
    for j in range(n_presentations):
        for e in range(n_electrodes):
            x = mua[:, j, e]
            threshold = sum(x) / n_samples
            threshold += 3.5 * (sum((value - threshold) ** 2 for value in x) / n_samples) ** 0.5
            for t in range(n_samples - 1):
                if x[t] > threshold >= x[t + 1]:
                    counts[j, t // 20, e] += 1
    return counts


@pytest.mark.parametrize("chunks", [None, (300, 1, 16), (100, 5, 4)])
def test_papale(script, tmp_path, chunks):
    """Ours has the bins of a presentation together; published, bin 0 of all presentations comes first."""
    rng = np.random.default_rng(0)
    mua = rng.normal(size=(300, 9, 16))
    for j in range(9):
        for e in range(16):
            mua[rng.integers(0, 300, rng.integers(0, 5)), j, e] += 15
    mua[299, 3, 3] += 40  # still above at the end: no event
    save_envelopes(tmp_path / "raw" / "monkeyF" / "THINGS_MUA_trials.mat", mua, chunks=chunks)
    expected = events(mua)
    assert expected.sum() > 50
    rows, _ = build(script, tmp_path, "papale")
    assert (rows[0].subject_id, rows[0].session_id) == ("monkey_F", "F_0")
    assert (rows[0].counts == expected.reshape(-1, 16).T).all()
    rows, _ = build(script, tmp_path, "papale", "--as_published")
    assert (rows[0].counts == expected.transpose(1, 0, 2).reshape(-1, 16).T).all()


@pytest.mark.parametrize("chunks", [None, (300, 1, 1024), (300, 2000, 1), (30, 500, 64), (1, 25_248, 1024)])
def test_papale_is_read_in_slabs(chunks):
    """Each presentation and electrode once, at most half a gigabyte at a time, whatever the chunks."""
    script = runpy.run_path(str(ROOT / "data" / "papale" / "preprocess.py"))
    mua = SimpleNamespace(shape=(300, 25_248, 1024), chunks=chunks, dtype=np.dtype("f8"))
    seen = np.zeros((25_248, 1024), np.uint8)
    for presentations, electrodes in script["slabs"](mua):
        seen[presentations, electrodes] += 1
        size = 300 * 8 * (presentations.stop - presentations.start) * (electrodes.stop - electrodes.start)
        assert size <= 5 * script["SLAB"]
    assert (seen == 1).all()


def test_papale_names_and_missing_samples(script, tmp_path):
    mua = np.random.default_rng(0).normal(size=(300, 4, 3))
    mua[100, :, :] += 50
    mua[10, 2, 1] = np.nan
    save_envelopes(tmp_path / "raw" / "THINGS_MUA_trials_N.mat", mua)
    rows, said = build(script, tmp_path, "papale")
    assert rows[0].subject_id == "monkey_N"
    counts = rows[0].counts.reshape(3, 4, 15)
    assert counts[:, :, 5].sum() == 11
    assert not counts[1, 2].any()
    assert "1 presentations of an electrode with missing samples have no events" in said
    save_envelopes(tmp_path / "raw" / "THINGS_MUA_trials.mat", mua)
    done = script("data/papale/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", tmp_path / "x")
    assert "expected a folder monkeyF or monkeyN, or a name that ends in _F or _N, found neither" in done.stderr
