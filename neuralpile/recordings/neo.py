"""What acquisition systems write, through neo: Blackrock, Plexon, Neuralynx, NeuroExplorer, TDT, Spike2 and others.

neo is an optional dependency (`pip install 'neuralpile[neo]'`). Only its `rawio` classes are used: they read binary
formats. Its readers of pickle files are never called, and phy folders are read by `neuralpile.recordings.phy`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neuralpile import cli
from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import damage, names
from neuralpile.recordings.hdf5 import Recording, local
from neuralpile.spikes import trains
from neuralpile.spikes.session import Options, Session
from neuralpile.spikes.trains import SpikeTrains

NOT_READ = {"PhyRawIO", "RawBinarySignalRawIO"}  # the first is read by our own module, the second holds no spikes


def count_units(recording: Recording, options: Options) -> Session:
    """Spike counts of all units of a recording that neo can read.

    Parameters:
        recording: the file. Its name is the session. Where the format is a folder of files (Neuralynx, TDT), any file
            in it: the folder is then the session.
        options: of these, `bin_size` and `as_published`.

    Raises:
        BadInput: as `read_spike_trains`; the spike times cannot be seconds.

    Example:
        In a preprocess.py, with include = ["*.nev"] in dataset.toml:

        >>> # build.main(__file__, neo.count_units)
    """
    path = local(recording)
    found, whole_folder = _read(path)
    place = path.parent if whole_folder and path.is_file() else path
    session = names.session_of_folder(place) if whole_folder else names.session(place)
    try:
        return trains.count(found, options, names.subject(place), session)
    except Mismatch as error:
        raise error.at(path, "check that it holds spike times, which neo gives in seconds") from None


def read_spike_trains(path: Path) -> SpikeTrains:
    """Read the spike trains of all spike channels, in seconds from the start of the recording's clock.

    Parameters:
        path: the file or folder.

    Raises:
        BadInput: neo is not installed, cannot read the file, or finds no spikes or several blocks in it.
    """
    return _read(path)[0]


def is_folder_format(path: Path) -> bool:
    """Whether a file is one of several that are one recording. Raises BadInput as `read_spike_trains` does."""
    return _read(path)[1]


def _read(path: Path) -> tuple[SpikeTrains, bool]:
    """The spike trains, and whether the format is a folder."""
    if not path.exists():
        raise damage.missing(path)
    reasons = []
    for reader_class in _readers(path):
        whole_folder = reader_class.rawmode == "one-dir"
        place = path.parent if whole_folder and path.is_file() else path
        try:
            reader = reader_class(dirname=str(place)) if whole_folder else reader_class(filename=str(place))
            reader.parse_header()
            if reader.spike_channels_count():
                return _trains(reader, path), whole_folder
            reasons.append(f"{reader_class.__name__} finds no spikes")
        except BadInput:
            raise
        except Exception as error:  # neo's readers raise errors of every kind on files that are not theirs
            reasons.append(f"{reader_class.__name__}: {error}")
    found = "; ".join(reasons) if reasons else f"no reader for *{path.suffix}"
    raise BadInput(path, "a recording with spikes that neo can read", found[:300], "see neo's list of formats")


def _readers(path: Path) -> list[Any]:
    """neo's classes that may read a file, the likeliest first."""
    cli.need("neo", "neo", path)
    from neo import rawio

    classes = rawio.get_rawio(path, exclusive_rawio=False) or []
    return [reader for reader in classes if reader.__name__ not in NOT_READ]


def _trains(reader: Any, path: Path) -> SpikeTrains:
    """The spike trains of a neo reader whose header is parsed."""
    if reader.block_count() != 1:
        raise BadInput(path, "one recording", f"{reader.block_count()} blocks", "split the file")
    channels = reader.header["spike_channels"]
    times = [np.concatenate(list(_segments(reader, unit))) for unit in range(len(channels))]
    return SpikeTrains.from_list(times, [str(name) for name in channels["name"]])


def _segments(reader: Any, unit: int) -> Iterator[np.ndarray]:
    """Spike times in seconds of a unit, one array for each segment of the recording."""
    for segment in range(reader.segment_count(0)):
        ticks = reader.get_spike_timestamps(block_index=0, seg_index=segment, spike_channel_index=unit)
        yield np.asarray(reader.rescale_spike_timestamp(ticks, dtype="float64"))
