"""Spike counts of card (Card et al. 2024): 256 channels of participant T15, speech motor cortex, attempted speech.

The files hold threshold crossings in bins of 20 ms, but z-scored, with constants that are not in the files. The counts
are recovered from the lattice that z-scored whole numbers form. Trials follow one another.
"""

from pathlib import Path

import h5py  # not found? run: . .venv/bin/activate
import numpy as np

from neuralpile import build
from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import hdf5
from neuralpile.recordings.hdf5 import open_hdf5
from neuralpile.spikes import binning, zscore
from neuralpile.spikes.session import Options, Session

FEATURES, CHANNELS = "input_features", 256  # the first 256 columns are threshold crossings, the others power
ARRAYS = ("ventral 6v", "area 4", "55b", "dorsal 6v")  # 64 channels each (README of the Dryad record)
UNITS = {"area": np.repeat(ARRAYS, CHANNELS // len(ARRAYS)).tolist()}
NOT_A_SESSION = "check that this is a session's file"
DERIVED = "counts are recovered from z-scores, by the lattice on which whole numbers lie"


def read(path: Path, options: Options) -> Session:
    """Undo the z-score of all trials of a file, in the order of their names."""
    trials, blocks = [], []
    with open_hdf5(path) as file:
        for name in sorted(file, key=lambda name: (len(name), name)):  # trial_2 before trial_10
            trial = file[name]
            features = trial.get(FEATURES) if isinstance(trial, h5py.Group) else None
            if not isinstance(features, h5py.Dataset):
                raise BadInput(f"{path}, {name}", f"{FEATURES}, z-scores (bins, 512)", "none", NOT_A_SESSION)
            if features.ndim != 2 or features.shape[1] < CHANNELS or features.dtype.kind != "f":
                found = f"{features.dtype} of shape {features.shape}"
                raise BadInput(f"{path}, {name}", f"{FEATURES}, z-scores (bins, 512)", found, NOT_A_SESSION)
            hdf5.check_stored(features)
            trials.append(hdf5.part(features, slice(0, len(features)), slice(0, CHANNELS)))
            blocks.append(0 if options.as_published else _block(trial, f"{path}, {name}"))
    if not trials or not all(map(len, trials)):
        raise BadInput(path, "trials with bins", "none" if not trials else "a trial without", NOT_A_SESSION)
    session = f"{path.parent.name}_{path.stem}"
    facts: dict[str, str | int | float] = {"derived": DERIVED}
    if options.as_published:
        fine, notes = np.concatenate([zscore.undo_as_published(trial) for trial in trials]), []
    else:
        undone = zscore.undo(trials, np.array(blocks))
        fine = undone.counts
        notable = {
            "have a finer lattice than their own values show": undone.finer,
            "have no empty bin, by the trials around": undone.lifted,
            "are constant, or no numbers: their count is that of the trials around, or 0": undone.constant,
            "lie on no lattice: their counts are approximate, or 0": undone.off_lattice,
            "are too busy for an empty bin to be due: their counts may all be too low": undone.unsure,
        }
        total = len(trials) * CHANNELS
        notes = [f"{n:,} of {total:,} trials of a channel {what}" for what, n in notable.items() if n]
        if undone.below:
            notes.append(f"{undone.below:,} bins far below all others of their channel count as 0: they may be damaged")
        if undone.no_lattice:
            notes.append(
                f"{undone.no_lattice:,} of {CHANNELS} channels lie on no lattice in any trial: they count as 0"
            )
        facts |= {
            "channel_trials": total,
            "channel_trials_off_lattice": undone.off_lattice,
            "channels_without_lattice": undone.no_lattice,
        }
    binned = binning.rebin(fine, options.own_bins, options.as_published)
    notes += binned.notes(options.as_published)
    return Session("T15", session, binned.counts, notes, facts=facts, units=UNITS)


def _block(trial: h5py.Group, where: str) -> int:
    """The number of a trial's block. Raises BadInput if the file does not state it: z-scores of blocks differ."""
    try:
        block = hdf5.number(trial, "block_num")
        found = "none" if block is None else f"{block:g}"
    except Mismatch as error:
        block, found = None, error.found
    if block is None or not (abs(block) < binning.LARGEST_WHOLE and block == round(block)):
        raise BadInput(where, "block_num, the number of the trial's block", found, NOT_A_SESSION)
    return int(block)


if __name__ == "__main__":
    build.main(__file__, read)
