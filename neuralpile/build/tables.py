"""The tables of sessions and units of a build, from what is kept with the rows of its sessions."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
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
    units: list[dict[str, Any]] = []
    for facts, path in sessions:
        width = facts.bin_size or bin_size
        lines.append(tables.known_of(info.name, info, facts.subject_id, facts.session_id) | _counted(facts, width))
        if info.simulated:  # nothing was recorded: NWB requires a time
            lines[-1]["start_time"] = None
        lines[-1]["checksum"] = checksums.get(facts.file)
        metadata = arrow.read_metadata(path) or {}
        if (gaps := metadata.get("unobserved")) is not None:
            lines[-1]["unobserved"] = [{"start": start, "stop": stop} for start, stop in gaps]
        kept = metadata.get("units", {})
        units += _units(info.name, facts, kept, width)
        if areas := [area for area in dict.fromkeys(kept.get("area", [])) if area is not None]:
            lines[-1]["areas"] = areas
    return _table(lines, tables.SESSIONS), _table(units, tables.UNITS)


def _table(lines: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table of these lines, at least one.

    They go through JSON, because pyarrow imports pandas before it looks at a Python list, which takes as long as
    building a small session.
    """
    from pyarrow import json

    content = msgspec.json.Encoder().encode_lines(lines)
    whole = json.ReadOptions(use_threads=False, block_size=len(content))
    as_stated = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return json.read_json(pa.BufferReader(content), whole, as_stated)


def _counted(facts: SessionFacts, bin_size: float) -> dict[str, Any]:
    """The columns of a session that are counted, or stated by its recording."""
    return {
        "start_time": facts.start_time,
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


def _units(name: str, facts: SessionFacts, kept: Mapping[str, list[Any]], bin_size: float) -> Iterator[dict[str, Any]]:
    """The lines of a session's units. `kept` is what the session's Arrow file has of them, as columns."""
    names = {"source_dataset": name, "subject_id": facts.subject_id, "session_id": facts.session_id}
    seconds = facts.bins * bin_size
    for unit, values in enumerate(zip(*kept.values(), strict=True)):
        line = names | {"unit": unit} | dict(zip(kept, values, strict=True))
        yield line | {"rate": line["n_spikes"] / seconds, "alive": line["n_spikes"] > 0}
