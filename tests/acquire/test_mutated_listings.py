"""Mutated listings of all five archives: each gives files that can be trusted, or one line; never a traceback."""

import json
import os
import random

import pytest
from helpers.loopback_archives import LoopbackArchives

from neuralpile import catalog, http_client
from neuralpile.acquire import archives as archives_of
from neuralpile.acquire.archives import dandi, dryad, gin, osf, zenodo
from neuralpile.errors import BadInput

SEED = int(os.environ.get("FAULTS_SEED", "0"))
FILES = {
    "dmfc-rsg": {"sub-A/a.nwb": b"a", "sub-A/b.nwb": b"bb"},
    "willett": {"sentences.tar.gz": b"a", "tuningTasks.tar.gz": b"b", "diagnosticBlocks.tar.gz": b"c"},
    "makin": {"indy_1.mat": b"i", "loco_2.mat": b"l"},
    "lanzarini": {"Router/a.mat": b"a", "Wifi/x/b.mat": b"b"},
    "papale": {"monkeyF/THINGS_MUA_trials.mat": b"x" * 100, "README.md": b"y"},
}
VALUES = [
    *(
        None,
        True,
        -1,
        0,
        1.5,
        2**63,
        10**30,
        "",
        "x",
        "\x1b[2J",
        "\0",
        "../../up.mat",
        "/etc/passwd",
        "\ud800",
        "a" * 300,
    ),
    *(
        [],
        {},
        [[]],
        {"a": None},
        ["x"],
        "http://[::1",
        "http://host:99999/",
        "http://.x/",
        "file:///x",
        "http://é.invalid",
    ),
]


def mutated(body: bytes, draw: random.Random) -> bytes:
    """A listing with one field of another value, without a field, or with bytes that are other or missing."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if answer is None or draw.random() < 0.2:
        changed = bytearray(body)
        for _ in range(draw.choice([1, 1, 3, 20])):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        return bytes(changed[: draw.choice([len(changed), draw.randrange(len(changed))])])
    places = []

    def walk(node: object) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(answer)
    node, key = draw.choice(places)
    if draw.random() < 0.25:
        del node[key]
    else:
        node[key] = draw.choice(VALUES)
    return json.dumps(answer).encode()


@pytest.fixture
def quick(monkeypatch):
    """Point the archives' modules at stand-ins, with brief waits."""
    monkeypatch.setattr(http_client, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(http_client, "SILENT_SECONDS", 1.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def point(stand_in: LoopbackArchives) -> None:
        monkeypatch.setattr(dandi, "MIRROR", f"{stand_in.url}/api")
        monkeypatch.setattr(dryad, "BASE", stand_in.url)
        monkeypatch.setattr(zenodo, "API", f"{stand_in.url}/zenodo")
        monkeypatch.setattr(osf, "API", f"{stand_in.url}/v2")
        monkeypatch.setattr(gin, "BASE", stand_in.url)

    return point


def check_listing(name: str) -> str:
    """List a data set, and check what is listed. Returns the error's line, or ""."""
    try:
        listed = archives_of.list_files(catalog.load(name))
    except BadInput as error:
        line = str(error)
        assert line.isprintable()
        assert not any(word in line for word in ("Error", "NoneType", "object has no attribute", "Traceback"))
        return line
    for file in listed:
        archives_of.check(file)
        assert type(file.path) is type(file.checksum) is type(file.url) is str
        assert file.size is None or type(file.size) is int
    return ""


@pytest.mark.parametrize("name", FILES)
def test_a_listing_is_read(quick, name):
    with LoopbackArchives(FILES[name]) as stand_in:
        quick(stand_in)
        assert check_listing(name) == ""


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_mutated_listing_gives_files_or_one_line(quick, name, capsys):
    """160 mutations in each archive, of all its answers or of one of them."""
    refused = 0
    with LoopbackArchives(FILES[name]) as stand_in:
        quick(stand_in)
        for i in range(160):
            draw = random.Random(f"{SEED} {name} {i}")
            left = draw.choice([1, 2, 1000])

            def mutate(body: bytes, draw: random.Random = draw) -> bytes:
                nonlocal left
                left -= 1
                return mutated(body, draw) if left == 0 or left > 100 else body

            stand_in.mutate = mutate
            refused += check_listing(name) != ""
    assert "Traceback" not in capsys.readouterr().err
    assert refused > 20  # the mutations reach what is read
