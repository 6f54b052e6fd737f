"""Count the values of a column in Parquet footers, in a process of their own.

pyarrow ends the process, without an exception, when it looks at a column in some damaged footers (its C++ exception
leaves a function that must not raise: pyarrow 26, `RowGroupMetaData.column`). So a child process looks first. Run as
`python footer.py COLUMN FILE…`, it prints the numbers as JSON: one list a file, one number a row group.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq


def count_values(footers: Sequence[pq.FileMetaData], column: str) -> list[list[int]] | None:
    """Count the values of a column in each row group of each file.

    Parameters:
        footers: of files whose footer could be read.
        column: the beginning of the column's path, such as "spike_counts.".

    Returns:
        A list for each file with a number for each row group; None if a footer is damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}" for i in range(len(footers))]
        for footer, path in zip(footers, paths, strict=True):
            footer.write_metadata_file(path)
        command = [sys.executable, "-P", __file__, column, *map(str, paths)]
        child = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if child.returncode:
        return None
    counted: list[list[int]] = json.loads(child.stdout)
    return counted


def _counted(footer: pq.FileMetaData, column: str) -> list[int]:
    leaf = next(i for i in range(footer.num_columns) if footer.schema.column(i).path.startswith(column))
    return [footer.row_group(i).column(leaf).num_values for i in range(footer.num_row_groups)]


if __name__ == "__main__":
    print(json.dumps([_counted(pq.read_metadata(path), sys.argv[1]) for path in sys.argv[2:]]))
