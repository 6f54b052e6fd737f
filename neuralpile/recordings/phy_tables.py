"""Tables of clusters, as Kilosort and phy write them: `cluster_group.tsv`, `cluster_info.tsv` and others."""

import csv
from pathlib import Path

from neuralpile.errors import BadInput

CLUSTER = ("cluster_id", "id")  # the second in tables of phy 2.0 beta
NOT_A_FOLDER = "check that this is an output folder of Kilosort or phy"


def column(path: Path, title: str) -> dict[str, str]:
    """A column of a table by the clusters' numbers; nothing if there is no such table or column.

    Parameters:
        path: of the table.
        title: of the column; "" for the second one.

    Raises:
        BadInput: it is no table of clusters, or states a cluster twice.
    """
    lines = [line for line in _lines(path) if line] if path.is_file() else []
    head = [name.strip() for name in lines[0]] if lines else []
    of_cluster = next((head.index(name) for name in CLUSTER if name in head), None)
    if path.is_file() and (of_cluster is None or len(head) < 2):
        raise BadInput(path, "columns cluster_id and a label", ", ".join(head)[:40] or "an empty file", NOT_A_FOLDER)
    if of_cluster is None or (title and title not in head):
        return {}
    column = head.index(title) if title else 1
    values: dict[str, str] = {}
    for line in lines[1:]:
        if len(line) <= max(of_cluster, column):
            raise BadInput(path, "a label in each line", " ".join(line)[:40], NOT_A_FOLDER)
        unit, value = line[of_cluster].strip(), line[column].strip()
        if values.setdefault(unit, value) != value:
            raise BadInput(f"{path}, cluster {unit}", "one value", f"{values[unit]} and {value}", NOT_A_FOLDER)
    return values


def _lines(path: Path) -> list[list[str]]:
    """The lines of a table. Raises BadInput: it is no text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return list(csv.reader(text.splitlines(), delimiter="\t" if "\t" in text else ","))
    except (UnicodeDecodeError, csv.Error):
        raise BadInput(path, "a table of text", "other content", NOT_A_FOLDER) from None
