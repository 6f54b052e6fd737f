"""extract_motifs.py as users run it: memory for large patches, motifs by lift, numbers that are printed."""

import json
import resource
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import ROOT, in_process
from helpers.small_corpora import write_rows_of

from neuralpile.errors import BadInput
from neuralpile.motifs import limits, run

SCRIPT = "extract_motifs.py"


@pytest.mark.parametrize("p_t", [200, pytest.param(1_000, marks=pytest.mark.slow)])
def test_large_patches_keep_to_the_memory_that_is_given(p_t, tmp_path):
    """6 MB of counts, with 64 × 200 bins a patch and more; buffers were 25 GiB once, whatever --memory said."""
    counts = np.random.default_rng(0).integers(0, 256, (64, 94_000), np.uint8)
    write_rows_of(tmp_path / "x", [counts])
    command = [sys.executable, SCRIPT, "--p_n", "64", "--p_t", str(p_t), "--memory", "500MB", "--jobs", "2"]
    command += ["--repo_name", str(tmp_path / "x"), "--out_dir", str(tmp_path / "out")]
    most = 6 * 2**30  # of address space, most of which libraries reserve and never touch
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    table = pq.read_table(tmp_path / "out" / f"x_(64x{p_t})_motifs.parquet")
    assert table["frequency"].to_pylist() == [1] * (94_000 // p_t)
    first = np.array(table["patch"][0].as_py(), np.uint8)
    patches = counts.reshape(64, -1, p_t).swapaxes(0, 1)
    assert (first == min(patches, key=lambda patch: patch.tobytes())).all()


def test_the_command_ranks_by_lift_and_leaves_the_blank_motif_out(tmp_path):
    counts = np.random.default_rng(0).poisson(0.1, (6, 800)).astype(np.uint8)
    write_rows_of(tmp_path / "x", [counts])
    options = ["--p_n", 1, "--p_t", 8, "--repo_name", tmp_path / "x", "--out_dir", tmp_path / "out"]
    done = in_process.run(tmp_path / "build", SCRIPT, *options, "--rank_by", "lift", "--skip_blank")
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "out" / "x_(1x8)_motifs_summary.json").read_text())
    frequencies = pq.read_table(tmp_path / "out" / "x_(1x8)_motifs.parquet")["frequency"].to_numpy()
    assert said["singletons"] == np.count_nonzero(frequencies == 1)
    assert said["sample_coverage"] == pytest.approx(1 - said["singletons"] / 600)
    # Poisson counts are what the model describes: its entropy is about that of the data, and above that of the sample
    assert said["entropy_independent_per_patch"] == pytest.approx(said["entropy_corrected_per_patch"], rel=0.1)
    assert said["entropy_per_patch"] < said["entropy_corrected_per_patch"]
    assert "patches of 1 unit × 8 bins" in done.stdout
    assert "  of 1 of 1 row\n" in done.stdout
    assert "share of top 1,000" not in done.stdout


def test_a_patch_larger_than_every_row_is_refused_with_the_right_grammar(tmp_path):
    data_set = write_rows_of(tmp_path / "x", [np.ones((1, 9), np.uint8)])
    with pytest.raises(BadInput, match="found rows of at most 1 unit and 9 bins; take a smaller --p_n or --p_t"):
        run.checked_tokens(data_set, 2, 8)


@pytest.mark.parametrize(
    "limit",
    [700_000_000, *(pytest.param(n, marks=pytest.mark.slow) for n in (1_200_000_000, 1_700_000_000, 2_200_000_000))],
)
def test_a_limit_of_address_space_is_kept_or_reported_in_one_line(limit, tmp_path):
    write_rows_of(tmp_path / "x", [np.random.default_rng(0).integers(0, 256, (64, 90_000), np.uint8)])
    command = [sys.executable, SCRIPT, "--p_n", "1", "--p_t", "8", "--repo_name", str(tmp_path / "x")]
    done = subprocess.run(
        [*command, "--out_dir", str(tmp_path / "out"), "--jobs", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    if limit < limits.LIBRARIES:
        assert done.returncode == 2
        assert done.stderr == (
            f"error: ulimit -v: expected at least 1 GB of address space, found a limit of {limit / 1e9:.1f} GB; "
            "raise the limit\n"
        )
    else:
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "out" / "x_(1x8)_motifs.parquet").is_file()
