"""One corpus of many data sets: rows shuffled with a seed, a part of them set aside as a test split.

Only sizes and positions of rows are in memory; the rows themselves go from mapped file to file, one at a time.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from neuralpile import store
from neuralpile.errors import BadInput
from neuralpile.files import whole_folder, write_text
from neuralpile.rows import MERGED_SCHEMA, Row
from neuralpile.store import DataSetOnDisk

SHARD = 500_000_000  # tokens in an Arrow file of a merged corpus, a row more at most: near what the Hub advises


def split_rows(n_rows: int, test_size: float, seed: int) -> dict[str, np.ndarray]:
    """Positions of the rows of each split, int64, in the order in which they are written.

    The rows are shuffled, and ceil(test_size × n_rows) of them make the test split, as in the published corpus; at
    least one row stays for training.
    """
    order = np.random.default_rng(seed).permutation(n_rows)
    n_test = min(math.ceil(test_size * n_rows), n_rows - 1)
    return {"train": order[n_test:], "test": order[:n_test]}


def merge(
    components: list[DataSetOnDisk], out_dir: Path, test_size: float, seed: int
) -> dict[str, dict[str, tuple[int, int]]]:
    """Write the rows of all components, shuffled and split, as a data set of two splits to `out_dir`.

    The same components (in any order), test size and seed give the same bytes. A corpus that was in `out_dir` is
    replaced when the new one is complete.

    Returns:
        For every component, and every split, the numbers of rows and tokens.

    Raises:
        BadInput: no components, two of one name or with the same rows, a corpus that is merged already, rows of
            another schema, or an `out_dir` that holds something else.
    """
    components = sorted(components, key=lambda component: component.name)
    names = [component.name for component in components]
    if not components or len(set(names)) < len(names):
        found = ", ".join(names) or "none"
        raise BadInput("--components", "data sets, each of another name", found, "name each data set once")
    for component in components:
        if component.is_merged:
            do = "name the data sets it was merged from"
            raise BadInput(component.name, "a data set, not yet merged with others", "a merged corpus", do)
    fingerprints = [(component.name, component.fingerprint) for component in components]
    for name, fingerprint in fingerprints:
        same = [other for other, its in fingerprints if its == fingerprint]
        if len(same) > 1:
            raise BadInput(
                "--components", "different data sets", f"the same rows in {' and '.join(same)}", f"name {name}"
            )
    at = [(component, i) for component in components for i in range(len(component))]
    if not at:
        raise BadInput("--components", "data sets with rows", "none", "build them first")
    if out_dir.exists() and not (out_dir / store.SPLITS).is_file() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise BadInput(
            out_dir, "a new folder, or a merged corpus to replace", "something else", "give another --out_dir"
        )
    sizes = np.array([component.row(i).counts.size for component, i in at])
    splits = split_rows(len(at), test_size, seed)
    with (
        whole_folder(out_dir) as folder,
        tqdm(total=int(sizes.sum()), unit="token", unit_scale=True, desc="merge", disable=None) as bar,
    ):

        def rows(positions: np.ndarray) -> Iterator[Row]:
            for component, i in (at[position] for position in positions):
                row = component.row(i)
                yield row._replace(source_dataset=component.name)
                bar.update(row.counts.size)

        for split, order in splits.items():
            shard_of_row = np.cumsum(sizes[order]) // SHARD
            files = []
            for shard in np.unique(shard_of_row) if len(order) else [0]:
                files.append(folder / split / f"data-{len(files):05d}.arrow")
                store.write_rows(files[-1], rows(order[shard_of_row == shard]), MERGED_SCHEMA)
            digest = hashlib.sha256(repr((fingerprints, test_size, seed, split)).encode()).hexdigest()
            store.finish(folder / split, files, MERGED_SCHEMA, digest, split)
        write_text(folder / store.SPLITS, json.dumps({"splits": list(splits)}))
    owner = np.array([names.index(component.name) for component, _ in at])
    return {
        name: {split: _rows_and_tokens(sizes[order[owner[order] == i]]) for split, order in splits.items()}
        for i, name in enumerate(names)
    }


def _rows_and_tokens(sizes: np.ndarray) -> tuple[int, int]:
    return len(sizes), int(sizes.sum())
