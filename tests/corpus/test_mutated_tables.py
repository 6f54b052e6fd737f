"""Damaged JSON files and tables of builds and corpora: the rows that were written, or one line, never other rows."""

import json
import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from helpers.builds import write_build, write_tables
from pyarrow import parquet

from neuralpile.corpus import arrow, chosen, merge, overview, rows, tables
from neuralpile.corpus.split import SplitOptions
from neuralpile.errors import BadInput
from neuralpile.open import open_data_set

ODD = [2**70, -1, -(2**63), 2**63, 0, 1.5, 1e300, True, None, "", "x\0y", [], {}, [[[]]], {"a": {"b": None}}]


def write_both(folder):
    """A build `a` with tables and a manifest, another, and a corpus `pile` of the two."""
    for seed, name in enumerate("ab"):
        write_tables(write_build(folder / name, 5, seed))
        sources = [
            {
                "file": f"{name}{i}.nwb",
                "bytes": 5,
                "digest": None,
                "digest_of": "",
                "subject_id": f"sub-{i}",
                "session_id": f"ses-{seed}",
                "rows_sha256": f"{seed}{i}" * 32,
            }
            for i in range(2)
        ]
        manifest = {
            "data_set": name,
            "source": {"archive": "x", "id": "y", "version": "1"},
            "version": "0",
            "recipe": {},
            "sessions": sources,
        }
        (folder / name / arrow.MANIFEST).write_text(json.dumps(manifest))
    merge.merge([open_data_set(str(folder / name)) for name in "ab"], folder / "pile", SplitOptions())


def places(value, path=()):
    """The paths of all values in a JSON document."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def mutated_json(content, rng):
    """One value of a document replaced, dropped or doubled; or its text cut off, nested deeply, or with a key twice."""
    document = json.loads(content)
    match rng.randrange(8):
        case 0:
            return content[: rng.randrange(len(content))]
        case 1:
            return content.replace(":", ": " + "[" * 100_000, 1)
        case 2:
            return content.replace("{", '{"_fingerprint": 3, "version": 3, "splits": 3, ', 1)
    path = rng.choice([path for path in places(document) if path])
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    if rng.randrange(4) == 0:
        del parent[path[-1]]
    elif rng.randrange(4) == 0 and isinstance(parent, list):
        parent.append(parent[path[-1]])
    else:
        parent[path[-1]] = rng.choice(ODD)
    return json.dumps(document)


def mutated_table(table, rng):
    """A table with a column missing, of another type, with a null, an odd number or another line's value, or lines."""
    column = rng.randrange(table.num_columns)
    field, lines = table.schema.field(column), table.to_pylist()
    line, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(9):
        case 0:
            return table.remove_column(column)
        case 1:
            kind = rng.choice([pa.string(), pa.int8(), pa.float32(), pa.list_(pa.int32()), pa.large_string()])
            return table.set_column(column, field.name, pa.nulls(len(table), kind))
        case 2:
            return table.slice(0, rng.randrange(len(table)))
        case 3:
            return pa.concat_tables([table, table.slice(line, 1)])
        case 4:
            return table.take(rng.sample(range(len(table)), len(table)))
        case 5:
            lines[line][field.name] = None
        case 6:
            lines[line][field.name] = lines[other][field.name]
        case _:
            odd = {
                pa.int64(): [-1, 2**62, -(2**63), 0],
                pa.float64(): [np.nan, np.inf, -1.0],
                pa.string(): ["", "x\0y", "\x1b[2J", "b"],
                pa.list_(pa.string()): [[None], ["\x1b[2J"], []],
                pa.list_(pa.int32()): [[None], [0, 0], [2**31 - 1, -1]],
            }
            lines[line][field.name] = rng.choice(odd.get(field.type, [None]))
    return pa.Table.from_pylist(lines, table.schema)


def digests(data_set):
    """Of each row, whatever their order."""
    return Counter(rows.digest([row]) for row in data_set)


def in_one_line(read):
    """The result, or None if it is refused in one line."""
    try:
        return read()
    except BadInput as error:
        assert "\n" not in str(error)
        assert "\x1b" not in str(error)
        return None


FAULTS = 20  # in each file
FILES = [
    *(("a", name) for name in (arrow.STATE, arrow.INFO, arrow.MANIFEST, arrow.INDEX, *tables.SCHEMAS)),
    *(("pile", name) for name in (arrow.SPLITS, arrow.MANIFEST, *tables.SCHEMAS)),
    *(("pile", f"train/{name}") for name in (arrow.STATE, arrow.INDEX)),
]


@pytest.mark.faults
@pytest.mark.parametrize(("folder", "name"), FILES)
def test_mutated_tables_and_json_files_give_the_rows_or_one_line(folder, name, tmp_path, faults_seed):
    write_both(tmp_path)
    path = tmp_path / folder / name
    good = {which: digests(open_data_set(str(tmp_path / which))) for which in ("a", "b", "pile")}
    content = path.read_bytes()
    for i in range(FAULTS):
        seed = f"{faults_seed} {folder} {name} {i}"
        rng = random.Random(seed)
        if path.suffix == ".json":
            path.write_text(mutated_json(content.decode(), rng))
        else:
            parquet.write_table(mutated_table(parquet.ParquetFile(pa.BufferReader(content)).read(), rng), path)
        print("FAULTS_SEED and fault:", seed)  # shown where the test fails
        for which in {folder, "pile"}:
            data_set = in_one_line(lambda which=which: open_data_set(str(tmp_path / which)))
            if data_set is None:
                continue
            found = in_one_line(lambda data_set=data_set: digests(data_set))
            assert found is None or found == good[which]
            in_one_line(lambda data_set=data_set: [data_set.names()[:], data_set.tokens(), data_set.shapes()])
            in_one_line(lambda data_set=data_set: data_set.session("b", "sub-0", "ses-1"))
            in_one_line(lambda data_set=data_set: len(chosen.where(data_set, "n_units > 2 and area = 'M1'")))
            table, form = rng.choice(overview.TABLES), rng.choice(overview.FORMATS)
            in_one_line(lambda d=data_set, t=table, f=form: overview.shown(overview.table(d, t), f))

        def components():
            return [open_data_set(str(tmp_path / name)) for name in "ab"]

        in_one_line(lambda: merge.check(open_data_set(str(tmp_path / "pile")), components()))
        if folder == "a":
            out = tmp_path / f"out-{i}"
            if in_one_line(lambda out=out: merge.merge(components(), out, SplitOptions())):
                assert digests(open_data_set(str(out))) == good["pile"]
