"""Reorder the units of a data set: one order for each session, computed from its training rows, and rows written in it.

Orders are in `orders.parquet`, also where rows are not written; `corpus.ordered` applies them while rows are read.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from neuralpile import __version__, files
from neuralpile.cli import plural
from neuralpile.corpus import arrow, ordered, tables
from neuralpile.corpus.ordered import FILE, ORDERS, OrderedRows, Orders
from neuralpile.corpus.rows import MERGED_SCHEMA, SCHEMA, Row, RowSource, sessions_of
from neuralpile.errors import BadInput
from neuralpile.training import unit_order

SHARD = 500_000_000  # tokens in an Arrow file, or a row more: what a killed run has to write again
TRAIN = "train"  # the split whose rows decide the order


class Job(NamedTuple):
    """How units are ordered.

    Attributes:
        by: one of `cli.MEASURES`.
        where: the expression that chose the sessions; None for all.
    """

    by: str
    where: str | None = None

    def stated(self, data_set: RowSource) -> dict[str, Any]:
        """What decides the orders, in words and numbers."""
        return {
            "version": __version__,
            "data_set": data_set.name,
            "whole": ordered.whole(data_set).fingerprint,
            "rows": data_set.fingerprint,
            "tables": tables.digest(data_set),
            "by": self.by,
            "where": self.where,
            "measure": {"similarity": "correlation of smoothed counts", "rate": "spikes", "area": "area"}[self.by],
            "bins": {
                "stretches": unit_order.STRETCHES,
                "longest": unit_order.LONGEST,
                "windows": unit_order.WINDOWS,
                "smooth": unit_order.SMOOTH,
            },
        }


class Made(NamedTuple):
    """What was made: the orders, and the folder that they are in."""

    orders: Orders
    folder: Path


def run(data_set: RowSource, job: Job, out_dir: Path, orders_only: bool = False) -> Made:
    """Order the units of every session of a data set, and write its rows with their units in these orders.

    The same rows and job give the same bytes, also if an earlier run was killed: what that run completed is kept.

    Parameters:
        data_set: where the rows are, on this machine.
        job: how units are ordered.
        out_dir: folder of the result, a data set with the splits of its source.
        orders_only: write `orders.parquet` only.

    Raises:
        BadInput: there are no rows, or no areas to order by; or `out_dir` holds something else.
    """
    if not len(data_set):
        raise BadInput(data_set.name, "a data set with rows", "none", "build it again, or take another")
    if job.by == "area":
        _areas(data_set)
    stated = job.stated(data_set)
    if (done := _done(out_dir, stated, orders_only)) is not None:
        files.remove_replaced(out_dir)
        return Made(done, out_dir)
    ours = (out_dir / FILE).is_file() and not (orders_only and arrow.is_finished(out_dir))
    if out_dir.exists() and not ours and (not out_dir.is_dir() or any(map(files.is_finished, out_dir.iterdir()))):
        expected = (
            "a new folder, or one with orders to replace" if orders_only else "a new folder, or a result to replace"
        )
        raise BadInput(out_dir, expected, "something else", "give another --out_dir, or delete it")
    if orders_only:
        made = Orders(orders_of(data_set, job.by), stated)
        ordered.write(out_dir / FILE, made)
        return Made(made, out_dir)
    with files.whole_folder(out_dir, json.dumps([stated, SHARD])) as folder:
        if not (folder / FILE).is_file():  # that a killed run has made
            ordered.write(folder / FILE, Orders(orders_of(data_set, job.by), stated))
        made = ordered.read(folder / FILE)
        _write(OrderedRows(data_set, made), folder)
    return Made(made, out_dir)


def _done(out_dir: Path, stated: dict[str, Any], orders_only: bool) -> Orders | None:
    """The orders in a folder, if they are those that are asked for, with all rows if these are."""
    if not (out_dir / FILE).is_file() or not (orders_only or arrow.is_finished(out_dir)):
        return None
    try:
        found = ordered.read(out_dir / FILE)
    except BadInput:
        return None
    return found if found.stated == stated else None


def _write(rows: OrderedRows, folder: Path) -> None:
    """Write the rows in their splits, the tables and the manifest. Files of a killed run are kept."""
    several = len(rows.splits) != 1 or (rows.folder is not None and (rows.folder / arrow.SPLITS).is_file())
    schema = MERGED_SCHEMA if rows.is_merged else SCHEMA
    tokens = rows.tokens()
    with tqdm(total=sum(tokens), unit="token", unit_scale=True, desc="reorder", disable=None) as bar:
        for split, numbers in rows.splits.items():

            def read(part: range, numbers: range = numbers) -> Iterator[Row]:
                return rows.read(numbers[part.start : part.stop])

            its = tokens[numbers.start : numbers.stop]
            digest = hashlib.sha256(f"{rows.fingerprint} {split}".encode()).hexdigest()
            part = folder / split if several else folder
            arrow.write_shards(part, its, SHARD, read, schema, digest, split, bar.update)
    if (own := tables.stored(rows)) is not None:
        tables.write(folder, *own)
    files.write_text(folder / arrow.MANIFEST, json.dumps(rows.manifest(), indent=1) + "\n")
    if several:
        files.write_text(folder / arrow.SPLITS, json.dumps({"splits": list(rows.splits)}))


def orders_of(data_set: RowSource, by: str) -> pa.Table:
    """Compute an order of the units of each session: a table of the schema `ordered.ORDERS`.

    It is computed from the training rows of the session, and from all its rows where it has none for training; of a
    long session, from bins that are spread over it (`unit_order.activity`). Silent units come last, in file order.

    Parameters:
        data_set: where the rows are.
        by: `similarity`, `rate` (the most active first), or `area` (those without one after the others).

    Raises:
        BadInput: units are to be ordered by area, and the area of none is known.
    """
    areas = _areas(data_set) if by == "area" else {}
    own_name = "" if data_set.is_merged else tables.own_name(data_set)
    lines = []
    sessions = sessions_of(data_set.names())
    for session, numbers in tqdm(sessions.items(), unit="session", desc=f"order by {by}", disable=None):
        key = session if data_set.is_merged else (own_name, *session)
        of_size: dict[int, list[Row]] = {}  # files of one name can have other units
        for row in data_set.read(numbers):
            of_size.setdefault(len(row.counts), []).append(row)
        for n_units, rows in of_size.items():
            for_training = [row for row in rows if row.split == TRAIN] or rows
            active = unit_order.activity([row.counts for row in for_training])
            order = _order(active, by, areas.get((*key, n_units), [None] * n_units))
            split = "+".join(sorted({row.split or "" for row in for_training}))
            n_bins = int(active.lengths.sum())
            lines.append((*key, n_units, split, n_bins, order.tolist(), np.argsort(order).tolist()))
    return pa.table([list(column) for column in zip(*lines, strict=True)], ORDERS)


def _order(active: unit_order.Activity, by: str, areas: Sequence[str | None]) -> NDArray[np.int64]:
    """The order of the units of a session; silent units come last."""
    spikes = active.summed.sum(axis=1)
    if by == "similarity":
        order = unit_order.by_similarity(active)
    else:
        order = unit_order.by_rate(spikes) if by == "rate" else unit_order.by_area(areas)
    return np.concatenate([order[spikes[order] > 0], np.flatnonzero(spikes == 0)])


def _areas(data_set: RowSource) -> dict[tuple[Any, ...], list[str | None]]:
    """The areas of the units of each session and number of units."""
    units = data_set.units()
    if units is None or units["area"].null_count == len(units):
        raise BadInput(data_set.name, "areas of units in its table of units", "none", "order by similarity or rate")
    found: dict[tuple[Any, ...], list[str | None]] = {}
    of_file: list[str | None] = []
    last: list[str] = []
    for *key, unit, area in zip(*(units[name].to_pylist() for name in (*tables.KEYS, "unit", "area")), strict=True):
        if unit == 0 or key != last:
            last, of_file = key, []
        of_file.append(area)
        found[(*key, len(of_file))] = of_file
    return {key: its for key, its in found.items() if key[-1] == len(its)}


def lines(orders: Orders) -> list[str]:
    """What was ordered, in words: sessions and units of each component, and which sessions have no training rows."""
    table = orders.table
    sums = (
        table.group_by("source_dataset").aggregate([("n_units", "count"), ("n_units", "sum")]).sort_by("source_dataset")
    )
    width = max(map(len, [*sums["source_dataset"].to_pylist(), "data set"]))
    found = [f"{'data set':{width}} {'sessions':>10} {'units':>12}"]
    for name, sessions, units in zip(*(sums[i].to_pylist() for i in range(3)), strict=True):
        found.append(f"{name:{width}} {sessions:>10,} {units:>12,}")
    if others := sum(split != TRAIN for split in table["split"].to_pylist()):
        found.append(f"without training rows, so ordered by all their rows: {plural(others, 'session')}")
    return found
