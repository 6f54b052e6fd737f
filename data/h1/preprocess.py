"""Spike counts of h1 (Wodlinger et al. 2015; FALCON H1): 176 multi-unit channels, human M1, attempted reaching.

Spike times of each channel are counted in bins from 0 s to the last spike of the session.
"""

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units)
