"""The command line of visualize_dataset.py: each kind of figure has its own options."""

import json
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT
from helpers.small_corpora import write_rows_of

from neuralpile import catalog
from neuralpile.corpus import arrow, rows
from neuralpile.corpus.rows import Row

SCRIPT = "visualize_dataset.py"
IMPORTED = """
import runpy, sys
sys.argv = [{script!r}, "--help"]
try:
    runpy.run_path({script!r}, run_name="__main__")
except SystemExit as done:
    print(done.code, sorted({{"matplotlib", "numba", "datasets", "pyarrow", "scipy", "numpy"}} & set(sys.modules)))
"""


@pytest.mark.parametrize("script", ["visualize_dataset.py", "extract_motifs.py"])
def test_help_imports_none_of_the_large_libraries(script):
    code = IMPORTED.format(script=script)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("\n0 []\n"), done.stdout[-300:] + done.stderr


def test_help_lists_the_options_of_all_figures(script):
    done = script(SCRIPT, "--help")
    for option in ("--plot_all", "--repo_name", "--n_examples", "--sort", "--summary", "--report", "--signal"):
        assert option in done.stdout


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (["--report", "--n_examples", "3"], "--n_examples 3"),
        (["--report", "--plot_all"], "--plot_all"),
        (["--report", "--format", "png"], "--format png"),
        (["--summary", "--start", "3"], "--start 3"),
        (["--n_examples", "3", "--summary"], "--n_examples 3"),
        (["--summ"], "--summ"),
    ],
)
def test_options_of_other_figures_are_refused(script, arguments, refused, tmp_path):
    done = script(SCRIPT, *arguments, "--out_dir", tmp_path / "out")
    assert done.returncode == 2
    assert f"error: unrecognized arguments: {refused}" in done.stderr
    assert not (tmp_path / "out").exists()


def test_both_kinds_at_once_are_refused(script):
    assert "not allowed with argument" in script(SCRIPT, "--summary", "--report").stderr


@pytest.mark.slow
def test_a_signal_chooses_the_builds_with_it(script, tmp_path):
    """m1-a has threshold crossings, dmfc-rsg sorted units."""
    for name in ("m1-a", "dmfc-rsg"):
        write_rows_of(tmp_path / "build" / name, [np.ones((2, 50), np.uint8)])
    done = script(SCRIPT, "--signal", catalog.load("dmfc-rsg").signal, "--out_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dmfc-rsg.jpg", "overview.jpg"]
    done = script(SCRIPT, "--signal", "trial averages", "--out_dir", tmp_path / "out")
    assert done.returncode == 2
    assert "expected built data sets of trial averages, found none" in done.stderr
    assert script(SCRIPT, "--signal", "sorted units", "--repo_name", "m1-a").returncode == 2


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_in_the_folder_of_temporary_files(tmp_path):
    """Without a writable home folder, matplotlib would make a folder of its own there in every run."""
    write_rows_of(tmp_path / "build" / "m1-a", [np.ones((2, 50), np.uint8)])
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (tmp_path / "no-folder").write_text("")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "no-folder"), "TMPDIR": str(temporary)}
    env |= {"NEURALPILE_BUILD": str(tmp_path / "build"), "PYTHONPATH": str(ROOT)}
    kill = "import os, signal, runpy, sys; from neuralpile.figures import rasters\n"
    kill += "rasters.figure_files.save = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
    kill += f"sys.argv = [{SCRIPT!r}, '--repo_name', 'm1-a']; runpy.run_path({SCRIPT!r}, run_name='__main__')"
    kill = kill.replace(
        "; from neuralpile.figures import rasters",
        "\nfrom neuralpile.motifs import matplotlib_folder\n"
        "matplotlib_folder.choose()\nfrom neuralpile.figures import rasters",
    )
    done = subprocess.run([sys.executable, "-c", kill], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert list(temporary.iterdir()) == []


def test_the_summary_prints_areas_animals_and_evaluation_data(script, tmp_path):
    """By the names of m1-a, whose minival files are of FALCON; a build without tables has the area of dataset.toml."""
    counts = np.random.default_rng(0).poisson(0.3, (3, 900)).astype(np.uint8)
    made = [Row(counts, "sub-MonkeyL-held-in-minival", "ses-1", "segment_0")]
    folder = tmp_path / "build" / "m1-a"
    arrow.write_rows(folder / "a.arrow", made, rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
    done = script(SCRIPT, "--repo_name", "m1-a", "--summary", "--out_dir", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[2:5] == [
        "  areas: M1 (3 units)",
        f"  animals: {catalog.load('m1-a').animal('sub-MonkeyL-held-in-minival')} (1 session)",
        "  evaluation data: falcon:validation (1 session, 2,700 tokens)",
    ]


def test_a_users_own_data_set_is_not_compared_with_anything_published(script, tmp_path):
    """A data set of three fields, somewhere else, is on the page with its numbers and no others."""
    own = tmp_path / "own" / "my-lab"
    own.mkdir(parents=True)
    (own / "dataset.toml").write_text('[source]\ninclude = ["*.nwb"]\n[recording]\nspecies = ["Macaca mulatta"]\n')
    write_rows_of(tmp_path / "build" / "my-lab", [np.random.default_rng(0).poisson(0.3, (3, 900)).astype(np.uint8)])
    done = script(SCRIPT, "--report", "--out_dir", tmp_path, NEURALPILE_DATA=str(own.parent))
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    article = html.partition('<article id="my-lab"')[2].partition("</article>")[0]
    assert "<dt>published" not in article
    assert "1 session, 1 subject, 1 row, 2,700 tokens" in article
    assert "my-lab: differs" not in html
    bar = next(item for item in html.split('<li class="bar">') if item.startswith("<span>my-lab"))
    assert "built 2.7 k</span>" in bar
    assert "%)" not in bar
    assert "1 other data set built: 2,700 tokens." in " ".join(html.split())


def test_simulated_builds_stay_on_the_page_beside_own_data(script, tmp_path):
    """They are alone there only where nothing else is built."""
    write_rows_of(tmp_path / "build" / "simulated-motor", [np.ones((2, 50), np.uint8)])
    articles = {}
    for name in ("simulated-motor", "m1-a"):
        write_rows_of(tmp_path / "build" / name, [np.ones((2, 50), np.uint8)])
        done = script(SCRIPT, "--report", "--out_dir", tmp_path)
        assert done.returncode == 0, done.stderr
        html = (tmp_path / "report.html").read_text(encoding="utf-8")
        articles[name] = [part.partition('"')[0] for part in html.split('<article id="')[1:]]
    assert articles["simulated-motor"] == ["simulated-motor"]
    assert set(articles["m1-a"]) == {info.name for info in catalog.published()} | {"simulated-motor"}
    article = html.partition('<article id="simulated-motor"')[2].partition("</article>")[0]
    assert "(simulated)" in article
    assert "<dt>published" not in article
    assert "<a href" not in article.partition("<dt>source")[2].partition("</dd>")[0]
    assert (
        "1 of 25 published data sets built: 100 of 40,280,725,744 tokens. 1 other data set built: 100 tokens." in html
    )


def test_a_report_of_another_kind_of_build_is_one_line(script, tmp_path):
    write_rows_of(tmp_path / "build" / "m1-a", [np.ones((2, 50), np.uint8)])
    (tmp_path / "build" / "m1-a" / "report.json").write_text(json.dumps({"options": {"bin_size": 0.02}, "failed": 3}))
    done = script(SCRIPT, "--report", "--out_dir", tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "report.json" in done.stderr


def test_names_in_other_letters_and_with_control_codes_are_printed_as_text(script, tmp_path):
    """Rows need not be ours. Letters that the font lacks are drawn as boxes, without a warning of Python."""
    counts = np.random.default_rng(0).integers(0, 3, (3, 200), np.uint8)
    counts[1] = counts[0]  # a flag, which names the row
    folder = tmp_path / "d"
    arrow.write_rows(folder / "a.arrow", [Row(counts, "\x1b[31m\u65e5", "\x9b1m", "segment_0")], rows.SCHEMA)
    arrow.finish(folder, [folder / "a.arrow"], rows.SCHEMA, "0" * 64)
    done = script(SCRIPT, "--repo_name", folder, "--summary", "--out_dir", tmp_path / "f")
    assert done.returncode == 0
    assert "\\x1b[31m\u65e5 \\x9b1m segment_0" in done.stdout
    assert not {"\x1b", "\x9b"} & set(done.stdout)
    assert "Warning" not in done.stderr
