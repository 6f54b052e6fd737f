"""Spike counts of simulated-motor: a simulated motor population, spike times in a units table."""

from neuralpile import build
from neuralpile.recordings import nwb

if __name__ == "__main__":
    build.main(__file__, nwb.count_units)
