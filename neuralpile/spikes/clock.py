"""Check once, before bins are allocated, whether the spike times of a recording are plausible in seconds.

Times in another unit than seconds give counts that look like counts. Impossible times are refused, and
unlikely ones noted. The thresholds:

- `WHOLE_TIMES`: this many different spike times or more, all of them whole numbers, are sample numbers or milliseconds.
  A clock that ticks every millisecond gives a whole second by chance once in 1,000 spikes. Fewer different ones that
  repeat (`MOST_AT_ONCE`) are a raster of zeros and ones, or counts.
- `LONGEST`: the longest session of the published corpus lasts some hours.
- `SLOWEST`, `SLOW`, `FAST`, `FASTEST`: median rate of the units that spike, from the first to the last spike of any.
  Cortical rates span about 0.01 to 100 Hz with a median near 1 Hz (Buzsáki & Mizuseki 2014, Nat Rev Neurosci
  15:264-278), and a refractory period of 1 ms allows at most 1,000 Hz. Milliseconds taken for seconds divide a rate by
  1,000.
- `COARSE`: times of a number type whose steps at the latest time are longer than a bin are refused, and noted if they
  are longer than this share of a bin. float16 has steps of 1/32 s after 32 s, float32 after three days.
- `REPEATED`, `FROM`: units with this many different spike times or more, in which this share of them is there several
  times in a row: each spike is stored twice. Two spikes of a neuron are at least 1 ms apart.
- `LEAD_IN`: a clock that began long before the recording gives mostly empty bins.
"""

from dataclasses import dataclass

import numpy as np

from neuralpile.cli import plural
from neuralpile.compile import compiled
from neuralpile.errors import Mismatch

LONGEST = 7 * 24 * 3600.0  # seconds
WHOLE_TIMES = 20  # different spike times
MOST_AT_ONCE = 2  # spikes of a unit at one whole number, on average: more are no times but counts or a raster
JUDGED = 100  # spikes: rates are judged from this number on
SLOWEST, SLOW = 0.01, 0.05  # Hz: a median rate below is refused, noted
FAST, FASTEST = 300.0, 1_000.0  # Hz: a median rate above is noted, refused
COARSE = 0.1  # bins
REPEATED, FROM = 0.9, 20  # share of a unit's different spike times, in units with so many
LEAD_IN = 10  # a lead-in of this many times the time between the first and last spike is noted


@dataclass(frozen=True)
class Survey:
    """What spike times look like.

    Attributes:
        first, last: seconds: the first spike at or after 0 s and the last; NaN where there is none.
        finite: number of spike times that are neither NaN nor infinite.
        whole: number of those that are whole numbers.
        on_tenths: number of those that are multiples of 0.1 s.
        spikes: (units,), int64: spikes of each unit at or after 0 s.
        goes_back: (units,), int64: how often the times of each unit go back.
        different: (units,), int64: runs of equal times, one for each time that differs from the one before it.
        repeated: (units,), int64: those of more than one time.
        most_at_once: (units,), int64: the spikes of the longest of them.
    """

    first: float
    last: float
    finite: int
    whole: int
    on_tenths: int
    spikes: np.ndarray
    goes_back: np.ndarray
    different: np.ndarray
    repeated: np.ndarray
    most_at_once: np.ndarray


def check_ends(ends: np.ndarray, n_spikes: int) -> None:
    """Check that ends of spike trains rise from 0 to at most the number of spikes.

    Every kernel that follows such ends into an array of times relies on this.

    Parameters:
        ends: (units,), integers: where each unit's train ends.
        n_spikes: length of the array of times.

    Raises:
        Mismatch: the ends fall, are negative or lie outside.

    Example:
        >>> check_ends(np.array([2, 2, 5]), 5)
    """
    if ends.ndim != 1 or ends.dtype.kind not in "iu":
        raise Mismatch("ends of spike trains, whole numbers", f"{ends.dtype} of shape {ends.shape}")
    # Compared in their own type: uint64 of 2**63 and more would turn negative in int64.
    if ends.size and (int(ends.max()) > n_spikes or int(ends.min()) < 0 or (ends[1:] < ends[:-1]).any()):
        raise Mismatch(
            f"ends of spike trains that rise from 0 to at most {n_spikes:,}", "ends that fall or lie outside"
        )


def survey(times: np.ndarray, ends: np.ndarray) -> Survey:
    """Look at the spike times of all units once.

    Parameters:
        times: (spikes,), float64, seconds: the trains of all units, one after another.
        ends: (units,), int64: where each unit's train ends in `times`.

    Raises:
        Mismatch: the ends do not fit the times.
    """
    check_ends(ends, times.size)
    of_units = np.zeros((5, len(ends)), np.int64)
    first, last, finite, whole, tenths = _survey(np.ascontiguousarray(times), ends, *of_units)
    return Survey(first, last, int(finite), int(whole), int(tenths), *of_units)


@compiled
def _survey(times, ends, spikes, goes_back, different, repeated, most_at_once):  # type: ignore[no-untyped-def]
    first, last = np.inf, -np.inf
    finite = whole = tenths = 0
    start = 0
    for unit in range(len(ends)):
        before = -np.inf
        in_run = 0
        for spike in range(start, ends[unit]):
            t = times[spike]
            if not np.isfinite(t):
                continue
            finite += 1
            whole += t == np.rint(t)
            tenths += np.abs(t * 10 - np.rint(t * 10)) < 1e-6
            goes_back[unit] += t < before
            in_run = in_run + 1 if t == before else 1
            different[unit] += in_run == 1
            repeated[unit] += in_run == 2
            most_at_once[unit] = max(most_at_once[unit], in_run)
            before = t
            if t >= 0:
                spikes[unit] += 1
                first = min(first, t)
                last = max(last, t)
        start = ends[unit]
    if last < 0:
        first = last = np.nan
    return first, last, finite, whole, tenths


def step(times: np.ndarray) -> float:
    """The distance between neighbouring numbers of an array's own type at its largest finite value; 0 for integers.

    Example:
        >>> step(np.array([0.5, 40.0], np.float16))
        0.03125
    """
    if times.dtype.kind != "f":
        return 0.0
    finite = np.isfinite(times)
    largest = max(times.max(initial=0, where=finite), -times.min(initial=0, where=finite))
    return float(np.spacing(times.dtype.type(largest)))


def check(times: np.ndarray, ends: np.ndarray, bin_size: float, trim: bool = False, step: float = 0.0) -> list[str]:
    """Refuse spike times that cannot be seconds of one recording; note what is unlikely.

    Parameters:
        times: (spikes,), float64, seconds: the trains of all units, one after another.
        ends: (units,), int64: where each unit's train ends in `times`.
        bin_size: width of a bin in seconds.
        trim: the bins before the first spike are dropped: a late first spike is not noted.
        step: seconds: `step` of the times in the type that the recording stores.

    Returns:
        Notes, one sentence each; none for an ordinary recording.

    Raises:
        Mismatch: all times are whole numbers, the last is after 7 days, all are within a bin, their type is too coarse
            for the bins, or the rates are not those of neurons.

    Example:
        >>> check(np.array([0.1, 0.7, 1.2, 0.3]), np.array([3, 4]), 0.02)
        []
        >>> check(np.arange(0, 90_000, 700.0), np.array([129]), 0.02)
        Traceback (most recent call last):
            ...
        neuralpile.errors.Mismatch: ('spike times in seconds', 'only whole numbers: 129 of 129 spike times')
    """
    seen = survey(times, ends)
    if seen.whole == seen.finite >= WHOLE_TIMES and (
        (different := _different(times)) >= WHOLE_TIMES
        or seen.finite > MOST_AT_ONCE * different * max(1, _spiking(ends))
    ):
        found = f"only whole numbers: {seen.whole:,} of {seen.finite:,} spike times"
        raise Mismatch("spike times in seconds", found)
    if seen.last > LONGEST:
        raise Mismatch(f"spike times in seconds, at most {LONGEST:,.0f} s (7 days)", f"a spike at {shown(seen.last)}")
    most = FASTEST * bin_size * _spiking(ends)  # spikes of neurons in a bin
    if seen.finite > max(JUDGED, most) and (extent := seen.last - seen.first) < bin_size:
        raise Mismatch("spike times in seconds", f"{seen.finite:,} spikes within {extent:.2g} s, less than a bin")
    notes = []
    if step > COARSE * bin_size:
        found = f"numbers of a type with steps of {step:.2g} s at {shown(seen.last)} s"
        if step > bin_size:
            raise Mismatch(f"spike times finer than a bin of {bin_size:g} s", found)
        notes.append(f"spike times are {found}: spikes may be in a neighbouring bin")
    rates = _rates(seen)
    if rates.size:
        median = float(np.median(rates))
        found = f"a median rate of {median:.2g} Hz over {seen.last - seen.first:,.0f} s"
        if median < SLOWEST:
            raise Mismatch(f"spike times in seconds, with rates above {SLOWEST:g} Hz", found)
        if median > FASTEST:
            raise Mismatch(f"spike times in seconds, with rates below {FASTEST:,.0f} Hz", found)
        if median < SLOW:
            notes.append(f"{found} (below {SLOW:g} Hz): are the times in seconds?")
        if median > FAST:
            notes.append(f"{found} (above {FAST:g} Hz): are the times in seconds?")
    if seen.on_tenths == seen.finite and bin_size < 0.1 and _different(times) >= WHOLE_TIMES:
        notes.append("all spike times are multiples of 0.1 s, which is longer than a bin")
    if not trim and seen.finite >= JUDGED and seen.first > LEAD_IN * max(seen.last - seen.first, 1.0):
        began = "the clock began long before the recording; --trim drops the empty bins"
        notes.append(f"the first spike is at {seen.first:,.0f} s: {began}")
    twice = np.count_nonzero((seen.different >= FROM) & (seen.repeated >= REPEATED * seen.different))
    if twice:
        found = f"in {twice:,} of {plural(_spiking(ends), 'unit')}, {REPEATED:.0%} or more of the spike times"
        notes.append(f"{found} are there several times in a row: is each spike stored twice?")
    if (most := int(seen.most_at_once.max(initial=0))) >= FROM:
        notes.append(f"{most:,} spikes of a unit at the same time, one after another: are they spikes?")
    back = seen.goes_back[seen.goes_back > 0]
    if back.size:
        often = {1: "once", 2: "twice"}.get(int(np.median(back)), f"{int(np.median(back)):,} times")
        many = _spiking(ends)
        question = "does the clock restart, so that parts are counted on top of one another?"
        notes.append(f"times go back in {back.size:,} of {plural(many, 'unit')}, {often}: {question}")
    return notes


def check_counts(spikes: np.ndarray, seconds: float) -> list[str]:
    """A note if the counts of a session are unlikely to be those of neurons, such as rates taken for counts.

    Parameters:
        spikes: (units,), integers: spikes of each unit in the whole session.
        seconds: its length.

    Example:
        >>> check_counts(np.array([200, 0, 900]), 60.0)
        []
    """
    if spikes.sum() < JUDGED:
        return []
    median = float(np.median(spikes[spikes > 0])) / max(seconds, 1.0)
    return [f"a median rate of {median:,.0f} Hz (above {FASTEST:,.0f} Hz): are these counts?"] * (median > FASTEST)


def shown(time: float) -> str:
    """A time in seconds, for messages: never hundreds of digits."""
    return f"{time:,.0f}" if time < 1e15 else f"{time:.2g}"


def _spiking(ends: np.ndarray) -> int:
    """How many units have spikes."""
    return len(np.flatnonzero(np.diff(ends, prepend=0)))


def _different(times: np.ndarray) -> int:
    """How many different spike times there are."""
    return len(np.unique(times[np.isfinite(times)]))


def _rates(seen: Survey) -> np.ndarray:
    """Rates in Hz of the units that spike, over at least a second; none where there are too few spikes to judge."""
    spikes = seen.spikes[seen.spikes > 0]
    if spikes.sum() < JUDGED:
        return np.empty(0)
    return spikes / max(seen.last - seen.first, 1.0)
