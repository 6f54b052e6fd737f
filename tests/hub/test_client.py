"""What a user sees when the Hub cannot be reached, refuses, or sends somewhere else: one line, without the token."""

import base64
import itertools
import json
import math
import os
import subprocess
import sys
from urllib.parse import quote

import httpx2
import pytest
from helpers import ROOT
from helpers.builds import write_build
from helpers.loopback_hub import LoopbackHub
from huggingface_hub.errors import HfHubHTTPError

from neuralpile import http_client
from neuralpile.errors import BadInput
from neuralpile.hub import check_endpoint, client, options, repository
from neuralpile.open import open_data_set

# Tries to open a repository, and to write one, in a process of its own.
USE = """
from neuralpile.errors import BadInput
from neuralpile.hub import reader, repository
for use in (lambda: reader.open_repository("me/x"), lambda: repository.Repository(repository.Target("me/x"))):
    try:
        use()
        print("done")
    except BadInput as error:
        print(error)
"""
QUICK = {"NEURALPILE_RETRY_SECONDS": "0.001", "NEURALPILE_TIMEOUT": "5"}


@pytest.fixture
def hub(tmp_path):
    with LoopbackHub(tmp_path / "hf", user="me") as hub:
        yield hub


def use(hub, code=USE, **environment):
    """What is printed; whatever happens, there is no traceback, and the token is nowhere."""
    env = hub.env(**QUICK) | environment
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for token in filter(None, (env["HF_TOKEN"], hub.token)):
        assert token not in done.stdout + done.stderr
        assert repr(token)[1:-1] not in done.stdout + done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize("address", ["http://nowhere.invalid", "http://127.0.0.1:9"])
def test_without_a_network_the_first_request_says_so_and_is_not_retried(hub, address):
    """A name without an address, and a host that refuses the connection."""
    host = address.removeprefix("http://").split(":")[0]
    lines, waits = use(hub, HF_ENDPOINT=address)
    assert (
        lines
        == [
            f"me/x: expected an answer from the Hub, found no connection to {host}; you seem to be offline: "
            "check your network and proxy, or give a local build"
        ]
        * 2
    )
    assert waits == []


@pytest.mark.slow
def test_offline_mode_is_named(hub):
    lines, waits = use(hub, HF_HUB_OFFLINE="1")
    assert (
        lines
        == [
            "me/x: expected access to the Hub, found HF_HUB_OFFLINE=1 in the environment; "
            "unset HF_HUB_OFFLINE, or give a local build"
        ]
        * 2
    )
    assert waits == []
    assert hub.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("token", ["hf_sécret", "hf_a b", "hf_\x1b[31msecret", "hf_\u2028secret"])
def test_a_token_that_no_header_can_hold_is_one_line_that_does_not_show_it(hub, token):
    lines, _ = use(hub, HF_TOKEN=token)
    assert [line.split(";")[0] for line in lines] == [
        "HF_TOKEN: expected a token of letters, digits and signs, found spaces, line ends or other characters in it"
    ] * 2
    assert hub.requests == []


@pytest.mark.slow
def test_a_wrong_token_is_refused_at_once(hub):
    hub.python('Dataset.from_dict({"a": [1]}).push_to_hub("me/x")')
    hub.requests.clear()
    lines, waits = use(hub, HF_TOKEN="hf_wrong")
    assert lines[0].startswith("me/x: expected a data set on the Hub, found 401 Unauthorized: Invalid credentials")
    assert lines[1].startswith("me/x: expected a Hub repository that you can write, found 401 Unauthorized")
    assert waits == []
    assert len(hub.requests) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "location",
    [
        "http://[::1",
        "http://nowhere.invalid:99999999/",
        "ftp://nowhere.invalid/",
        "http://a b/",
        "http:///",
        "/api/loop",
    ],
)
def test_a_redirect_that_cannot_be_followed_is_one_line(hub, location):
    hub.fail("GET", {"Location": location}, times=math.inf)
    lines, _ = use(hub)
    assert len(lines) == 2
    assert all(line.startswith("me/x: expected ") for line in lines)
    assert "done" not in lines


@pytest.mark.slow
def test_requests_name_the_project_and_its_version(hub):
    use(hub)
    assert hub.agents
    assert all(agent.startswith(http_client.USER_AGENT) for agent in hub.agents)


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"RateLimit": '"api";r=0;t=244'}, 244), ({"Retry-After": "7"}, 7), ({}, 0)]
)
def test_the_wait_that_the_hub_asks_for_is_honoured(headers, seconds):
    request = httpx2.Request("GET", "https://huggingface.co/api/datasets/me/x")
    error = HfHubHTTPError("busy", response=httpx2.Response(429, headers=headers, request=request))
    found = client._explain("me/x", client.READABLE, error)
    assert isinstance(found, http_client.TemporaryFailure)
    assert (found.reason, found.wait) == ("429 Too Many Requests", seconds)


@pytest.mark.slow
def test_a_wait_is_shown(hub):
    hub.fail("GET /api/datasets/me/x$", {"RateLimit": '"api";r=0;t=1'})
    lines, waits = use(hub)
    assert lines[0].startswith("me/x: expected a data set on the Hub, found none of this name")
    assert waits == ["me/x: 429 Too Many Requests; retry 1 of 6 in 1 s"]


@pytest.mark.slow
def test_an_upload_that_is_refused_for_ever_says_what_may_be_wrong(hub, tmp_path):
    build = write_build(tmp_path / "one", 2, 1)
    hub.fail("PUT /lfs/", 403, times=math.inf)
    code = f"""
from neuralpile.errors import BadInput
from neuralpile.hub import publish, repository
from neuralpile.open import open_data_set
try:
    publish.push(open_data_set({os.fspath(build)!r}), repository.Repository(repository.Target("me/x")), {{}})
except BadInput as error:
    print(error)
"""
    lines, _ = use(hub, code)
    assert lines == [
        "me/x: expected an answer, found 403 Forbidden for an upload to 127.0.0.1: wrong clock, or a proxy that blocks "
        "uploads?, 7 times in a row; check the network and the archive's page, and run the same command again"
    ]


# Bounds of what the Hub sends


class Endless(httpx2.SyncByteStream):
    """A body without end, in pieces."""

    def __init__(self, piece):
        self.piece, self.closed = piece, False

    def __iter__(self):
        return itertools.repeat(self.piece)

    def close(self):
        self.closed = True


def sent(monkeypatch, headers, body):
    """What comes of an answer with this body."""
    monkeypatch.setattr(client, "MOST_BYTES", 100_000)
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, stream=body))
    with client._Client(transport=transport) as hub:
        try:
            return hub.get("https://huggingface.co/api/datasets/me/x").content
        finally:
            assert body.closed


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/octet-stream"])
def test_an_answer_that_drips_is_given_up(monkeypatch, kind):
    ticks = itertools.count(0, 1_000)
    monkeypatch.setattr(http_client, "monotonic", lambda: float(next(ticks)))
    with pytest.raises(http_client.TooSlow) as error:
        sent(monkeypatch, {"Content-Type": kind}, Endless(b" "))
    wrapped = OSError("of a library")
    wrapped.__cause__ = error.value
    assert client._explain("me/x", client.READABLE, wrapped) is error.value


def test_json_without_end_is_refused(monkeypatch):
    with pytest.raises(BadInput, match="expected at most 100,000 bytes of JSON, found more"):
        sent(monkeypatch, {"Content-Type": "application/json"}, Endless(b" " * 10_000))


# What the Hub says, and what helps


TOKEN = "hf_AbC%/+xYz" + "0123456789" * 3


@pytest.mark.parametrize("form", [str, quote, lambda t: quote(t, safe=""), json.dumps, str.lower, lambda t: t[5:20]])
def test_what_the_hub_says_is_shown_without_secrets(monkeypatch, form):
    monkeypatch.setattr(client.huggingface_hub, "get_token", lambda: TOKEN)
    assert client.safe(f"You sent {form(TOKEN)}, which is not valid") == ""
    encoded = base64.b64encode(TOKEN.encode()).decode()
    assert client.safe(f"You sent {encoded}") == ""
    assert client.safe("Authorization: Bearer abc") == client.safe("X-Amz-Signature=abc") == ""
    said = client.safe("Storage limit reached: see https://me:pw@huggingface.co/pricing?X=1&s=2 for more" + "x" * 1_000)
    assert said.startswith("Storage limit reached: see https://huggingface.co/pricing for more")
    assert len(said) == client.SHOWN


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "check the name and your token"),
        (403, "check the name and your token"),
        (400, "see what the Hub says"),
        (413, "see what the Hub says"),
        (422, "see what the Hub says"),
    ],
)
def test_a_refusal_has_a_remedy_of_its_own(monkeypatch, status, remedy):
    """Of a card that is too large or not valid, no token is at fault."""
    monkeypatch.setattr(client.huggingface_hub, "get_token", lambda: TOKEN)
    request = httpx2.Request("POST", "https://huggingface.co/api/datasets/me/x/commit/main")
    response = httpx2.Response(status, request=request)
    error = HfHubHTTPError("no", response=response, server_message="README.md is larger than 100 kB")
    line = str(client._explain("me/x", client.WRITABLE, error))
    assert f"found {status} " in line and ": README.md is larger than 100 kB; " in line
    assert remedy in line and "the local files are unharmed" in line


# Names, addresses, and what is private


@pytest.mark.parametrize(
    "value", ["notaurl", "http://[::1", "ftp://x.invalid", "http://127.0.0.1:99999", "https://", "http://a:pw@h:x"]
)
def test_an_address_of_the_hub_that_is_none_is_one_line(monkeypatch, value):
    """Before its libraries are imported, which end in tracebacks; a local build needs no Hub."""
    monkeypatch.setenv("HF_ENDPOINT", value)
    line = "HF_ENDPOINT: expected an address like https://huggingface.co, found another value; correct it or unset it"
    with pytest.raises(BadInput) as error:
        open_data_set("me/x")
    assert str(error.value) == line
    with pytest.raises(BadInput, match="found none of this name"):
        open_data_set("no-such-build")


def test_an_address_of_a_mirror_is_one(monkeypatch):
    for value in ("", "https://hf.example.org", "http://127.0.0.1:8000/", "https://me:pw@hf.example.org/hub"):
        monkeypatch.setenv("HF_ENDPOINT", value)
        check_endpoint()


@pytest.mark.slow
def test_names_that_no_repository_has_are_one_line_and_no_request(hub):
    names = ["me/-x", "me/x..y", "me/x.git", "ＭＥ/x", f"me/{'x' * 97}", "me/a b", "me/x@main", "me/%2e", "me/\u202ex"]
    code = f"""
from neuralpile.errors import BadInput
from neuralpile.hub import reader
for name in {names!r}:
    try:
        reader.open_repository(name)
    except BadInput as error:
        print(error)
"""
    lines, _ = use(hub, code)
    assert len(lines) == len(names)
    assert all("expected a name like someone/name, found one that no repository has; correct" in line for line in lines)
    assert all(line.isprintable() for line in lines)
    assert hub.requests == []


@pytest.mark.slow
def test_a_private_repository_is_read_with_its_token_only(hub, tmp_path):
    build = write_build(tmp_path / "one", 2, 1)
    code = f"""
from neuralpile.hub import publish, repository
from neuralpile.open import open_data_set
publish.push(open_data_set({os.fspath(build)!r}), repository.Repository(repository.Target("me/x", private=True)), {{}})
print(len(open_data_set("me/x")))
"""
    assert use(hub, code)[0] == ["2"]
    assert hub.private == {"me/x"}
    lines, _ = use(hub, USE, HF_TOKEN="")
    assert lines[0].startswith("me/x: expected a data set on the Hub, found none of this name, or one that your token")
    assert "for a private repository, your token (HF_TOKEN)" in lines[0]


def test_a_command_on_the_card_has_no_password(monkeypatch):
    given = ["--scheduler=tcp://me:secret@host:1", "https://a:secret@b/c?k=secret", "-n"]
    monkeypatch.setattr(sys, "argv", ["x.py", *given])
    assert options.command() == "python x.py --scheduler=tcp://host:1 https://b/c -n"


def test_the_names_of_a_tokens_owner_are_shown_without_secrets(monkeypatch):
    """A server, or a proxy, that answers with what it was sent."""
    monkeypatch.setattr(client.huggingface_hub, "get_token", lambda: TOKEN)
    monkeypatch.setattr(repository.HfApi, "whoami", lambda _: {"name": TOKEN})

    def missing(*_):
        response = httpx2.Response(404, request=httpx2.Request("GET", "https://huggingface.co"))
        raise client.RepositoryNotFoundError("no", response=response)

    monkeypatch.setattr(repository.HfApi, "dataset_info", missing)
    with pytest.raises(BadInput, match="found a token of another; ") as error:
        repository.Repository(repository.Target("someone/x"))
    assert TOKEN not in str(error.value)
