"""download.py of each archive, against stand-ins for the archives that fail on purpose."""

import gzip
import hashlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from helpers import ROOT
from helpers.downloads import BODY, MEMBER, NAME, PACKED, TARS, download, files_in, tarred, zipped
from helpers.loopback_archives import SECRET, LoopbackArchives

from neuralpile.acquire import transfer
from neuralpile.acquire.archives import RemoteFile
from neuralpile.errors import BadInput

# Each archive: a data set of it, what the archive has, and what is here afterwards


@pytest.mark.parametrize(
    ("name", "there", "here"),
    [
        ("xiao", {f"sub-A/a{i}.nwb": b"%d" % i for i in range(7)} | {"sub-A/a_behavior.nwb": b"x"}, range(7)),
        ("makin", {"indy_1.mat": b"i", "loco_2.mat": b"l", "paper.pdf": b"x"}, ["indy_1.mat", "loco_2.mat"]),
        ("lanzarini", {"Router/a.mat": b"a", "Wifi/x/b.mat": b"b", "n.txt": b"x"}, ["Router/a.mat", "Wifi/x/b.mat"]),
        ("papale", {"monkeyF/THINGS_MUA_trials.mat": BODY, "a.md": b"x"}, ["monkeyF/THINGS_MUA_trials.mat"]),
        ("card", {PACKED: zipped({MEMBER: b"1", "o.pkl": b"2"}), "R.md": b"x"}, [f"{PACKED[:-4]}/{MEMBER}"]),
    ],
)
def test_every_archive_yields_the_wanted_files(tmp_path, name, there, here):
    """What is wanted, of listings of several pages; the second run asks nobody."""
    here = [f"sub-A/a{i}.nwb" for i in here] if isinstance(here, range) else here
    with LoopbackArchives(there) as archives:
        dry = download(name, tmp_path, archives, "--dry_run")
        assert dry.returncode == 0, dry.stderr
        assert files_in(tmp_path) == []
        done = download(name, tmp_path, archives)
        assert done.returncode == 0, done.stderr
        assert files_in(tmp_path) == here
        asked = archives.asked()
        again = download(name, tmp_path, archives)
        assert again.returncode == 0
        assert archives.asked() == asked
        assert "0 fetched" in again.stdout
        assert f"{len(here)} were here" in again.stdout
    for path in here:
        if path in there:
            assert (tmp_path / path).read_bytes() == there[path]


def test_a_dry_run_lists_the_chosen_files(tmp_path):
    files = {f"sub-{s}/s_{d}.nwb": bytes(n) for s, d, n in [("A", 1, 10), ("A", 2, 200), ("B", 1, 3_000)]}
    with LoopbackArchives(files) as archives:
        said = download("m1-a", tmp_path, archives, "--dry_run").stdout
        assert ["sub-A/s_2.nwb", "200"] in [line.split() for line in said.splitlines()]
        assert "3 files, 3,210 bytes (3.21kB), of these to fetch 3,210" in said
        assert download("m1-a", tmp_path, archives, "--sessions", "*_1.nwb", "--max_files", "1").returncode == 0
        assert files_in(tmp_path) == ["sub-A/s_1.nwb"]
        assert "of these to fetch 3,200" in download("m1-a", tmp_path, archives, "--dry_run").stdout
        assert download("m1-a", tmp_path, archives, "--sessions", "sub-B/*").returncode == 0
        assert files_in(tmp_path) == ["sub-A/s_1.nwb", "sub-B/s_1.nwb"]
        done = download("m1-a", tmp_path, archives, "--sessions", "nothing")
        assert done.returncode == 2
        assert "expected a pattern like sub-A/s_1.nwb, found nothing" in done.stderr


def test_units_table_tells_where_names_do_not(tmp_path):
    """chen: raw files and those with spike times have names that are not known; DANDI says what is in each."""
    files = {"sub-Lalo/a.nwb": b"spikes", "sub-Lalo/b.nwb": b"raw"}
    measured = {"sub-Lalo/a.nwb": ["Units", "ElectricalSeries"], "sub-Lalo/b.nwb": ["ElectricalSeries"]}
    with LoopbackArchives(files, measured=measured) as archives:
        assert download("chen", tmp_path, archives).returncode == 0
    assert files_in(tmp_path) == ["sub-Lalo/a.nwb"]


def test_etag_where_dandi_has_no_sha256_yet(tmp_path):
    with LoopbackArchives({NAME: BODY}, sha256=False) as archives:
        archives.fail("GET /blobs/", "wrong")
        assert download("m1-a", tmp_path, archives).returncode == 0
        assert archives.asked("/blobs/") == 2
    assert (tmp_path / NAME).read_bytes() == BODY


# Faults that pass: in the end the file is right

IMPATIENT = {"NEURALPILE_TIMEOUT": "1"}  # seconds
ASSETS, ASKED, BLOB = "GET .*/assets/$", "/download/", "GET /blobs/"
PASSING = {
    "reset before the headers": (BLOB, "reset", 2),
    "reset within the headers": (BLOB, "reset headers", 2),
    "reset within the body": (BLOB, "reset body", 3),
    "body cut short": (BLOB, "cut", 3),
    "body too long, once": (BLOB, "long", 1),
    "429 with Retry-After": (BLOB, (429, {"Retry_After": "0.1"}), 2),
    "429 with Retry-After, a date": (BLOB, (429, {"Retry_After": "Fri, 31 Dec 1999 23:59:59 GMT"}), 1),
    "429 without Retry-After": (BLOB, 429, 3),
    "429 with RateLimit-Reset": (ASKED, (429, {"RateLimit_Reset": "0.1"}), 1),
    "429 of the listing": (ASSETS, 429, 2),
    **{f"{status} {n} times": (BLOB, status, n) for status in (500, 502, 503) for n in (1, 3)},
    "500 of the interface": (ASKED, 500, 3),
    "500 of the listing": (ASSETS, 500, 3),
    "listing cut short": (ASSETS, "cut", 2),
    "listing reset": (ASSETS, "reset body", 2),
    "signed address expired": (BLOB, 403, 1),
    "signed address expired, thrice": (BLOB, 403, 3),
    "wrong bytes, once": (BLOB, "wrong", 1),
    "ranges ignored after a cut": (BLOB, "cut then whole", 1),
    "another range than asked for": (BLOB, "cut then shifted", 1),
    "416 after a cut": (BLOB, "cut then 416", 1),
    "stall": (BLOB, "stall", 1),
    "stall of the listing": (ASSETS, "stall", 1),
}


@pytest.mark.parametrize("fault", PASSING)
def test_temporary_failures_are_retried(tmp_path, fault):
    match, failure, times = PASSING[fault]
    with LoopbackArchives({NAME: BODY}) as archives:
        if isinstance(failure, str) and " then " in failure:
            first, second = failure.split(" then ")
            archives.fail(match, first)
            failure = int(second) if second.isdigit() else second
        archives.fail(match, failure, times)
        done = download("m1-a", tmp_path, archives, environment=IMPATIENT if failure == "stall" else {})
        assert done.returncode == 0, done.stderr
        assert all(rule.left == 0 for rule in archives.faults)
    assert files_in(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == BODY


# Faults that stay: a clear line, a status that is not 0, and nothing under the file's name

EVER = float("inf")
STAYING = {
    **{f"{status} for ever": (BLOB, status, f"{status} .*7 times in a row") for status in (500, 502, 503)},
    "429 for ever": (BLOB, 429, "429 .*7 times in a row"),
    "429, a day": (BLOB, (429, {"Retry_After": "86400"}), "again in 24 hours"),
    "reset for ever": (BLOB, "reset", "connection .*7 times in a row"),
    "empty bodies for ever": (BLOB, (200, {}), "0 bytes in place of 300,000, 7 times"),
    "body too long, for ever": (BLOB, "long", "bytes in place of 300,000"),
    "wrong bytes, for ever": (BLOB, "wrong", "expected sha256:.*, found sha256:.*, 2 times"),
    "a login page": (BLOB, "html", r"expected data, found a web page \(a login page\)"),
    "a login page of the interface": (ASSETS, "html", r"expected an answer in JSON, found a web page \(a login page\)"),
    "403 of the interface": (ASKED, 403, "found 403 Forbidden; check that the version is still there"),
    "404 of the listing": (ASSETS, 404, "found 404 Not Found"),
    "404 of the file": (BLOB, 404, "found 404 Not Found"),
    "expired for ever": (BLOB, 403, "403 Forbidden from 127.0.0.1, 7 times"),
    "500 of the listing, for ever": (ASSETS, 500, "500 .*7 times in a row"),
    "redirects without end": (ASKED, (302, {"Location": "/api/assets/asset-0/download/"}), "too many redirects"),
    "redirect to no web address": (ASKED, (302, {"Location": "file:///etc/passwd"}), "a redirect to one, found"),
}


@pytest.mark.parametrize("fault", STAYING)
def test_permanent_failures_are_reported(tmp_path, fault):
    match, failure, message = STAYING[fault]
    with LoopbackArchives({NAME: BODY}) as archives:
        archives.fail(match, failure, EVER)
        done = download("m1-a", tmp_path, archives)
        assert done.returncode in (1, 2)
        assert not (tmp_path / NAME).exists()
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert "expected" in line and ";" in line
        assert re.search(message, line), line
        archives.faults.clear()
        assert download("m1-a", tmp_path, archives).returncode == 0  # nothing is in the way of the next run
    assert (tmp_path / NAME).read_bytes() == BODY


def test_a_refused_connection_is_reported(tmp_path):
    with socket.socket() as closed, LoopbackArchives({NAME: BODY}) as archives:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/api"
        done = download("m1-a", tmp_path, archives, environment={"NEURALPILE_DANDI_API": nobody})
    assert done.returncode == 2
    assert "found connection refused, 7 times in a row; check the network" in done.stderr


@pytest.mark.parametrize("name", ["m1-a", "card", "makin", "lanzarini", "papale"])
def test_a_server_that_never_answers_is_given_up_after_the_timeout(tmp_path, name):
    """It takes the connection and says nothing: given up after NEURALPILE_TIMEOUT, in each of the archives."""
    with socket.socket() as silent, LoopbackArchives({NAME: BODY}) as archives:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        archives.url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = download(name, tmp_path, archives, environment={"NEURALPILE_TIMEOUT": "0.2"})
        silent.setblocking(False)
        tries = 0
        with suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                tries += 1
    assert done.returncode == 2
    assert "found no answer for 0.2 s, 7 times in a row; check the network" in done.stderr
    assert tries == 7  # clients that try by themselves multiply the wait


def test_failing_page_of_a_listing(tmp_path):
    """A page that fails and passes; and one that fails for ever: then nothing is fetched."""
    files = {f"a{i}.nwb": b"%d" % i for i in range(8)}
    with LoopbackArchives(files) as archives:
        archives.fail(ASSETS, 500, EVER, skip=1)
        assert download("m1-a", tmp_path, archives).returncode == 2
        assert files_in(tmp_path) == []
        archives.faults.clear()
        archives.fail(ASSETS, 503, 2, skip=1)
        assert download("m1-a", tmp_path, archives).returncode == 0
    assert files_in(tmp_path) == sorted(files)


@pytest.mark.parametrize("answer", [{}, {"results": None, "files": 1, "data": [], "_embedded": "x"}])
@pytest.mark.parametrize("name", ["m1-a", "card", "makin", "lanzarini", "papale"])
def test_a_listing_of_another_form_is_reported_in_one_line(tmp_path, name, answer):
    """JSON, and no page for browsers, but without what is known to be in it: one line, in each of the archives."""
    with LoopbackArchives({NAME: BODY}) as archives:
        archives.fail("GET", answer, EVER)
        done = download(name, tmp_path, archives)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert ": expected a listing, found " in line


def test_temporary_failures_of_git_are_retried_and_permanent_ones_reported(tmp_path):
    """GIN's listing is a git repository: what passes is tried again; what stays is told."""
    files = {"monkeyF/THINGS_MUA_trials.mat": BODY}
    with LoopbackArchives(files) as archives:
        for failure in (503, "reset", "cut"):
            for request in ("GET .*info/refs", "POST .*git-upload-pack"):
                archives.fail(request, failure, 2)
                done = download("papale", tmp_path / str(failure), archives, "--dry_run")
                assert done.returncode == 0, done.stderr
                assert all(fault.left == 0 for fault in archives.faults)
        archives.fail("GET .*info/refs", 503, EVER)
        done = download("papale", tmp_path, archives)
    assert done.returncode == 2
    assert re.search("found an answer 503 to git, 7 times in a row; check", done.stderr)


def test_listing_with_a_file_twice(tmp_path):
    """Pages of a draft that changes overlap."""
    with LoopbackArchives({NAME: BODY, f"{NAME}.again.nwb": BODY}) as archives:
        archives.listed[f"{NAME}.again.nwb"] = NAME
        done = download("m1-a", tmp_path, archives)
        assert done.returncode == 0, done.stderr
        assert archives.asked("/blobs/") == 1
    assert (tmp_path / NAME).read_bytes() == BODY


def test_one_bad_file_does_not_end_the_others(tmp_path):
    files = {f"a{i}.nwb": b"%d" % i for i in range(5)}
    with LoopbackArchives(files) as archives:
        archives.fail("/blobs/a2", 404, EVER)
        done = download("m1-a", tmp_path, archives)
        assert done.returncode == 1
        assert "error: http" in done.stderr
        assert "4 fetched" in done.stdout and "1 FAILED" in done.stdout
        assert files_in(tmp_path) == sorted(set(files) - {"a2.nwb"})
        archives.faults.clear()
        archives.seen.clear()
        assert download("m1-a", tmp_path, archives).returncode == 0
        assert archives.asked("/blobs/") == 1  # only what was missing
    assert files_in(tmp_path) == sorted(files)


def test_a_file_that_changed_between_two_runs_is_fetched_anew(tmp_path):
    """A draft: the file that was here is fetched anew; the part of an old version is not gone on with."""
    with LoopbackArchives({NAME: BODY}) as archives:
        assert download("m1-b", tmp_path, archives).returncode == 0
        changed = BODY[::-1]
        archives.files = {NAME: changed, "sub-B/b.nwb": b"new"}
        assert download("m1-b", tmp_path, archives).returncode == 0  # all of the list is here: nobody is asked
        (tmp_path / "downloads.json").unlink()
        archives.fail("/blobs/sub-A", "cut", 1)
        archives.fail("/blobs/sub-A", 404, EVER)
        assert download("m1-b", tmp_path, archives).returncode == 1
        assert len(list(tmp_path.rglob("*.part"))) == 1
        archives.faults.clear()
        archives.files = {NAME: changed[:-1], "sub-B/b.nwb": b"new"}
        assert download("m1-b", tmp_path, archives).returncode == 0
        assert files_in(tmp_path) == [NAME, "sub-B/b.nwb"]
    assert (tmp_path / NAME).read_bytes() == changed[:-1]


def test_files_put_there_by_hand(tmp_path):
    """A right one is verified, not fetched; a wrong one is replaced; one that is touched later is verified again."""
    (tmp_path / "sub-A").mkdir()
    (tmp_path / NAME).write_bytes(BODY)
    (tmp_path / "sub-A" / "b.nwb").write_bytes(b"wrong")
    with LoopbackArchives({NAME: BODY, "sub-A/b.nwb": b"right"}) as archives:
        assert download("m1-a", tmp_path, archives).returncode == 0
        assert [seen.line for seen in archives.seen if "blobs" in seen.line] == ["GET /blobs/sub-A/b.nwb"]
        (tmp_path / NAME).write_bytes(BODY[:-1] + b"?")
        os.utime(tmp_path / NAME, (1, 1))
        assert download("m1-a", tmp_path, archives).returncode == 0
    assert (tmp_path / NAME).read_bytes() == BODY
    assert (tmp_path / "sub-A" / "b.nwb").read_bytes() == b"right"


@pytest.mark.parametrize("path", ["../evil.nwb", "/tmp/evil.nwb", "a/../../evil.nwb", "a\\..\\evil.nwb", "C:/evil.nwb"])
def test_paths_that_leave_the_folder(tmp_path, path):
    with LoopbackArchives({NAME: BODY}) as archives:
        archives.listed[NAME] = path
        done = download("m1-a", tmp_path / "in", archives)
    assert done.returncode == 2
    assert "expected paths that stay in their folder" in done.stderr
    assert list(tmp_path.rglob("*evil*")) == []


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_download_killed_in_mid_file_resumes_to_the_byte(tmp_path, kill):
    """The second run asks for what is missing, to the byte."""
    body = random.Random(1).randbytes(3_000_000)
    with LoopbackArchives({NAME: body}) as archives:
        archives.fail(BLOB, "hold")
        command = [sys.executable, "data/m1-a/download.py", "--data_dir", str(tmp_path)]
        env = os.environ | archives.environment() | {"NEURALPILE_TIMEOUT": "100000"}  # an interrupt ends the wait
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        while not any(part.stat().st_size > 1_000_000 for part in tmp_path.rglob("*.part")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(kill)
        _, said = process.communicate(timeout=120)
        assert process.returncode == (-9 if kill == signal.SIGKILL else 130)
        assert "Traceback" not in said
        (part,) = tmp_path.rglob("*.part")
        have = part.stat().st_size
        assert not (tmp_path / NAME).exists()
        archives.seen.clear()
        assert download("m1-a", tmp_path, archives).returncode == 0
        (seen,) = [seen for seen in archives.seen if "blobs" in seen.line]
        assert seen.range == f"bytes={have}-"
        assert seen.sent == len(body) - have
    assert files_in(tmp_path) == [NAME]
    assert (tmp_path / NAME).read_bytes() == body


def test_a_disk_that_is_too_small_is_reported(tmp_path):
    """Too small for all: nothing is begun. Full within a file: told, and gone on with when there is room."""
    with LoopbackArchives({NAME: BODY}) as archives:
        archives.sizes[NAME] = 10**15
        done = download("m1-a", tmp_path, archives)
        assert done.returncode == 2
        assert "expected 1,000,000,000,000,000 bytes free" in done.stderr
        assert archives.asked("/blobs/") == 0
        archives.sizes.clear()
        limit = 100_000
        small = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))}
        done = download("m1-a", tmp_path, archives, **small)
        assert done.returncode == 1
        assert "expected to write it, found File too large; make room on the disk" in done.stderr
        assert not (tmp_path / NAME).exists()
        assert download("m1-a", tmp_path, archives).returncode == 0
        assert archives.seen[-1].range == "bytes=100000-"
    assert (tmp_path / NAME).read_bytes() == BODY


def test_disk_with_room_for_the_rest(tmp_path):
    """What is here already needs no more room: a part of a file (a sparse one, in this test), or all of it."""
    with LoopbackArchives({NAME: BODY}) as archives:
        size = archives.sizes[NAME] = shutil.disk_usage(tmp_path).free + 10**10
        file = RemoteFile(NAME, size, f"sha256:{archives.digests_dandi(BODY)['dandi:sha2-256']}", "")
        part = transfer.part_of(file, tmp_path / NAME)
        part.parent.mkdir()
        with part.open("wb") as sparse:
            sparse.truncate(2 * 10**10)
        assert transfer.bytes_to_come(file, tmp_path / NAME) == size - 2 * 10**10
        done = download("m1-a", tmp_path, archives)  # goes on, and finds that this archive has fewer bytes
        assert "bytes free" not in done.stderr
        assert archives.asked("/blobs/") > 0
        part.unlink(missing_ok=True)
        with part.open("wb") as sparse:
            sparse.truncate(10**9)
        assert "bytes free" in download("m1-a", tmp_path, archives).stderr


def test_a_second_download_into_a_folder_is_refused(tmp_path):
    with LoopbackArchives({NAME: BODY}) as archives:
        archives.fail(BLOB, "hold")
        command = [sys.executable, "data/m1-a/download.py", "--data_dir", str(tmp_path)]
        first = subprocess.Popen(command, cwd=ROOT, env=os.environ | archives.environment(), stdout=subprocess.DEVNULL)
        while not list(tmp_path.rglob("*.part")):
            assert first.poll() is None
            time.sleep(0.01)
        done = download("m1-a", tmp_path, archives)
        assert done.returncode == 2
        assert "expected no other download into this folder, found one" in done.stderr
        archives.released.set()
        assert first.wait(timeout=120) == 0
    assert (tmp_path / NAME).read_bytes() == BODY


# Tokens


@pytest.mark.parametrize("token", ["", "an-old-token"])
def test_dryad_without_a_valid_token_lists_files_and_asks_for_an_account(tmp_path, token):
    """The listing is to be had without one, or with an old one; for the files, what to do is said."""
    with LoopbackArchives({PACKED: zipped({MEMBER: b"1"})}) as archives:
        environment = {"DRYAD_TOKEN": token}
        dry = download("card", tmp_path, archives, "--dry_run", environment=environment)
        assert dry.returncode == 0, dry.stderr
        done = download("card", tmp_path, archives, environment=environment)
    assert done.returncode == 1
    assert "found 401 Unauthorized; make an API account on https://datadryad.org/account" in done.stderr
    assert not token or token not in done.stderr
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("secret", [SECRET, "another"])
def test_dryad_token_from_client_id_and_secret(tmp_path, secret):
    with LoopbackArchives({PACKED: zipped({MEMBER: b"1"})}) as archives:
        environment = {"DRYAD_TOKEN": "", "DRYAD_CLIENT_ID": "me", "DRYAD_CLIENT_SECRET": secret}
        done = download("card", tmp_path, archives, environment=environment)
        blobs = [seen for seen in archives.seen if "blobs" in seen.line]
    assert (done.returncode, len(blobs)) == ((0, 1) if secret == SECRET else (2, 0))
    assert not any(seen.authorised for seen in blobs)  # the token does not go to another host
    if secret != SECRET:
        assert "expected a token for DRYAD_CLIENT_ID and DRYAD_CLIENT_SECRET, found 401" in done.stderr


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("https://api.osf.io/v2/nodes/", True),
        ("https://files.osf.io/v1/resources/x", True),
        ("https://osf.io/download/x", True),
        ("https://storage.example.org/x", False),
        ("https://not-osf.io/x", False),
        ("https://osf.io.example.org/x", False),
    ],
)
def test_a_token_is_for_its_own_archive(monkeypatch, address, sent):
    """Whatever host a listing names."""
    import requests

    from neuralpile import http_client

    asked = []
    monkeypatch.setattr(requests.Session, "send", lambda self, request, **_: asked.append(request) or 1 / 0)
    with pytest.raises(ZeroDivisionError), http_client.HttpClient("a-token", "https://api.osf.io/v2").open(address):
        pass
    assert (asked[0].headers.get("Authorization") == "Bearer a-token") == sent


def test_a_listing_that_goes_round(monkeypatch):
    from neuralpile import http_client

    answers = {"https://x.org/1": "https://x.org/2", "https://x.org/2": "https://x.org/1"}
    monkeypatch.setattr(http_client.HttpClient, "get_json", lambda self, url, *_: {"next": answers[url]})
    with pytest.raises(BadInput, match="expected another page of the listing, found one that was read already"):
        list(http_client.HttpClient().pages("https://x.org/1", dict, lambda page: page["next"]))


# Archives in archives


def test_no_digest_of_a_zip(tmp_path):
    """Dryad has no digest for old files: a damaged zip is told by its own checksums, and fetched again."""
    with LoopbackArchives({PACKED: zipped({MEMBER: BODY})}, digests=False) as archives:
        archives.fail("/blobs/", "wrong")
        done = download("card", tmp_path, archives)
        assert done.returncode == 1
        assert "expected a whole archive" in done.stderr
        assert download("card", tmp_path, archives).returncode == 0
        assert files_in(tmp_path) == [f"{PACKED[:-4]}/{MEMBER}"]
        (tmp_path / PACKED).write_bytes(b"left by a kill before it was deleted")
        assert "1 were here" in download("card", tmp_path, archives).stdout
    assert files_in(tmp_path) == [f"{PACKED[:-4]}/{MEMBER}"]
    assert (tmp_path / PACKED[:-4] / MEMBER).read_bytes() == BODY


BAD_ZIPS = {
    "leaving": zipped({MEMBER: b"1", "../../data_val.hdf5": b"2"}),
    "absolute": zipped({MEMBER: b"1", "/tmp/x/data_val.hdf5": b"2"}),
    "no session in it": zipped({"readme.txt": b"1"}),
    "only a link": zipped({"a/data_val.hdf5": b"/etc/passwd"}, **{"a/data_val.hdf5": 0o120777}),
    "no zip": b"PK, but no more",
    "empty": zipped({}),
    "cut": zipped({MEMBER: BODY})[:100_000],
}


@pytest.mark.parametrize("kind", BAD_ZIPS)
def test_bad_zips_are_refused(tmp_path, kind):
    folder = tmp_path / "deep" / "raw"
    with LoopbackArchives({PACKED: BAD_ZIPS[kind]}) as archives:
        done = download("card", folder, archives)
    assert done.returncode == 1, done.stderr
    assert "expected" in done.stderr
    assert files_in(tmp_path) in ([], [f"deep/raw/{PACKED}"])


def test_only_the_wanted_members_of_tars_are_unpacked(tmp_path):
    """willett: three of several archives; links, other files and what macOS adds are passed over."""
    files = {
        name: tarred(
            {
                f"./{name[:-7]}/t12.2022.04.21_{i}.mat": BODY[:1000],
                f"{name[:-7]}/._t12.2022.04.21_{i}.mat": b"x",
                "t12.link.mat": "/etc/passwd",
                "notes.txt": b"x",
            }
        )
        for i, name in enumerate(TARS)
    }
    with LoopbackArchives(files | {"competitionData.tar.gz": b"x"}) as archives:
        done = download("willett", tmp_path, archives)
        assert done.returncode == 0, done.stderr
        assert files_in(tmp_path) == [f"{n[:-7]}/{n[:-7]}/t12.2022.04.21_{i}.mat" for i, n in enumerate(TARS)]
        (tmp_path / files_in(tmp_path)[1]).unlink()
        archives.seen.clear()
        assert download("willett", tmp_path, archives).returncode == 0  # the archive of the missing file again
        assert archives.asked("/blobs/") == 1
        assert len(files_in(tmp_path)) == 3


@pytest.mark.parametrize("name", ["../t12.x.mat", "/tmp/t12.x.mat"])
def test_bad_tars_are_refused(tmp_path, name):
    files = {archive: tarred({"t12.a.mat": b"1"}) for archive in TARS} | {
        TARS[1]: tarred({"t12.a.mat": b"1", name: b"2"})
    }
    with LoopbackArchives(files) as archives:
        done = download("willett", tmp_path / "raw", archives)
    assert done.returncode == 1
    assert "sentences.tar.gz: expected paths that stay in their folder" in done.stderr
    assert [p for p in files_in(tmp_path) if p.endswith(".mat")] == [
        "raw/diagnosticBlocks/t12.a.mat",
        "raw/tuningTasks/t12.a.mat",
    ]


def test_damaged_gzip_files_are_reported(tmp_path):
    whole = tarred({"t12.a.mat": BODY})
    bad = gzip.compress(b"no tar" * 1000)
    files = {TARS[0]: whole, TARS[1]: whole[: len(whole) // 2], TARS[2]: bad}
    with LoopbackArchives(files) as archives:
        done = download("willett", tmp_path, archives)
    assert done.returncode == 1
    assert done.stderr.count("expected a whole archive") == 2
    assert [p for p in files_in(tmp_path) if p.endswith(".mat")] == ["diagnosticBlocks/t12.a.mat"]


@pytest.mark.parametrize("content", ["[1]", "{", '{"files": [1]}', '{"files": {"a": {}}}', '{"listing": [{"a": 1}]}'])
def test_list_that_is_no_list(tmp_path, content):
    (tmp_path / "downloads.json").write_text(content)
    with LoopbackArchives({NAME: BODY}) as archives:
        done = download("m1-a", tmp_path, archives)
    assert done.returncode == 2
    assert "downloads.json: expected a list that download.py wrote" in done.stderr


@pytest.mark.slow
def test_downloaded_recordings_are_built(tmp_path, script):
    """A real way: simulated recordings from the stand-in for DANDI, built with the script of a data set."""
    made = script("data/simulated-motor/download.py", "--data_dir", tmp_path / "made")
    assert made.returncode == 0, made.stderr
    files = {str(p.relative_to(tmp_path / "made")): p.read_bytes() for p in (tmp_path / "made").rglob("*ses-1.nwb")}
    with LoopbackArchives(files) as archives:
        assert download("m1-a", tmp_path / "raw", archives).returncode == 0
    done = script("data/m1-a/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "report.json").read_text())["totals"]["sessions"] == len(files) == 2
    made = json.loads((tmp_path / "out" / "manifest.json").read_text())["sessions"]
    assert {entry["digest"] for entry in made} == {f"sha256:{hashlib.sha256(b).hexdigest()}" for b in files.values()}
    assert {entry["digest_of"] for entry in made} == {"this file; verified by download.py"}


@pytest.mark.parametrize("digests", [True, False])
def test_manifest_says_what_a_digest_is_of(tmp_path, script, digests):
    """A file out of a zip has the zip's digest; one that was put there by hand, or touched since, has none."""
    npy = io.BytesIO()
    np.save(npy, np.full((2, 3, 40), 100.0))
    beside = {"__MACOSX/._a.npy": b"Mac OS X", "._a.npy": b"Mac OS X", "__MACOSX/a.npy": b"Mac OS X"}  # passed over
    zips = {f"m1_ses{i}.zip": zipped({f"a{i}.npy": npy.getvalue()} | beside) for i in (1, 2)}
    with LoopbackArchives(zips, digests=digests) as archives:
        assert download("wojcik", tmp_path / "raw", archives).returncode == 0
    assert files_in(tmp_path / "raw") == ["m1_ses1/a1.npy", "m1_ses2/a2.npy"]
    (tmp_path / "raw" / "M2").mkdir()
    (tmp_path / "raw" / "M2" / "b.npy").write_bytes(npy.getvalue())
    os.utime(tmp_path / "raw" / "m1_ses2" / "a2.npy", (1, 1))
    done = script("data/wojcik/preprocess.py", "--data_dir", tmp_path / "raw", "--out_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "out" / "manifest.json").read_text())["sessions"]
    nothing = None, "not in downloads.json of its folder, or changed since"
    digest = f"sha256:{hashlib.sha256(zips['m1_ses1.zip']).hexdigest()}" if digests else None
    why = "verified by download.py" if digests else "the archive lists no checksum"
    assert {entry["file"]: (entry["digest"], entry["digest_of"]) for entry in made} == {
        "M2/b.npy": nothing,
        "m1_ses1/a1.npy": (digest, f"m1_ses1.zip, from which this file was unpacked; {why}"),
        "m1_ses2/a2.npy": nothing,
    }
