"""Spike counts of athalye (Athalye et al. 2023): macaque PMd and M1, brain-machine interface, cursor control.

The files hold counts. Monkey J's come at 200 Hz and are summed by fours. Monkey G's come at 60 Hz: no sum of such bins
lasts 20 ms, so they stay in bins of 1/60 s, as published. `--bin_size 0.05` gives both the same bins.
"""

import numpy as np  # not found? run: . .venv/bin/activate

from neuralpile import build
from neuralpile.errors import BadInput
from neuralpile.recordings import nwb
from neuralpile.recordings.hdf5 import Recording
from neuralpile.spikes.session import Options, Session

SERIES = "processing/behavior/spike_counts"
PUBLISHED_BIN = 0.02  # seconds


def read(recording: Recording, options: Options) -> Session:
    """Sum the counts of the file, which states their rate, to bins of `bin_size`."""
    rate = nwb.read_rate(recording, SERIES)
    factor = options.bin_size * rate
    summed = max(1, round(factor))
    as_is = 1 <= factor < 1.5 and options.bin_size == PUBLISHED_BIN
    if not as_is and not np.isclose(factor, summed):
        found, do = f"{options.bin_size} s", f"take --bin_size {summed / rate:g}"
        raise BadInput(recording, f"a --bin_size that is a multiple of 1/{rate:g} s", found, do)
    session = nwb.count_raster(recording, options, [f"{SERIES}/data"], own_bin=1 / rate)
    if as_is and not np.isclose(factor, 1):
        session.notes.append(f"bins of 1/{rate:g} s, not of {options.bin_size} s")
        session.bin_size = 1 / rate
    return session


if __name__ == "__main__":
    build.main(__file__, read)
