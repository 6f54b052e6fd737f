"""Spike counts of even-chen (Even-Chen et al. 2019): 192 channels, macaque PMd and M1, delayed reaches."""

from neuralpile import build
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units)
