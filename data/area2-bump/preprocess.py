"""Spike counts of area2-bump (Chowdhury et al. 2020; NLB): sorted units, macaque area 2 (S1), reaches and bumps.

Spike times of each unit are counted in bins from 0 s to the last spike of the session.
`--mask_unobserved` cuts out the bins that the file says were not observed.
"""

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units, offers=["mask_unobserved"])
