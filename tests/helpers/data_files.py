"""Small files in the layouts of the data sets that are not units tables."""

import itertools

import h5py
import numpy as np
import scipy.io


def write_envelopes(path, mua, **storage):
    """ALLMUA as MATLAB 7.3 stores [electrode x presentation x time]: h5py sees the axes reversed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("ALLMUA", data=mua, **storage).attrs["MATLAB_class"] = np.bytes_("double")
        file["ALLMAT"] = np.ones((6, mua.shape[1]))
        file["tb"] = np.arange(-100, 200.0)[:, None]
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    return path


def envelopes(n_presentations=40, n_electrodes=16, seed=0):
    """Noise about a level of its own in every presentation, and short excursions."""
    rng = np.random.default_rng(seed)
    mua = rng.normal(size=(300, n_presentations, n_electrodes))
    for j, e in itertools.product(range(n_presentations), range(n_electrodes)):
        for start in rng.integers(0, 300, rng.integers(0, 6)):
            mua[start : start + rng.integers(1, 4), j, e] += 12
    return mua * rng.uniform(0.5, 2, (n_presentations, 1)) + rng.uniform(0, 50, (n_presentations, 1))


def save_rates(path, rates):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, rates)
    return path


def score(counts, before):
    """Counts (bins, channels) less the mean of earlier ones, in their deviations, as float32."""
    return ((counts - before.mean(axis=0)) / before.std(axis=0)).astype(np.float32)


def simulate(rate, drift=0.0, n_trials=60, n_channels=16, seed=0):
    """Poisson counts of trials of different lengths and rates, and their z-scores by the 20 trials before each."""
    rng = np.random.default_rng(seed)
    shape = n_trials + 20, n_channels
    rates = rate * np.exp(rng.normal(0, 0.15, shape) + np.cumsum(rng.normal(0, drift, shape), axis=0))
    counts = [rng.poisson(r, (rng.integers(150, 600), n_channels)) for r in rates]
    scored = [score(counts[t], np.concatenate(counts[t - 20 : t])) for t in range(20, len(counts))]
    return counts[20:], scored


def write_trials(path, scored, blocks):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for i, (z, block) in enumerate(zip(scored, blocks, strict=True)):
            group = file.create_group(f"trial_{i:04d}")
            power = np.full((len(z), 256), 7.7, np.float32)
            group["input_features"] = np.concatenate([z, power], axis=1)
            group["seq_class_ids"] = np.zeros(500, np.int32)
            group.attrs.update({"n_time_steps": len(z) - 3, "block_num": block, "trial_num": i, "session": "t15"})
    return path


def save(path, **variables):
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, variables)


def save_cells(path, cells):
    """MATLAB 7.3: a cell array (unit slots, channels) of object references; an empty cell holds its dimensions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        references = np.empty((len(cells), len(cells[0])), h5py.ref_dtype)
        for slot, channels in enumerate(cells):
            for channel, train in enumerate(channels):
                place = f"#refs#/{slot}_{channel}"
                file[place] = np.array([train], float) if len(train) else np.array([0, 0], "u8")
                if not len(train):
                    file[place].attrs["MATLAB_empty"] = 1
                references[slot, channel] = file[place].ref
        file["spikes"] = references


CELLS = [
    [[5.03, 7.0], [], [6.0, 6.001]],  # unsorted
    [[9.31], [], [5.5]],  # a sorted unit
    [[], [], []],
]


def write_series(path, place, data, rate=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[f"{place}/data"] = data
        if rate:
            file[f"{place}/starting_time"] = 0.0
            file[f"{place}/starting_time"].attrs["rate"] = rate
