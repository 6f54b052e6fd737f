"""What a user sees when the Hub cannot be reached, refuses, or sends somewhere else: one line, without the token."""

import math
import os
import subprocess
import sys

import httpx2
import pytest
from helpers import ROOT
from helpers.builds import write_build
from helpers.loopback_hub import LoopbackHub
from huggingface_hub.errors import HfHubHTTPError

from neuralpile import http_client
from neuralpile.hub import client

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
    assert env["HF_TOKEN"] not in done.stdout + done.stderr
    assert repr(env["HF_TOKEN"])[1:-1] not in done.stdout + done.stderr
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
