"""Spike counts of area2-bump (Chowdhury et al. 2020; NLB): sorted units, macaque area 2 (S1), reaches and bumps."""

from neuralpile import build
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units, offers=["mask_unobserved"])
