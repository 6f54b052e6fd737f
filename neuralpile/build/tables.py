"""The tables of sessions and units of a build, from what is kept with the rows of its sessions."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neuralpile.build.record import SessionFacts
from neuralpile.catalog import DataSetInfo
from neuralpile.corpus import arrow, tables


def of_build(
    info: DataSetInfo,
    bin_size: float,
    sessions: Iterable[tuple[SessionFacts, Path]],
    checksums: Mapping[str, str | None],
) -> tuple[pa.Table, pa.Table]:
    """Make the tables of sessions and of units of a build.

    Parameters:
        info: the data set.
        bin_size: width of the bins in seconds, of sessions that have none of their own.
        sessions: the facts of each session that has rows, and its Arrow file.
        checksums: of the recordings, by their paths in the data set.
    """
    lines: list[dict[str, Any]] = []
    units = [tables.UNITS.empty_table()]
    for facts, path in sessions:
        width = facts.bin_size or bin_size
        lines.append(tables.known_of(info.name, info, facts.subject_id, facts.session_id) | _counted(facts, width))
        lines[-1]["digest"] = checksums.get(facts.file)
        kept = (arrow.read_metadata(path) or {}).get("units", {})
        units.append(_units(info.name, facts, kept, width))
        if areas := [area for area in dict.fromkeys(kept.get("area", [])) if area is not None]:
            lines[-1]["areas"] = areas
    return pa.Table.from_pylist(lines, tables.SESSIONS), pa.concat_tables(units).combine_chunks()


def _counted(facts: SessionFacts, bin_size: float) -> dict[str, Any]:
    """The columns of a session that are counted, or stated by its recording."""
    return {
        "start_time": facts.start_time and datetime.fromisoformat(facts.start_time),
        "bin_size": bin_size,
        "n_units": facts.units,
        "n_bins": facts.bins,
        "tokens": facts.tokens,
        "spikes": facts.spikes,
        "segments": facts.segments,
        "silent_units": facts.silent_units,
        "observed_fraction": facts.observed_fraction,
        "file": facts.file,
    }


def _units(name: str, facts: SessionFacts, kept: Mapping[str, list[Any]], bin_size: float) -> pa.Table:
    """The lines of a session's units. `kept` is what the session's Arrow file has of them, as columns."""
    n_spikes = np.array(kept["n_spikes"], np.int64)
    columns: dict[str, Any] = {
        "source_dataset": [name] * facts.units,
        "subject_id": [facts.subject_id] * facts.units,
        "session_id": [facts.session_id] * facts.units,
        "unit": np.arange(facts.units),
        **kept,
        "n_spikes": n_spikes,
        "rate": n_spikes / (facts.bins * bin_size),
        "alive": n_spikes > 0,
    }
    return pa.table([columns.get(field.name, [None] * facts.units) for field in tables.UNITS], schema=tables.UNITS)
