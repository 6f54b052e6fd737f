"""Spike counts of xiao (Xiao et al. 2024): 1 ms rasters, arrays in macaque V1, V2, V4 and IT, free viewing.

The 1 ms bins of each unit are summed to bins of `--bin_size`.
"""

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.raster("processing/ecephys/rasters/data"))
