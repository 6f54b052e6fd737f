"""Spike counts of simulated-motor: a simulated motor population, spike times in a units table.

Spike times of each unit are counted in bins from 0 s to the last spike of the session.
"""

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units)
