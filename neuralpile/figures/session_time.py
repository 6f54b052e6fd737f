"""Where rows lie in time: the width of their bins, and where each segment begins in its session."""

import re
from collections import defaultdict
from functools import cached_property, lru_cache
from pathlib import Path

from neuralpile import catalog
from neuralpile.build.record import REPORT, Report
from neuralpile.corpus import tables
from neuralpile.corpus.rows import Row, RowSource


def bin_width(data_set: RowSource, row: Row) -> float | None:
    """Return the width of a row's bins in seconds, or None if it is not known.

    It comes from the build's report, or from the report of the row's component among the local builds; failing these,
    from the catalog.

    Raises:
        BadInput: the report cannot be read.
    """
    source = row.source_dataset or tables.own_name(data_set)
    local = [catalog.BUILD / source] if Path(source).name == source else []
    for folder in [data_set.folder, *local]:
        if folder and (folder / REPORT).is_file():
            state = (folder / REPORT).stat()
            return _bin_size(folder, state.st_mtime_ns, state.st_size)
    return catalog.load(source).bin_width if source in catalog.names() else None


@lru_cache(maxsize=64)
def _bin_size(folder: Path, _written: int, _size: int) -> float | None:
    """Read the width of bins of a build, in seconds; again if its report was written again."""
    report = Report.read(folder)
    return report.options.bin_size if report else None


class SegmentStarts:
    """Where the segments of a data set begin in their sessions.

    All segments of a session but the last have the same number of bins, so the length of one of them is enough.
    """

    def __init__(self, data_set: RowSource) -> None:
        self._data_set = data_set

    @cached_property
    def _rows(self) -> dict[tuple[str, str, str], list[int]]:
        """The numbers of the rows of each name; components of a corpus may share names."""
        found: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
        for i, name in enumerate(self._data_set.names()):
            found[(name.subject_id, name.session_id, name.segment_id)].append(i)
        return found

    def first_bin(self, row: Row) -> int | None:
        """Return the number of bins of the session before this row; None if other segments are needed and missing."""
        number = re.fullmatch(r"segment_(\d+)", row.segment_id)
        if number is None:
            return None
        i = int(number[1])
        if i == 0:
            return 0
        length = row if self._sibling(row, i + 1) else self._sibling(row, i - 1)
        return i * int(length.counts.shape[1]) if length else None

    def _sibling(self, row: Row, segment: int) -> Row | None:
        """Return another segment of the row's session."""
        for i in self._rows.get((row.subject_id, row.session_id, f"segment_{segment}"), []):
            sibling = self._data_set.row(i)
            if sibling.source_dataset == row.source_dataset:
                return sibling
        return None
