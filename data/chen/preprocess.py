"""Spike counts of chen (Chen et al. 2025): sorted units, macaque ACC, two players accumulating evidence."""

from neuralpile import build
from neuralpile.recordings import nwb

if __name__ == "__main__":
    # The data set also holds raw recordings, which are no sessions: they have no spike times.
    build.main(__file__, nwb.count_units, is_session=nwb.has_spike_times)
