"""Spike counts of chen (Chen et al. 2025): sorted units, macaque ACC, two players accumulating evidence.

Spike times of each unit are counted in bins from 0 s on. The data set also holds raw recordings; dataset.toml states
that only files with a units table are sessions.
"""

from neuralpile import build
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units)
