"""Mutated motif tables, reports and dataset.toml: the page works, or one line says what is wrong. Never a traceback.

`make faults FAULTS_SEED=7` repeats a run.
"""

import html as html_module
import json
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.reports import write_report
from helpers.small_corpora import write_rows_of

from neuralpile import catalog
from neuralpile.errors import BadInput
from neuralpile.figures import checks, page, rasters
from neuralpile.motifs import figures, kernels, parquet

pytestmark = pytest.mark.faults

ODD = [None, True, -1, 0, 2**63, 1e300, float("nan"), "", "x" * 10_000, "\x1b[31m", "../..", [], [[]], {}, {"a": []}]
HOSTILE = [
    '"><script>alert(1)</script>',
    "javascript:alert(1)",
    "' onload='x",
    "{{ 7*7 }}",
    "{% raw %}",
    "\x1b]0;x\x07",
]


def mutated_bytes(content, rng):
    """A file with bytes changed, cut off, inserted or repeated."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        i, n = int(rng.integers(len(data))), int(rng.integers(1, 200))
        match rng.integers(5):
            case 0:
                data[i] ^= int(rng.integers(1, 256))
            case 1:
                data[i : i + n] = bytes(len(data[i : i + n]))
            case 2:
                del data[i:]
            case 3:
                data[i:i] = rng.bytes(n)
            case 4:
                data[i:i] = data[i : i + n]
        if not data:
            break
    return bytes(data)


def mutated_json(value, rng):
    """A document in which one value, anywhere, is another."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = list(value)[rng.integers(len(value))]
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: mutated_json(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        i = int(rng.integers(len(value)))
        return [*value[:i], mutated_json(value[i], rng), *value[i + 1 :]]
    return ODD[rng.integers(len(ODD))]


def write_table(path):
    counts = np.random.default_rng(0).poisson(0.7, (6, 80)).astype(np.uint8)
    tally = kernels.Tally(1, 8)
    tally.add(counts)
    counted = parquet.Counted("simulated-pile", 1, 8, counts.size, tally.n_patches)
    parquet.write([kernels.most_frequent_first(tally.table())], path, counted, 3)


def is_one_line(error):
    text = str(error)
    return "\n" not in text and "Error:" not in text.split("found")[0] and all(c.isprintable() for c in text)


def test_mutated_motif_tables_give_their_motifs_or_one_line(tmp_path, faults_seed):
    rng = np.random.default_rng(faults_seed)
    path = tmp_path / "x.parquet"
    write_table(path)
    whole, expected = path.read_bytes(), parquet.read_start(path, 24)
    n_refused = 0
    for _ in range(400):
        path.write_bytes(mutated_bytes(whole, rng))
        try:
            start = parquet.read_start(path, 24)
        except BadInput as error:
            assert is_one_line(error), str(error)
            n_refused += 1
        else:  # what is read is consistent, whichever bytes were changed
            assert start.motifs.patches.shape[1:] == (start.counted.p_n, start.counted.p_t)
            assert 0 < start.motifs.frequencies.sum() <= start.counted.patches
    assert n_refused > 100
    path.write_bytes(whole)
    assert (parquet.read_start(path, 24).motifs.patches == expected.motifs.patches).all()


def test_tables_with_mutated_columns_and_metadata_give_one_line(tmp_path, faults_seed):
    rng = np.random.default_rng(faults_seed)
    path = tmp_path / "x.parquet"
    write_table(path)
    table = pq.read_table(path)
    for _ in range(200):
        changed, facts = table, dict(table.schema.metadata)
        if rng.random() < 0.5:
            key = list(facts)[rng.integers(len(facts))]
            facts[key] = [b"", b"-1", b"1e9", b"\xff", b"9" * 4_500, b"NaN", b"0", b"7"][rng.integers(8)]
        else:
            i = int(rng.integers(3))
            values = [[None], [[]], ["x"], [1.5], [{"a": 1}], [[[300]]], [[[1]]], [2**62], [-1], [b"x"]]
            odd = pa.array(values[rng.integers(len(values))] * len(table))
            changed = table.set_column(i, table.schema.names[i], odd)
        pq.write_table(changed.replace_schema_metadata(facts), path)
        try:
            start = parquet.read_start(path, 24)
        except BadInput as error:
            assert is_one_line(error), str(error)
        else:
            assert start.motifs.patches.shape[1:] == (start.counted.p_n, start.counted.p_t)


def test_mutated_reports_are_read_or_reported_in_one_line(tmp_path, faults_seed, monkeypatch):
    """By rasters, the checks and the page."""
    monkeypatch.setattr(catalog, "BUILD", tmp_path / "build")
    rng = np.random.default_rng(faults_seed)
    counts = np.random.default_rng(0).poisson(0.3, (3, 200)).astype(np.uint8)
    data_set = write_rows_of(tmp_path / "build" / "m1-a", [counts])
    path = tmp_path / "build" / "m1-a" / "report.json"
    write_report(path.parent, failed={"a/b.nwb": "damaged"})
    report = json.loads(path.read_text())
    for i in range(150):
        if i % 3:
            text = json.dumps(mutated_json(report, rng)).encode()
        else:
            text = mutated_bytes(json.dumps(report).encode(), rng)
        path.write_bytes(text)
        uses = [lambda: rasters.view(data_set, data_set.row(0), rasters.DEFAULT), lambda: checks.check(data_set)]
        uses += [lambda: page.write(["m1-a"], tmp_path, tmp_path / "report.html")] * (i % 10 == 0)
        for use in uses:
            try:
                use()
            except BadInput as error:
                assert is_one_line(error), (text[:500], str(error))
                assert str(path) in str(error)


@pytest.mark.parametrize(
    "field", ["title", "task", "area", "species", "licence", "caveat", "paper", "paper_doi", "url", "id"]
)
def test_hostile_texts_become_neither_tags_nor_links(field, tmp_path, monkeypatch):
    """Each field of dataset.toml, with everything that could leave its place."""
    import dataclasses

    monkeypatch.setattr(catalog, "BUILD", tmp_path)
    load = catalog.load
    for evil in HOSTILE:
        value = (evil,) if field == "species" else evil
        monkeypatch.setattr(
            catalog, "load", lambda name, value=value: dataclasses.replace(load(name), **{field: value})
        )
        page.write(["m1-a"], tmp_path, tmp_path / "report.html")
        text = (tmp_path / "report.html").read_text(encoding="utf-8")
        tags = Tags(text).found
        assert [tag for tag, _ in tags].count("script") == 1
        for _, attributes in tags:
            assert not any(name.startswith("on") for name in attributes)
            assert attributes.get("href", "#").startswith(("#", "http://", "https://"))
        assert "49" not in re.findall(r"<h3[^>]*>(.*?)</h3>", text)


class Tags(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_motifs_of_a_mutated_table_are_on_the_page_or_reported(tmp_path, faults_seed, monkeypatch):
    monkeypatch.setattr(catalog, "BUILD", tmp_path / "build")
    rng = np.random.default_rng(faults_seed)
    path = tmp_path / "motifs" / f"{figures.file_stem('simulated-pile', 1, 8)}.parquet"
    path.parent.mkdir()
    write_table(path)
    table = pq.read_table(path)
    for name in [*HOSTILE, "simulated-pile"]:
        facts = dict(table.schema.metadata) | {b"data_set": name.encode()}
        pq.write_table(table.replace_schema_metadata(facts), path)
        page.write(["simulated-motor"], path.parent, tmp_path / "report.html")
        text = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert [tag for tag, _ in Tags(text).found].count("script") == 1
        assert html_module.escape(name, quote=False) in text.replace("&#34;", '"').replace("&#39;", "'")
    whole = path.read_bytes()
    for _ in range(20):
        path.write_bytes(mutated_bytes(whole, rng))
        try:
            page.write(["simulated-motor"], path.parent, tmp_path / "report.html")
        except BadInput as error:
            assert is_one_line(error)
