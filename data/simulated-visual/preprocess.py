"""Spike counts of simulated-visual: a simulated visual population, 1 ms rasters.

The 1 ms bins of each unit are summed to bins of `--bin_size`.
"""

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.raster("processing/ecephys/rasters/data"))
