"""Files that are not for everyone, and tokens that are wrong, old or of someone else: one line each, with a remedy."""

import re
from unittest import mock

import pytest
from helpers.downloads import BODY, NAME, download, files_in
from helpers.loopback_archives import STRANGER, TOKEN, LoopbackArchives
from helpers.recordings import write_units

from neuralpile import catalog, http_client
from neuralpile.acquire import range_file
from neuralpile.acquire.archives import RemoteFile, dandi
from neuralpile.acquire.range_file import RemoteRecording
from neuralpile.build import sessions
from neuralpile.errors import BadInput
from neuralpile.recordings import nwb

OTHER = "sub-B/sub-B_ses-1.nwb"
NO_KEY = "found 401 Unauthorized; check that the version is still there; if it is under embargo, set DANDI_API_KEY"
WRONG_KEY = "found 401 Unauthorized; renew DANDI_API_KEY, or unset it if the data are open"
NOT_OWNER = "found 403 Forbidden; data under embargo are for their owners: ask them to add the account"
KEYS = [("", NO_KEY), ("an-old-key", WRONG_KEY), (STRANGER, NOT_OWNER)]


def error_lines(done):
    assert STRANGER not in done.stdout + done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize(("key", "line"), KEYS)
def test_a_dandiset_under_embargo(tmp_path, key, line):
    """Also while its embargo is lifted: DANDI's server then answers as before."""
    with LoopbackArchives({NAME: BODY}, embargoed=True) as archives:
        done = download("m1-a", tmp_path, archives, environment={"DANDI_API_KEY": key})
        assert done.returncode == 2
        (said,) = error_lines(done)
        assert line in said
        assert archives.asked("/blobs/") == 0
        assert archives.asked() < 5  # what is refused is not retried
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(("key", "line"), [KEYS[0], KEYS[2]])
def test_one_asset_under_embargo_does_not_end_the_others(tmp_path, key, line):
    with LoopbackArchives({NAME: BODY, OTHER: b"open"}, withheld={NAME}) as archives:
        done = download("m1-a", tmp_path, archives, environment={"DANDI_API_KEY": key})
        assert done.returncode == 1
        (said,) = error_lines(done)
        assert f"expected the file {NAME}, {line}" in said
        assert files_in(tmp_path) == [OTHER]
        assert download("m1-a", tmp_path, archives, environment={"DANDI_API_KEY": TOKEN}).returncode == 0
    assert (tmp_path / NAME).read_bytes() == BODY


def test_an_asset_whose_blob_the_storage_does_not_give(tmp_path):
    """Its address is signed anew for each try; then the host is named that refuses it."""
    with LoopbackArchives({NAME: BODY, OTHER: b"open"}, unreadable={NAME}) as archives:
        done = download("m1-a", tmp_path, archives)
    assert done.returncode == 1
    (said,) = error_lines(done)
    assert (
        f"error: {NAME}: expected an answer, found 403 Forbidden from 127.0.0.1, 7 times in a row; check that" in said
    )
    assert "check that no proxy blocks 127.0.0.1, and the archive's page; report it to the archive" in said
    assert files_in(tmp_path) == [OTHER]


@pytest.mark.parametrize(("key", "line"), KEYS)
def test_a_dandiset_under_embargo_in_place(monkeypatch, key, line):
    with LoopbackArchives({NAME: BODY}, embargoed=True) as archives:
        environment = archives.environment() | {"DANDI_API_KEY": key}
        monkeypatch.setattr(dandi, "MIRROR", environment["NEURALPILE_DANDI_API"])
        with mock.patch.dict("os.environ", environment), pytest.raises(BadInput, match=re.escape(line)):
            sessions.find_remote(catalog.load("m1-a"))


@pytest.mark.parametrize(
    ("refused", "line"),
    [
        (
            "withheld",
            "found 401 Unauthorized; check that the data set is public; download.py can fetch data under embargo",
        ),
        ("unreadable", "found 403 Forbidden from 127.0.0.1, 7 times in a row; check that no proxy blocks 127.0.0.1"),
    ],
)
def test_an_asset_that_is_refused_while_it_is_read_in_place(tmp_path, monkeypatch, refused, line):
    """Also where the user has a key: reading in place has none."""
    monkeypatch.setattr(http_client, "RETRY_SECONDS", 0.0)
    monkeypatch.setenv("DANDI_API_KEY", TOKEN)
    range_file._open.cache_clear()
    body = write_units(tmp_path / "a.nwb", [[0.1, 0.2]]).read_bytes()
    with LoopbackArchives({NAME: body}, **{refused: {NAME}}) as archives:
        recording = RemoteRecording(RemoteFile(NAME, len(body), "", f"{archives.url}/api/assets/asset-0/download/"))
        with pytest.raises(BadInput, match=re.escape(line)) as error:
            nwb.read_spike_trains(recording)
    assert str(error.value).startswith(f"{NAME}: expected ")


@pytest.mark.parametrize(
    ("token", "line"),
    [
        ("", "found 401 Unauthorized; check that the project is public; if it is not, set OSF_TOKEN"),
        ("an-old-token", "found 401 Unauthorized; renew OSF_TOKEN, or unset it"),
        (STRANGER, "found 403 Forbidden; ask the project's contributors for access, or give OSF_TOKEN the scope"),
    ],
)
def test_a_private_project_of_osf(tmp_path, token, line):
    with LoopbackArchives({"Router/a.mat": b"a"}, private_project=True) as archives:
        done = download("lanzarini", tmp_path, archives, environment={"OSF_TOKEN": token})
        assert done.returncode == 2
        (said,) = error_lines(done)
        assert line in said
        assert download("lanzarini", tmp_path, archives, environment={"OSF_TOKEN": TOKEN}).returncode == 0


def test_an_old_key_for_open_data_is_named(tmp_path):
    """DANDI and OSF refuse a wrong token even for what is open to all."""
    with LoopbackArchives({NAME: BODY, "Router/a.mat": b"a"}) as archives:
        done = download("m1-a", tmp_path, archives, environment={"DANDI_API_KEY": "an-old-key"})
        assert WRONG_KEY in done.stderr
        done = download("lanzarini", tmp_path, archives, environment={"OSF_TOKEN": "an-old-token"})
        assert "found 401 Unauthorized; renew OSF_TOKEN, or unset it" in done.stderr
