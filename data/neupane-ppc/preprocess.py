"""Spike counts of neupane-ppc (Neupane et al.): Kilosort units, macaque PPC, mental navigation.

Spike times of each unit are counted in bins from 0 s to the last spike of the session. Units of every quality are kept,
as published; `--min_quality` leaves out units with a lower label of Kilosort.
"""

from functools import partial

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

QUALITY = nwb.Quality("KSLabel", ("mua", "good"))

if __name__ == "__main__":
    build.main(__file__, partial(nwb.count_units, quality=QUALITY), qualities=QUALITY.levels)
