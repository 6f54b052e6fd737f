"""Expected spike counts of rajalingham (Rajalingham et al. 2025): macaque DMFC, mental Pong, pseudo-populations.

The files hold averages over the trials of each of 79 conditions, in bins of 50 ms: no spikes of single trials, and
neurons that were not recorded together. A count is the average, rounded; conditions follow one another.
"""

from pathlib import Path

import numpy as np  # not found? run: . .venv/bin/activate

from neuralpile import build
from neuralpile.cli import plural
from neuralpile.errors import BadInput
from neuralpile.recordings import matlab
from neuralpile.spikes.session import Options, Session

VARIABLE, MS_PER_BIN = "neural_responses_reliable", 50  # averages are in spikes per ms
EPOCH = "occ"  # of all trials; `vis` is another epoch, `occ_sh1` and `occ_sh2` are of halves of the trials
N_CONDITIONS, N_BINS = 79, 100
NOT_A_FILE = "check that this is a file of MentalPong.zip"


def read(path: Path, options: Options) -> Session:
    """Expected spikes of each neuron in each bin, condition after condition, rounded half to even."""
    struct = matlab.read_variables(path, [VARIABLE]).get(VARIABLE)
    if struct is None or not struct.dtype.names:
        raise BadInput(path, f"a struct {VARIABLE}", "none", NOT_A_FILE)
    if EPOCH not in struct.dtype.names or struct.size != 1:
        found = f"{struct.size:,} with {', '.join(struct.dtype.names)}"
        raise BadInput(path, f"one struct {VARIABLE} with the field {EPOCH}", found, NOT_A_FILE)
    rates = struct[EPOCH].flat[0]
    if rates.shape[1:] != (N_CONDITIONS, N_BINS) or rates.dtype.kind != "f":
        found = f"{rates.dtype} of shape {rates.shape}"
        expected = f"rates (neurons, {N_CONDITIONS} conditions, {N_BINS} bins)"
        raise BadInput(path, expected, found, NOT_A_FILE)
    factor = options.own_bins
    if N_BINS % factor:
        found = f"{N_BINS} bins in a condition"
        raise BadInput(path, f"a number of bins that {factor} divides", found, "take another --bin_size")
    spikes = np.where(np.isnan(rates), 0, rates).reshape(len(rates), -1, factor) * MS_PER_BIN
    expected = np.rint(spikes.sum(axis=2))
    if expected.min(initial=0) < 0 or np.isinf(rates).any():
        found = "infinity" if np.isinf(rates).any() else f"{np.nanmin(rates):.3g}"
        raise BadInput(path, "rates, none negative or infinite", found, NOT_A_FILE)
    matrix = (expected.astype(np.int64) if options.as_published else np.minimum(expected, 255)).astype(np.uint8)
    missing = np.count_nonzero(np.isnan(rates))
    notes = [f"{plural(missing, 'bin')} without a value counted as 0"] if missing else []
    if (above := np.count_nonzero(expected > 255)) and not options.as_published:
        notes.append(f"{plural(above, 'bin')} above 255 kept at 255")
    subject = path.stem.partition("_")[0].capitalize()  # mahler_hand_dmfc_dataset_50ms, perle_…
    # As published, a monkey is one row, whatever the limit.
    return Session(subject, f"{subject[0]}_0", matrix, notes, whole=options.as_published)


if __name__ == "__main__":
    build.main(__file__, read)
