"""The catalog, and the README that is made from it."""

import re
import subprocess

import pytest
from helpers import ROOT

from neuralpile import catalog, readme_tables
from neuralpile.errors import BadInput

ASSETS = ROOT.parent / "shared" / "facts" / "assets"
# Listings of a state before the version that is pinned: all their files, and the bytes.
EARLIER = {"000070": (9, 45_909_708_322), "001201": (12, 464_855_024)}
PUBLISHED_TOKENS = 40_280_725_744  # sum of the 25 numbers in the table of the published corpus


def test_the_25_published_data_sets():
    datasets = catalog.published()
    assert len(datasets) == 25
    assert sum(d.tokens for d in datasets) == PUBLISHED_TOKENS


@pytest.mark.parametrize("name", catalog.names())
def test_every_data_set_is_described_completely(name):
    data_set = catalog.load(name)
    assert data_set.title
    assert data_set.simulated or data_set.url.startswith("https://")
    assert data_set.subjects >= 1
    assert data_set.subject_ids
    assert data_set.units is None or data_set.units[0] <= data_set.units[1]
    assert 0 < data_set.bin_width < 1
    assert data_set.signal in catalog.SIGNALS
    if data_set.own_bin is not None:  # a bin holds whole bins of the recordings
        assert data_set.bin_width / data_set.own_bin == pytest.approx(round(data_set.bin_width / data_set.own_bin))
    assert data_set.restricted <= bool(data_set.caveat)  # a restriction has a reason
    if data_set.units is not None and data_set.units[0] == data_set.units[1]:
        assert data_set.tokens % data_set.units[0] == 0  # whole bins


@pytest.mark.parametrize("data_set", [d for d in catalog.published() if d.archive == "DANDI"], ids=lambda d: d.name)
def test_selection_of_files_in_the_real_listing(data_set):
    listing = ASSETS / f"{data_set.id}.tsv"
    if not listing.is_file():
        pytest.skip(f"listing {listing.name} is not on this machine")
    assets = [line.split("\t")[:2] for line in listing.read_text().splitlines()]
    used = [int(size) for path, size in assets if data_set.wants(path)]
    if data_set.id in EARLIER:
        assert (len(used), sum(used)) == EARLIER[data_set.id]
    else:
        assert (len(used), sum(used)) == (data_set.files, data_set.bytes)


@pytest.mark.parametrize("name", catalog.names())
def test_folder_is_complete(name):
    """Every data set has a script, and a README that says how to run it and how to cite the data."""
    folder = ROOT / "data" / name
    assert (folder / "preprocess.py").is_file()
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert readme.startswith(f"# {name}\n")
    assert (folder / "download.py").is_file()
    assert f"python data/{name}/preprocess.py" in readme
    assert f"python data/{name}/download.py" in readme
    assert f"{catalog.load(name).tokens:,}" in readme or catalog.load(name).simulated


@pytest.mark.parametrize(
    ("page", "marker"),
    [("README.md", readme_tables.TABLE_START), ("docs/download.md", readme_tables.BYTES_START)],
)
def test_tables_in_the_pages_are_up_to_date(page, marker):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.count(marker) == 1
    assert readme_tables.with_tables(text) == text, "the table is stale: make table"


def test_the_example_of_a_preprocess_script_builds_a_data_set(script, tmp_path):
    import numpy as np

    readme = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", readme, re.S) if "build.main" in block)
    folder = tmp_path / "my-lab"
    (folder / "raw" / "sub-A").mkdir(parents=True)
    (folder / "preprocess.py").write_text(code, encoding="utf-8")
    toml = (ROOT / "data" / "m1-a" / "dataset.toml").read_text(encoding="utf-8")
    (folder / "dataset.toml").write_text(re.sub(r"(?m)^include = .*$", 'include = ["*.npz"]', toml), encoding="utf-8")
    np.savez(folder / "raw" / "sub-A" / "ses-1.npz", times=[0.01, 0.05, 0.03], ends=[2, 3])
    done = script(folder / "preprocess.py")
    assert done.returncode == 0, done.stderr
    from neuralpile.open import open_data_set

    row = open_data_set(str(tmp_path / "build" / "my-lab")).row(0)
    assert row.counts.tolist() == [[1, 0, 1], [0, 1, 0]]


def test_ci_runs_the_readme_test_command():
    assert "    make test\n" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("make test")


def test_repository_holds_no_builds_and_no_recordings():
    try:
        listed = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git is not on this machine, or this is no checkout")
    assert not [path for path in listed if path.endswith((".nwb", ".mat", ".arrow")) or path.startswith("build/")]


TOML = """
title = "t"
[source]
archive = "DANDI"
id = "1"
version = "v"
url = "https://x"
include = ["*.nwb"]
exclude = ["*_raw.nwb"]
[recording]
species = ["Macaca mulatta"]
signal = "sorted units"
area = "M1"
task = "t"
bin_width = 0.02
[published]
subjects = 1
subject_ids = ["a"]
sessions = 1
tokens = 10
[grouping]
session = '\\d{8}'
[licence]
licence = "CC0-1.0"
[citation]
paper = "p"
data_citation = "d"
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "t"', "title = 1", "title is 1 (an integer), not a string"),
        ('species = ["Macaca mulatta"]', "", "species in [recording] is missing (a list of strings)"),
        ('species = ["Macaca mulatta"]', "species = []", "species is an empty list"),
        ("tokens = 10", 'tokens = "10"', "tokens in [published] is '10' (a string), not an integer"),
        ("tokens = 10", "tokens = true", "tokens in [published] is True (a boolean), not an integer"),
        ("tokens = 10", "tokens = -10", "tokens in [published] is -10, below 0"),
        ("tokens = 10", "", "tokens in [published] is missing (an integer)"),
        ("tokens = 10", "tokens = 10\nunits = [2, 1]", "units in [published] is [2, 1], not the fewest and the most"),
        ("tokens = 10", "tokens = 10\nunits = [1]", "units in [published] is [1] (a list), not a list of two integers"),
        ("tokens = 10", "tokens = 10\ntypo = 1", "typo in [published] is not a field"),
        ("[licence]", "[license]", "license is not a field or a table"),
        ("tokens = 10", "tokens = ", "expected valid TOML"),
        ("bin_width = 0.02", "bin_width = nan", "bin_width in [recording] is nan, not a number above 0"),
        ("bin_width = 0.02", "bin_width = 2020-01-01", "(a date or time), not a number"),
        ("bin_width = 0.02", "own_bin = 0", "own_bin in [recording] is 0.0, not a number above 0"),
        ("sorted units", "spikes", "signal in [recording] is 'spikes', not one of sorted units, multi-unit"),
        ("https://x", "javascript:alert(1)", "url in [source] is 'javascript:alert(1)', not an http(s) address"),
        ('area = "M1"', 'area = "\\u001b[31m"', "area in [recording] holds control codes"),
        ("'\\d{8}'", "'('", "session in [grouping] is '(', not a regular expression"),
    ],
)
def test_a_wrong_toml_is_one_clear_line(tmp_path, old, new, message):
    path = tmp_path / "dataset.toml"
    assert old in TOML
    path.write_text(TOML.replace(old, new))
    with pytest.raises(BadInput, match=re.escape(message)) as error:
        catalog.parse("x", path)
    assert str(error.value).startswith(f"{path}: expected ")
    assert "\n" not in str(error.value)


def test_all_faults_of_a_toml_are_listed_at_once(tmp_path):
    path = tmp_path / "dataset.toml"
    path.write_text('title = 3\n[recording]\nspecies = "Macaca mulatta"\n[citation]\npapers = "p"\n')
    with pytest.raises(BadInput) as error:
        catalog.parse("x", path)
    said = str(error.value)
    assert "4 faults" in said
    for fault in ("title is 3", "include in [source] is missing", "species in [recording] is", "papers in [citation]"):
        assert fault in said


def test_a_toml_that_is_not_utf_8_is_one_clear_line(tmp_path):
    (tmp_path / "dataset.toml").write_bytes(TOML.replace('"t"', '"é"').encode("latin-1"))
    with pytest.raises(BadInput, match="expected valid TOML"):
        catalog.parse("x", tmp_path / "dataset.toml")


def test_species_and_files_are_enough_for_a_data_set_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "my-lab").mkdir()
    (tmp_path / "my-lab" / "dataset.toml").write_text(
        '[source]\ninclude = ["*.nwb"]\n[recording]\nspecies = ["Macaca mulatta"]\n'
    )
    monkeypatch.setenv("NEURALPILE_DATA", str(tmp_path))
    info = catalog.load("my-lab")
    assert (info.title, info.archive, info.tokens, info.sessions) == ("my-lab", "local", None, None)
    assert info.folder == tmp_path / "my-lab"
    assert info.recordings == tmp_path / "my-lab" / "raw"
    assert info in catalog.recorded()
    assert info not in catalog.published()
    assert "my-lab" in catalog.names()
    assert "my-lab" not in readme_tables.table()


def test_two_data_sets_of_one_name_are_refused(tmp_path, monkeypatch):
    (tmp_path / "m1-a").mkdir()
    (tmp_path / "m1-a" / "dataset.toml").write_text(TOML)
    monkeypatch.setenv("NEURALPILE_DATA", str(tmp_path))
    with pytest.raises(BadInput, match="expected a name of its own, found that of"):
        catalog.load("m1-a")


def test_recordings_can_be_anywhere(tmp_path):
    path = tmp_path / "dataset.toml"
    for data_dir, expected in (("/lab/data", "/lab/data"), ("../x", str(tmp_path / ".." / "x"))):
        path.write_text(TOML.replace('id = "1"', f'data_dir = "{data_dir}"'))
        assert str(catalog.parse("x", path).recordings) == expected


def test_only_session_files_are_wanted(tmp_path):
    path = tmp_path / "dataset.toml"
    path.write_text(TOML)
    data_set = catalog.parse("x", path)
    assert data_set.wants("sub-A/sub-A_ses-1.nwb")
    assert not data_set.wants("sub-A/sub-A_ses-1_raw.nwb")
    assert not data_set.wants("sub-A/notes.txt")
    assert data_set.wants("sub-A/SUB-A_SES-1.NWB")
    assert not data_set.wants("sub-A/sub-A_ses-1_RAW.NWB")


def test_an_unknown_data_set_is_refused_with_the_known_names():
    with pytest.raises(BadInput, match=r"choose from .*dmfc-rsg"):
        catalog.load("nope")


def test_areas_are_named_in_one_order():
    """In a table or a picture, "M1, PMd" and "PMd, M1" would be two."""
    areas = {data_set.area for data_set in map(catalog.load, catalog.names())}
    assert len({frozenset(area.split(", ")) for area in areas}) == len(areas)
