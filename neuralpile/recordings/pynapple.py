"""Files that pynapple saves (`TsGroup.save`, `Ts.save`): .npz archives of times in seconds. pynapple is not needed.

Arrays of a TsGroup: `t` (spikes,) in seconds, sorted by time over all units; `index` (spikes,), the unit of each;
`keys` (units,), all units, also those without spikes. A Ts has only `t`: one unit. Metadata that older versions saved
as arrays (units,), such as `quality` and `location`, are read; newer versions pickle them, and pickle is never loaded.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import names, npy
from neuralpile.recordings.hdf5 import Recording, local
from neuralpile.spikes import trains
from neuralpile.spikes.session import Options, Session
from neuralpile.spikes.trains import QUALITY, SpikeTrains

KINDS = ("TsGroup", "Ts")
SAVE_AGAIN = "save a TsGroup or Ts"


def count_units(recording: Recording, options: Options) -> Session:
    """Spike counts of a saved TsGroup or Ts. The session is the file's name.

    Raises:
        BadInput: as `read_spike_trains`; the spike times cannot be seconds; no unit has a known label.

    Example:
        In a preprocess.py:

        >>> # build.main(__file__, pynapple.count_units)
    """
    path = local(recording)
    try:
        return trains.count(read_spike_trains(path), options, names.subject(path), names.session(path), QUALITY)
    except Mismatch as error:
        raise error.at(path, "check the unit of the times, and the labels") from None


def read_spike_trains(path: Path) -> SpikeTrains:
    """Read the spike trains of a saved TsGroup, by ascending unit, or of a Ts.

    Raises:
        BadInput: the file is not one that pynapple saved from these.
    """
    arrays = npy.read_npz(path, {"type", "t", "index", "keys", "quality", "location"})
    kind = str(np.ravel(arrays["type"])[0]) if "type" in arrays and arrays["type"].size else "no type"
    times = arrays.get("t")
    if kind not in KINDS or times is None or times.ndim != 1 or times.dtype.kind not in "fiu":
        raise BadInput(path, f"a {' or '.join(KINDS)} that pynapple saved", kind, SAVE_AGAIN)
    if kind == "Ts":
        return SpikeTrains.from_list([times], ["0"])
    index, keys = arrays.get("index"), arrays.get("keys")
    if index is None or index.dtype.kind not in "iu" or (keys is not None and keys.dtype.kind not in "iu"):
        raise BadInput(path, "index, a unit for each time", "none" if index is None else str(index.dtype), SAVE_AGAIN)
    if keys is not None and (keys.ndim != 1 or len(np.unique(keys)) != len(keys)):
        others = f"shape {keys.shape}" if keys.ndim != 1 else "some twice"
        raise BadInput(path, "keys, each unit once", others, SAVE_AGAIN)
    try:
        order = None if keys is None else np.argsort(keys, kind="stable")
        units = None if keys is None or order is None else keys[order]
        found = SpikeTrains.from_labels(times, index, units)
        if order is None:
            return found
        stated = {name: arrays[name] for name in ("quality", "location") if name in arrays}
        texts = {name: [str(value) for value in its[order]] for name, its in stated.items() if its.shape == order.shape}
        about = {"area": [place or None for place in texts["location"]]} if "location" in texts else {}
        return replace(found, quality=texts.get("quality"), about=about)
    except Mismatch as error:
        raise error.at(path, SAVE_AGAIN) from None
