"""Imported by the fork server before it forks workers: what nearly all of them need, set up once for all."""

import numpy as np

from neuralpile.build import session as session
from neuralpile.corpus import arrow as arrow
from neuralpile.recordings import nwb as nwb
from neuralpile.spikes import binning

# The first call of a compiled function sets up the compiler, which takes about a second of processor time.
binning.bin_spikes(np.zeros(1), np.ones(1, np.int64), 0.02)
