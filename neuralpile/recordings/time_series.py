"""What an NWB file states of its numbers and of its clock: units, scale, rate and timestamps, compared with the data.

NWB schema 2.11 (https://nwb-schema.readthedocs.io): a `TimeSeries` has values `data * conversion + offset` in `unit`,
and either `timestamps` or a `starting_time` with a `rate`, in seconds and Hz. `Units.spike_times` are seconds, with an
optional `resolution` in seconds; neither they nor timestamps have a conversion or an offset.
"""

import h5py
import numpy as np

from neuralpile.cli import plural
from neuralpile.errors import Mismatch
from neuralpile.recordings import hdf5
from neuralpile.recordings.hdf5 import Recording
from neuralpile.spikes import clock

BLOCK = 1 << 20  # timestamps that are read at a time
# A mean step, or a rate, that differs from that of the bins by at most the first share is theirs; a mean step that
# differs by more than the second is of other bins (chosen here: 20 ms is not taken for 16.7, 25 or 30 ms).
SAME, OTHER = 0.01, 0.1
LOOSE = 0.5  # bins: a step between timestamps that differs from a bin by at most so much is one (jitter, float32)
MOSTLY = 0.9  # share of the steps that must be bins; the others are gaps between trials (h2, temmar: 1 in 25 or fewer)
WHOLE = 1e-5  # of a scaled value: so close to a whole number it is a count (`conversion` is a float32: 6e-8)
UNKNOWN_RESOLUTION = -1.0  # what the schema has for it

SECONDS = {"s", "sec", "secs", "second", "seconds"}
OTHER_TIMES = {
    *("ms", "msec", "msecs", "millisecond", "milliseconds", "us", "µs", "μs", "usec", "microsecond", "microseconds"),
    *("ns", "nanosecond", "nanoseconds", "min", "minute", "minutes", "h", "hour", "hours", "day", "days"),
    *("sample", "samples", "sample number", "frame", "frames", "tick", "ticks", "index", "bin", "bins"),
}
RATES = {"hz", "khz", "1/s", "spikes/s", "spikes/sec", "spikes/second", "spikes per second", "events/s", "counts/s"}
VOLTAGES = {"v", "mv", "uv", "µv", "μv", "volt", "volts", "millivolts", "microvolt", "microvolts"}


def check_times(times: h5py.Dataset) -> list[str]:
    """Check that a file does not contradict that its spike times or timestamps are in seconds, as NWB defines them.

    Parameters:
        times: of any shape; only its attributes are read.

    Returns:
        Notes: an unknown unit.

    Raises:
        Mismatch: the file states another unit, or a scale.
    """
    where = times.name.strip("/")
    unit = hdf5.text(times, "unit") or hdf5.text(times, "units")
    if unit in OTHER_TIMES:
        raise Mismatch(f"{where} in seconds, as NWB defines them", f"the unit {unit!r}")
    for name, neutral in (("conversion", 1.0), ("offset", 0.0)):
        stated = hdf5.number(times, name)
        if stated not in (None, neutral):
            raise Mismatch(f"{where} in seconds, without {name}", f"a {name} of {stated:g}")
    return [] if not unit or unit in SECONDS else [f"the file states {where} in {unit!r}: they are taken as seconds"]


def resolution(times: h5py.Dataset, bin_size: float) -> list[str]:
    """A note if the file states a resolution of spike times that is longer than a bin (seconds, both)."""
    try:
        stated = hdf5.number(times, "resolution")
    except Mismatch:
        return ["the resolution that the file states for its spike times is not a number"]
    if stated is None or not stated > bin_size:
        return []
    return [f"the file states a resolution of {stated:g} s for its spike times, longer than a bin of {bin_size:g} s"]


def scale(data: h5py.Dataset) -> tuple[float, float]:
    """`conversion` and `offset` of a raster: a count is `value * conversion + offset`.

    Raises:
        Mismatch: they are not numbers, the conversion is not above 0, or each channel has its own conversion.
    """
    conversion, offset = hdf5.number(data, "conversion"), hdf5.number(data, "offset")
    conversion, offset = 1.0 if conversion is None else conversion, 0.0 if offset is None else offset
    if not 0 < conversion < np.inf or not np.isfinite(offset):
        raise Mismatch("a conversion above 0, and an offset", f"{conversion:g} and {offset:g}")
    if "channel_conversion" in data.parent:
        raise Mismatch("counts", "values with a conversion for each channel")
    return conversion, offset


def scaled(values: np.ndarray, conversion: float, offset: float) -> np.ndarray:
    """Counts of values with a conversion and an offset: whole numbers, except for rounding errors of the two.

    Parameters:
        values: (bins, units), numbers as the file stores them.
        conversion, offset: from `scale`.

    Returns:
        Counts of the same shape, float64; without a scale, the values themselves.

    Raises:
        Mismatch: a result is not a whole number.
    """
    if (conversion, offset) == (1.0, 0.0):
        return values
    products = values * np.float64(conversion)
    counts = products + offset
    whole = np.rint(counts)
    wrong = counts[~(np.abs(counts - whole) <= WHOLE * np.maximum(np.abs(products), abs(offset)))]
    if wrong.size:
        found = f"{wrong[0]:.4g} with the stated conversion {conversion:g} and offset {offset:g}"
        raise Mismatch("counts, whole numbers", found)
    return np.asarray(whole)


def about_counts(data: h5py.Dataset, conversion: float, offset: float) -> list[str]:
    """Notes on what a file states of its counts: a scale, a unit that counts do not have, a resolution above 1."""
    notes = []
    if (conversion, offset) != (1.0, 0.0):
        notes.append(f"counts are the file's values × {conversion:g} + {offset:g}, as it states")
    unit = hdf5.text(data, "unit") or hdf5.text(data, "units")
    if unit in RATES | VOLTAGES | SECONDS | OTHER_TIMES - {"bin", "bins"}:
        notes.append(f"the file states its values in {unit!r}: they are taken as counts")
    try:
        stated = hdf5.number(data, "resolution")
    except Mismatch:
        stated = np.nan
    if stated is not None and stated != UNKNOWN_RESOLUTION and not 0 <= stated <= 1:
        notes.append(f"the file states a resolution of {stated:g} for its counts, which are whole numbers")
    return notes


def check_clock(path: Recording, data: h5py.Dataset, own_bin: float) -> list[str]:
    """Compare the clock that a file states for a raster with the width of its bins.

    Parameters:
        path: the file, on disk or in an archive.
        data: the raster.
        own_bin: width of the raster's bins in seconds.

    Returns:
        Notes: gaps, times that go back, an invalid rate or start, a rate of other bins.

    Raises:
        Mismatch: the timestamps are not times, or are those of other bins.
        BadInput: they cannot be fetched.
    """
    notes = []
    try:
        start, stamps = (hdf5.find(data.parent, name) for name in ("starting_time", "timestamps"))
    except Mismatch as error:
        return [f"the raster's clock is not known: {error.found}"]
    if isinstance(start, h5py.Dataset):
        notes += _about_rate(start, own_bin) + _about_start(path, start)
    if isinstance(stamps, h5py.Dataset):
        notes += _check_timestamps(path, stamps, own_bin)
    return notes


def _about_rate(start: h5py.Dataset, own_bin: float) -> list[str]:
    """A note if the rate that the file states is invalid, or is not that of bins of `own_bin` seconds."""
    try:
        rate = hdf5.number(start, "rate")
    except Mismatch as error:
        return [f"the rate that the file states, {error.found}, is not a number: are the bins {own_bin:g} s?"]
    if rate is None:
        return []
    if not 0 < rate < np.inf:
        return [f"the rate that the file states, {rate:g}, is not above 0: are the bins {own_bin:g} s?"]
    # FALCON files give the bins' width where NWB wants the rate.
    if np.isclose(rate * own_bin, 1, rtol=SAME) or np.isclose(rate, own_bin, rtol=SAME):
        return []
    return [f"the file states {rate:g} bins a second, and {1 / own_bin:g} were expected: are the bins {own_bin:g} s?"]


def _about_start(path: Recording, start: h5py.Dataset) -> list[str]:
    """A note if the start that the file states is not a plausible time. Counts begin at the first bin anyway."""
    try:
        first = hdf5.one_number(hdf5.read(path, start), "starting_time")
        notes = check_times(start)
    except Mismatch as error:
        return [f"the file's starting_time is not {error.expected}, but {error.found}"]
    if not abs(first) <= clock.LONGEST:
        notes.append(f"the file's starting_time is {clock.shown(first)} s: bins are counted from the first one")
    return notes


def _check_timestamps(path: Recording, stamps: h5py.Dataset, own_bin: float) -> list[str]:
    """Compare the steps between timestamps with the width of the bins; gaps and steps back become notes."""
    name, expected = stamps.name.strip("/"), f"timestamps {own_bin:g} s apart, as the bins are"
    if stamps.dtype.kind not in "fiu" or stamps.shape is None or stamps.ndim == 0 or max(stamps.shape) != stamps.size:
        raise Mismatch(f"{name}, a list of seconds", f"{stamps.dtype} of shape {stamps.shape}")
    notes = check_times(stamps)
    hdf5.prefetch(path, stamps)
    hdf5.check_stored(stamps)
    n_bins = n_back = n_gaps = 0
    in_bins = in_gaps = 0.0
    typical, before = np.nan, np.empty(0)
    axis = int(np.argmax(stamps.shape))
    for first in range(0, stamps.size, BLOCK):
        block = [slice(None)] * stamps.ndim
        block[axis] = slice(first, first + BLOCK)
        stored = hdf5.part(stamps, *block).ravel()
        if not np.isfinite(stored).all():
            raise Mismatch(expected, "NaN or infinite timestamps")
        steps = np.diff(np.append(before, stored.astype(np.float64)))
        before = stored[-1:].astype(np.float64)
        if not first and steps.size:
            typical = float(np.median(steps))
        is_bin = np.abs(steps - own_bin) <= max(LOOSE * own_bin, 2 * clock.step(stored))
        is_gap = ~is_bin & (steps > own_bin)
        n_bins, in_bins = n_bins + int(is_bin.sum()), in_bins + float(steps[is_bin].sum())
        n_gaps, in_gaps = n_gaps + int(is_gap.sum()), in_gaps + float((steps[is_gap] - own_bin).sum())
        n_back += int((~is_bin & ~is_gap).sum())
    n_steps = n_bins + n_gaps + n_back
    if n_bins < MOSTLY * n_steps:
        raise Mismatch(expected, f"steps of {typical:g} s, and {n_bins:,} of {n_steps:,} steps as long as a bin")
    mean = in_bins / n_bins if n_bins else own_bin
    if abs(mean / own_bin - 1) > OTHER:
        raise Mismatch(expected, f"steps of {mean:g} s")
    if abs(mean / own_bin - 1) > SAME:
        notes.append(f"the timestamps of the bins are {mean:g} s apart on average: are the bins {own_bin:g} s?")
    if n_gaps:
        gaps = f"{plural(n_gaps, 'gap')} between the file's bins, {in_gaps:,.6g} s in all"
        notes.append(f"{gaps}: bins follow one another without them")
    if n_back:
        question = "are parts in another order, or on another clock?"
        notes.append(f"the timestamps of the bins go back, or stand still, {plural(n_back, 'time')}: {question}")
    return notes
