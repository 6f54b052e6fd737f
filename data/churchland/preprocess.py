"""Spike counts of churchland (Churchland et al. 2012): 192 channels, macaque M1 and PMd, delayed reaches in a maze.

Spike times of each channel are counted in bins from 0 s to the last spike of the session. The recording system's clock
restarts within some sessions: later trials then overlap earlier ones in time, and the published counts add them up.
With `--epochs`, the trials between two restarts are an epoch, and epochs follow one another.
"""

import numpy as np  # not found? run: . .venv/bin/activate

from neuralpile import build
from neuralpile.cli import plural
from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import names, nwb
from neuralpile.recordings.hdf5 import Recording
from neuralpile.spikes import binning, clock, clock_restarts
from neuralpile.spikes.session import Options, Session

MOST_EPOCHS = 50  # chosen here: time and memory grow with epochs, and trials that all overlap are no restarts


def read(recording: Recording, options: Options) -> Session:
    """Count the spikes of the units table; with `--epochs`, those within trials, on a clock that never goes back."""
    if not options.epochs:
        return nwb.count_units(recording, options)
    trains = nwb.read_spike_trains(recording)
    times, ends = trains.times, trains.ends
    try:
        clock.check(times, ends, options.bin_size, step=trains.step)
    except Mismatch as error:
        raise error.at(recording, "check the unit of the spike times") from None
    trials = nwb.read_intervals(recording, "trials")
    if not len(trials):
        raise BadInput(recording, "trials", "an empty table", "build without --epochs")
    first = clock_restarts.first_trials(trials)
    if len(first) > MOST_EPOCHS:
        found = f"{len(first) - 1:,} trials that start before the one before has ended"
        raise BadInput(
            recording, f"a clock that restarts at most {MOST_EPOCHS - 1} times", found, "build without --epochs"
        )
    epoch = clock_restarts.epoch_of_spikes(times, ends, trials, first)
    goes_back = clock.survey(times, ends).goes_back.any()
    if len(first) > 1 and (epoch.max(initial=0) == 0 or not goes_back):
        unsorted = "times that never go back: the trials may not be in that order"
        found = "all in the first" if epoch.max(initial=0) == 0 else unsorted
        expected = f"spikes in the order of recording, over {len(first)} epochs"
        raise BadInput(recording, expected, found, "build without --epochs")
    inside = epoch >= 0
    times = times[inside] + clock_restarts.epoch_shifts(trials, first, options.bin_size)[epoch[inside]]
    ends = np.append(0, np.cumsum(inside))[ends]
    try:
        # Of epochs one after another: other notes than above.
        notes = clock.check(times, ends, options.bin_size, step=trains.step)
        binned = binning.bin_spikes(times, ends, options.bin_size)
    except Mismatch as error:
        raise error.at(recording, "build without --epochs") from None
    notes = [*trains.notes, *notes, *binned.notes(), f"the clock restarts {plural(len(first) - 1, 'time')}"]
    if not inside.all():
        notes.append(f"{plural(np.count_nonzero(~inside), 'spike')} in no trial left out")
    ids = nwb.subject_of(recording), names.session(recording)
    return Session(*ids, binned.counts, notes, units=trains.columns(), start_time=trains.start_time)


if __name__ == "__main__":
    build.main(__file__, read, offers=["epochs"])
