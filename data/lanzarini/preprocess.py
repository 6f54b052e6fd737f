"""Spike counts of lanzarini (Lanzarini et al. 2025): 128 channels, macaque PMv and M1, freely moving, natural actions.

Spike times of one unit a channel (the variable with the letter a, as published) are counted in bins from 0 s to the
last spike of the session.
"""

from pathlib import Path

import numpy as np  # not found? run: . .venv/bin/activate

from neuralpile import build
from neuralpile.cli import plural
from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import matlab
from neuralpile.spikes import binning, clock
from neuralpile.spikes.session import Options, Session

MONKEYS = ("Router", "Wifi")
CHANNELS = [f"Spk_{channel:03d}a_sh" for channel in range(128)]
BEYOND = "Spk_128a_sh"  # the last channel, should a file count from 1


def read(path: Path, options: Options) -> Session:
    """Count each channel's spikes from 0 s to the last spike of any channel."""
    content = matlab.read_variables(path, [*CHANNELS, BEYOND])
    beyond = content.pop(BEYOND, None) is not None
    if not content:
        raise BadInput(
            path, "variables Spk_000a_sh to Spk_127a_sh", "none of them", "check that this is a session's file"
        )
    for name, variable in content.items():
        if variable.dtype.kind not in "fiu" or variable.ndim != 2:
            found = f"{variable.dtype} of shape {variable.shape}"
            raise BadInput(f"{path}, {name}", "spike times", found, "check that this is a session's file")
    # The published counts are those of each variable's first row: of a column, its first spike only.
    variables = [content.get(name, np.empty((0, 0))) for name in CHANNELS]
    whole = [not options.as_published and variable.shape[1] == 1 for variable in variables]
    trains = [
        (variable if column else variable[:1]).ravel().astype(np.float64)
        for variable, column in zip(variables, whole, strict=True)
    ]
    times, ends = np.concatenate(trains), np.cumsum([len(train) for train in trains])
    last = np.max(times[np.isfinite(times)], initial=-np.inf)
    try:
        step = max(clock.step(variable) for variable in variables)
        unlikely = clock.check(times, ends, options.bin_size, step=step)
    except Mismatch as error:
        raise error.at(path, "check the unit of the spike times") from None
    n_bins = int(np.ceil(max(last, 0) / options.bin_size))
    if options.as_published:
        matrix = as_published(trains, n_bins, options.bin_size)
        lost = sum(len(train) for train in trains) - int(matrix.sum(dtype=np.int64))
        notes = [f"{plural(lost, 'spike')} lost, as published: after the last bin, or wrapped at 255"] if lost else []
    else:
        edges = np.arange(n_bins + 1) * options.bin_size
        edges[-1] = max(edges[-1], last)
        binned = binning.count_between(times, ends, edges)
        matrix, notes = binned.counts, binned.notes()
    notes = unlikely + notes
    missing = [name for name in CHANNELS if name not in content]
    if missing:
        silent = plural(len(missing), "silent channel")
        notes.append(f"no {', '.join(missing[:3])}{' …' * (len(missing) > 3)}: {silent}")
    if beyond:
        notes.append(f"{BEYOND} is not read: do the channels of this file count from 1?")
    if matrices := [name for name, variable in content.items() if min(variable.shape) > 1]:
        notes.append(
            f"{plural(len(matrices), 'variable')} with several rows, such as {matrices[0]}: only the first is read"
        )
    return Session(subject(path), path.stem, matrix, notes, units={"id": CHANNELS})


def subject(path: Path) -> str:
    """The nearest folder that is named after a monkey; "" if there is none."""
    return next((folder.name.title() for folder in path.parents if folder.name.title() in MONKEYS), "")


def as_published(trains: list[np.ndarray], n_bins: int, bin_size: float) -> np.ndarray:
    """Truncated quotients as bins: a spike at the very end is dropped, one below -bin_size counts from the end."""
    matrix = np.zeros((len(trains), n_bins), np.uint8)
    for row, train in zip(matrix, trains, strict=True):
        bins = np.trunc(train / bin_size).astype(np.int64)
        np.add.at(row, bins[bins < n_bins], 1)
    return matrix


if __name__ == "__main__":
    build.main(__file__, read)
