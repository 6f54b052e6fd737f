"""Folders that Kilosort and phy write: one folder is one recording.

Files that are read: `spike_times.npy` (samples), `spike_clusters.npy` (a cluster for each spike; `spike_templates.npy`
if phy never saved one), `params.py` (for `sample_rate`), and for the labels `cluster_group.tsv`, `cluster_group.csv` or
`cluster_groups.csv` (set by hand in phy), else `cluster_info.tsv` (what phy showed), else `cluster_KSLabel.tsv` (set by
Kilosort). `phy_channels` reads where clusters were recorded.
`params.py` is parsed and never executed; no pickle is loaded.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath

import numpy as np

from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import names, npy, phy_channels, phy_tables
from neuralpile.recordings.hdf5 import Recording, local
from neuralpile.recordings.phy_tables import NOT_A_FOLDER
from neuralpile.spikes import binning, clock, trains
from neuralpile.spikes.session import Options, Session
from neuralpile.spikes.trains import QUALITY, SpikeTrains

SESSION_FILE = "spike_clusters.npy"  # in every folder that phy saved, and new whenever it saves again
UNSAVED = "spike_templates.npy"  # what Kilosort found, in every folder
TIMES = "spike_times.npy"  # the session file where phy saved only some folders
# Tables of labels, and their columns ("": the second one), those that win last. phy writes what is set by hand to the
# first, and what it shows, of all tables, to cluster_info.tsv, which it never reads again (phylib, `_load_metadata`).
LABELS = {
    "cluster_group.tsv": ("",),
    "cluster_group.csv": ("",),
    "cluster_groups.csv": ("",),  # of phy 1
    phy_channels.INFO: ("KSLabel", "group"),
    "cluster_KSLabel.tsv": ("",),
}
BY_HAND = ("cluster_group.tsv", "cluster_group.csv", "cluster_groups.csv")
UNLABELLED = ("", "unsorted", "nan")


def count_units(recording: Recording, options: Options) -> Session:
    """Spike counts of all clusters of a folder, noise included unless `--min_quality` leaves it out.

    Parameters:
        recording: the folder, or a file in it. The folder is the session, or the one above a sorter's own folder.
        options: with `min_quality`, clusters with a lower label, or none of `QUALITY`, are left out.

    Raises:
        BadInput: as `read_spike_trains`; the spike times cannot be seconds; no cluster has a known label.

    Example:
        In a preprocess.py, with include = ["spike_clusters.npy"] in dataset.toml, ["spike_templates.npy"] where phy
        never saved, or ["spike_times.npy"] where it saved some folders:

        >>> # build.main(__file__, phy.count_units, qualities=phy.QUALITY)
    """
    path = local(recording)
    folder = path if path.is_dir() else path.parent
    try:
        found, session = read_spike_trains(folder), _session(folder)
        return trains.count(found, options, names.subject(folder), session, QUALITY)
    except Mismatch as error:
        raise error.at(folder, "check sample_rate in params.py, and the labels") from None


def read_spike_trains(folder: Path) -> SpikeTrains:
    """Read the spike trains of a folder: one for each cluster, by ascending number.

    Raises:
        BadInput: a file is missing or does not fit the others.
    """
    rate = read_sample_rate(folder / "params.py")
    samples = npy.read(folder / TIMES)
    clusters_file = _clusters_file(folder)
    clusters = npy.read(clusters_file)
    notes = []
    for name, values in ((TIMES, samples), (clusters_file.name, clusters)):
        if values.dtype.kind not in "fiu" or max(values.shape, default=0) != values.size:
            found = f"{values.dtype} of shape {values.shape}"
            raise BadInput(folder / name, "a number for each spike", found, NOT_A_FOLDER)
    try:
        clusters = binning.whole_numbers(clusters)
    except Mismatch as error:
        do = "give each cluster a whole number, then save it again"
        raise BadInput(clusters_file, "whole numbers", error.found, do) from None
    try:  # NaN is left out later
        binning.whole_numbers(samples[np.isfinite(samples)])
    except Mismatch as error:
        if np.isinf(samples).any() or np.nanmax(samples) > clock.LONGEST:
            raise BadInput(folder / TIMES, "whole numbers", error.found, NOT_A_FOLDER) from None
        notes.append(f"{TIMES} holds fractions ({error.found}): they are taken for seconds, not samples")
        rate = 1.0
    labels, from_files = read_labels(folder), label_files(folder)
    try:
        sorted_by_unit = SpikeTrains.from_labels(samples.ravel() / rate, clusters.ravel())
    except Mismatch as error:
        raise error.at(folder, NOT_A_FOLDER) from None
    quality = [labels.get(unit, "") for unit in sorted_by_unit.ids] if from_files else None
    if from_files and from_files[0] not in BY_HAND:
        notes.append(f"quality labels are those of {' and '.join(from_files)}")
    about: Mapping[str, Sequence[object]] = {}
    try:
        about = phy_channels.of_clusters(folder, sorted_by_unit.ids)
    except (BadInput, OSError) as error:  # not needed for counts
        notes.append(f"channels of clusters cannot be read: {error}")
    return replace(sorted_by_unit, quality=quality, about=about, notes=notes)


def changing(path: Path) -> Path:
    """The file that is new when phy saves: the clusters where `spike_times.npy` is the session file, else the file."""
    found = _clusters_file(path.parent)
    return found if path.name == TIMES and found.is_file() else path


def _clusters_file(folder: Path) -> Path:
    """The file with each spike's cluster: phy's, or Kilosort's if phy never saved."""
    saved = folder / SESSION_FILE
    return saved if saved.is_file() else folder / UNSAVED


def read_sample_rate(path: Path) -> float:
    """`sample_rate` of a params.py, in Hz. The file is parsed, not executed.

    Raises:
        BadInput: there is no such file, it is not Python, or it gives no number above 0.
    """
    rate = _value(path, "sample_rate")
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate < float("inf"):
        found = "none" if rate is None else repr(rate)
        raise BadInput(path, "sample_rate, a number of samples a second", found, "correct it")
    return float(rate)


def _value(path: Path, name: str) -> object:
    """What a params.py assigns to a name; None if it is nothing that can be read without execution.

    Raises:
        BadInput: there is no such file, or it is not Python.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        do = "write one with the line: sample_rate = 30000.0, or whatever the rate was"
        raise BadInput(path, "a params.py with sample_rate", "none", do) from None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadInput(path, "Python with a line like sample_rate = 30000.", "something else", NOT_A_FOLDER) from None
    value: object = None
    for line in tree.body:
        targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            try:
                value = ast.literal_eval(line.value)  # type: ignore[attr-defined]  # an Assign
            except (ValueError, TypeError, RecursionError, MemoryError):  # `sample_rate: float`, or `+=`
                value = None
    return value


def _session(folder: Path) -> str:
    """The session of a folder: its name, or where that says nothing, that of the raw data in params.py."""
    name = names.session_of_folder(folder)
    raw = _value(folder / "params.py", "dat_path") if names.names_no_session(name) else None
    raw = raw[0] if isinstance(raw, list | tuple) and raw else raw
    stem = PureWindowsPath(raw).stem if isinstance(raw, str) else ""  # which takes both kinds of slashes
    return name if not stem or names.names_no_session(stem) else stem


def read_labels(folder: Path) -> dict[str, str]:
    """Each cluster's label, by its number as text. A label set by hand wins over that of Kilosort.

    Raises:
        BadInput: a table of labels is not one, or labels a cluster twice.
    """
    labels: dict[str, str] = {}
    for name, titles in reversed(LABELS.items()):
        for title in titles:
            labels |= {unit: label for unit, label in _labels(folder / name, title).items() if label not in UNLABELLED}
    return labels


def label_files(folder: Path) -> list[str]:
    """The tables of a folder that labels are read from, those that win first."""
    return [name for name, titles in LABELS.items() if any(_labels(folder / name, title) for title in titles)]


def has_labels(folder: Path) -> bool:
    """Whether labels of a folder can be read."""
    try:
        return bool(label_files(folder))
    except BadInput:
        return False


def _labels(path: Path, title: str) -> dict[str, str]:
    """A column of labels; nothing if a damaged cluster_info.tsv, which no one needs, would have it."""
    try:
        return phy_tables.column(path, title)
    except BadInput:
        if path.name == phy_channels.INFO:
            return {}
        raise
