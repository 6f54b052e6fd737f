"""Publishing to a Hub that fails on purpose: a repository holds the old state or the complete new one."""

import hashlib
import io
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import ROOT
from helpers.builds import write_build, write_tables
from helpers.loopback_hub import LEAVE, Blob, Commit, LoopbackHub

from neuralpile.corpus import merge, rows
from neuralpile.corpus.split import SplitOptions
from neuralpile.hub import publish
from neuralpile.open import open_data_set

# Pushes builds to repositories, eight at a time; arguments: tokens in a shard, then folder=repository.
PUSH = """
import sys
from concurrent.futures import ThreadPoolExecutor
from neuralpile.hub import publish, repository
from neuralpile.open import open_data_set
from neuralpile.errors import BadInput
publish.SHARD = publish.CORPUS_SHARD = int(sys.argv[1])
def push(data_set, name):
    try:
        return publish.push(data_set, repository.Repository(repository.Target(name)), {})
    except BadInput as error:
        return f"error: {error}"
folders, repositories = zip(*(pair.split("=") for pair in sys.argv[2:]))
with ThreadPoolExecutor(8) as pool:
    for name, result in zip(repositories, pool.map(push, [*map(open_data_set, folders)], repositories)):
        print(name, result)
"""
SHARD = 3000  # tokens: a few rows of the tests'
QUICK = {"NEURALPILE_RETRY_SECONDS": "0.02", "NEURALPILE_TIMEOUT": "60"}

STEPS = {
    "create": "POST /api/repos/create in {}$",
    "info": "GET /api/datasets/{}(/revision/main)?$",
    "preupload": "POST /api/datasets/{}/preupload/",
    "batch": "POST /datasets/{}.git/info/lfs/objects/batch",
    "upload": "PUT /lfs/[0-9a-f]+ in {}$",
    "verify": "POST /lfs/[0-9a-f]+/verify in {}$",
    "validate": "POST /api/validate-yaml in {}$",
    "tree": "GET /api/datasets/{}/tree/",
    "commit": "POST /api/datasets/{}/commit/",
}
FAILURES = (500, 429, "reset", "stall", "lost")
COMMITTING = "validate", "preupload", "batch", "commit"  # requests of one call of the client: conflicts are retried
OTHERS = [*((step, 412) for step in COMMITTING), ("commit", 409), ("upload", 403)]  # 403: an upload link that expired
REFUSALS = [(step, 412) for step in STEPS if step not in COMMITTING]  # no retry would help


@pytest.fixture
def hub(tmp_path):
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        yield hub


def pusher(hub, *pairs, shard=SHARD, **environment):
    env = hub.env(**(QUICK | environment))
    command = [sys.executable, "-c", PUSH, str(shard), *(f"{folder}={repo}" for folder, repo in pairs)]
    return subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def push(hub, *pairs, **more):
    """Push, and give what was said of each repository."""
    out, err = pusher(hub, *pairs, **more).communicate(timeout=120)
    assert "Traceback" not in err, err
    assert hub.token not in out + err
    return dict(line.split(" ", 1) for line in out.splitlines())


def held(tree):
    """Digest of the rows that a state of a repository holds: those of its shards, in order. None where it has none."""
    shards = [blob.data for path, blob in sorted(tree.items()) if path.startswith("data/train-")]
    if not shards:
        return None
    tables = [pq.read_table(io.BytesIO(shard)) for shard in shards]
    assert "README.md" in tree
    return rows.digest(rows.from_table(table.slice(i, 1)) for table in tables for i in range(len(table)))


def local(folder):
    return rows.digest(open_data_set(str(folder)))


@pytest.mark.slow
def test_each_step_fails_each_way(hub, tmp_path, capsys):
    """New rows over old ones, and one fault on the way: nobody sees a mixture. Where it passes, the push succeeds."""
    cases = [(step, failure) for step in STEPS for failure in FAILURES] + OTHERS + REFUSALS
    pairs, states = [[], []], {}
    for i, (step, failure) in enumerate(cases):
        repository = f"me/{step}-{failure}"
        for age in (0, 1):
            folder = write_build(tmp_path / f"{i}-{age}", 6, 2 * i + age)
            pairs[age].append((folder, repository))
        states[repository] = [local(folder) for folder, _ in (pairs[0][-1], pairs[1][-1])]
    said = push(hub, *pairs[0])
    assert not [line for line in said.values() if line.startswith("error")]
    rules = {}
    for (step, failure), (_, repository) in zip(cases, pairs[1], strict=True):
        rules[repository] = hub.fail(STEPS[step].format(repository), failure)
    said = push(hub, *pairs[1], NEURALPILE_TIMEOUT="5")  # the client gives up a stall by time alone
    survived = []
    for case, (repository, (old, new)) in zip(cases, states.items(), strict=True):
        assert rules[repository].left == 0, f"{repository}: the fault did not come"
        seen = [held(commit.tree) for commit in hub.commits(repository)]
        failed = said[repository].startswith("error")
        assert seen == ([None, old] if failed else [None, old, new]), repository
        survived += [] if failed else [case]
    with capsys.disabled():
        print(f"\nfaults survived: {len(survived)} of {len(cases)}, the others refusals that left the old state")
    assert set(cases) - set(survived) == set(REFUSALS), said
    assert all("found 412" in said[f"me/{step}-412"] for step, _ in REFUSALS)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["create", "info", "commit"])
def test_a_fault_that_does_not_pass_leaves_the_old_state(hub, tmp_path, step):
    old, new = write_build(tmp_path / "old", 4, 1), write_build(tmp_path / "new", 4, 2)
    push(hub, (old, "me/x"))
    before = hub.commits("me/x")
    hub.fail(STEPS[step].format("me/x"), 503, times=100)
    said = push(hub, (new, "me/x"))["me/x"]
    assert said.startswith("error: me/x: expected an answer, found 503")
    assert hub.commits("me/x") == before


@pytest.mark.slow
def test_a_push_that_is_killed_while_it_uploads_leaves_the_old_state_and_is_resumed(hub, tmp_path):
    """SIGKILL when two files are there and others are on their way. The next push sends only what is missing."""
    old, new = write_build(tmp_path / "old", 4, 1), write_build(tmp_path / "new", 24, 2)
    push(hub, (old, "me/x"))
    before, uploads = hub.commits("me/x"), len(hub.objects)
    hub.fail(lambda method, path: method == "PUT" and len(hub.objects) >= uploads + 2, "stall", times=100)
    process = pusher(hub, (new, "me/x"))
    while hub.faults[-1].left == 100:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    hub.faults.clear()
    assert hub.commits("me/x") == before
    there, sent = len(hub.objects) - uploads, len(puts(hub))
    assert not push(hub, (new, "me/x"))["me/x"].startswith("error")
    assert [held(commit.tree) for commit in hub.commits("me/x")[1:]] == [local(old), local(new)]
    n_shards = sum(path.endswith(".parquet") for path in hub.files("me/x"))
    assert n_shards > 5
    assert 2 <= there < n_shards
    assert len(puts(hub)) - sent == n_shards - there
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == ["new", "old"]


@pytest.mark.slow
def test_other_bytes_on_the_hub_are_noticed(hub, tmp_path):
    """After the commit the Hub lists a file of another content: the user is told."""

    def spoil(method, path):
        if "/tree/" in path and len(hub.repos["me/x"]) == 2:
            commit = hub.repos["me/x"].pop()
            spoilt = {name: Blob(blob.data[:-1], blob.lfs) for name, blob in commit.tree.items()}
            hub.repos["me/x"].append(Commit(commit.title, spoilt, commit.date, commit.sha))
        return False

    hub.fail(spoil, 500)
    said = push(hub, (write_build(tmp_path / "one", 3, 1), "me/x"))["me/x"]
    assert said == "error: me/x: expected the files that were sent, found others, or parts of them; push again"


def puts(hub):
    return [path for method, path in hub.requests if method == "PUT"]


@pytest.mark.slow
def test_two_pushes_at_once_are_committed_one_upon_the_other(hub, tmp_path):
    """Both see the same head and commit: one comes first, the other finds so and commits upon it."""
    one, two = write_build(tmp_path / "one", 5, 1), write_build(tmp_path / "two", 9, 2)
    push(hub, (write_build(tmp_path / "old", 2, 3), "me/x"))
    hub.fail("POST .*/commit/", threading.Barrier(2), times=2)
    processes = [pusher(hub, (folder, "me/x")) for folder in (one, two)]
    said = [process.communicate(timeout=60) for process in processes]
    assert all("error" not in out for out, _ in said), said
    seen = [held(commit.tree) for commit in hub.commits("me/x")[2:]]
    assert sorted(seen) == sorted([local(one), local(two)])


@pytest.mark.slow
def test_a_commit_that_is_done_and_overtaken(hub, tmp_path):
    """The answer to our commit is lost, and another push comes before we look: ours is in the history, not repeated."""
    one, two = write_build(tmp_path / "one", 5, 1), write_build(tmp_path / "two", 9, 2)
    push(hub, (one, "me/x"))
    ahead = hub.commits("me/x")[-1].tree
    del hub.repos["me/x"][1:]

    def overtake(method, path):
        if path == "/api/datasets/me/x/revision/main" and len(hub.repos["me/x"]) == 2:
            hub.repos["me/x"].append(type(hub.repos["me/x"][0])("another", ahead))
        return False

    hub.fail("POST .*/commit/", "lost")
    hub.fail(overtake, 500)
    said = push(hub, (two, "me/x"))["me/x"]
    assert not said.startswith("error"), said
    assert [held(commit.tree) for commit in hub.commits("me/x")] == [None, local(two), local(one)]


@pytest.mark.slow
def test_the_same_rows_are_neither_uploaded_nor_committed_again(hub, tmp_path):
    """No upload, no commit; and what is common to two data sets is sent once."""
    build = write_build(tmp_path / "one", 8, 1)
    push(hub, (build, "me/x"))
    commits, uploads = hub.commits("me/x"), len(puts(hub))
    push(hub, (build, "me/x"))
    assert (hub.commits("me/x"), len(puts(hub))) == (commits, uploads)
    push(hub, (build, "me/y"))
    assert hub.files("me/y").keys() == hub.files("me/x").keys()
    assert len(puts(hub)) == uploads


LOAD = """
import hashlib
import datasets
from neuralpile.corpus import rows, tables
from neuralpile.hub.reader import open_repository
datasets.config.USE_PARQUET_EXPORT = False
def digests(split, streaming):
    assert split.features == datasets.Features.from_arrow_schema(rows.MERGED_SCHEMA), split.features
    arrow = split.with_format("arrow")
    read = arrow if streaming else (arrow[i : i + 1] for i in range(len(arrow)))
    return [rows.digest([rows.from_table(row)]) for row in read]
for streaming in (False, True):
    for name, split in datasets.load_dataset("me/x", streaming=streaming).items():
        print(name, *digests(split, streaming))
print("only b")
for name, split in datasets.load_dataset("me/x", "b").items():
    print(name, *digests(split, False))
print("tables")
for name, schema in (("sessions", tables.SESSIONS), ("units", tables.UNITS)):
    table = datasets.load_dataset("me/x", name, split="train").with_format("arrow")[:]
    there = getattr(open_repository("me/x"), name)()
    assert table.cast(schema).equals(there), name
    print(name, hashlib.sha256(repr(there.to_pylist()).encode()).hexdigest())
"""


def test_load_dataset_gives_exactly_the_local_rows_and_tables_and_a_component_alone(hub, tmp_path):
    components = []
    for name, n in [("a", 30), ("b", 7)]:
        build = write_build(tmp_path / name, n, n)
        write_tables(build)
        components.append(open_data_set(str(build)))
    merge.merge(components, tmp_path / "pile", SplitOptions(0.2, 0))
    corpus = open_data_set(str(tmp_path / "pile"))
    push(hub, (tmp_path / "pile", "me/x"))
    files = sorted(path for path in hub.files("me/x") if path.startswith("data/"))
    assert len([path for path in files if path.startswith("data/train-") and path.endswith("-a.parquet")]) > 3
    done = subprocess.run([sys.executable, "-c", LOAD + LEAVE], env=hub.env(), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whole, _, rest = done.stdout.partition("only b\n")
    alone, _, tabled = rest.partition("tables\n")
    made = {
        name: [(row.source_dataset, rows.digest([row])) for row in corpus.read(n)] for name, n in corpus.splits.items()
    }
    loaded = [line.split() for line in whole.splitlines()]
    assert [line[0] for line in loaded] == ["train", "test"] * 2
    for name, *digests in loaded:
        assert sorted(digests) == sorted(digest for _, digest in made[name])
    assert loaded[:2] == loaded[2:]
    for name, *digests in (line.split() for line in alone.splitlines()):
        assert digests == [digest for source, digest in made[name] if source == "b"]  # in the corpus' order
    assert (len(corpus.sessions()), len(corpus.units())) == (4, 16)
    assert [line.split() for line in tabled.splitlines()] == [
        [name, hashlib.sha256(repr(table.to_pylist()).encode()).hexdigest()]
        for name, table in (("sessions", corpus.sessions()), ("units", corpus.units()))
    ]


def test_a_component_is_loaded_without_a_byte_of_others(hub, tmp_path):
    components = [open_data_set(str(write_build(tmp_path / name, 9, seed))) for seed, name in enumerate(["a", "m1-a"])]
    merge.merge(components, tmp_path / "pile", SplitOptions(0.2, 0))
    push(hub, (tmp_path / "pile", "me/x"))
    hub.requests.clear()
    code = "import datasets\nprint(len(datasets.load_dataset('me/x', 'a', split='train')))"
    done = subprocess.run([sys.executable, "-c", code + LEAVE], env=hub.env(), cwd=ROOT, capture_output=True, text=True)
    assert 0 < int(done.stdout) < 9, done.stderr
    fetched = {path.rpartition("/")[2] for method, path in hub.requests if method == "GET" and "parquet" in path}
    assert fetched
    assert all(re.fullmatch(r"(train|test)-\d{5}-a\.parquet", name) for name in fetched), fetched


def test_parts_of_all_components_alternate(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "CORPUS_SHARD", SHARD)
    sizes = {"large": 40, "small": 10, "tiny": 1}
    components = [open_data_set(str(write_build(tmp_path / name, n, n))) for name, n in sizes.items()]
    merge.merge(components, tmp_path / "pile", SplitOptions())
    corpus = open_data_set(str(tmp_path / "pile"))
    numbers = corpus.splits["train"]
    parts = publish.by_component(corpus, numbers, corpus.tokens())
    assert sorted(n for _, part in parts for n in part) == list(numbers)
    assert all({corpus.row(n).source_dataset for n in part} == {name} for name, part in parts)
    assert all(part == sorted(part) for _, part in parts)
    order = [name for name, _ in parts]
    n_large, n_small = order.count("large"), order.count("small")
    assert n_small > 1 and order.count("tiny") == 1
    for half in (order[: len(order) // 2], order[len(order) // 2 :]):
        assert abs(half.count("large") - n_large / 2) <= 1.5
        assert abs(half.count("small") - n_small / 2) <= 1.5


@pytest.mark.slow
def test_a_manifest_too_large_for_git(hub, tmp_path):
    build = write_build(tmp_path / "one", 3, 1)
    (build / "manifest.json").write_bytes(b"[" + b"1, " * 4_000_000 + b"1]")
    for _ in range(2):
        assert not push(hub, (build, "me/x"))["me/x"].startswith("error")
    assert hub.files("me/x")["manifest.json"] == (build / "manifest.json").read_bytes()
    assert len(hub.commits("me/x")) == 2


@pytest.mark.slow
def test_older_data_files_go_and_others_stay(hub, tmp_path):
    hub.python(
        """
from huggingface_hub import HfApi
Dataset.from_dict({"a": [1]}).push_to_hub("me/x", split="validation")
HfApi().upload_file(path_or_fileobj=b"mine", path_in_repo="data/notes.txt", repo_id="me/x", repo_type="dataset")
"""
    )
    build = write_build(tmp_path / "one", 3, 1)
    push(hub, (build, "me/x"), shard=10**6)
    assert sorted(hub.files("me/x")) == [
        "README.md",
        "data/notes.txt",
        "data/sessions.parquet",
        "data/train-00000.parquet",
    ]


def test_the_same_rows_give_the_same_files_whatever_number_is_written_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "SHARD", SHARD)
    data_set = open_data_set(str(write_build(tmp_path / "one", 9, 1)))
    made = []
    for threads in (1, 4):
        monkeypatch.setattr(publish.cli, "cores", lambda n=threads: n)
        folder = tmp_path / f"{threads}"
        folder.mkdir()
        facts = publish.write_splits(data_set, rows.SCHEMA, folder, "write")
        assert {name: (split.shards, split.whole.rows) for name, split in facts.items()} == {
            "train": (len(list(folder.iterdir())), 9)
        }
        assert facts["train"].files == sum(path.stat().st_size for path in folder.iterdir())
        made.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert made[0] == made[1]
    shards = [pq.ParquetFile(io.BytesIO(made[0][name])) for name in sorted(made[0])]
    assert len(shards) > 2
    held = [[rows.from_table(shard.read_row_group(i)) for i in range(shard.num_row_groups)] for shard in shards]
    assert rows.digest(row for shard in held for row in shard) == rows.digest(data_set)
    tokens = [[row.counts.size for row in shard] for shard in held]
    assert all(sum(shard[:-1]) < SHARD <= sum(shard) for shard in tokens[:-1])


@pytest.mark.slow
def test_two_processes_do_not_push_the_same_build_at_once(hub, tmp_path):
    build = write_build(tmp_path / "one", 3, 1)
    hub.fail("POST .*/commit/", "stall")
    first = pusher(hub, (build, "me/x"))
    while hub.faults[-1].left:
        assert first.poll() is None
        time.sleep(0.02)
    said = push(hub, (build, "me/y"))["me/y"]
    assert "expected no other process that pushes it, found one; wait until that push has ended" in said
    first.kill()
    first.communicate()
    assert not push(hub, (build, "me/y"))["me/y"].startswith("error")


@pytest.mark.slow
def test_a_large_table_of_motifs(tmp_path, monkeypatch):
    """Its row groups go into files of about the size of a shard, in their order."""
    from neuralpile.motifs import kernels, parquet

    counts = np.random.default_rng(0).integers(0, 256, (8, 4000), np.uint8)
    monkeypatch.setattr(parquet, "ROW_GROUP", 800)
    tally = kernels.Tally(1, 8)
    tally.add(counts)
    path = tmp_path / "x.parquet"
    parquet.write([kernels.most_frequent_first(tally.table())], path, parquet.Counted("x", 1, 8, 32_000, 4_000), 1)
    whole = pq.read_table(path)
    monkeypatch.setattr(publish, "TABLE_SHARD", path.stat().st_size)
    assert publish.table_shards(path, tmp_path) == [path]
    monkeypatch.setattr(publish, "TABLE_SHARD", 10_000)
    shards = publish.table_shards(path, tmp_path)
    assert len(shards) > 3
    assert max(shard.stat().st_size for shard in shards) < 16_000  # a row group, and the metadata
    assert pa.concat_tables([pq.read_table(shard) for shard in shards]).equals(whole)
    assert pq.read_schema(shards[-1]).equals(whole.schema, check_metadata=True)
