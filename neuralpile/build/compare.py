"""A build beside what `dataset.toml` states of the published rows: subjects, sessions, units, tokens.

The table at the end of a build, `make verify` and the page of figures all take the comparison from here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from neuralpile.build.record import Report, SessionFacts
from neuralpile.catalog import DataSetInfo
from neuralpile.cli import plural
from neuralpile.corpus.rows import Row
from neuralpile.spikes.session import Options

# Options that do not change what is compared here: the limit only cuts rows, published values have the same shape,
# and what dataset.toml states is no choice.
SAME_SHAPE = ("token_count_limit", "as_published", "own_bin", "subject")


@dataclass(frozen=True)
class Holdings:
    """What rows hold."""

    subjects: frozenset[str]
    sessions: int
    units: tuple[int, int]  # fewest and most in a session
    tokens: int


def holdings_of_rows(data_set: DataSetInfo, built: Iterable[Row]) -> Holdings:
    """Count over the rows of a data set; only their shapes are read.

    Raises:
        BadInput: a row cannot be read.
    """
    return _holdings(data_set, ((row.subject_id, row.session_id, row.counts.shape) for row in built))


def holdings_of_sessions(data_set: DataSetInfo, sessions: Iterable[SessionFacts]) -> Holdings:
    """The same from the sessions of a build's report."""
    with_rows = (facts for facts in sessions if facts.segments)
    return _holdings(data_set, ((facts.subject_id, facts.session_id, (facts.units, facts.bins)) for facts in with_rows))


def _holdings(data_set: DataSetInfo, parts: Iterable[tuple[str, str, tuple[int, ...]]]) -> Holdings:
    sessions: set[tuple[str, str]] = set()
    units: list[int] = []
    tokens = 0
    for subject_id, session_id, (n_units, n_bins) in parts:
        sessions.add((subject_id, data_set.session_of(session_id)))
        units.append(n_units)
        tokens += n_units * n_bins
    subjects = frozenset(subject for subject, _ in sessions)
    return Holdings(subjects, len(sessions), (min(units, default=0), max(units, default=0)), tokens)


def changed_options(data_set: DataSetInfo, options: Options) -> list[str]:
    """The options of a build that give it another shape than the published rows have, as on the command line."""
    published = Options(bin_size=data_set.bin_width)
    changed = {
        field.name: getattr(options, field.name)
        for field in fields(Options)
        if field.name not in SAME_SHAPE and getattr(options, field.name) != getattr(published, field.name)
    }
    return [f"--{name}" if value is True else f"--{name} {value}" for name, value in changed.items()]


def differences(data_set: DataSetInfo, held: Holdings, report: Report | None = None) -> dict[str, str]:
    """How a build differs from the published rows, in words; empty if it does not, or if none are published.

    The keys are "options", "subjects", "sessions", "units" and "tokens", those of them that differ.

    Parameters:
        data_set: what is published.
        held: what was built.
        report: of the build, where there is one. A build with options that change the shape is not compared further.
    """
    if data_set.tokens is None:
        return {}
    if report is not None and (options := changed_options(data_set, report.options)):
        return {"options": f"built with {' '.join(options)}"}
    found: dict[str, str] = {}
    unknown = sorted(held.subjects - set(data_set.subject_ids))
    missing = sorted(set(data_set.subject_ids) - held.subjects)
    subjects = [f"unexpected subjects: {', '.join(unknown)}"] * bool(unknown)
    subjects += [f"no rows of {', '.join(missing)}"] * bool(missing)
    if subjects:
        found["subjects"] = "; ".join(subjects)
    if data_set.sessions is not None and held.sessions != data_set.sessions:
        found["sessions"] = f"{plural(held.sessions, 'session')} instead of {data_set.sessions:,}"
    if data_set.units:
        fewest, most = data_set.units
        if data_set.units_seen:  # only some published rows were seen: a wider range is no difference
            fewest, most = min(fewest, held.units[0]), max(most, held.units[1])
        if held.units != (fewest, most):
            found["units"] = f"{show_range(held.units)} units instead of {show_range(data_set.units)}"
    if held.tokens != data_set.tokens:
        found["tokens"] = f"{held.tokens - data_set.tokens:+,} tokens"
    return found


def show_range(ends: Sequence[int]) -> str:
    """Fewest and most, or the one number that both are.

    Example:
        >>> show_range((40, 54)), show_range((1096, 1096))
        ('40 to 54', '1,096')
    """
    return " to ".join(f"{n:,}" for n in dict.fromkeys(ends))
