"""Spike counts of temmar (Temmar et al. 2025, LINK): 96 channels, macaque M1, two finger groups, over 300 days.

The files hold threshold crossings in bins of 20 ms, which are taken as they are: successful trials follow one another
without what was between them.
"""

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

# Files of an early upload have the second place.
PLACES = "analysis/ThresholdCrossings/data", "processing/ecephys/ThresholdCrossings/data"

if __name__ == "__main__":
    build.main(__file__, nwb.raster(*PLACES))
