"""Spike counts of h2 (Fan et al. 2023; FALCON H2): 192 channels, human hand knob, attempted handwriting."""

from pathlib import Path

from neuralpile import build
from neuralpile.recordings import nwb
from neuralpile.spikes.session import Options, Session

COUNTS, OWN_BIN = "acquisition/binned_spikes/data", 0.02  # where the counts are, and their bins in seconds


def read(path: Path, options: Options) -> Session:
    """Take the counts as they are: trials follow one another without the pauses between them."""
    return nwb.count_raster(path, options, [COUNTS], OWN_BIN)


if __name__ == "__main__":
    build.main(__file__, read, own_bin=OWN_BIN)
