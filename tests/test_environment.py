"""Scripts that are run by a Python without the packages say in one line how to get them."""

import ast
import os
import shutil
import subprocess
import sys

import pytest
from helpers import ROOT

from neuralpile import environment

SCRIPTS = sorted(path.name for path in ROOT.glob("*.py") if path.name != "setup.py")
OF_DATA_SETS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("data/*/*.py"))


def run(*command, cwd=ROOT):
    """Run Python without this environment."""
    return subprocess.run(command, cwd=cwd, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)


@pytest.mark.parametrize("arguments", [*([script, "--help"] for script in SCRIPTS), ["-m", "neuralpile.build.verify"]])
def test_a_script_without_its_packages_says_how_to_activate_them(arguments):
    done = run(sys.executable, "-S", *arguments)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert done.stderr.startswith(f"error: {sys.executable}: expected Python 3.11 or newer with the packages of")
    assert done.stderr.endswith(". .venv/bin/activate\n")


def test_the_way_to_the_environment_is_that_from_where_the_user_is(tmp_path):
    done = run(sys.executable, "-S", ROOT / "merge_datasets.py", cwd=tmp_path)
    assert done.stderr.endswith(f". {os.path.relpath(ROOT / '.venv' / 'bin' / 'activate', tmp_path)}\n")


@pytest.mark.parametrize("script", OF_DATA_SETS)
def test_a_script_of_a_data_set_shows_it_where_the_import_fails(script):
    """Where the library itself is missing, only the line that Python shows can say it."""
    source = (ROOT / script).read_text(encoding="utf-8")
    lines = source.splitlines()
    imports = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports]
    first = next(
        node for node, name in zip(imports, names, strict=True) if name.split(".")[0] not in sys.stdlib_module_names
    )
    assert lines[first.lineno - 1].endswith("  # not found? run: . .venv/bin/activate")


@pytest.mark.parametrize("old", ["python3.9", "python3.10"])
def test_an_old_python_is_named(old):
    if shutil.which(old) is None or run(old, "-c", "").returncode:
        pytest.skip(f"{old} is not on this machine")
    done = run(old, "merge_datasets.py", "--help")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"found Python {old.removeprefix('python')};" in done.stderr


def test_a_program_that_imports_the_library_gets_the_error_of_python(tmp_path):
    (tmp_path / "mine.py").write_text("import neuralpile\nimport neuralpile.catalog\n")
    done = subprocess.run(
        [sys.executable, "-S", "mine.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


def test_the_oldest_python_is_that_of_the_package():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={environment.OLDEST[0]}.{environment.OLDEST[1]}"' in text
