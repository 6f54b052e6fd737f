"""Pushing and loading with the real clients of the Hub, against a server on this machine."""

import io
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import ROOT
from helpers.loopback_hub import LEAVE, LoopbackHub
from helpers.recordings import write_units

SCRIPT = "data/dmfc-rsg/preprocess.py"
LOADING = """
import sys, datasets
datasets.config.USE_PARQUET_EXPORT = False
repository, streaming = sys.argv[1], sys.argv[2] == "streaming"
for split, rows in sorted(datasets.load_dataset(repository, streaming=streaming).items()):
    assert rows.features["spike_counts"] == datasets.List(datasets.List(datasets.Value("uint8"))), rows.features
    for row in rows:
        names = [row.get("source_dataset"), row["session_id"], row["segment_id"]]
        print(split, *names, sum(map(sum, row["spike_counts"])))
"""


@pytest.fixture
def hub(tmp_path):
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        yield hub


@pytest.fixture
def raw(tmp_path):
    for i in range(3):
        write_units(tmp_path / "raw" / "sub-A" / f"{i}.nwb", [np.linspace(0, 5, 10 + i), [1.0], []])
    return tmp_path / "raw"


def load(hub, repository, how="whole"):
    command = [sys.executable, "-c", LOADING + LEAVE, repository, how]
    done = subprocess.run(command, env=os.environ | hub.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


@pytest.mark.slow
def test_push_merge_from_the_hub_and_count(hub, raw, script, tmp_path):
    """The whole way over the Hub: push two components, merge them from there, push the corpus and its motifs."""
    hubbed = hub.environment()
    for name, subject in (("one", "sub-A"), ("two", "sub-B")):
        next(raw.iterdir()).rename(raw / subject)
        options = ["--data_dir", raw, "--out_dir", tmp_path / name, "--token_count_limit", 300]
        done = script(SCRIPT, *options, "--hf_repo_name", f"me/{name}", **hubbed)
        assert done.returncode == 0, done.stderr
        assert f"pushed to me/{name}" in done.stdout
    expected = [f"train None {i} segment_{j}" for i in range(3) for j in range(3)]
    for how in ("whole", "streaming"):
        rows = load(hub, "me/one", how)
        assert [row.rpartition(" ")[0] for row in rows] == expected
        assert sum(int(row.split()[-1]) for row in rows) == 10 + 11 + 12 + 3
    done = script("merge_datasets.py", "--components", "me/one", tmp_path / "one", **hubbed)
    assert done.returncode == 2
    assert "expected different data sets, found the same rows in me/one and one" in done.stderr
    merging = ["merge_datasets.py", "--components", "me/one", "me/two", "--hf_repo_name", "me/both"]
    done = script(*merging, "--test_size", 0.2, **hubbed)
    assert done.returncode == 0, done.stderr
    rows = load(hub, "me/both")
    assert len(rows) == 18
    assert {row.split()[0] for row in rows} == {"train", "test"}
    assert {row.split()[1] for row in rows} == {"me/one", "me/two"}
    done = script("visualize_dataset.py", "--repo_name", "me/both", "--out_dir", tmp_path / "rasters", **hubbed)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "rasters").glob("*.jpg"))) == 1
    options = ["--p_n", 1, "--p_t", 8, "--repo_name", "me/both", "--out_dir", tmp_path / "motifs"]
    done = script("extract_motifs.py", *options, "--hf_repo_name", "me/motifs", **hubbed)
    assert done.returncode == 0, done.stderr
    table = hub.files("me/motifs")
    assert b"python extract_motifs.py --p_n 1 --p_t 8 --repo_name me/both" in table["README.md"]
    shard = next(content for path, content in table.items() if path.endswith(".parquet"))
    local = pq.read_table(next((tmp_path / "motifs").glob("*.parquet")))
    assert pq.read_table(io.BytesIO(shard)).to_pylist() == local.to_pylist()


@pytest.mark.slow
def test_a_corpus_too_small_for_a_test_split(hub, raw, script, tmp_path):
    """`load_dataset` refuses a split without rows: what is published has none."""
    assert script(SCRIPT, "--data_dir", raw, "--out_dir", tmp_path / "one").returncode == 0
    merging = ["merge_datasets.py", "--components", tmp_path / "one", "--min_test_rows", 0]
    merging += ["--hf_repo_name", "me/small"]
    done = script(*merging, **hub.environment())
    assert done.returncode == 0, done.stderr
    assert "no test split: no row is small enough for --test_size 0.01" in done.stderr
    assert [row.split()[0] for row in load(hub, "me/small")] == ["train"] * 3


@pytest.mark.slow
def test_same_push_again_adds_no_commit(hub, raw, script, tmp_path):
    command = [SCRIPT, "--data_dir", raw, "--hf_repo_name", "me/one"]
    assert script(*command, **hub.environment()).returncode == 0
    commits = len(hub.repos["me/one"])
    assert script(*command, **hub.environment()).returncode == 0
    assert len(hub.repos["me/one"]) == commits


@pytest.mark.slow
def test_a_build_with_bad_files_is_not_pushed(hub, raw, script):
    (raw / "sub-A" / "9.nwb").write_bytes(b"not a recording")
    done = script(SCRIPT, "--data_dir", raw, "--hf_repo_name", "me/one", **hub.environment())
    assert done.returncode == 1
    assert "not pushed to me/one" in done.stderr
    assert hub.repos == {}


@pytest.mark.parametrize("token", ["hf_wrong", None])
def test_wrong_token_is_one_clear_line(hub, raw, script, tmp_path, token):
    done = script(SCRIPT, "--data_dir", raw, "--hf_repo_name", "me/one", **hub.environment(token))
    assert done.returncode == 2
    assert "me/one: expected a Hub repository that you can write" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hf_wrong" not in done.stdout + done.stderr
    assert "me/one" not in hub.repos
    assert not (tmp_path / "build" / "dmfc-rsg").exists()  # before any work is done


@pytest.mark.slow
def test_repository_that_is_not_there(hub, script):
    done = script("extract_motifs.py", "--p_n", 1, "--p_t", 8, "--repo_name", "me/nope", **hub.environment())
    assert done.returncode == 2
    assert "me/nope: expected a data set on the Hub" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_terms_are_told_before_a_push(hub, script, tmp_path):
    """Whoever pushes rows of data with restrictive terms reads them first."""
    folder = tmp_path / "h1"
    folder.mkdir()
    for source, target in [("data/dmfc-rsg/preprocess.py", "preprocess.py"), ("data/h1/dataset.toml", "dataset.toml")]:
        (folder / target).write_text((ROOT / source).read_text())
    write_units(folder / "raw" / "sub-A" / "0.nwb", [[1.0]])
    done = script(folder / "preprocess.py", "--hf_repo_name", "me/h1", **hub.environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("data use agreement") < done.stdout.index("pushed to me/h1")


@pytest.mark.slow
def test_a_private_build_is_not_pushed_to_a_public_repository(hub, raw, script):
    command = [SCRIPT, "--data_dir", raw, "--hf_repo_name", "me/one", "--private"]
    assert script(*command, **hub.environment()).returncode == 0
    assert hub.private == {"me/one"}
    hub.private.clear()
    before = hub.commits("me/one")
    done = script(*command, **hub.environment())  # rows that are to be private never go where everybody reads
    assert done.returncode == 2
    assert "me/one: expected a private repository, found a public one" in done.stderr
    assert hub.commits("me/one") == before


@pytest.mark.slow
def test_a_branch_and_a_pull_request_leave_main_as_it_is(hub, raw, script, tmp_path):
    """Both leave main as it is; asked for again, neither is made twice."""
    command = [SCRIPT, "--data_dir", raw, "--hf_repo_name", "me/one"]
    for _ in range(2):
        done = script(*command, "--revision", "try/2", **hub.environment())
        assert done.returncode == 0, done.stderr
    assert f"pushed to me/one: {hub.url}/datasets/me/one/tree/try/2" in done.stdout
    assert hub.files("me/one") == {}
    hub.fail("POST .*/commit/", "lost")
    for _ in range(2):
        done = script(*command, "--create_pr", **hub.environment(), NEURALPILE_RETRY_SECONDS="0.05")
        assert done.returncode == 0, done.stderr
    assert f"pushed to me/one: {hub.url}/datasets/me/one/discussions/1" in done.stdout
    assert hub.files("me/one") == {}
    assert sorted(hub.branches["me/one"]) == ["refs/pr/1", "try/2"]
    shards = [{path for path in hub.files("me/one", branch) if "parquet" in path} for branch in hub.branches["me/one"]]
    assert shards == [{"data/train-00000.parquet", "data/sessions.parquet", "data/units.parquet"}] * 2


@pytest.mark.slow
def test_pull_request_to_somebody_else(hub, raw, script):
    """Whoever may not write can still ask."""
    code = 'Dataset.from_dict({"a": [1]}).push_to_hub("me/one")'
    assert hub.python(code).returncode == 0
    hub.user = "you"
    command = [SCRIPT, "--data_dir", raw, "--hf_repo_name", "me/one"]
    done = script(*command, **hub.environment())
    assert done.returncode == 2
    assert "me/one: expected a Hub repository that you can write, found 403" in done.stderr
    done = script(*command, "--create_pr", **hub.environment())
    assert done.returncode == 0, done.stderr
    assert list(hub.branches["me/one"]) == ["refs/pr/1"]


ANY_WRITER = "expected a Hub repository that you can write, found a token"


@pytest.mark.parametrize(
    ("command", "repository", "role", "said"),
    [
        ([SCRIPT], "me/one", "read", f"me/one: {ANY_WRITER} that may only read"),
        ([SCRIPT], "other/one", "write", f"other/one: {ANY_WRITER} of lab, me"),
        ([SCRIPT], "one", "write", "--hf_repo_name: expected a name like someone/name, found 'one'"),
        ([SCRIPT], "me/../one", "write", "--hf_repo_name: expected a name like someone/name, found 'me/../one'"),
        ([SCRIPT, "--private"], "", "write", "--private, --revision, --create_pr: expected --hf_repo_name"),
        (["merge_datasets.py"], "me/one", "read", f"me/one: {ANY_WRITER} that may only read"),
        (["extract_motifs.py", "--p_n", 1, "--p_t", 8], "other/one", "write", f"other/one: {ANY_WRITER} of lab, me"),
    ],
)
def test_where_one_may_not_write(hub, raw, script, tmp_path, command, repository, role, said):
    hub.role, hub.organizations = role, ["lab"]
    done = script(*command, "--hf_repo_name", repository, **hub.environment())
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1
    assert hub.repos == {}
    assert not (tmp_path / "build").exists()


@pytest.mark.slow
def test_a_build_can_be_pushed_to_an_organization(hub, raw, script):
    hub.organizations = ["lab"]
    done = script(SCRIPT, "--data_dir", raw, "--hf_repo_name", "lab/one", **hub.environment())
    assert done.returncode == 0, done.stderr
    assert len(load(hub, "lab/one")) == 3


@pytest.mark.slow
def test_terms_of_what_was_counted_hold_for_its_motifs(hub, script, tmp_path):
    """The card of a table of motifs has the licences and the papers of the components of the corpus."""
    for name in ("m1-a", "h1"):
        folder = tmp_path / name
        folder.mkdir()
        for source, target in (("data/dmfc-rsg/preprocess.py", "preprocess.py"), (f"data/{name}/dataset.toml",) * 2):
            (folder / target.rpartition("/")[2]).write_text((ROOT / source).read_text())
        write_units(folder / "raw" / "sub-A" / f"{name}.nwb", [[1.0, len(name)]])
        assert script(folder / "preprocess.py").returncode == 0
    done = script("merge_datasets.py", "--components", "m1-a", "h1")
    assert done.returncode == 0, done.stderr
    options = ["--p_n", 1, "--p_t", 8, "--out_dir", tmp_path / "motifs", "--hf_repo_name", "me/motifs"]
    done = script("extract_motifs.py", *options, **hub.environment())
    assert done.returncode == 0, done.stderr
    card = hub.files("me/motifs")["README.md"].decode()
    assert "license:\n- cc-by-4.0\n- other\n" in card
    assert "data use agreement" in card
    assert "@misc{data-h1," in card
