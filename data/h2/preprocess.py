"""Spike counts of h2 (Fan et al. 2023; FALCON H2): 192 channels, human hand knob, attempted handwriting.

The files hold counts in bins of 20 ms, which are taken as they are: trials follow one another without the pauses
between them.
"""

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.raster("acquisition/binned_spikes/data"))
