"""Which rows windows are taken from, and what the table of sessions says of them."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from helpers.small_corpora import write_rows_of

from neuralpile.corpus import tables
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set
from neuralpile.training import selection


def test_sessions_of_a_data_set_are_found_under_whatever_name_it_was_opened(tmp_path):
    """The table names the data set that was built; its folder, or its repository on the Hub, can have another name."""
    rows = write_rows_of(tmp_path / "x", [np.ones((2, 9), np.uint8)])
    sessions = tables.of_rows(rows)
    sessions = sessions.set_column(sessions.column_names.index("bin_size"), "bin_size", [[0.01]])
    tables.write(rows.folder, sessions, tables.UNITS.empty_table())
    (tmp_path / "x").rename(tmp_path / "renamed")
    renamed = open_data_set(str(tmp_path / "renamed"))
    assert selection.of_sessions(renamed, renamed.names(), "bin_size") == [0.01]
    assert selection.bins_summed(renamed, renamed.names(), 0.06).tolist() == [6]


def test_values_of_units_are_those_of_their_session(tmp_path):
    rows = write_rows_of(tmp_path / "x", [np.ones((2, 9), np.uint8)] * 3)
    assert selection.of_units(rows, rows.names(), "area") == [{}, {}, {}]
    lines = [("ses-0", 1, "PMd"), ("ses-0", 0, "M1"), ("ses-2", 1, None)]
    known = [
        {"source_dataset": "x", "subject_id": "sub-A", "session_id": session, "unit": unit, "area": area}
        for session, unit, area in lines
    ]
    tables.write(rows.folder, tables.of_rows(rows), pa.Table.from_pylist(known, schema=tables.UNITS))
    assert selection.of_units(rows, rows.names(), "area") == [{0: "M1", 1: "PMd"}, {}, {1: None}]


def test_sizes_of_rows_on_the_hub_follow_from_their_tokens_and_the_units_of_their_sessions(tmp_path):
    shapes = [(2, 9), (5, 4), (1, 30)]
    rows = write_rows_of(tmp_path / "x", [np.ones(shape, np.uint8) for shape in shapes])

    class Source:
        """A repository: what its footers and its table of sessions say."""

        name, folder, groups = "me/x", None, [SimpleNamespace(rows=1)] * 3
        names, tokens, table = rows.names, rows.tokens, tables.of_rows(rows)

        def __len__(self):
            return 3

        def sessions(self):
            return self.table

    source = Source()
    assert selection.shapes(rows).tolist() == selection.shapes(source).tolist() == [[2, 9], [5, 4], [1, 30]]
    place = source.table.column_names.index("n_units")
    without, others = (source.table.set_column(place, "n_units", [units]) for units in ([2, None, 1], [2, 7, 1]))
    for table in (without, pa.concat_tables([source.table, others]), source.table.slice(1)):
        source.table = table
        with pytest.raises(BadInput, match=r"expected sizes of rows that are known .* use Windows"):
            selection.shapes(source)
    source.groups = [SimpleNamespace(rows=1), SimpleNamespace(rows=2)]
    with pytest.raises(BadInput, match="row groups of several rows; use Windows"):
        selection.shapes(source)
