"""The version stands in one place, and everything that repeats it agrees; only an editable install is possible."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from helpers import ROOT

import neuralpile

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_package_takes_its_version_from_the_library():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "neuralpile.__version__"}


def test_the_citation_file_has_the_required_fields_and_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert str(citation["version"]) == neuralpile.__version__
    assert citation["license"] == PROJECT["project"]["license"]


def test_the_changelog_has_the_version_with_the_citations_date_on_top():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", text, re.M)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert released[0] == (neuralpile.__version__, str(citation["date-released"]))
    assert released == sorted(released, key=lambda entry: entry[1], reverse=True)


@pytest.mark.slow
def test_a_build_that_copies_files_is_refused_with_the_reason(tmp_path):
    """pip brings the setuptools that pyproject.toml asks for; that of the environment may be older."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "expected an editable install, found a wheel or a copy; run: pip install -e" in done.stdout + done.stderr
    assert not list(tmp_path.rglob("*.whl"))


def test_requirements_name_no_path():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 50
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", pin) for pin in pins)


def test_make_help_lists_every_target():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.*)$", text, re.M)[1].split())
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[1] for line in shown.splitlines()} == phony
