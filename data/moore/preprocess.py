"""Spike counts of moore (Moore et al. 2024): sorted units, marmoset M1 and S1, freely moving, prey capture."""

from pathlib import Path

import numpy as np

from neuralpile import build
from neuralpile.recordings import nwb
from neuralpile.spikes.session import Options, Session

QUALITY = nwb.Quality("quality", ("noise", "mua", "good"))  # as phy labels units


def observed(path: Path) -> np.ndarray:
    """All that is not in the table of dropouts: (intervals, 2) in seconds."""
    dropouts = np.sort(nwb.read_intervals(path, "neural_dropout"), axis=0)
    return np.concatenate([[-np.inf], dropouts.ravel(), [np.inf]]).reshape(-1, 2)


def read(path: Path, options: Options) -> Session:
    """Spike times of the units table; `--mask_unobserved` cuts out the dropouts of the recording."""
    return nwb.count_units(path, options, QUALITY, observed)


if __name__ == "__main__":
    build.main(__file__, read, offers=["mask_unobserved"], qualities=QUALITY.levels)
