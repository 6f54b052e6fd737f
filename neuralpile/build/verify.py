"""Checks what is built against what `dataset.toml` says: subjects, sessions, units and tokens of every local build.

`make verify`, or `python -m neuralpile.build.verify`, prints a table; the exit status is 1 where something differs.
"""

from dataclasses import dataclass

from neuralpile import catalog, cli
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus import store
from neuralpile.corpus.store import LocalRows
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set


@dataclass(frozen=True)
class Holdings:
    """What the rows of a data set hold."""

    subjects: frozenset[str]
    sessions: int
    units: tuple[int, int]  # fewest and most in a session
    tokens: int


def holdings(data_set: DataSetInfo, built: LocalRows) -> Holdings:
    """Count over the rows of a build of a data set, of which only the shapes are read.

    Raises BadInput where a row cannot be read.
    """
    shapes = [((row.subject_id, data_set.session_of(row.session_id)), row.counts.shape) for row in built]
    units = [n_units for _, (n_units, _) in shapes]
    return Holdings(
        frozenset(subject for (subject, _), _ in shapes),
        len({session for session, _ in shapes}),
        (min(units, default=0), max(units, default=0)),
        sum(n_units * n_bins for _, (n_units, n_bins) in shapes),
    )


def differences(data_set: DataSetInfo, built: Holdings) -> list[str]:
    """What a build has that its `dataset.toml` does not say, and the reverse, in words."""
    said = []
    unknown = sorted(built.subjects - set(data_set.subject_ids))
    missing = sorted(set(data_set.subject_ids) - built.subjects)
    if unknown:
        said.append(f"subjects that are not expected: {', '.join(unknown)}")
    if missing:
        said.append(f"no rows of {', '.join(missing)}")
    if built.sessions != data_set.sessions:
        said.append(f"{_counted(built.sessions, 'session')} instead of {data_set.sessions:,}")
    if data_set.units:
        fewest, most = data_set.units
        if data_set.units_seen:  # a range that is wider is no difference
            fewest, most = min(fewest, built.units[0]), max(most, built.units[1])
        if built.units != (fewest, most):
            said.append(f"{_range(built.units)} units instead of {_range(data_set.units)}")
    if built.tokens != data_set.tokens:
        said.append(f"{built.tokens - data_set.tokens:+,} tokens")
    return said


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s'[: n != 1]}"


def _range(ends: tuple[int, int]) -> str:
    return " to ".join(f"{n:,}" for n in dict.fromkeys(ends))


def main() -> int:
    """Print the table."""
    built = store.built()
    if not built:
        raise BadInput(catalog.BUILD, "data sets that are built", "none", "run data/<name>/preprocess.py of some")
    print(f"{'':20}{'subjects':>9}{'sessions':>10}{'units':>14}{'tokens':>18}  differences")
    wrong = 0
    for name in built:
        data_set = catalog.load(name)
        found = holdings(data_set, open_data_set(str(catalog.BUILD / name)))
        said = differences(data_set, found)
        wrong += bool(said)
        units = "–".join(f"{n:,}" for n in dict.fromkeys(found.units))
        line = f"{name:20}{len(found.subjects):>9}{found.sessions:>10,}{units:>14}{found.tokens:>18,}"
        print(f"{line}  {'; '.join(said) or 'none'}")
    recorded = [data_set.name for data_set in catalog.published()]
    missing = [name for name in recorded if name not in built]
    print(f"{len(built)} built, {wrong} differ; {len(missing)} of the {len(recorded)} recorded data sets are not built")
    return 1 if wrong else 0


if __name__ == "__main__":
    cli.run(main)
