"""Names from archives: whatever they are, no file is outside its folder, and none takes another's place in silence."""

import io
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import pytest
from helpers.downloads import download, files_in
from helpers.loopback_archives import LoopbackArchives

from neuralpile.acquire import unpack
from neuralpile.acquire.archives import RemoteFile
from neuralpile.acquire.download import check_apart
from neuralpile.errors import BadInput

# Names that are odd, and names of files all the same
ODD = {
    "control characters": ["a\x01\x07\x7f.{0}", "a\nb.{0}", "a\r.{0}"],
    "escape codes": ["\x1b[2J\x1b]0;x\x07.{0}", "\x9b31m.{0}"],
    "directions of writing": ["\u202egpj.{0}", "\u2066a\u2069.{0}", "שלום.{0}", "مرحبا/سلام.{0}"],
    "two forms of a letter": [unicodedata.normalize("NFC", "é.{0}"), unicodedata.normalize("NFD", "é.{0}")],
    "case": ["A.{0}", "a.{0}", "B/a.{0}", "b/a.{0}"],
    "reserved by Windows": ["CON.{0}", "nul.{0}", "aux/a.{0}", "a?.{0}", "a*.{0}", 'a".{0}', "a|b.{0}", "<a>.{0}"],
    "ends that Windows drops": ["a./a.{0}", "a /b.{0}", "a..{0}", "a .{0}"],
    "signs of shells and addresses": [
        "-rf.{0}",
        "$(id).{0}",
        "a;b.{0}",
        "a%2F..%2Fb.{0}",
        "a#b?c&d.{0}",
        "~.{0}",
        "%s.{0}",
    ],
    "long": ["é" * 118 + ".{0}", "/".join(["d" * 200] * 4) + "/a.{0}"],
}
# Names that no file may have
BAD = {
    "over 240 bytes": "é" * 121 + ".{0}",
    "over 1,024 bytes": "/".join(["d" * 200] * 6) + "/a.{0}",
    "above the folder": "../a.{0}",
    "above it, later": "a/../../a.{0}",
    "absolute": "/a.{0}",
    "of Windows": "C:\\a.{0}",
    "git's": ".git/hooks/a.{0}",
    "not UTF-8": "\udcff.{0}",
}
WRITTEN_OTHERWISE = ["b//a.{0}", "./b/a.{0}", "b/./a.{0}"]
ARCHIVES = {"m1-a": "nwb", "makin": "mat", "lanzarini": "mat"}  # of DANDI, Zenodo and OSF


@pytest.mark.parametrize("name", ["m1-a", "lanzarini"])
def test_odd_names_are_names(tmp_path, name):
    """Each file is there under its name, with its content; and all that is printed can be."""
    suffix = ARCHIVES[name]
    folder = "" if name == "m1-a" else "Router/"
    files = {folder + each.format(suffix): each.encode() for group in ODD.values() for each in group}
    with LoopbackArchives(files) as archives:
        done = download(name, tmp_path / "raw", archives)
        dry = download(name, tmp_path / "raw", archives, "--dry_run")
    assert done.returncode == dry.returncode == 0, done.stderr
    for path, content in files.items():
        assert (tmp_path / "raw" / path).read_bytes() == content
    assert len(files_in(tmp_path)) == len(files)
    said = done.stdout + done.stderr + dry.stdout
    assert all(line.isprintable() for line in said.split("\n"))


@pytest.mark.parametrize(
    ("name", "kind"), [*(("m1-a", kind) for kind in BAD), ("makin", "absolute"), ("lanzarini", "above the folder")]
)
def test_names_that_no_file_may_have_are_refused_in_one_line(tmp_path, name, kind):
    """One check is for all archives, so that one name shows that an archive's client calls it."""
    suffix = ARCHIVES[name]
    with LoopbackArchives({f"indy_a.{suffix}": b"x"}) as archives:
        archives.listed[f"indy_a.{suffix}"] = (
            BAD[kind].format(suffix).replace("/a.", "/indy_a.").replace("é.", "éindy.")
        )
        done = download(name, tmp_path / "deep" / "raw", archives)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.isprintable() and ": expected " in line and len(line) < 600
    assert files_in(tmp_path) == []


def packed(kind, names):
    """An archive file with these names as they are, each with its number as content."""
    if kind == "zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            for i, name in enumerate(names):
                file.writestr(zipfile.ZipInfo(name), str(i))
        return out.getvalue()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as file:
        for i, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size = 1
            file.addfile(info, io.BytesIO(b"%d" % i))
    return out.getvalue()


def unpacked(folder, kind, names):
    folder.mkdir(exist_ok=True)
    (folder / f"x.{kind}").write_bytes(packed(kind, names))
    return unpack.unpack(folder / f"x.{kind}", lambda name: name.endswith(".mat"))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_odd_names_in_archive_files_are_names(tmp_path, kind):
    names = [name.format("mat") for group in ODD.values() for name in group]
    names = [name for name in names if not name.startswith("a./")]
    assert len(unpacked(tmp_path, kind, names)) == len(names)
    for i, name in enumerate(names[:9]):
        assert (tmp_path / "x" / name).read_bytes() == str(i).encode()[:1]


@pytest.mark.parametrize("name", BAD.values(), ids=BAD)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_names_in_archive_files_that_no_file_may_have_are_refused(tmp_path, kind, name):
    if kind == "zip" and name.startswith("\udcff"):
        pytest.skip("a zip's names are letters of cp437 or UTF-8")
    with pytest.raises(BadInput) as error:
        unpacked(tmp_path / "in", kind, ["good.mat", name.format("mat")])
    assert str(error.value).isprintable() and len(str(error.value)) < 800
    assert files_in(tmp_path) == [f"in/x.{kind}"]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("other", [*WRITTEN_OTHERWISE, "b/a.{0}/c.{0}"])
def test_no_member_takes_the_place_of_another(tmp_path, kind, other):
    with pytest.raises(BadInput, match="each file once"):
        unpacked(tmp_path, kind, ["b/a.mat", other.format("mat")])
    assert files_in(tmp_path) == [f"x.{kind}"]


@pytest.mark.parametrize("other", WRITTEN_OTHERWISE)
def test_a_path_that_is_written_otherwise_is_no_second_file(tmp_path, other):
    with LoopbackArchives({"b/a.nwb": b"1", "b/c.nwb": b"2"}) as archives:
        archives.listed["b/c.nwb"] = other.format("nwb")
        done = download("m1-a", tmp_path, archives)
    assert done.returncode == 2
    assert "expected paths in their plain form" in done.stderr
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("ours", ["downloads.json", "Downloads.JSON", ".DOWNLOAD.lock/a.nwb"])
def test_no_file_takes_the_place_of_our_record(tmp_path, ours):
    with LoopbackArchives({"a.nwb": b"1"}) as archives:
        archives.listed["a.nwb"] = ours if ours.endswith(".nwb") else f"{ours}/x.nwb"
        assert download("m1-a", tmp_path, archives).returncode == 2
    assert files_in(tmp_path) == []


def remote(path):
    return RemoteFile(path, 1, "", "https://example.org/")


@pytest.mark.parametrize(
    ("one", "other"),
    [("A.nwb", "a.nwb"), ("x/a.nwb", "X/a.nwb"), ("é.nwb", unicodedata.normalize("NFD", "é.nwb")), ("ﬀ.nwb", "FF.nwb")],
)
def test_files_in_one_place_on_this_disk_are_refused_and_others_are_not(tmp_path, monkeypatch, one, other):
    """A disk as macOS has it, which does not tell the two apart; and this one, which does."""
    check_apart(tmp_path, [remote(one), remote(other), remote("b.nwb")], packed=False)
    mkdir, exists = Path.mkdir, Path.exists

    def on_disk(path):
        return Path(*(unicodedata.normalize("NFC", part).casefold() for part in path.parts))

    monkeypatch.setattr(Path, "mkdir", lambda self, *a, **k: mkdir(on_disk(self), *a, **k))
    monkeypatch.setattr(Path, "exists", lambda self: exists(on_disk(self)))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(BadInput, match="expected a place for each file, found one place for"):
        check_apart(tmp_path, [remote("b.nwb"), remote(one), remote(other)], packed=False)


def test_archive_files_that_unpack_into_one_folder_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"found one place for a\.zip and a\.tar\.gz"):
        check_apart(tmp_path, [remote("a.zip"), remote("a.tar.gz")], packed=True)
    check_apart(tmp_path, [remote("a.zip"), remote("b.zip")], packed=True)
