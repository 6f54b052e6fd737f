"""Spike counts of chen (Chen et al. 2025): sorted units, macaque ACC, two players accumulating evidence.

Spike times of each unit are counted in bins from 0 s to the last spike of the session.
The data set also holds raw recordings: only files with a units table are sessions (`measured` in dataset.toml).
"""

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units)
