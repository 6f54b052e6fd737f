"""Spike counts of xiao (Xiao et al. 2024): 1 ms rasters, arrays in macaque V1, V2, V4 and IT, free viewing."""

from pathlib import Path

from neuralpile import build
from neuralpile.recordings import nwb
from neuralpile.spikes.session import Options, Session

RASTER, OWN_BIN = "processing/ecephys/rasters/data", 0.001  # where the raster is, and its bins in seconds


def read(path: Path, options: Options) -> Session:
    """Sum the 1 ms bins to bins of `bin_size`."""
    return nwb.count_raster(path, options, [RASTER], OWN_BIN)


if __name__ == "__main__":
    build.main(__file__, read, own_bin=OWN_BIN)
