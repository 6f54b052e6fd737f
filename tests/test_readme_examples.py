"""What the README and the pages of docs/ show is true: examples run, options exist, links and paths lead somewhere."""

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
from helpers import ROOT
from helpers.loopback_hub import LoopbackHub

from neuralpile import catalog
from neuralpile.corpus import arrow, merge, rows
from neuralpile.corpus.rows import Row
from neuralpile.corpus.split import SplitOptions
from neuralpile.open import open_data_set

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DATA_PAGES = [*sorted((ROOT / "data").glob("*/README.md")), ROOT / "benchmarks" / "README.md"]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)


def examples() -> list:
    """Every Python example, as a parameter named after its page and line."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCED.finditer(text):
            if match[1] == "python":
                line = text.count("\n", 0, match.start()) + 1
                found.append(pytest.param(match[2], id=f"{page.relative_to(ROOT)}:{line}"))
    return found


def commands(page: Path) -> list[tuple[str, set[str]]]:
    """The scripts in a page's code blocks, each with the options shown for it, also those in lines of their own."""
    text = page.read_text(encoding="utf-8")
    blocks = [match[2] for match in FENCED.finditer(text) if match[1] in ("", "bash", "sh", "console")]
    blocks += re.findall(r"(?:^(?: {4}.*)?\n)+", FENCED.sub("", text), re.M)
    found = []
    for block in blocks:
        script = None
        for line in block.replace("\\\n", " ").splitlines():
            if match := re.match(r"\s*(?:\$ )?python (\S+\.py)\b(.*)", line):
                script, line = match[1], match[2].partition(" #")[0]
                found.append((script, set()))
            elif line.strip() and not re.match(r"\s*--\w", line):
                script = None
            if script:
                found[-1][1].update(re.findall(r"(?<!\S)--[a-z]\w*", line))
    return found


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """A folder with a corpus of one human and one monkey data set, under the names of the examples, and both builds."""
    folder = tmp_path_factory.mktemp("examples")
    rng = np.random.default_rng(0)
    opened = []
    for name in ("h2", "m1-a"):
        made = [
            Row(rng.poisson(1, (70, 300)).astype(np.uint8), "s", f"{name}-{i // 2}", f"segment_{i % 2}")
            for i in range(20)
        ]
        arrow.write_rows(folder / "build" / name / "a.arrow", made, rows.SCHEMA)
        arrow.finish(folder / "build" / name, [folder / "build" / name / "a.arrow"], rows.SCHEMA, name * 8)
        opened.append(open_data_set(str(folder / "build" / name)))
    opened[1] = replace(opened[1], name="me/m1-a")  # the name of a component that was merged from the Hub
    merge.merge(opened, folder / "build" / catalog.PILE, SplitOptions(0.1, 0))
    (folder / "build" / "simulated-pile").symlink_to(catalog.PILE)  # what `make demo` builds
    return folder


@pytest.fixture
def printed(corpus, monkeypatch, capsys):
    """Run an example beside the corpus, and return what it prints."""

    def run(code: str) -> str:
        monkeypatch.chdir(corpus)
        monkeypatch.setattr(catalog, "BUILD", corpus / "build")
        exec(compile(code, "example", "exec"), {"__name__": "__main__"})
        return capsys.readouterr().out

    return run


def example_with(*words: str) -> str:
    """The one example that has all of these words."""
    (found,) = [p.values[0] for p in examples() if all(word in p.values[0] for word in words)]
    return found


ELSEWHERE = '"me/', "build.main", "import torch", "from torch"  # with a Hub; none; in tests/training/test_torch.py
LOCAL = [p for p in examples() if not any(word in p.values[0] for word in ELSEWHERE)]


@pytest.mark.parametrize("code", LOCAL)
def test_an_example_runs_on_a_local_corpus(code, printed):
    assert printed(code) or "print(" not in code


def test_the_first_example_shows_the_training_rows_and_no_others(printed, corpus):
    first = examples()[0]
    assert first.id.startswith("README.md")
    lines = [line.split(maxsplit=2) for line in printed(first.values[0]).splitlines()]
    assert {source for source, _, _ in lines} <= {"h2", "me/m1-a"}
    assert {shape for _, _, shape in lines} == {"(70, 300)"}
    assert len(lines) == datasets.load_from_disk(str(corpus / "build" / catalog.PILE))["train"].num_rows < 40


def test_the_example_of_a_session_shows_its_segments_in_order(printed):
    lines = printed(example_with("corpus.session(", "counts.shape")).splitlines()
    assert [(line.split()[1], line.split(maxsplit=3)[3]) for line in lines] == [
        ("segment_0", "(70, 300)"),
        ("segment_1", "(70, 300)"),
    ]
    assert len({line.split()[0] for line in lines}) == 1


def test_windows_of_the_training_example_are_those_of_the_training_split(printed, corpus):
    code = example_with("windows.batch(range(8))", "simulated-pile")
    check = """
from neuralpile.open import open_data_set
rows = open_data_set("simulated-pile")
assert all(int(row) in rows.splits["train"] for row in batch.rows)
for counts, units, mask, start, row in zip(batch.counts, batch.units, batch.mask, batch.starts, batch.rows):
    whole = rows.row(int(row)).counts[units[mask], start : start + 100]
    assert (counts[mask, : whole.shape[1]] == whole).all()
"""
    assert printed(code + check) == "(8, 64, 100) (8, 64)\n"


@pytest.mark.slow
@pytest.mark.parametrize("code", [p for p in examples() if '"me/' in p.values[0]])
def test_an_example_runs_on_a_corpus_on_the_hub(code, corpus, tmp_path):
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        environment = os.environ | hub.environment()
        push = "import datasets, sys; datasets.load_from_disk(sys.argv[1]).push_to_hub('me/neural-pile-primate')"
        command = [sys.executable, "-c", push, str(corpus / "build" / catalog.PILE)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.fixture(scope="session")
def help_of():
    """The help text of a script, which is run once."""
    texts: dict[str, str] = {}

    def text(script: str) -> str:
        if script not in texts:
            command = [sys.executable, script, "--help"]
            texts[script] = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        return texts[script]

    return text


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES]
    + [pytest.param(page, id=str(page.relative_to(ROOT)), marks=pytest.mark.slow) for page in DATA_PAGES],
)
def test_options_that_a_page_shows_exist(page, help_of):
    for script, options in commands(page):
        script = re.sub("<name>|my-lab", "dmfc-rsg", script)  # my-lab: what new_dataset.py writes
        assert (ROOT / script).is_file(), script
        text = help_of(script)
        assert "example:" in text, script
        assert options <= set(re.findall(r"--[a-z]\w*", text)), script


def test_commands_are_found_in_blocks_of_both_kinds(tmp_path):
    page = tmp_path / "page.md"
    indented = "    python a.py --one 1 --two\n\n    --three X    more\n"
    page.write_text(f"Text.\n\n{indented}\nText.\n\n```bash\npython b.py \\\n  --four\n```\n")
    assert sorted(commands(page)) == [("a.py", {"--one", "--two", "--three"}), ("b.py", {"--four"})]


@pytest.mark.parametrize("page", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in PAGES + DATA_PAGES])
def test_links_and_paths_on_a_page_lead_somewhere(page):
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(<?([^)>]+)>?\)", text):
        target, _, anchor = link.partition("#")
        if "://" in target:
            assert target.startswith("https://"), target
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), link
    for path in re.findall(r"`((?:neuralpile|tests|benchmarks|docs)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in PAGES + DATA_PAGES])
def test_make_targets_on_a_page_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:^    |`)make ([a-z]+)", text, re.M)) <= targets


@pytest.mark.parametrize("page", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in PAGES + DATA_PAGES])
def test_lines_of_text_are_at_most_120_characters(page):
    lines = FENCED.sub("", page.read_text(encoding="utf-8")).splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []  # a line of a table is whole


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    without_table = re.sub(r"<!-- table.*?<!-- end of table -->", "", text, flags=re.S)
    assert len(without_table.split()) < 1000


def test_the_index_lists_every_page():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages <= set(re.findall(r"\]\(([\w-]+\.md)\)", index))


def test_extras_that_are_named_are_those_of_the_project():
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.py"), ROOT / "Makefile"]
    named = {extra for path in texts for extra in re.findall(r"\.\[(\w+)\]", path.read_text(encoding="utf-8"))}
    assert {"bench", "train"} <= named <= set(extras)
