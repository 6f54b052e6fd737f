"""The card of a published data set: its metadata as the clients read them, its text as people do."""

import dataclasses
import re

import datasets
import numpy as np
import pytest
from helpers.builds import write_build
from helpers.loopback_hub import LoopbackHub
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt

from neuralpile import catalog
from neuralpile.corpus import rows
from neuralpile.corpus.rows import Row
from neuralpile.hub import card

ALL = {data_set.name: data_set for data_set in catalog.published()}


def row(source, subject, session, n):
    return Row(np.zeros((2, n), np.uint8), subject, session, "segment_0", source)


def splits_of(some_rows):
    """Splits that hold these rows, all in one shard of 100 bytes."""
    splits = {}
    for split, each in some_rows:
        facts = splits.setdefault(split, card.Split(files=100, shards=1))
        facts.parts.setdefault(each.source_dataset, card.Part()).add(each)
        facts.memory += each.counts.nbytes
    return splits


@pytest.fixture
def written():
    """The card of a corpus of three components, one of which has restrictive terms and one is not in the catalog."""
    some_rows = [
        ("train", row("xiao", "sub-A", "1", 30)),
        ("train", row("xiao", "sub-A", "2", 40)),
        ("train", row("h1", "sub-A", "1", 5)),
        ("test", row("xiao", "sub-A", "2", 50)),
        ("test", row("someone/mine", "x", "1", 7)),
    ]
    made = {"command": "python merge_datasets.py", "seed": 0}
    return card.write("me/pile", splits_of(some_rows), rows.MERGED_SCHEMA, ALL, made, "manifest.json")


def test_metadata_is_what_the_clients_read(written):
    data = DatasetCard(written).data
    assert data.license == ["cc-by-4.0", "other"]
    assert "h1: The description on DANDI carries a data use agreement" in data.license_details
    assert data.size_categories == "n<1K"
    assert data.viewer is False  # it would read 100 rows of 10 million counts through Python lists
    assert (data.license_name, data.license_link) == (
        "see-the-components",
        "https://huggingface.co/datasets/me/pile#components",
    )
    assert data.configs == [
        {
            "config_name": "default",
            "data_files": [{"split": "train", "path": "data/train-*"}, {"split": "test", "path": "data/test-*"}],
        },
        {"config_name": "sessions", "data_files": "data/sessions.parquet"},
        {"config_name": "units", "data_files": "data/units.parquet"},
        {"config_name": "h1", "data_files": [{"split": "train", "path": "data/train-?????-h1.parquet"}]},
        {
            "config_name": "someone--mine",
            "data_files": [{"split": "test", "path": "data/test-?????-someone--mine.parquet"}],
        },
        {
            "config_name": "xiao",
            "data_files": [
                {"split": "train", "path": "data/train-?????-xiao.parquet"},
                {"split": "test", "path": "data/test-?????-xiao.parquet"},
            ],
        },
    ]
    info = datasets.DatasetInfo._from_yaml_dict(data.dataset_info)
    assert info.features == datasets.Features.from_arrow_schema(rows.MERGED_SCHEMA)
    sizes = {name: (split.num_examples, split.num_bytes) for name, split in info.splits.items()}
    assert sizes == {"train": (3, 150), "test": (2, 114)}
    assert (info.download_size, info.dataset_size) == (200, 264)


def test_text_has_the_numbers_of_the_rows_and_the_facts_of_the_catalog(written):
    assert "Spike counts of 4 sessions of 3 subjects: 264 tokens in 5 rows." in written
    assert "| train | 3 | 3 | 150 | 1 | 100 |" in written
    table = {line.split(" | ")[0]: line for line in written.splitlines() if line.count("|") == 15}
    assert "| 1 | 2 | 2 | 1 | 240 | CC-BY-4.0 |" in table["| xiao"]  # subjects, sessions, rows in splits, tokens
    assert "[DANDI 000628](https://dandiarchive.org/dandiset/000628/0.240501.1912) | 0.240501.1912 |" in table["| xiao"]
    assert "https://doi.org/10.1038/s41593-024-01631-5" in table["| xiao"]
    assert "⚠" in table["| h1"]
    assert "| 1 | 1 | 0 | 1 | 14 |" in table["| someone/mine"]
    assert "- **h1**: The description" in written
    for line in ("- command: python merge_datasets.py", "- seed: 0", "[manifest.json](manifest.json)"):
        assert line in written


def test_bibtex_has_every_paper_and_every_recording_once():
    """Every paper once, with nothing that is not in its data set's citation; and every recording."""
    text = card.bibtex(ALL.values())
    entries = re.findall(r"@misc{([^,]+),\n(.+?)\n}", text, re.DOTALL)
    keys = [key for key, _ in entries]
    assert len(set(keys)) == len(keys)
    assert sorted(key for key in keys if key.startswith("data-")) == sorted(f"data-{name}" for name in ALL)
    papers = {d.paper_doi or d.paper for d in ALL.values()}
    assert len([key for key in keys if not key.startswith("data-")]) == len(papers)
    for d in ALL.values():
        assert not d.paper_doi or text.count(f"doi = {{{d.paper_doi}}}") == 1
    by_key = dict(entries)
    assert "author = {Xiao and Sharma and Kreiman and Livingstone}" in by_key["xiao2024"]
    assert "author = {Wójcik and others}" in by_key["wojcik2026"]
    assert "author = {Wodlinger and others}" in by_key["wodlinger2015"]
    assert "year = {2018}" in by_key["makin2018"]
    assert text.count("{") == text.count("}")
    assert not re.search(r"(?<!\\)[&%#]", re.sub(r"(url|doi) = .*", "", text))


def test_the_size_category_is_that_of_the_number_of_rows():
    """The Hub's category is that of the number of rows."""
    for n, category in [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10_000, "10K<n<100K"), (999_999, "100K<n<1M")]:
        splits = {"train": card.Split({"x": card.Part(rows=n)})}
        assert card.metadata("x", {"x": "CC0-1.0"}, splits, rows.SCHEMA).size_categories == category


@pytest.mark.parametrize(
    ("manifest", "known"),
    [
        ({"data_set": "h1"}, "h1"),
        ({"components": {"me/m1-a": {"manifest": {"data_set": "h1"}}}}, "h1"),
        ({"components": {"me/m1-a": {"manifest": None}}}, "m1-a"),
        ({"components": {"me/m1-a": {"manifest": {"data_set": ["h1"]}}}}, None),
        ({"components": []}, "m1-a"),
        (None, "m1-a"),
    ],
)
def test_a_component_is_what_its_manifest_says(manifest, known):
    """The manifest tells, else the name; a data set that is not in the catalog is not described."""
    assert card.describe(["me/m1-a"], manifest) == ({"me/m1-a": ALL[known]} if known else {})


@pytest.mark.slow
def test_terms_hold_for_a_restricted_data_set_under_another_name(tmp_path, script):
    """Built with --out_dir, merged by its path: its terms hold all the same."""
    write_build(tmp_path / "mine", 3, 0)
    (tmp_path / "mine" / "manifest.json").write_text('{"data_set": "h1"}')
    write_build(tmp_path / "build" / "m1-a", 3, 1)
    merging = "merge_datasets.py", "--components", tmp_path / "mine", "m1-a"
    done = script(*merging, "--exclude_restricted")
    assert done.returncode == 0, done.stderr
    assert "left out: mine: The description on DANDI carries a data use agreement" in done.stdout
    loaded = datasets.load_from_disk(str(tmp_path / "build" / catalog.PILE))
    assert sum(map(len, loaded.values())) == 3
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        done = script(*merging, "--hf_repo_name", "me/both", **hub.environment())
        assert done.returncode == 0, done.stderr
        assert "before you redistribute these rows: mine: The description on DANDI" in done.stderr
        text = hub.files("me/both")["README.md"].decode()
    assert "license:\n- cc-by-4.0\n- other\n" in text
    assert "- **mine**: The description on DANDI" in text
    assert "@misc{data-h1," in text


def test_restricted_data_sets_can_be_left_out(tmp_path, script):
    for seed, name in enumerate(["h1", "rajalingham", "lanzarini", "m1-a", "m2"]):
        write_build(tmp_path / "build" / name, 3, seed)
    done = script("merge_datasets.py", "--exclude_restricted")
    assert done.returncode == 0, done.stderr
    merged = datasets.load_from_disk(str(tmp_path / "build" / catalog.PILE))
    assert set(merged["train"]["source_dataset"]) | set(merged["test"]["source_dataset"]) == {"m1-a", "m2"}
    for name in ("h1", "rajalingham", "lanzarini"):
        assert f"left out: {name}: {ALL[name].caveat.strip()[:30]}" in done.stdout
    done = script("merge_datasets.py", "--components", "h1", "--exclude_restricted")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


HOSTILE = [
    "x\nlicense: mit\n---\n# mine",
    "<script>alert(1)</script>",
    "[a](javascript:alert(1))",
    "javascript:alert(1)",
    "a | b | c",
    "```\n# out of the block",
    "} , note = {x",
    "\x1b[2J\u202e",
    "*a* _b_ `c` ~d~ &amp;",
    "'\"{}[]#:%@\\",
    "http://[::1",
    "https://x/ )[b](javascript:alert(1)",
]
FIELDS = ["title", "archive", "id", "version", "url", "area", "task", "licence", "caveat", "paper", "paper_doi"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_fields_and_names_stay_text(text):
    """In the metadata every value is what the data said, in one line; in the page no tags and no links of their own."""
    hostile = dataclasses.replace(ALL["h1"], data_citation=text, species=(text,), **dict.fromkeys(FIELDS, text))
    splits = splits_of([("train", row(text, text, text, 5))])
    page = card.write("me/pile", splits, rows.MERGED_SCHEMA, {text: hostile}, {"command": text})
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    data = DatasetCard(page).data
    link = data.to_dict().get("license_link")
    assert set(data.to_dict()) == {
        *("license", "license_name", "license_details", "pretty_name", "size_categories", "tags", "viewer"),
        *("dataset_info", "configs"),
        *(["license_link"] if link else []),
    }
    assert (data.license, data.pretty_name) == ("other", line)
    assert line in data.license_details
    assert link is None or re.fullmatch(r"https://[^\s()]+", link)
    assert datasets.DatasetInfo._from_yaml_dict(data.dataset_info).splits["train"].num_examples == 1
    body = page.partition("\n---\n")[2]
    shown = MarkdownIt("commonmark").enable("table").render(body)
    tags = set(re.findall(r"<(\w+)", shown))
    assert tags <= {
        *("h1", "h2", "p", "pre", "code", "table", "thead", "tbody", "tr", "th", "td", "a", "ul", "li", "strong")
    }
    links = re.findall(r'href="([^"]*)"', shown)
    assert all(link.startswith(("http://", "https://")) or link == "manifest.json" for link in links), links
    assert len(re.findall("<h[12]>", shown)) == 6  # title, splits, components, terms, how it was built, citation
    (table,) = [part for part in shown.split("<table>") if "<th>licence</th>" in part]
    heads, cells = len(re.findall("<th[ >]", table)), table.count("<td")
    assert heads == cells
    assert "\x1b" not in page
    assert "\u202e" not in page
