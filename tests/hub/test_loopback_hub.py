"""The stand-in for the Hub, as the real clients see it: each of their runs is a process of its own."""

import math
import urllib.error
import urllib.request

import pytest
from helpers.loopback_hub import LoopbackHub

ROWS = """
FEATURES = Features({"spike_counts": List(List(Value("uint8"))), "session_id": Value("string")})
def rows(n, start=0):
    counts = [[[(start + i + j + k) % 256 for k in range(40)] for j in range(3)] for i in range(n)]
    return Dataset.from_dict({"spike_counts": counts, "session_id": [f"s{i}" for i in range(n)]}, features=FEATURES)
"""


@pytest.fixture
def hub(tmp_path):
    with LoopbackHub(tmp_path) as hub:
        yield hub


def run(hub, code, **environment):
    """Run a client that is to succeed; its output."""
    done = hub.python(ROWS + code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def seen(hub, method, start):
    return [path for verb, path in hub.requests if verb == method and path.startswith(start)]


def get(hub, path, **headers):
    request = urllib.request.Request(hub.url + path, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, answer.read()


PUSH = 'rows(4).push_to_hub("someone/xiao", num_shards=2, private=False)'


def test_dataset_there_and_back_and_pushed_again(hub):
    run(hub, PUSH)
    shards = [f"data/train-0000{i}-of-00002.parquet" for i in range(2)]
    assert sorted(hub.files("someone/xiao")) == ["README.md", *shards]
    assert all(blob.lfs == path.endswith(".parquet") for path, blob in hub.commits("someone/xiao")[-1].tree.items())
    run(
        hub,
        """
expected = rows(4)
whole = load_dataset("someone/xiao", split="train")
assert whole.features == FEATURES and whole[:] == expected[:]
stream = load_dataset("someone/xiao", split="train", streaming=True)
assert stream.features == FEATURES and list(stream) == list(expected)
""",
        HF_TOKEN="",
    )
    before, uploads = hub.commits("someone/xiao"), len(seen(hub, "PUT", "/lfs/"))
    run(hub, PUSH)
    assert hub.commits("someone/xiao") == before
    assert len(seen(hub, "PUT", "/lfs/")) == uploads == 2


@pytest.mark.slow
def test_dataset_dict_and_the_other_calls(hub):
    run(hub, 'DatasetDict(train=rows(3), test=rows(2, start=9)).push_to_hub("someone/xiao", private=True)')
    run(
        hub,
        """
back = load_dataset("someone/xiao")
assert {split: part[:] for split, part in back.items()} == {"train": rows(3)[:], "test": rows(2, start=9)[:]}
api = HfApi()
assert api.whoami()["name"] == "someone"
api.upload_file(path_or_fileobj=b"r\\xc3\\xa4ster", path_in_repo="figures/a b.txt", repo_id="someone/xiao",
                repo_type="dataset")
big = b"\\0" * 3_000_000
api.upload_file(path_or_fileobj=big, path_in_repo="raw/big", repo_id="someone/xiao", repo_type="dataset")
info = api.dataset_info("someone/xiao")
assert info.private and info.id == "someone/xiao" and len(info.sha) == 40
files = api.list_repo_files("someone/xiao", repo_type="dataset")
assert {"README.md", "figures/a b.txt", "raw/big"} < set(files), files
assert sorted(files) == sorted(sibling.rfilename for sibling in info.siblings)
for path, content in [("figures/a b.txt", "räster".encode()), ("raw/big", big)]:
    with open(hf_hub_download("someone/xiao", path, repo_type="dataset"), "rb") as file:
        assert file.read() == content
""",
    )
    assert hub.files("someone/xiao")["figures/a b.txt"] == "räster".encode()
    # Who is nobody, sees nothing of what is private.
    assert get(hub, "/datasets/someone/xiao/resolve/main/README.md")[0] == 401


@pytest.mark.slow
@pytest.mark.parametrize("token", ["", "hf_wrong"])
def test_push_without_the_right_token_leaves_nothing(hub, token):
    done = hub.python(ROWS + PUSH, HF_TOKEN=token)
    assert done.returncode != 0
    assert "401" in done.stderr
    assert hub.repos == {}
    assert hub.objects == {}


@pytest.mark.slow
def test_failing_uploads_are_tried_again(hub):
    """One status, one reset: the client waits a second for each, and ends with the same repository."""
    rules = hub.fail("^PUT /lfs/", 500), hub.fail(lambda method, path: "/verify in " in path, "reset")
    run(hub, PUSH)
    assert [rule.left for rule in rules] == [0, 0]
    assert len(seen(hub, "PUT", "/lfs/")) == 3
    assert len(hub.files("someone/xiao")) == 3
    run(hub, 'assert load_dataset("someone/xiao", split="train")[:] == rows(4)[:]')


@pytest.mark.slow
def test_failing_commit_leaves_the_old_state(hub):
    """Commits are not tried again by the client: all of the old rows remain, and none of the new ones are there."""
    run(hub, PUSH)
    before = hub.files("someone/xiao")
    for failure in (503, "reset"):
        hub.fail("POST .*/commit/", failure)
        assert hub.python(ROWS + 'rows(2, start=7).push_to_hub("someone/xiao")').returncode != 0
        assert hub.files("someone/xiao") == before


@pytest.mark.slow
def test_commit_upon_a_parent_that_is_no_longer_the_head(hub):
    run(hub, 'HfApi().create_repo("someone/xiao", repo_type="dataset")')
    code = """
from huggingface_hub.errors import HfHubHTTPError
def commit(text, parent):
    add = CommitOperationAdd("a.txt", text)
    return HfApi().create_commit("someone/xiao", [add], commit_message="m", repo_type="dataset", parent_commit=parent)
first = HfApi().dataset_info("someone/xiao").sha
commit(b"one", first)
try:
    commit(b"two", first)
except HfHubHTTPError as error:
    print(error.response.status_code)
"""
    assert run(hub, code).strip() == "412"
    assert hub.files("someone/xiao") == {"a.txt": b"one"}


def test_the_hub_answers_as_clients_rely_on(hub):
    """What the clients rely on without saying so: ranges, names of errors, digests; and a stall that ends."""
    upload = 'HfApi().upload_file(path_or_fileobj=b"0123456789", path_in_repo="d/x", **repo)'
    run(hub, 'repo = dict(repo_id="someone/xiao", repo_type="dataset")\nHfApi().create_repo(**repo)\n' + upload)
    path = "/datasets/someone/xiao/resolve/main/d%2Fx"
    ranges = {"bytes=2-4": b"234", "bytes=7-": b"789", "bytes=-2": b"89", "bytes=5-99": b"56789"}
    for asked, expected in ranges.items():
        status, headers, content = get(hub, path, Range=asked)
        assert (status, content) == (206, expected)
        assert headers["Content-Range"].endswith("/10")
        assert headers["X-Repo-Commit"] == hub.commits("someone/xiao")[-1].sha
    assert get(hub, path, Range="bytes=10-")[0] == 416
    for missing, reason in {
        "/api/datasets/someone/nope": "RepoNotFound",
        "/api/datasets/nope": "RepoNotFound",
        "/api/datasets/someone/xiao/revision/nope": "RevisionNotFound",
        "/api/datasets/someone/xiao/tree/main/nope": "EntryNotFound",
        "/datasets/someone/xiao/resolve/main/nope": "EntryNotFound",
    }.items():
        status, headers, _ = get(hub, missing)
        assert (status, headers["X-Error-Code"]) == (404, reason)
    wrong = urllib.request.Request(f"{hub.url}/lfs/{'0' * 64}?key={hub.key}", data=b"other bytes", method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(wrong, timeout=10)
    assert hub.objects == {}
    hub.fail("^GET .*/d/x$", "stall", times=math.inf)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            urllib.request.urlopen(hub.url + path, timeout=0.2)
