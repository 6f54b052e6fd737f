"""Secrets stay secret: tokens of any characters, whatever a server, a proxy or a mirror does with what it was sent."""

import base64
import json
import random
import string
from unittest import mock
from urllib.parse import quote

import pytest
from helpers import loopback_archives
from helpers.downloads import NAME, PACKED, download, zipped
from helpers.loopback_archives import TOKEN, LoopbackArchives

EVER = float("inf")
VARIABLES = {"m1-a": "DANDI_API_KEY", "lanzarini": "OSF_TOKEN", "card": "DRYAD_TOKEN"}
FILES = {
    "m1-a": {NAME: b"x" * 1_000, "sub-B/b.nwb": b"y"},
    "lanzarini": {"Router/a.mat": b"x" * 1_000, "b.mat": b"y"},
    "card": {PACKED: zipped({"a/data_train.hdf5": b"1"})},
}
OF_ALL_ARCHIVES = ["m1-a", "makin", "lanzarini", "papale", "card"]
SIGNS = string.ascii_letters + string.digits + "-._~+/=%\"'\\{}[]<>#&?$`|^@!*();:,"
NAMES = ("path", "materialized_path", "name", "asset_id")  # of files, and in their addresses: these are printed
ADDRESSES = ("href", "download", "next", "url")


def odd_token(draw):
    return "".join(draw.choices(SIGNS, k=draw.choice([24, 60, 4_000])))


def forms(secret):
    """The secret as messages, addresses, JSON and logs would write it; of long ones, a part is enough to be one."""
    part = secret[:20]
    encoded = base64.b64encode(part.encode()).decode().rstrip("=")[:-1]
    return {part, quote(part), quote(part, safe=""), json.dumps(part)[1:-1], repr(part)[1:-1], part.lower(), encoded}


def echo(draw, secret):
    """An answer that repeats what was sent: in its body, its headers, its status line, or where it sends to."""
    status = draw.choice([200, 206, 301, 302, 307, 400, 401, 403, 404, 407, 409, 416, 418, 429, 500, 503])
    text = f"Authorization: Bearer {secret}"
    kinds = ["text/html", "text/plain", "application/json", quote(secret)[:60], f"text/{quote(secret)[:50]}"]
    headers = {"Content_Type": draw.choice(kinds)}
    location = draw.choice(
        ["https://127.0.0.1:1/?t={0}", "http://u:{0}@127.0.0.1:1/", "http://127.0.0.1:1/#{0}", "x:{0}"]
    )
    repeated = {
        "Location": location.format(quote(secret, safe="")),
        "Content_Range": f"bytes 0-{secret}/{secret}",
        "WWW_Authenticate": f'Bearer realm="{secret}"',
        "RateLimit": f'"{secret}";r=0;t={secret}',
        "Retry_After": f"{secret}",
        "ETag": f'"{secret}"',
        "Content_Encoding": f"{secret}",
    }
    headers |= {name: repeated[name] for name in draw.sample(sorted(repeated), draw.randrange(4))}
    body = draw.choice([text, json.dumps({"detail": text, "errors": [text]}), f"<html>{text}</html>", ""])
    return status, headers, body.encode()


def echoed(draw, body, secret):
    """A listing in which one field, but none that names a file, is what was sent."""
    answer = json.loads(body)
    places = []

    def walk(node):
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            if isinstance(node[key], str) and key not in NAMES:
                places.append((node, key))
            walk(node[key])

    walk(answer)
    if places:
        node, key = draw.choice(places)
        node[key] = f"http://127.0.0.1:1/?t={quote(secret, safe='')}" if key in ADDRESSES else f"Bearer {secret}"
    return json.dumps(answer).encode()


def check_nothing_is_shown(done, folder, secret):
    """In what is printed, and in files but for those on their way, which have what a server sends in a file's place."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part"]
    kept = b"".join(str(path).encode() + path.read_bytes() for path in files)
    for form in forms(secret):
        assert form not in done.stdout + done.stderr
        assert form.encode() not in kept


def run(name, folder, secret, i, seed):
    draw = random.Random(f"{seed} {name} {i}")
    secret = secret(draw)
    folder.mkdir()
    with mock.patch.object(loopback_archives, "TOKEN", secret), LoopbackArchives(FILES[name]) as archives:
        if draw.random() < 0.3:
            archives.mutate = lambda body: echoed(draw, body, secret)
        else:
            archives.fail(draw.choice(["GET", "/download", "/assets/|/files", "/blobs/"]), echo(draw, secret), EVER)
        done = download(name, folder, archives, environment={VARIABLES[name]: secret})
    check_nothing_is_shown(done, folder, secret)
    return done.returncode


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("name", VARIABLES)
def test_no_output_and_no_file_holds_a_token_that_a_server_repeats(tmp_path, faults_seed, name):
    ends = [run(name, tmp_path / str(i), odd_token, i, faults_seed) for i in range(60)]
    assert {1, 2} & set(ends)


@pytest.mark.parametrize("name", VARIABLES)
def test_a_token_that_a_server_repeats_is_not_shown(tmp_path, name):
    """A few of the seeded ones, always the same."""
    for i in range(3):
        run(name, tmp_path / str(i), odd_token, i, "fixed")


@pytest.mark.parametrize("name", OF_ALL_ARCHIVES)
def test_a_password_of_netrc_goes_nowhere(tmp_path, name):
    """A `default` entry is for all hosts: archives refuse what they do not know, storage a second authorisation."""
    (tmp_path / "netrc").write_text("default login me password of-another-place\n")
    files = FILES.get(name) or {"indy_1.mat": b"x", "monkeyF/THINGS_MUA_trials.mat": b"x"}
    with LoopbackArchives(files) as archives:
        done = download(name, tmp_path / "raw", archives, environment={"NETRC": str(tmp_path / "netrc")})
        assert done.returncode == 0, done.stderr
        authorised = [seen.line for seen in archives.seen if seen.authorised]
    assert not [line for line in authorised if "/blobs/" in line]
    assert bool(authorised) == (name == "card")  # Dryad's own token


@pytest.mark.parametrize("name", OF_ALL_ARCHIVES)
def test_the_password_of_a_mirror_is_not_shown(tmp_path, name):
    """In the address of an archive that a user puts in its place: in messages, and in downloads.json."""
    files = FILES.get(name) or {"indy_1.mat": b"x", "monkeyF/THINGS_MUA_trials.mat": b"x"}
    with LoopbackArchives(files) as archives:
        environment = {
            variable: value.replace("//", f"//me:{TOKEN}@") if value.startswith("http") else value
            for variable, value in archives.environment().items()
        }
        download(name, tmp_path, archives, environment=environment)  # which looks for TOKEN
        archives.fail("GET", 404, EVER)
        assert download(name, tmp_path / "other", archives, environment=environment).returncode == 2


@pytest.mark.parametrize(
    "proxy", ["http://me:{0}@[::1", "http://me:{0}@host:port", "{0}://x", "http://me:{0}@127.0.0.1:1"]
)
@pytest.mark.parametrize("name", ["m1-a", "papale"])
def test_the_password_of_a_proxy_is_not_shown(tmp_path, name, proxy):
    with LoopbackArchives(FILES["m1-a"]) as archives:
        proxy = proxy.format(TOKEN)
        environment = {"http_proxy": proxy, "https_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
        done = download(name, tmp_path, archives, environment=environment)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert ": expected " in line
