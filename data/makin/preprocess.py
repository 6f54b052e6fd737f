"""Spike counts of makin (O'Doherty et al.): macaque M1 (and S1), self-paced reaches to random targets.

The spikes of each channel, unsorted and of its sorted units, are merged and counted in bins, as published. Bins start
at the first spike of the session, not at 0 s.
"""

from pathlib import Path

import numpy as np  # not found? run: . .venv/bin/activate

from neuralpile import build
from neuralpile.cli import plural
from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import matlab
from neuralpile.spikes import binning, clock, trains
from neuralpile.spikes.session import Options, Session

M1 = 96  # the first channels; the others, in some sessions, are in S1 (description of the Zenodo record)
MOST_UNITS = 5  # of a channel: unsorted spikes, and up to four sorted units


def read(path: Path, options: Options) -> Session:
    """Merge the spikes of each channel, and count them from the session's first spike on."""
    cells = matlab.read_cells(path, "spikes")
    if cells.ndim != 2 or cells.shape[0] > MOST_UNITS or not cells.size:
        found = f"cells of shape {cells.shape}"
        expected = f"spikes (at most {MOST_UNITS} units, channels)"
        raise BadInput(path, expected, found, "check that this is a session's file")
    slots = trains.SpikeTrains.from_list(list(cells.ravel()))
    try:
        notes = clock.check(slots.times, slots.ends, options.bin_size, step=slots.step)
    except Mismatch as error:
        raise error.at(path, "check the unit of the spike times") from None
    channels = trains.SpikeTrains.from_list([np.concatenate(units) for units in cells.T])
    times, ends = channels.times, channels.ends
    edges = np.zeros(1)
    if np.isfinite(times).any():
        first, last = np.min(times[np.isfinite(times)]), np.max(times[np.isfinite(times)])
        if before := np.count_nonzero(times < 0):
            notes.append(f"{plural(before, 'spike')} before 0 s: the bins begin at {first:,.3f} s")
        if last - first > clock.LONGEST:
            expected, found = f"spike times within {clock.LONGEST:,.0f} s (7 days)", f"{first:.3g} to {last:.3g} s"
            raise BadInput(path, expected, found, "check the unit of the spike times")
        edges = np.arange(first, last + options.bin_size, options.bin_size)
        if not options.as_published:
            edges[-1] = max(edges[-1], last)
    binned = binning.count_between(times, ends, edges, options.as_published)
    monkey = path.stem.partition("_")[0]  # indy_20160407_02, loco_20170210_03
    numbers = range(1, len(ends) + 1)
    units = {"area": ["M1" if n <= M1 else "S1" for n in numbers], "electrode": [str(n) for n in numbers]}
    return Session(monkey, path.stem, binned.counts, notes + binned.notes(options.as_published), units=units)


if __name__ == "__main__":
    build.main(__file__, read)
