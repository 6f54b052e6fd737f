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


MATLAB_FILES = {
    "willett": "sentences/t12.2022.04.28_sentences.mat",
    "makin": "indy/indy_20160407_02.mat",
    "lanzarini": "Router/session1.mat",
    "rajalingham": "mahler_hand_dmfc_dataset_50ms.mat",
}


def save_mat(path, variables, compressed=False):
    """As MATLAB 5 (7 where compressed): the header, then each variable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, variables, do_compression=compressed, long_field_names=True)
    return path


def save_73(path, cells, user_block=512):
    """A cell array as MATLAB 7.3 has it: a user block before the HDF5 file, `spikes` (unit slots, channels) of
    references into #refs#, each to 1 × spikes; an empty cell is its two dimensions, in one, with MATLAB_empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=user_block) as file:
        references = np.empty((len(cells), len(cells[0])), h5py.ref_dtype)
        for slot, channels in enumerate(cells):
            for channel, train in enumerate(channels):
                empty = not len(train)
                content = np.zeros(2, "u8") if empty else np.array([train], float)
                cell = file.create_dataset(f"#refs#/{slot}_{channel}", data=content)
                cell.attrs["MATLAB_class"] = np.bytes_("double")
                if empty:
                    cell.attrs["MATLAB_empty"] = np.uint8(1)
                references[slot, channel] = cell.ref
        spikes = file.create_dataset("spikes", data=references)
        spikes.attrs["MATLAB_class"] = np.bytes_("cell")
        file["t"] = np.arange(10.0)[None] / 250
        file["cursor_pos"] = np.zeros((2, 10))
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return path


def makin_cells(n_channels, seed=0):
    """Five slots: unsorted spikes, sorted units on some channels, the last slot empty. First spike at 3.2 s."""
    rng = np.random.default_rng(seed)
    cells = [[np.sort(rng.uniform(3.3, 20, rng.integers(5, 60))) for _ in range(n_channels)]]
    for slot in range(1, 5):
        here = [slot < 4 and rng.random() < 0.5 / slot for _ in range(n_channels)]
        cells.append([np.sort(rng.uniform(3.3, 20, 30)) if unit else [] for unit in here])
    cells[0][1] = cells[1][1] = cells[2][1] = cells[3][1] = []  # a channel without a spike
    cells[1][0] = [3.2, 12.0, 20.5]  # the first and the last spike are those of a sorted unit
    return cells


def write_lanzarini(path, trains):
    """A file of 128 channels: these trains (as they are stored), elsewhere a spike at 0.5 s."""
    variables = {f"Spk_{channel:03d}a_sh": np.array([[0.5]]) for channel in range(128)}
    for channel, train in trains.items():
        variables[f"Spk_{channel:03d}a_sh"] = np.asarray(train, float)
    variables["Spk_000b_sh"] = np.array([[0.1, 0.2]])  # a second unit of channel 0
    return save_mat(path, variables, compressed=True)


def write_rajalingham(path, rates, variable="neural_responses_reliable"):
    """The struct as in the file: all trials, then the two halves of them."""
    fields = {"occ": rates, "occ_sh1": rates + 1, "occ_sh2": rates + 2}
    return save_mat(path, {variable: fields, "meta": {"a": np.ones(3)}}, compressed=True)
