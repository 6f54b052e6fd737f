"""Miniatures of what labs hold: Kilosort and phy folders, and files of acquisition systems, written byte by byte."""

from pathlib import Path

import numpy as np


def write_phy(folder: Path, samples, clusters, rate: object = "30000.", **tables: str) -> Path:
    """A folder of Kilosort and phy; `tables` are its .tsv files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "spike_times.npy", np.asarray(samples, np.uint64).reshape(-1, 1))
    np.save(folder / "spike_clusters.npy", np.asarray(clusters, np.int32))
    (folder / "params.py").write_text(f"dat_path = ['a.dat']\nn_channels_dat = 385\nsample_rate = {rate}\n")
    for name, text in tables.items():
        (folder / f"{name}.tsv").write_text(text)
    return folder


def write_nex(path: Path, ticks: dict[str, list[int]], rate: float = 40_000.0) -> Path:
    """A NeuroExplorer file: a header of 544 bytes, 208 bytes for each unit, then each unit's ticks as int32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = np.zeros(1, [("signature", "S4"), ("version", "<i4"), ("comment", "S256"), ("freq", "<f8"),
                          ("tbeg", "<i4"), ("tend", "<i4"), ("nvar", "<i4"), ("padding", "S260")])  # fmt: skip
    header[0] = (b"NEX1", 101, b"", rate, 0, max(map(max, filter(None, ticks.values())), default=0), len(ticks), b"")
    fields = [("type", "<i4"), ("version", "<i4"), ("name", "S64"), ("offset", "<u4"), ("n", "<i4"), ("rest", "S128")]
    entity = np.zeros(len(ticks), fields)
    offset = header.nbytes + entity.nbytes
    for i, (name, train) in enumerate(ticks.items()):
        entity[i] = (0, 100, name.encode(), offset, len(train), b"")
        offset += 4 * len(train)
    trains = b"".join(np.asarray(train, "<i4").tobytes() for train in ticks.values())
    path.write_bytes(header.tobytes() + entity.tobytes() + trains)
    return path


def write_nev(path: Path, spikes: list[tuple[int, int, int]], rate: int = 30_000, n_samples: int = 48) -> Path:
    """A Blackrock file (NEV 2.3) with spikes (tick, channel, unit), each with a waveform of zeros."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = sorted({channel for _, channel, _ in spikes})
    waveform = b"".join(
        b"NEUEVWAV" + np.array([channel], "<u2").tobytes() + bytes([1, 1]) + np.array([250, 0, 0, 0], "<u2").tobytes()
        + bytes([2, 2]) + np.array([n_samples], "<u2").tobytes() + bytes(8)
        for channel in channels
    )  # fmt: skip
    size = 8 + 2 * n_samples
    header = b"NEURALEV" + bytes([2, 3]) + np.array([1], "<u2").tobytes()
    header += np.array([336 + len(waveform), size, rate, rate], "<u4").tobytes()
    header += np.array([2020, 1, 3, 1, 12, 0, 0, 0], "<u2").tobytes() + bytes(32) + bytes(256)
    header += np.array([len(channels)], "<u4").tobytes()
    packets = b"".join(
        np.array([tick], "<u4").tobytes() + np.array([channel], "<u2").tobytes() + bytes([unit, 0])
        + np.zeros(n_samples, "<i2").tobytes()
        for tick, channel, unit in sorted(spikes)
    )  # fmt: skip
    path.write_bytes(header + waveform + packets)
    return path
