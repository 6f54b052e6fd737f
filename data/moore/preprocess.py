"""Spike counts of moore (Moore et al. 2024): sorted units, marmoset M1 and S1, freely moving, prey capture.

Spike times of each unit are counted in bins from 0 s to the last spike of the session. Units of every quality are kept,
as published; `--min_quality` leaves out those that phy labels lower. `--mask_unobserved` cuts out the dropouts of the
recording.
"""

from functools import partial

import numpy as np  # not found? run: . .venv/bin/activate

from neuralpile import build
from neuralpile.recordings import nwb
from neuralpile.recordings.hdf5 import Recording

QUALITY = nwb.Quality("quality", ("noise", "mua", "good"))  # as phy labels units


def observed(recording: Recording) -> np.ndarray:
    """Everything outside the file's table of dropouts: (intervals, 2) in seconds."""
    dropouts = np.sort(nwb.read_intervals(recording, "neural_dropout"), axis=0)
    return np.concatenate([[-np.inf], dropouts.ravel(), [np.inf]]).reshape(-1, 2)


read = partial(nwb.count_units, quality=QUALITY, observed=observed)

if __name__ == "__main__":
    build.main(__file__, read, offers=["mask_unobserved"], qualities=QUALITY.levels)
