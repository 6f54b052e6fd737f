"""A server that sends a byte every few seconds is never silent: each answer of each archive is given up in the end."""

import itertools

import pytest
from helpers.downloads import NAME, PACKED, download, files_in, zipped
from helpers.loopback_archives import SECRET, LoopbackArchives

from neuralpile import http_client
from neuralpile.acquire import range_file
from neuralpile.acquire.archives import RemoteFile
from neuralpile.acquire.range_file import RangeFile
from neuralpile.errors import BadInput

EVER = float("inf")
FILES = {
    "m1-a": {NAME: b"x" * 1_000},
    "makin": {"indy_1.mat": b"x" * 1_000},
    "lanzarini": {"Router/a.mat": b"x" * 1_000},
    "papale": {"monkeyF/THINGS_MUA_trials.mat": b"x" * 1_000},
    "card": {PACKED: zipped({"a/data_train.hdf5": b"1"})},
}
# All listings are read by other code, but files and redirects by the same: one archive with redirects, and one without.
SOME_SLOW = ["m1-a", "papale", *(pytest.param(name, marks=pytest.mark.slow) for name in ("makin", "lanzarini", "card"))]
CONTENT = {"m1-a": "/blobs/", "makin": "/content", "lanzarini": "/blobs/", "papale": "/raw/", "card": "/blobs/"}


@pytest.fixture
def hours(monkeypatch):
    """A clock on which a thousand seconds pass between two looks: bytes come in quick succession, and rarely."""
    ticks = itertools.count(0, 1_000)
    monkeypatch.setattr(http_client, "monotonic", lambda: float(next(ticks)))


@pytest.mark.parametrize("name", FILES)
def test_a_listing_that_drips_is_given_up(tmp_path, hours, name):
    with LoopbackArchives(FILES[name]) as archives:
        archives.fail("", "drip", EVER)
        done = download(name, tmp_path, archives)
    assert done.returncode == 2
    assert "found an answer that was not complete after 300 s, 7 times in a row; check" in done.stderr
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("name", SOME_SLOW)
def test_a_file_that_drips_is_given_up_though_bytes_come(tmp_path, hours, monkeypatch, name):
    monkeypatch.setattr(http_client, "SILENT_SECONDS", 60.0)
    with LoopbackArchives(FILES[name]) as archives:
        archives.fail(CONTENT[name], "drip", EVER)
        with monkeypatch.context() as patient:  # the listing is quick
            patient.setattr(http_client.Pace, "__init__", quick_unless_without_bound)
            done = download(name, tmp_path, archives)
    assert done.returncode == 1, done.stderr
    assert "fewer than 100 bytes a second, 7 times in a row; check" in done.stderr


def quick_unless_without_bound(self, most_seconds=EVER):
    """A pace that is checked for files only, which have no bound in time."""
    self._most, self._received = EVER, 0
    self._start = self._since = 0.0 if most_seconds == EVER else EVER


def test_a_recording_that_drips_is_given_up(hours, monkeypatch):
    monkeypatch.setattr(http_client, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(range_file, "WHOLE", 0)
    with LoopbackArchives({NAME: b"x" * 1_000_000}) as archives:
        archives.fail("/download/", "drip", EVER)
        file = RemoteFile(NAME, 1_000_000, "", f"{archives.url}/api/assets/asset-0/download/")
        with RangeFile(http_client.HttpClient(), file) as remote, pytest.raises(BadInput, match="fewer than 100 bytes"):
            remote.read(10)


@pytest.mark.parametrize("name", SOME_SLOW)
def test_a_redirect_that_drips_is_given_up(tmp_path, hours, name):
    """Clients read the body of a redirect, too, before they follow it."""
    with LoopbackArchives(FILES[name]) as archives:
        archives.fail("", "drip redirect", 3)
        done = download(name, tmp_path, archives, "--dry_run", environment={"DRYAD_TOKEN": ""})
        assert all(rule.left == 0 for rule in archives.faults)
    assert "Traceback" not in done.stderr


def test_headers_that_drip_are_given_up(monkeypatch):
    monkeypatch.setattr(http_client, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(http_client, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(http_client, "TRIES", 2)
    with LoopbackArchives({}) as archives:
        archives.fail("", "drip headers", EVER)
        with pytest.raises(BadInput, match="2 times in a row"):
            http_client.HttpClient().get_json(archives.url, dict)


def test_a_token_that_drips_is_given_up(tmp_path, hours):
    with LoopbackArchives(FILES["card"]) as archives:
        archives.fail("/oauth/token", "drip", EVER)
        environment = {"DRYAD_TOKEN": "", "DRYAD_CLIENT_ID": "me", "DRYAD_CLIENT_SECRET": SECRET}
        done = download("card", tmp_path, archives, environment=environment)
    assert done.returncode == 2
    assert "expected a token for DRYAD_CLIENT_ID and DRYAD_CLIENT_SECRET, found an answer that was not" in done.stderr


def test_a_slow_line_is_no_dripping_server(monkeypatch):
    """A modem's 5 kB in each second, for an hour; then pauses of 50 s, before 16 kB each."""
    now = [0.0]
    monkeypatch.setattr(http_client, "monotonic", lambda: now[0])
    monkeypatch.setattr(http_client, "SILENT_SECONDS", 60.0)
    pace = http_client.Pace()
    for seconds, received in [(1, 5_000)] * 3_600 + [(50, 16_384)] * 100:
        now[0] += seconds
        pace.check(received)
    with pytest.raises(http_client.TooSlow):
        for _ in range(20):
            now[0] += 5
            pace.check(1)
