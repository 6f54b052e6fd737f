"""Spike counts of dmfc-rsg (Sohn et al. 2019; NLB): sorted units, macaque DMFC, ready-set-go timing.

Spike times of each unit are counted in bins from 0 s to the last spike of the session.
`--mask_unobserved` cuts out the bins that the file says were not observed.
"""

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units, offers=["mask_unobserved"])
