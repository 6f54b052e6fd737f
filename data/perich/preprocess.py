"""Spike counts of perich (Perich et al. 2018): units of macaque M1 and PMd, center-out and random-target reaches.

Spike times of each unit are counted in bins from 0 s to the last spike of the session.
"""

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units)
