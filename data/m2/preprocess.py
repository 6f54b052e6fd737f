"""Spike counts of m2 (Nason et al. 2021; FALCON M2): 96 multi-unit channels, macaque M1, finger movements.

Spike times of each channel are counted in bins from 0 s to the last spike of the session.
`--mask_unobserved` cuts out the bins that the file says were not observed.
"""

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units, offers=["mask_unobserved"])
