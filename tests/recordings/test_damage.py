"""Files that cannot be read, each with the line that says why."""

import bz2
import errno
import fcntl
import gzip
import io
import lzma
import subprocess
import sys
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io
from helpers.data_files import save_73
from helpers.recordings import write_units, write_units_bare

from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import damage, hdf5, matlab, npy, nwb, pynapple
from neuralpile.spikes.session import Options

TRAINS = [[0.5, 1.25], [0.75]]


def error_of(read, path):
    with pytest.raises(BadInput) as error:
        read(path)
    text = str(error.value)
    assert "\n" not in text
    assert not any(word in text for word in ("Error", "KeyError", "object has no attribute", "Traceback"))
    return text


def count(path):
    return nwb.count_units(path, Options())


PLACEHOLDERS = {
    "git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 12345\n",
    "git annex get": b"/annex/objects/SHA256E-s278740648--ab12.nwb\n",
    "a web page": b"<!DOCTYPE html><html>log in</html>",
}


@pytest.mark.parametrize("remedy", PLACEHOLDERS)
@pytest.mark.parametrize(
    "read",
    [count, lambda p: matlab.read_variables(p, ["x"]), lambda p: matlab.read_cells(p, "x"), npy.read],
    ids=["nwb", "matlab", "matlab 7.3", "npy"],
)
def test_placeholders_are_named_in_every_format(tmp_path, remedy, read):
    (tmp_path / "x.dat").write_bytes(PLACEHOLDERS[remedy])
    assert remedy in error_of(read, tmp_path / "x.dat")


def test_an_annex_link_without_content_and_a_broken_link(tmp_path):
    (tmp_path / "x.nwb").symlink_to(".git/annex/objects/aa/bb/SHA256E-s1--c.nwb/SHA256E-s1--c.nwb")
    assert "run git annex get x.nwb" in error_of(count, tmp_path / "x.nwb")
    (tmp_path / "y.nwb").symlink_to("/nowhere/y.nwb")
    assert "a link to /nowhere/y.nwb, which does not exist" in error_of(count, tmp_path / "y.nwb")
    assert "nothing of this name" in error_of(count, tmp_path / "z.nwb")
    (tmp_path / "r.nwb").symlink_to(tmp_path / "r.nwb")
    assert "found a circular link (to " in error_of(count, tmp_path / "r.nwb")


def test_the_other_version_of_matlab_is_named(tmp_path):
    scipy.io.savemat(tmp_path / "five.mat", {"spikes": np.ones(3)})
    save_73(tmp_path / "seven.mat", [[[1.0]]])
    five = error_of(lambda path: matlab.read_cells(path, "spikes"), tmp_path / "five.mat")
    assert "found a MATLAB file of version 7 or earlier; save it again with -v7.3" in five
    seven = error_of(lambda path: matlab.read_variables(path, ["spikes"]), tmp_path / "seven.mat")
    assert "found a MATLAB 7.3 file; save it again without -v7.3" in seven
    with h5py.File(tmp_path / "plain.mat", "w") as file:  # without MATLAB's own first bytes
        file["spikes"] = 1.0
    plain = error_of(lambda path: matlab.read_variables(path, ["spikes"]), tmp_path / "plain.mat")
    assert "found an HDF5 file; save it again without -v7.3" in plain


def test_a_locked_file_is_read_without_locking(tmp_path):
    path = write_units(tmp_path / "x.nwb", TRAINS)
    with path.open("rb+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        code = f"""
from pathlib import Path
from neuralpile.recordings import nwb
print(nwb.read_spike_trains(Path({str(path)!r})).times.tolist())
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[0.5, 1.25, 0.75]", done.stderr


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EBUSY])
def test_a_lock_that_the_system_enforces_is_named(tmp_path, number):
    path = write_units(tmp_path / "x.nwb", TRAINS)
    error = damage.explain(path, "NWB file (HDF5)", OSError(number, "Unable to synchronously open file"))
    assert "one that another process has locked; close it there" in str(error)


def test_a_compression_filter_that_is_not_installed_is_named(tmp_path):
    """The filter's number in the file is changed to one that nobody has."""
    path = tmp_path / "x.nwb"
    with h5py.File(path, "w") as file:
        table = file.create_group("units")
        table.create_dataset("spike_times", data=np.arange(64.0) / 7, chunks=(64,), compression="gzip", shuffle=False)
        table["spike_times_index"] = np.array([64])
    content = path.read_bytes()
    name = content.index(b"deflate\0")
    assert content[name - 8 : name - 6] == (1).to_bytes(2, "little")
    path.write_bytes(content[: name - 8] + (32_099).to_bytes(2, "little") + content[name - 6 :])
    assert "a compression filter that is not installed; pip install hdf5plugin" in error_of(count, path)


def test_links_within_a_file_name_their_target(tmp_path):
    path = tmp_path / "soft.nwb"
    with h5py.File(path, "w") as file:
        file["units/spike_times"] = h5py.SoftLink("/elsewhere/times")
        file["units/spike_times_index"] = np.array([1])
    assert "a link to /elsewhere/times, which does not exist" in error_of(count, path)
    with h5py.File(tmp_path / "external.nwb", "w") as file:
        file["units"] = h5py.ExternalLink("raw.nwb", "/units")
    text = error_of(count, tmp_path / "external.nwb")
    assert "a link to /units in raw.nwb, which does not exist" in text
    with h5py.File(tmp_path / "circular.nwb", "w") as file:
        file["units/spike_times"] = h5py.SoftLink("/units/spike_times")
        file["units/spike_times_index"] = np.array([1])
    assert "found a circular link to /units/spike_times" in error_of(count, tmp_path / "circular.nwb")


def test_a_link_that_leads_somewhere_is_followed(tmp_path):
    write_units_bare(tmp_path / "raw.nwb", np.array([0.01, 0.03]), np.array([2]))
    with h5py.File(tmp_path / "x.nwb", "w") as file:
        file["units"] = h5py.ExternalLink("raw.nwb", "/units")
    assert count(tmp_path / "x.nwb").counts.tolist() == [[1, 1]]


def declared(path, **storage):
    """A units table whose times are declared, and not or not all stored."""
    with h5py.File(path, "w") as file:
        table = file.create_group("units")
        times = table.create_dataset("spike_times", (300_000,), "f8", **storage)
        table["spike_times_index"] = np.array([300_000])
        if storage.get("chunks"):
            times[:1000] = np.arange(1000) / 7
    return path


@pytest.mark.parametrize(
    ("storage", "found"),
    [
        ({}, "0 stored"),
        ({"chunks": (1000,)}, "300 chunks of /units/spike_times, found 1 stored"),
        ({"chunks": (1000,), "compression": "gzip"}, "found 1 stored"),
    ],
)
def test_what_was_never_stored_does_not_read_as_zeros(tmp_path, storage, found):
    assert found in error_of(count, declared(tmp_path / "x.nwb", **storage))


def test_a_declared_size_is_not_believed_before_memory_is_taken(tmp_path):
    """An array of 3 × 10^8 values of which nothing is stored: 2.4 GB, if it were read."""
    with h5py.File(tmp_path / "x.nwb", "w") as file:
        table = file.create_group("units")
        table.create_dataset("spike_times", (300_000_000,), "f8", chunks=(1_000_000,))
        table["spike_times_index"] = np.array([300_000_000])
        raster = file.create_group("processing/ecephys/rasters")
        raster.create_dataset("data", (3_000_000_000, 100), "u1", chunks=(1_000_000, 100))
    assert "0 stored" in error_of(count, tmp_path / "x.nwb")
    read = nwb.raster("processing/ecephys/rasters/data", own_bin=0.001)
    assert "0 stored" in error_of(lambda path: read(path, Options()), tmp_path / "x.nwb")


def test_data_in_another_file_are_refused_and_missing_parts_named(tmp_path):
    external = tmp_path / "external.nwb"
    with h5py.File(external, "w") as file:
        table = file.create_group("units")
        table.create_dataset("spike_times", (8,), "f8", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])
        table["spike_times_index"] = np.array([8])
    assert "a reference to the file /etc/hostname" in error_of(count, external)
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource("parts.h5", "times", (4,))
    with h5py.File(tmp_path / "virtual.nwb", "w") as file:
        file.create_group("units").create_virtual_dataset("spike_times", layout)
        file["units/spike_times_index"] = np.array([4])
    assert "a part that is times in parts.h5, which does not exist" in error_of(count, tmp_path / "virtual.nwb")
    with h5py.File(tmp_path / "parts.h5", "w") as file:
        file["times"] = [0.01, 0.03, 0.05, 0.07]
    assert count(tmp_path / "virtual.nwb").counts.tolist() == [[1, 1, 1, 1]]


def test_null_times_and_an_empty_table(tmp_path):
    with h5py.File(tmp_path / "x.nwb", "w") as file:
        file["units/spike_times"] = h5py.Empty("f8")
        file["units/spike_times_index"] = np.array([0])
    assert "expected values in /units/spike_times, found a null dataset" in error_of(count, tmp_path / "x.nwb")


@pytest.mark.parametrize("intervals", [np.empty((0, 2)), np.full((2, 2), np.nan), [[3.0, 1.0]], [1.0, 2.0]])
def test_observed_intervals_that_are_none_are_refused(tmp_path, intervals):
    path = write_units_bare(tmp_path / "x.nwb", np.arange(6) * 0.02, np.array([6]))
    with h5py.File(path, "a") as file:
        file["units/obs_intervals"] = intervals
    text = error_of(lambda path: nwb.count_units(path, Options(mask_unobserved=True)), path)
    assert "obs_intervals" in text
    assert count(path).counts.sum() == 6


def test_no_permission_is_not_called_damage(tmp_path, monkeypatch):
    path = write_units(tmp_path / "x.nwb", TRAINS)
    monkeypatch.setattr(hdf5.h5py, "File", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "denied")))
    monkeypatch.setattr(hdf5.os, "access", lambda *_: False)
    assert "no permission; change its permissions" in error_of(count, path)


@pytest.mark.parametrize(
    ("at", "byte", "message"),
    [
        (-1, 8, "none at (0, 0), though it is listed"),  # the last number of a key of the tree: the size of a value
        (5, 1, "a chunk beyond its end"),  # of its place in the file
    ],
)
def test_a_chunk_that_the_tree_no_longer_finds_is_not_read_as_zeros(tmp_path, at, byte, message):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", data=np.ones((300, 6), "u1"), chunks=(100, 6), compression="gzip")
        place = dataset.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    # In a node of chunks each key is followed by the address of a chunk (HDF5 File Format Specification 3.0, III.A.1)
    (address,) = (
        i for i in range(content.index(b"TREE"), len(content)) if content[i : i + 8] == place.to_bytes(8, "little")
    )
    content[address + at] = byte
    path.write_bytes(content)
    with h5py.File(path) as file, pytest.raises(Mismatch) as error:
        hdf5.read(path, file["x"])
    assert message in str(error.value.found)


def archive(path, pack):
    """A whole NWB file, packed."""
    return pack(write_units(path.parent / "whole" / "x.nwb", TRAINS).read_bytes())


def tarred(content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("a", "b"):  # HDF5 finds its signature at 512, 1,024, 2,048, … bytes, and would read the file
            archive.addfile(tarfile.TarInfo(folder))
        member = tarfile.TarInfo("x.nwb")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.nwb", content)
    return buffer.getvalue()


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


OTHERS = [
    (gzip.compress, "a file compressed with gzip; unpack it: mv x.nwb x.nwb.gz; gunzip x.nwb.gz"),
    (bz2.compress, "a file compressed with bzip2; unpack it"),
    (lzma.compress, "a file compressed with xz; unpack it"),
    (tarred, "a tar archive; unpack it: tar -xf x.nwb"),
    (zipped, "a zip archive; unpack it: unzip x.nwb"),
    (lambda _: b"", "an empty file (0 bytes); delete it, and download or copy it again"),
    (lambda content: bytes(len(content)), "zeros where the file begins; its download is incomplete"),
    (lambda _: b'{"error": "Forbidden", "status": 403}', 'a JSON message: {"error": "Forbidden", "status": 403}'),
    (lambda _: b"\n<?xml version='1.0'?><Code>AccessDenied</Code>", "an XML message: <?xml version="),
    (lambda _: b"\xef\xbb\xbf<!DOCTYPE html><title>Just a moment</title>", "a web page; open the address"),
    (lambda _: saved(np.arange(3)), "a NumPy file (.npy); take it out of the folder"),
    (lambda _: b"%PDF-1.7\n", "a PDF document; take it out of the folder"),
]


@pytest.mark.parametrize(("pack", "remedy"), OTHERS, ids=[remedy[:20] for _, remedy in OTHERS])
def test_files_of_other_kinds_are_named_with_what_to_do(tmp_path, pack, remedy):
    (tmp_path / "x.nwb").write_bytes(archive(tmp_path / "x.nwb", pack))
    readers = [count, lambda p: matlab.read_variables(p, ["x"]), lambda p: pynapple.read_spike_trains(p)]
    for read in readers if "NumPy" not in remedy and "zip archive" not in remedy else readers[:2]:
        assert remedy in error_of(read, tmp_path / "x.nwb")


def test_matlab_files_under_other_names_are_named(tmp_path):
    scipy.io.savemat(tmp_path / "five.nwb", {"spikes": np.ones(3)}, appendmat=False)
    save_73(tmp_path / "seven.nwb", [[[1.0]]])
    five = error_of(count, tmp_path / "five.nwb")
    assert "found a MATLAB file of version 7 or earlier; take it out of the folder, or read it with" in five
    assert "found a MATLAB 7.3 file" in error_of(count, tmp_path / "seven.nwb")
    write_units(tmp_path / "x.npy", TRAINS)
    assert "found an HDF5 file; take it out of the folder" in error_of(npy.read, tmp_path / "x.npy")


def test_a_folder_in_a_files_place_is_named(tmp_path):
    (tmp_path / "x.nwb" / "units").mkdir(parents=True)
    assert "found a folder; save it as one HDF5 file if it is Zarr" in error_of(count, tmp_path / "x.nwb")


def test_a_damaged_file_of_the_right_kind_is_not_named_another(tmp_path):
    path = write_units(tmp_path / "x.nwb", TRAINS)
    path.write_bytes(path.read_bytes()[:3000])
    assert "download or copy it again" in error_of(count, path)
    np.save(tmp_path / "y.npy", np.arange(100))
    (tmp_path / "y.npy").write_bytes((tmp_path / "y.npy").read_bytes()[:300])
    assert "download or copy it again" in error_of(npy.read, tmp_path / "y.npy")
