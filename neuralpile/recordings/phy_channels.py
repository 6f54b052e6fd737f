"""Where the clusters of a folder of Kilosort or phy were recorded.

`cluster_info.tsv`, which phy writes when it saves, states each cluster's channel with the largest amplitude (`ch`), its
shank (`sh`) and its depth. `channel_positions.npy` has the place of each channel in µm, and `channel_map.npy` its
number in the raw data, which is the one that phy shows (https://phy.readthedocs.io, "Terminology"). Where phy never
saved, `templates.npy` (templates, samples, channels) shows each cluster's channel.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from neuralpile.errors import BadInput
from neuralpile.recordings import npy, phy_tables

INFO = "cluster_info.tsv"
CHANNEL = ("ch", "channel")  # in phy 2.0 beta, the second, which is no number in the raw data
DEPTH = ("depth",)
SHANK = ("sh",)


def of_clusters(folder: Path, clusters: Sequence[str]) -> Mapping[str, Sequence[object]]:
    """What a folder says of where its clusters were recorded: electrode, group, x, y.

    Parameters:
        folder: of Kilosort or phy.
        clusters: their numbers, as text.

    Raises:
        BadInput: a file is damaged, or does not fit the others.
    """
    title, channels = _stated(folder, CHANNEL, clusters)
    depths = _numbers(_stated(folder, DEPTH, clusters)[1])
    shanks = _stated(folder, SHANK, clusters)[1]
    numbers = _numbers(channels)
    positions = _array(folder / "channel_positions.npy", "f")
    if positions is None or positions.ndim != 2 or positions.shape[1] != 2:
        return _saying({"electrode": channels, "group": shanks, "y": depths.tolist()})
    if not any(channels):
        index = _of_templates(folder, clusters, len(positions))
        of_index = _map(folder, len(positions))
        channels = [None if i < 0 else str(of_index[i]) for i in index.tolist()]
    else:
        index = _index(folder, numbers, positions, depths, mapped=title == CHANNEL[0])
    places = np.where(index[:, None] >= 0, positions[index], np.nan)
    places[:, 1] = np.where(np.isnan(places[:, 1]), depths, places[:, 1])
    return _saying({"electrode": channels, "group": shanks, "x": places[:, 0].tolist(), "y": places[:, 1].tolist()})


def _saying(columns: Mapping[str, Sequence[object]]) -> dict[str, Sequence[object]]:
    """The columns that have a value."""
    return {name: its for name, its in columns.items() if any(value is not None and value == value for value in its)}


def _stated(folder: Path, titles: Sequence[str], clusters: Sequence[str]) -> tuple[str, list[str | None]]:
    """The first of these columns of cluster_info.tsv that is there: its title, and a text or None for each cluster."""
    for title in titles:
        if its := phy_tables.column(folder / INFO, title):
            return title, [its.get(cluster) or None for cluster in clusters]
    return "", [None] * len(clusters)


def _numbers(texts: Sequence[str | None]) -> np.ndarray:
    """Texts as numbers: NaN where there is none."""

    def number(text: str | None) -> float:
        try:
            return float(text or "nan")
        except ValueError:
            return np.nan

    return np.array([number(text) for text in texts], np.float64)


def _array(path: Path, kinds: str) -> np.ndarray | None:
    """An array of numbers as float64 or int64; None if there is no such file."""
    if not path.is_file():
        return None
    values = npy.read(path)
    if values.dtype.kind not in kinds + "iu":
        raise BadInput(path, "numbers", str(values.dtype), phy_tables.NOT_A_FOLDER)
    return values.astype(np.float64 if "f" in kinds else np.int64)


def _map(folder: Path, n_channels: int) -> np.ndarray:
    """Each channel's number in the raw data; their own numbers where the folder does not say."""
    found = _array(folder / "channel_map.npy", "")
    return found.ravel() if found is not None and found.size == n_channels else np.arange(n_channels)


def _index(folder: Path, numbers: np.ndarray, positions: np.ndarray, depths: np.ndarray, mapped: bool) -> np.ndarray:
    """Each cluster's channel as a line of the positions; -1 where there is none.

    A stated depth decides whether channels are numbers in the raw data.
    """
    own = np.arange(len(positions))
    ways = [_where(numbers, of_channel) for of_channel in (_map(folder, len(positions)), own)]
    fitting = [int(np.isclose(np.where(way >= 0, positions[way, 1], np.nan), depths).sum()) for way in ways]
    if fitting[0] != fitting[1]:
        mapped = fitting[0] > fitting[1]
    return ways[0] if mapped else ways[1]


def _where(numbers: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The place of each number among others; -1 for one that is not there."""
    lines = {number: line for line, number in enumerate(among.tolist())}
    return np.array([lines.get(number, -1) for number in numbers.tolist()], np.int64)


def _of_templates(folder: Path, clusters: Sequence[str], n_channels: int) -> np.ndarray:
    """The channel on which the template of each cluster's number is largest, where phy never saved; else -1.

    Clusters of other numbers were merged or split by hand.
    """
    nowhere = np.full(len(clusters), -1)
    path = folder / "templates.npy"
    if not path.is_file():
        return nowhere
    templates = npy.read(path, mapped=True)
    if templates.ndim != 3 or templates.dtype.kind != "f" or templates.shape[2] != n_channels:
        return nowhere  # stored for some channels only
    numbers = _numbers(clusters)
    known = np.isfinite(numbers) & (numbers >= 0) & (numbers < len(templates))
    peaks = [
        int(np.ptp(templates[int(n)], axis=0).argmax()) if ok else -1 for n, ok in zip(numbers, known, strict=True)
    ]
    return np.array(peaks, np.int64)
