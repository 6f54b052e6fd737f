"""Spike counts of temmar (Temmar et al. 2025, LINK): 96 channels, macaque M1, two finger groups, over 300 days."""

from pathlib import Path

from neuralpile import build
from neuralpile.recordings import nwb
from neuralpile.spikes.session import Options, Session

# Where the threshold crossings are (files of an early upload have them elsewhere), and their bins in seconds
PLACES = ("analysis/ThresholdCrossings/data", "processing/ecephys/ThresholdCrossings/data")
OWN_BIN = 0.02


def read(path: Path, options: Options) -> Session:
    """Take the counts as they are: successful trials follow one another without what was between them."""
    return nwb.count_raster(path, options, PLACES, OWN_BIN)


if __name__ == "__main__":
    build.main(__file__, read, own_bin=OWN_BIN)
