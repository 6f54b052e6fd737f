"""What the archives' own sources say of their behaviour, and hostile answers: tokens, redirects, bombs, bot checks."""

import gzip
import io
import random
import re
import socket
import tarfile
import threading
import zipfile

import pytest
import requests
from helpers.downloads import BODY, MEMBER, NAME, PACKED, TARS, download, files_in, tarred, zipped
from helpers.loopback_archives import TOKEN, LoopbackArchives

from neuralpile import catalog, http_client
from neuralpile.acquire import lock_list, unpack
from neuralpile.acquire.archives import RemoteFile
from neuralpile.build import sessions
from neuralpile.errors import BadInput

EVER = float("inf")
MAT = "monkeyF/THINGS_MUA_trials.mat"
ASSETS = "GET .*/assets/$"


# GIN: whole files, whatever is requested


def test_a_part_survives_a_server_that_cannot_resume(tmp_path):
    """Broken off at 100 %, 90 % and then 50 % of the file, again and again: the 90 % stay, and are gone on with."""
    body = random.Random(1).randbytes(1_000_000)
    with LoopbackArchives({MAT: body}) as archives:
        archives.fail("/raw/", 0.9)
        archives.fail("/raw/", 0.5, EVER)
        done = download("papale", tmp_path, archives)
        assert done.returncode == 1
        assert "7 times in a row" in done.stderr
        (part,) = tmp_path.rglob("*.part")
        assert 880_000 < part.stat().st_size <= 900_000
        assert part.read_bytes() == body[: part.stat().st_size]
        assert done.stderr.count("cannot resume") == 1
        archives.faults.clear()
        assert download("papale", tmp_path, archives).returncode == 0
    assert (tmp_path / MAT).read_bytes() == body


@pytest.mark.parametrize("answer", [416, (200, {}), (206, {"Content_Range": "bytes ²-5/9"})])
def test_a_part_survives_wrong_answers_to_a_range(tmp_path, answer):
    with LoopbackArchives({NAME: BODY}) as archives:
        archives.fail("GET /blobs/", "cut")
        archives.fail("GET /blobs/", answer, EVER)
        assert download("m1-a", tmp_path, archives).returncode == 1
        (part,) = tmp_path.rglob("*.part")
        assert 130_000 < part.stat().st_size <= 150_000
        assert part.read_bytes() == BODY[: part.stat().st_size]


# Dryad


@pytest.mark.parametrize(
    ("name", "version"),
    [("card", 10), ("wojcik", 2)],  # "latest": the largest number of three pages in no order; and that of a day
)
def test_dryad_version_is_the_newest_or_the_pinned_one(tmp_path, name, version):
    files = {PACKED: zipped({MEMBER: b"1"}), "m1_ses1.zip": zipped({"a.npy": b"1"})}
    with LoopbackArchives(files) as archives:
        assert download(name, tmp_path, archives, "--dry_run").returncode == 0
        (listed,) = {seen.line for seen in archives.seen if "/files" in seen.line}
    assert listed == f"GET /api/v2/versions/{100 + version}/files"


def test_a_pinned_version_that_is_gone_is_not_replaced(tmp_path):
    with LoopbackArchives({"m1_ses1.zip": zipped({"a.npy": b"1"})}, versions={3: "2025-01-01"}) as archives:
        done = download("wojcik", tmp_path, archives)
    assert done.returncode == 2
    assert "expected version 2024-11-12, found 3 (2025-01-01)" in done.stderr


def test_a_file_that_is_not_public_does_not_stop_the_others(tmp_path):
    files = {name: tarred({f"t12.{i}.mat": BODY[:100]}) for i, name in enumerate(TARS)}
    with LoopbackArchives(files, private={TARS[1]}) as archives:
        done = download("willett", tmp_path, archives)
    assert done.returncode == 1
    assert f"error: {TARS[1]}: expected a public file" in done.stderr
    assert len(files_in(tmp_path)) == 2


BOT = b"<!doctype html><title>Making sure you&#39;re not a bot!</title>"


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize("match", ["/versions", "/download"])
def test_a_bot_check_is_named(tmp_path, status, match):
    with LoopbackArchives({PACKED: zipped({MEMBER: b"1"})}) as archives:
        archives.fail(match, (status, {"Content_Type": "text/html"}, BOT), EVER)
        done = download("card", tmp_path, archives)
    assert done.returncode in (1, 2)
    assert "a web page (a bot check)" in done.stderr
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("digests", [True, False])
def test_an_empty_answer_with_202_is_not_a_file(tmp_path, digests):
    with LoopbackArchives({PACKED: zipped({MEMBER: b"1"})}, digests=digests) as archives:
        archives.sizes[PACKED] = None
        archives.fail("/blobs/", 202, 2)
        assert download("card", tmp_path, archives).returncode == 0
        archives.fail("/blobs/", 202, EVER)
        done = download("card", tmp_path / "other", archives)
    assert done.returncode == 1
    assert "202 Accepted, 7 times in a row" in done.stderr
    assert files_in(tmp_path / "other") == []


def test_a_restricted_record_is_named(tmp_path):
    with LoopbackArchives({"indy_1.mat": b"i"}, restricted=True) as archives:
        done = download("makin", tmp_path, archives)
    assert done.returncode == 2
    assert "expected open files, found a record whose files are not open (restricted); ask for access" in done.stderr


# DANDI, through its client


def test_dandi_gives_data_under_embargo_to_a_key(tmp_path):
    with LoopbackArchives({NAME: BODY}, embargoed=True) as archives:
        done = download("m1-a", tmp_path, archives)
        assert done.returncode == 2
        assert "found 401 Unauthorized; check that the version is still there; if it is under embargo" in done.stderr
        assert "set DANDI_API_KEY" in done.stderr
        assert download("m1-a", tmp_path, archives, environment={"DANDI_API_KEY": TOKEN}).returncode == 0
        assert not any(seen.authorised for seen in archives.seen if "blobs" in seen.line)
    assert (tmp_path / NAME).read_bytes() == BODY


@pytest.mark.parametrize("versions", [{"minimal_version": "99.0.0"}, {"bad_versions": ("0.81.0",)}])
def test_dandi_that_needs_another_client_says_how_to_upgrade(tmp_path, versions):
    import dandi

    versions = {key: (dandi.__version__,) if key == "bad_versions" else value for key, value in versions.items()}
    with LoopbackArchives({NAME: BODY}, **versions) as archives:
        done = download("m1-a", tmp_path, archives)
    assert done.returncode == 2
    assert f"found dandi {dandi.__version__}; upgrade it: pip install -U dandi" in done.stderr


# Secrets, and what terminals obey


@pytest.mark.parametrize("odd", ["a\nb", "é", "\x1b[2Jx", "to ken"])
@pytest.mark.parametrize(
    ("name", "variable"), [("card", "DRYAD_TOKEN"), ("lanzarini", "OSF_TOKEN"), ("m1-a", "DANDI_API_KEY")]
)
def test_a_token_with_odd_characters_is_refused_and_not_shown(tmp_path, name, variable, odd):
    token = f"secret-{odd}-secret"
    with LoopbackArchives({NAME: BODY}) as archives:
        done = download(name, tmp_path, archives, environment={variable: token})
    assert done.returncode == 2
    assert f"error: {variable}: expected a token of letters, digits and signs" in done.stderr
    assert "secret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "location",
    [
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://.example/",
        "http://" + "a" * 80 + ".x/",
        "http://a b/",
        "http://\x1b[2J/",
        "//",
        "http:///x",
        "http://secret:secret@127.0.0.1:1/",
    ],
)
@pytest.mark.parametrize("match", [ASSETS, "/download/"])
def test_redirects_to_odd_hosts_and_ports_give_one_line(monkeypatch, location, match):
    monkeypatch.setattr(http_client, "RETRY_SECONDS", 0.0)
    with LoopbackArchives({NAME: BODY}) as archives:
        archives.fail("GET", (302, {"Location": location}), EVER)
        with pytest.raises(BadInput) as error:
            http_client.HttpClient(TOKEN, archives.url).get_json(f"{archives.url}{match}?token={TOKEN}", dict)
    assert str(error.value).isprintable()
    assert "secret" not in str(error.value) and TOKEN not in str(error.value)


def test_a_servers_own_words_are_not_repeated(monkeypatch):
    """A proxy that answers with what it was sent, in the status line and in the type."""
    monkeypatch.setattr(http_client, "RETRY_SECONDS", 0.0)
    for status in (400, 500, 200):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen(10)
            answer = f"HTTP/1.1 {status} Bad {TOKEN}\r\nContent-Type: {TOKEN}\r\nContent-Length: 2\r\n\r\n[["

            def serve(server=server, answer=answer):
                for _ in range(http_client.TRIES):
                    try:
                        connection = server.accept()[0]
                    except OSError:
                        return
                    connection.recv(10_000)
                    connection.sendall(answer.encode())
                    connection.close()

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            with pytest.raises(BadInput) as error:
                http_client.HttpClient(TOKEN).get_json(f"http://127.0.0.1:{server.getsockname()[1]}/", dict)
            assert TOKEN not in str(error.value)


def test_a_token_does_not_go_to_another_port_or_in_clear_text(monkeypatch):
    sent = []
    monkeypatch.setattr(requests.Session, "send", lambda self, request, **_: sent.append(request) or 1 / 0)
    for address in (
        "http://api.osf.io/v2/",
        "https://osf.io:8443/",
        "https://me@evil.org/osf.io",
        "https://evil.org\\@osf.io/",
    ):
        with pytest.raises(ZeroDivisionError), http_client.HttpClient("x", "https://api.osf.io/v2").open(address):
            pass
    assert len(sent) == 4
    assert not any("Authorization" in request.headers for request in sent)


def test_names_with_escape_codes_are_shown_as_escapes(tmp_path):
    name = "sub-A/\x1b[2J\x9b1m.nwb"
    with LoopbackArchives({name: BODY}) as archives:
        outputs = [download("m1-a", tmp_path, archives, "--dry_run")]
        archives.fail("GET /blobs/", "wrong", EVER)
        outputs.append(download("m1-a", tmp_path, archives))
        archives.faults.clear()
        outputs.append(download("m1-a", tmp_path, archives))
    assert [done.returncode for done in outputs] == [0, 1, 0]
    for done in outputs:
        assert not re.search("[\x1b\x9b]", done.stdout + done.stderr)
        assert "\\x1b[2J\\x9b1m.nwb" in done.stdout + done.stderr


def test_every_request_names_the_client(tmp_path):
    with LoopbackArchives({NAME: BODY}) as archives:
        assert download("m1-a", tmp_path, archives).returncode == 0
        assert download("papale", tmp_path, archives, "--dry_run").returncode == 2
        agents = {seen.agent for seen in archives.seen}
    assert agents
    assert all(re.search(r"neuralpile/\d+\.\d+\.\d+ \(\+https://", agent) for agent in agents)


# Bounds


def test_answers_without_end_are_bounded(monkeypatch):
    monkeypatch.setattr(http_client, "MOST_BYTES", 100_000)
    monkeypatch.setattr(http_client, "MOST_ANSWERS", 20)
    client = http_client.HttpClient()
    with LoopbackArchives({}) as archives:
        archives.fail("GET", b"[" + b"1," * 100_000 + b"1]")
        with pytest.raises(BadInput, match="expected at most 100,000 bytes of JSON, found more"):
            client.get_json(archives.url, list)
        archives.fail("GET", {"next": "x"}, EVER)
        numbers = iter(range(1_000))
        with pytest.raises(BadInput, match="expected a listing of at most 20 pages"):
            list(client.pages(archives.url, dict, lambda _: f"{archives.url}/{next(numbers)}"))
        assert archives.asked() == 22


def test_json_that_is_nested_without_end_is_one_line():
    with LoopbackArchives({}) as archives:
        archives.fail("GET", b"[" * 1_000_000)
        with pytest.raises(BadInput, match="expected an answer in JSON"):
            http_client.HttpClient().get_json(archives.url, list)


def unpacked(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return unpack.unpack(tmp_path / name, lambda name: name.endswith(".mat"))


def test_a_tar_with_a_header_of_gigabytes_is_refused_in_little_memory(tmp_path):
    """2 GB of zeros as a header of names, in 2 MB: its size is read, and nothing else."""
    info = tarfile.TarInfo("a")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2_000_000_000
    with pytest.raises(BadInput, match="expected headers of at most 4,000,000 bytes in it"):
        unpacked(tmp_path, "a.tar", info.tobuf() + bytes(100_000))


def test_a_tar_of_nothing_but_zeros_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "ALWAYS", 1_000_000)
    info = tarfile.TarInfo("other.txt")
    info.size = 50_000_000
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as file:
        file.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(BadInput, match=r"expected at most [\d,]+ bytes in it, found more"):
        unpacked(tmp_path, "a.tar.gz", out.getvalue())


def test_a_zip_of_the_same_bytes_many_times_is_refused(tmp_path, monkeypatch):
    """Entries of the central directory that all point to one member."""
    monkeypatch.setattr(unpack, "ALWAYS", 1_000_000)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("0.mat", random.Random(0).randbytes(100_000))
        file.filelist += [_renamed(file.filelist[0], f"{i}.mat") for i in range(1, 1_000)]
    with pytest.raises(BadInput, match=r"a\.zip: expected"):
        unpacked(tmp_path, "a.zip", out.getvalue())
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 300_000
    twice = io.BytesIO()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(twice, "w") as file:
        file.writestr("0.mat", b"1")
        file.writestr("0.mat", b"2")
    with pytest.raises(BadInput, match=r"expected each file once, found 0\.mat twice"):
        unpacked(tmp_path, "b.zip", twice.getvalue())


def _renamed(info, name):
    other = zipfile.ZipInfo(name)
    for field in ("CRC", "compress_size", "file_size", "header_offset", "external_attr", "create_version"):
        setattr(other, field, getattr(info, field))
    return other


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar"])
def test_damaged_archives_give_one_line(tmp_path, kind):
    """200 mutations: each unpacks, or is refused in one line, and nothing is left of what was refused."""
    members = {"a.mat": BODY[:3_000], "b/c.mat": bytes(5_000)}
    whole = zipped(members) if kind == "zip" else tarred(members)
    if kind == "tar":
        whole = gzip.decompress(whole)
    for i in range(200):
        draw = random.Random(i)
        content = bytearray(whole)
        for _ in range(draw.choice([1, 5])):
            content[draw.randrange(len(content))] = draw.randrange(256)
        folder = tmp_path / str(i)
        folder.mkdir()
        try:
            unpacked(folder, f"x.{kind}", bytes(content[: draw.choice([len(content), draw.randrange(len(content))])]))
        except BadInput as error:
            assert str(error).isprintable()
            assert "Error" not in str(error)
            assert list(folder.rglob("*.mat")) == []


# Offline, waits, limits


def test_a_name_without_an_address_is_reported_at_once(monkeypatch):
    tries = []

    def resolve(*arguments, **_):
        tries.append(arguments)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(BadInput, match=r"no address for api\.example\.org; you seem to be offline") as error:
        http_client.HttpClient().get_json("https://api.example.org/x?token=secret", dict)
    assert len(tries) == 1
    assert "secret" not in str(error.value)


def test_waits_are_shown(monkeypatch, capsys):
    monkeypatch.setattr(http_client, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(http_client, "SHOWN_SECONDS", 0.0)
    with LoopbackArchives({}) as archives:
        archives.fail("GET", 503)
        archives.fail("GET", {"a": 1})
        assert http_client.HttpClient().get_json(archives.url, dict) == {"a": 1}
    assert re.search(r"503 Service Unavailable; retry 1 of 6 in 0 s", capsys.readouterr().err)


def test_a_server_that_has_not_answered_yet_is_named(monkeypatch, capsys):
    """The server answers once the notice is there."""
    monkeypatch.setattr(http_client, "NOTICE_SECONDS", 0.0)
    with LoopbackArchives({}) as archives:
        monkeypatch.setattr(http_client.tqdm, "write", lambda text, file: (print(text), archives.released.set()))
        archives.fail("GET", "hold")
        http_client.HttpClient().get_json(f"{archives.url}/api/info/", dict)
    assert "no answer yet; waiting up to" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit": '"api";r=0;t=244'}, 244),
        ({"RateLimit-Reset": "30"}, 30),
        ({"Retry-After": "nan"}, 0),
        ({"Retry-After": "inf"}, 0),
        ({"Retry-After": "Mon, 99 Nov 99999 00:00:00 GMT"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({}, 0),
    ],
)
def test_the_wait_that_a_server_asks_for(headers, seconds):
    assert http_client.asked_wait(headers) == seconds


# Lock lists


def test_lock_lists_agree_with_dataset_toml():
    lists = {name: lock_list.read(catalog.load(name).folder / lock_list.NAME) for name in catalog.names()}
    locked = {name: files for name, files in lists.items() if files}
    assert len(locked) == 14
    for name, files in locked.items():
        data_set = catalog.load(name)
        assert all(data_set.wants(path) for path in files), name
        assert len(files) == data_set.files, name
        assert sum(file.size for file in files.values()) == data_set.bytes, name


def test_differences_from_a_lock_list_are_reported_file_by_file():
    data_set = catalog.load("dmfc-rsg")
    (one, first), (two, second) = lock_list.read(data_set.folder / lock_list.NAME).items()
    same = [RemoteFile(one, first.size, first.checksum, ""), RemoteFile(two, second.size, second.checksum, "")]
    assert list(lock_list.differences(data_set, same)) == []
    etag = RemoteFile(two, second.size, "dandi-etag:" + "0" * 32 + "-1", "")
    assert list(lock_list.differences(data_set, [same[0], etag])) == []
    other = [RemoteFile(one, first.size + 1, first.checksum, ""), RemoteFile("x.nwb", 1, "", "")]
    lines = list(lock_list.differences(data_set, other))
    assert [
        re.search(f"(no longer has {re.escape(two)}|new file: x.nwb|another {re.escape(one)})", line)[0]
        for line in lines
    ]
    assert len(lines) == 3
    changed = RemoteFile(one, first.size, "sha256:" + "0" * 64, "")
    assert "has another" in next(lock_list.differences(data_set, [changed, same[1]]))


def test_reading_in_place_reports_differences_from_the_lock_list_too(monkeypatch, capsys):
    data_set = catalog.load("dmfc-rsg")
    (one, first), _ = lock_list.read(data_set.folder / lock_list.NAME).items()
    listed = [RemoteFile(one, first.size + 1, first.checksum, "https://example.org/x")]
    monkeypatch.setattr(sessions.archives, "list_files", lambda _: listed)
    assert list(sessions.find_remote(data_set)) == [one]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("note: DANDI 000130") for line in lines)
