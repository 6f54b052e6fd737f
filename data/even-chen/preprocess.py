"""Spike counts of even-chen (Even-Chen et al. 2019): 192 channels, macaque PMd and M1, delayed reaches.

Spike times of each channel are counted in bins from 0 s to the last spike of the session.
"""

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units)
