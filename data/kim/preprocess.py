"""Spike counts of kim (Namima et al. 2025): Neuropixels units, macaque V4, shapes and textures.

Spike times of each unit are counted in bins from 0 s to the last spike of the session. Units of every quality are kept,
as published; `--min_quality` leaves out units whose `is_sua` is 0.
"""

from functools import partial

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

QUALITY = nwb.Quality("is_sua", ("0", "1"))

if __name__ == "__main__":
    build.main(__file__, partial(nwb.count_units, quality=QUALITY), qualities=QUALITY.levels)
