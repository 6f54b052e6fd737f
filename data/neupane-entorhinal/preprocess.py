"""Spike counts of neupane-entorhinal (Neupane et al. 2024): units of macaque entorhinal cortex, mental navigation.

Spike times of each unit are counted in bins from 0 s to the last spike of the session. Units of every quality are kept,
as published; `--min_quality` leaves out units of a lower quality.
"""

from functools import partial

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

QUALITY = nwb.Quality("quality", ("noise", "mua", "good"))

if __name__ == "__main__":
    build.main(__file__, partial(nwb.count_units, quality=QUALITY), qualities=QUALITY.levels)
