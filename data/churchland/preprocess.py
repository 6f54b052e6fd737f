"""Spike counts of churchland (Churchland et al. 2012): 192 channels, macaque M1 and PMd, delayed reaches in a maze.

The clock of the recording system restarts within some sessions, and later trials then overlap earlier ones in time: the
published counts lie on top of one another. With `--epochs`, the trials between two restarts are an epoch, and the
epochs follow one another.
"""

from pathlib import Path

import numpy as np

from neuralpile import build
from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import nwb
from neuralpile.spikes import binning, clock_restarts
from neuralpile.spikes.session import Options, Session

MOST_EPOCHS = 50  # our own bound: time and memory grow with epochs, and trials that all overlap are no restarts


def read(path: Path, options: Options) -> Session:
    """Spike times of the units table; with `--epochs`, those within trials, on a clock that never goes back."""
    if not options.epochs:
        return nwb.count_units(path, options)
    trains = nwb.read_spike_trains(path)
    times, ends = trains.times, trains.ends
    trials = nwb.read_intervals(path, "trials")
    first = clock_restarts.first_trials(trials)
    if len(first) > MOST_EPOCHS:
        found = f"{len(first) - 1:,} trials that start before the one before has ended"
        raise BadInput(path, f"a clock that restarts at most {MOST_EPOCHS - 1} times", found, "build without --epochs")
    epoch = clock_restarts.epoch_of_spikes(times, ends, trials, first)
    if len(first) > 1 and epoch.max(initial=0) == 0:
        do = "build without --epochs"
        raise BadInput(path, f"spikes in the order of recording, over {len(first)} epochs", "all in the first", do)
    inside = epoch >= 0
    times = times[inside] + clock_restarts.epoch_shifts(trials, first, options.bin_size)[epoch[inside]]
    ends = np.append(0, np.cumsum(inside))[ends]
    try:
        binned = binning.bin_spikes(times, ends, options.bin_size)
    except Mismatch as error:
        raise error.at(path, "build without --epochs") from None
    notes = [*binned.notes(), f"the clock restarts {len(first) - 1} times"]
    if not inside.all():
        notes.append(f"{np.count_nonzero(~inside):,} spikes in no trial left out")
    return Session(path.parent.name, path.stem, binned.counts, notes)


if __name__ == "__main__":
    build.main(__file__, read, offers=["epochs"])
