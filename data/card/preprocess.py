"""Spike counts of card (Card et al. 2024): 256 channels of participant T15, speech motor cortex, attempted speech.

The files hold threshold crossings in bins of 20 ms, but z-scored, with constants that are not in the files. The counts
are recovered from the lattice that z-scored whole numbers form. Trials follow one another.
"""

from pathlib import Path

import h5py
import numpy as np

from neuralpile import build
from neuralpile.errors import BadInput
from neuralpile.recordings.hdf5 import open_hdf5
from neuralpile.spikes import binning, zscore
from neuralpile.spikes.session import Options, Session

FEATURES, CHANNELS = "input_features", 256  # the first 256 columns are threshold crossings, the others power


def read(path: Path, options: Options) -> Session:
    """Undo the z-score of all trials of a file, in the order of their names."""
    trials, blocks = [], []
    with open_hdf5(path) as file:
        for name, trial in file.items():
            features = trial.get(FEATURES) if isinstance(trial, h5py.Group) else None
            if features is None or features.ndim != 2 or features.shape[1] < CHANNELS:
                found = "none" if features is None else f"shape {features.shape}"
                raise BadInput(f"{path}, {name}", f"{FEATURES} (bins, 512)", found, "check the file")
            trials.append(features[:, :CHANNELS])
            blocks.append(int(trial.attrs.get("block_num", 0)))
    if not trials or not all(map(len, trials)):
        raise BadInput(path, "trials with bins", "none" if not trials else "a trial without", "check the file")
    session = f"{path.parent.name}_{path.stem}"
    if options.as_published:
        fine, notes = np.concatenate([zscore.undo_as_published(trial) for trial in trials]), []
    else:
        undone = zscore.undo(trials, np.array(blocks))
        fine = undone.counts
        notable = {
            "have a finer lattice than their own values show": undone.finer,
            "have no empty bin, by the trials around": undone.lifted,
            "are constant, or no numbers: their count is that of the trials around, or 0": undone.constant,
            "lie on no lattice: their counts are approximate": undone.off_lattice,
            "are too busy for an empty bin to be due: their counts may all be too low": undone.unsure,
        }
        total = len(trials) * CHANNELS
        notes = [f"{n:,} of {total:,} trials of a channel {what}" for what, n in notable.items() if n]
    binned = binning.rebin(fine, options.own_bins, options.as_published)
    return Session("T15", session, binned.counts, notes + binned.notes(options.as_published))


if __name__ == "__main__":
    build.main(__file__, read)
