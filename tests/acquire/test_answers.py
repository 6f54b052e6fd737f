"""Answers as HTTP allows them and servers send them: encoded, of no stated length, of another version, at odd times."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from helpers.downloads import BODY, NAME, TARS, download, files_in, tarred
from helpers.loopback_archives import LoopbackArchives

from neuralpile import http_client
from neuralpile.acquire import range_file, transfer
from neuralpile.acquire.archives import RemoteFile
from neuralpile.acquire.range_file import RangeFile

BLOB = "GET /blobs/"
HTML_503 = (503, {"Content_Type": "text/html"}, b"<html><title>Application error</title></html>")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(http_client, "RETRY_SECONDS", 0.0)


@pytest.mark.parametrize(
    "faults",
    [
        ["gzip"],
        ["gzip said"],
        ["cut", "gzip said"],
        ["chunked"],
        ["cut", "chunked"],
        ["chunked cut", "chunked cut", "chunked"],
        [HTML_503, "cut", HTML_503],
        [416],
        ["cut headers", "cut", "cut headers"],
    ],
    ids=str,
)
def test_a_file_is_right_however_it_is_sent(tmp_path, faults):
    with LoopbackArchives({NAME: BODY}) as archives:
        for fault in faults:
            archives.fail(BLOB, fault)
        done = download("m1-a", tmp_path, archives)
        assert done.returncode == 0, done.stderr
        assert all(rule.left == 0 for rule in archives.faults)
        assert archives.asked("HEAD ") == 0  # some servers refuse it
    assert (tmp_path / NAME).read_bytes() == BODY


def test_an_archive_file_that_a_server_calls_encoded_is_kept_as_it_is(tmp_path):
    """Web servers say of a .tar.gz that it is gzip of a tar. The archive's size and checksum are of the .tar.gz."""
    files = {name: tarred({f"t12.{i}.mat": BODY[:100]}) for i, name in enumerate(TARS)}
    with LoopbackArchives(files) as archives:
        archives.fail(BLOB, "gzip said", 3)
        done = download("willett", tmp_path, archives)
    assert done.returncode == 0, done.stderr
    assert len(files_in(tmp_path)) == 3


@pytest.mark.parametrize("fault", [HTML_503, "chunked", "cut headers"])
def test_a_listing_is_read_however_it_is_sent(tmp_path, fault):
    with LoopbackArchives({NAME: BODY}) as archives:
        archives.fail("GET .*/assets/$", fault, 1)
        assert download("m1-a", tmp_path, archives).returncode == 0
    assert (tmp_path / NAME).read_bytes() == BODY


def test_each_retry_of_a_long_download_has_an_address_that_is_valid(tmp_path):
    """A signed address can be used once; the line breaks three times, hours later each."""
    with LoopbackArchives({NAME: BODY}, uses=1) as archives:
        archives.fail(BLOB, "cut", 3)
        assert download("m1-a", tmp_path, archives).returncode == 0
        ranges = [seen.range for seen in archives.seen if "/blobs/" in seen.line]
        assert len(ranges) == archives.asked("/download/") == 4
        assert ranges[0] is None and all(ranges[1:])  # no byte twice
    assert (tmp_path / NAME).read_bytes() == BODY


def fetch(archives, folder, **about):
    file = RemoteFile("a.bin", **({"size": len(BODY), "checksum": "", "url": f"{archives.url}/osf/download/a"} | about))
    transfer.fetch(http_client.HttpClient(), file, folder / "a.bin", lambda _: None)
    return (folder / "a.bin").read_bytes()


@pytest.mark.parametrize("failure", ["cut", "chunked cut"])
def test_two_versions_are_never_put_together(tmp_path, monkeypatch, failure):
    """No checksum, the same size: the ETag alone says that the rest is of another file."""
    new = BODY[::-1]
    with LoopbackArchives({"a": BODY}) as archives:
        archives.fail(BLOB, failure)
        retry = http_client.HttpClient.retry

        def change(self, what, attempt, *arguments, **named):
            def and_change():
                try:
                    return attempt()
                finally:
                    archives.files["a"] = new

            return retry(self, what, and_change, *arguments, **named)

        monkeypatch.setattr(http_client.HttpClient, "retry", change)
        assert fetch(archives, tmp_path) == new


def test_a_weak_etag_and_a_strong_one_of_the_same_version_are_one(tmp_path, monkeypatch):
    monkeypatch.setattr(range_file, "WHOLE", 0)
    with LoopbackArchives({"a": BODY}, etag='W/"x"') as archives:
        archives.fail(BLOB, "cut")
        assert fetch(archives, tmp_path) == BODY
        assert archives.seen[-1].range
        file = RemoteFile("a", len(BODY), "", f"{archives.url}/osf/download/a")
        with RangeFile(http_client.HttpClient(), file) as remote:
            first = remote.read(10)
            archives.etag = '"x"'
            remote.seek(200_000)
            assert (first, remote.read(10)) == (BODY[:10], BODY[200_000:200_010])


@pytest.mark.parametrize("failure", ["chunked", "gzip said"])
def test_parts_of_a_file_are_read_however_they_are_sent(monkeypatch, failure):
    monkeypatch.setattr(range_file, "WHOLE", 0)
    with LoopbackArchives({"a": BODY}) as archives:
        archives.fail(BLOB, failure, float("inf"))
        file = RemoteFile("a", len(BODY), "", f"{archives.url}/osf/download/a")
        with RangeFile(http_client.HttpClient(), file) as remote:
            for at in random.Random(0).sample(range(len(BODY) - 100), 5):
                remote.seek(at)
                assert remote.read(100) == BODY[at : at + 100]


@pytest.mark.parametrize("skew", [-86_400, -60, 0, 60, 86_400])
@pytest.mark.parametrize("form", ["Retry-After", "RateLimit-Reset"])
def test_a_time_to_wait_for_is_by_the_servers_own_clock(form, skew):
    """Thirty seconds, whatever the clock here says; also where the server names a time in seconds since 1970."""
    there = datetime.now(UTC) + timedelta(seconds=skew)
    then = there + timedelta(seconds=30)
    asked = format_datetime(then, usegmt=True) if form == "Retry-After" else str(int(then.timestamp()))
    headers = {"Date": format_datetime(there, usegmt=True), form: asked}
    assert 28 <= http_client.asked_wait(headers) <= 31
