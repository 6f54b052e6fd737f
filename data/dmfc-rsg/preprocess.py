"""Spike counts of dmfc-rsg (Sohn et al. 2019; NLB): sorted units, macaque DMFC, ready-set-go timing."""

from neuralpile import build
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units, offers=["mask_unobserved"])
