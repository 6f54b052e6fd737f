"""Spike counts of simulated-visual: a simulated visual population, 1 ms rasters."""

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
