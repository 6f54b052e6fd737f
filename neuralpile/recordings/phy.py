"""Folders that Kilosort and phy write: one folder is one recording.

Files that are read: `spike_times.npy` (samples), `spike_clusters.npy` (a cluster for each spike; `spike_templates.npy`
if phy never saved one), `params.py` (for `sample_rate`), and for the labels `cluster_group.tsv` (set by hand in phy) or
else `cluster_KSLabel.tsv` (set by Kilosort). `cluster_info.tsv`, if phy saved it, names channels and shanks.
`params.py` is parsed and never executed; no pickle is loaded.
"""

import ast
import csv
from dataclasses import replace
from pathlib import Path

from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import names, npy
from neuralpile.recordings.hdf5 import Recording, local
from neuralpile.spikes import trains
from neuralpile.spikes.session import Options, Session
from neuralpile.spikes.trains import QUALITY, SpikeTrains

SESSION_FILE = "spike_clusters.npy"  # in every folder that phy saved, and new whenever it saves again
UNSAVED = "spike_templates.npy"  # what Kilosort found, in every folder
INFO = "cluster_info.tsv"
LABELS = ("cluster_group.tsv", "cluster_group.csv", "cluster_KSLabel.tsv")
NOT_A_FOLDER = "check that this is an output folder of Kilosort or phy"


def count_units(recording: Recording, options: Options) -> Session:
    """Spike counts of all clusters of a folder, noise included unless `--min_quality` leaves it out.

    Parameters:
        recording: the folder, or a file in it. The folder is the session, or the one above a sorter's own folder.
        options: with `min_quality`, clusters with a lower label, or none of `QUALITY`, are left out.

    Raises:
        BadInput: as `read_spike_trains`; the spike times cannot be seconds; no cluster has a known label.

    Example:
        In a preprocess.py, with include = ["spike_clusters.npy"] in dataset.toml, or ["spike_templates.npy"] where phy
        never saved:

        >>> # build.main(__file__, phy.count_units, qualities=phy.QUALITY)
    """
    path = local(recording)
    folder = path if path.is_dir() else path.parent
    try:
        found, session = read_spike_trains(folder), names.session_of_folder(folder)
        return trains.count(found, options, names.subject(folder), session, QUALITY)
    except Mismatch as error:
        raise error.at(folder, "check sample_rate in params.py, and the labels") from None


def read_spike_trains(folder: Path) -> SpikeTrains:
    """Read the spike trains of a folder: one for each cluster, by ascending number.

    Raises:
        BadInput: a file is missing or does not fit the others.
    """
    rate = read_sample_rate(folder / "params.py")
    samples = npy.read(folder / "spike_times.npy")
    clusters_file = folder / SESSION_FILE
    if not clusters_file.is_file():
        clusters_file = folder / UNSAVED
    clusters = npy.read(clusters_file)
    for name, values in (("spike_times.npy", samples), (clusters_file.name, clusters)):
        if values.dtype.kind not in "fiu" or max(values.shape, default=0) != values.size:
            found = f"{values.dtype} of shape {values.shape}"
            raise BadInput(folder / name, "a number for each spike", found, NOT_A_FOLDER)
    labels, has_labels = read_labels(folder), any((folder / name).is_file() for name in LABELS)
    try:
        sorted_by_unit = SpikeTrains.from_labels(samples.ravel() / rate, clusters.ravel())
    except Mismatch as error:
        raise error.at(folder, NOT_A_FOLDER) from None
    quality = [labels.get(unit, "") for unit in sorted_by_unit.ids] if has_labels else None
    about: dict[str, list[str | None]] = {}
    notes = []
    try:
        for column, name in (("electrode", "ch"), ("group", "sh")):
            if its := _column(folder / INFO, name):
                about[column] = [its.get(unit) or None for unit in sorted_by_unit.ids]
    except (BadInput, OSError, csv.Error) as error:  # not needed for counts
        notes.append(f"channels of clusters cannot be read: {error}")
    return replace(sorted_by_unit, quality=quality, about=about, notes=notes)


def read_sample_rate(path: Path) -> float:
    """`sample_rate` of a params.py, in Hz. The file is parsed, not executed.

    Raises:
        BadInput: there is no such file, it is not Python, or it gives no number above 0.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(path, "a params.py with sample_rate", "none", NOT_A_FOLDER) from None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadInput(path, "Python with a line like sample_rate = 30000.", "something else", NOT_A_FOLDER) from None
    rate: object = None
    for line in tree.body:
        targets = line.targets if isinstance(line, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "sample_rate" for target in targets):
            try:
                rate = ast.literal_eval(line.value)  # type: ignore[attr-defined]  # an Assign
            except (ValueError, TypeError, RecursionError, MemoryError):
                rate = None
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate < float("inf"):
        found = "none" if rate is None else repr(rate)
        raise BadInput(path, "sample_rate, a number of samples a second", found, "correct it")
    return float(rate)


def read_labels(folder: Path) -> dict[str, str]:
    """Each cluster's label, by its number as text. A label set by hand wins over that of Kilosort.

    Raises:
        BadInput: a table of labels is not one.
    """
    labels: dict[str, str] = {}
    for name in reversed(LABELS):
        path = folder / name
        if not path.is_file():
            continue
        lines = _lines(path)
        if not lines or lines[0][0].strip() != "cluster_id" or any(len(line) < 2 for line in lines if line):
            raise BadInput(
                path, "columns cluster_id and a label", repr(path.read_text(encoding="utf-8-sig")[:40]), NOT_A_FOLDER
            )
        labels |= {line[0].strip(): line[1].strip() for line in lines[1:] if line and line[1].strip() != "unsorted"}
    return labels


def _column(path: Path, name: str) -> dict[str, str]:
    """A column of a table by the clusters' numbers; nothing if there is no such table or column."""
    lines = _lines(path) if path.is_file() else []
    head = [title.strip() for title in lines[0]] if lines else []
    if not {"cluster_id", name} <= set(head):
        return {}
    cluster, column = head.index("cluster_id"), head.index(name)
    return {line[cluster].strip(): line[column].strip() for line in lines[1:] if len(line) == len(head)}


def _lines(path: Path) -> list[list[str]]:
    """The lines of a table. Raises BadInput: it is no text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(path, "a table of text", "other content", NOT_A_FOLDER) from None
    return list(csv.reader(text.splitlines(), delimiter="\t" if "\t" in text else ","))
