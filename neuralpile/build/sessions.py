"""Find the recordings of a data set: in a folder, or in its archive."""

import sys
from pathlib import Path

from neuralpile import catalog, files
from neuralpile.acquire import archives, lock_list
from neuralpile.acquire.range_file import RemoteRecording
from neuralpile.catalog import DataSetInfo
from neuralpile.errors import BadInput, printable
from neuralpile.recordings import npy, nwb

UNITS = "Units"  # the type of NWB object that holds spike times
RATES = "Rates"  # .npy arrays of firing rates, (trials, units, samples)


def find_sessions(
    data_dir: Path,
    data_set: DataSetInfo,
    duplicates: bool = True,
) -> dict[str, Path]:
    """The recordings of a data set below a folder, in the order of the published rows.

    Parameters:
        data_dir: the folder.
        data_set: states which file names are recordings, and what these hold where names do not show it.
        duplicates: whether to include the files that repeat others.

    Returns:
        The recordings by their paths below the folder, with "/".

    Raises:
        BadInput: there is none, or a folder cannot be read.
    """
    data_dir = data_dir.resolve()
    found = [path for path in files.below(data_dir) if data_set.wants(path.name, duplicates)]
    if data_set.measured == UNITS:
        found = [path for path in found if nwb.has_spike_times(path)]
    if data_set.measured == RATES:
        found = [path for path in found if npy.has_rates(path)]
    if not found:
        wanted = " or ".join(data_set.include)
        if data_set.exclude:
            wanted += f" but not {' or '.join(data_set.exclude)}"
        what = "no such file in it" if data_dir.is_dir() else "a file" if data_dir.exists() else "no such folder"
        do = "give their folder with --data_dir"
        script = data_set.folder / "download.py"
        if script.is_file():
            inside = script.is_relative_to(catalog.ROOT)
            do = f"run: python {script.relative_to(catalog.ROOT) if inside else script}, or {do}"
        raise BadInput(data_dir, f"session files {wanted}", what, do)
    return {printable(path.relative_to(data_dir).as_posix()): path for path in sorted(found, key=str)}


def find_remote(data_set: DataSetInfo, duplicates: bool = True) -> dict[str, RemoteRecording]:
    """The recordings of a data set in its archive, as `find_sessions` returns those of a folder.

    Each file that differs from the lock list is named on stderr, as download.py does.

    Raises:
        BadInput: the archive gives no listing, or the lock list is damaged.
    """
    listed = archives.list_files(data_set)
    for difference in lock_list.differences(data_set, listed):
        print(printable(f"note: {difference}"), file=sys.stderr)
    return {file.path: RemoteRecording(file) for file in listed if data_set.wants(file.path, duplicates)}
