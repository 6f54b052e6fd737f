"""Files and folders appear whole or not at all, also where the file system refuses fsync."""

import contextlib
import errno
import os

import pytest

from neuralpile import files
from neuralpile.errors import BadInput


def test_a_file_appears_when_it_is_complete(tmp_path):
    with files.whole_file(tmp_path / "x" / "a.txt") as partial:
        partial.write_text("new")
        assert [path.name for path in (tmp_path / "x").iterdir()] == [partial.name]
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["a.txt"]


def test_what_a_killed_run_left_of_a_file_is_used_again(tmp_path):
    (tmp_path / "a.txt.partial").write_text("half of the long file that was not finished")
    with files.whole_file(tmp_path / "a.txt") as partial:
        assert (partial.name, partial.read_text()) == ("a.txt.partial", "")
        partial.write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "new"}


def test_two_that_write_one_file_at_once_do_not_mix(tmp_path):
    with files.whole_file(tmp_path / "a.txt") as one:
        one.write_text("one")
        with files.whole_file(tmp_path / "a.txt") as two:
            two.write_text("two")
        assert (tmp_path / "a.txt").read_text() == "two"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "one"}


def test_one_that_begins_while_another_ends_keeps_its_file(tmp_path, monkeypatch):
    second, begun, to_disk = files.whole_file(tmp_path / "a.txt"), [], files._to_disk

    def begin_second(path):
        if path == tmp_path and not begun:  # the first one was just renamed
            begun.append(second.__enter__())
            begun[0].write_text("two")
        to_disk(path)

    monkeypatch.setattr(files, "_to_disk", begin_second)
    files.write_text(tmp_path / "a.txt", "one")
    second.__exit__(None, None, None)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "two"}


def test_what_a_killed_run_of_somebody_else_left_is_not_needed(tmp_path, monkeypatch):
    def refused(path, *_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setattr(files.os, "open", refused)  # root may open any file
        partial = stack.enter_context(files.whole_file(tmp_path / "a.txt"))
        patch.undo()
        partial.write_text("here")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "here"}


def test_a_file_system_without_locks_is_written_to(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files.fcntl, "flock", refused)
    files.write_text(tmp_path / "a.txt", "here")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "here"}


def test_an_error_leaves_the_old_file(tmp_path):
    files.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), files.whole_file(tmp_path / "a.txt") as partial:
        partial.write_text("new")
        raise RuntimeError
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "old"}


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_file_systems_that_refuse_fsync_are_written_to(tmp_path, monkeypatch, number):
    def refused(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refused)
    files.write_text(tmp_path / "a.txt", "here")
    with files.whole_folder(tmp_path / "folder") as partial:
        files.write_text(partial / "b.txt", "there")
    assert (tmp_path / "a.txt").read_text() + (tmp_path / "folder" / "b.txt").read_text() == "herethere"


def test_a_disk_that_fails_is_an_error(tmp_path, monkeypatch):
    def failed(handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failed)
    with pytest.raises(OSError, match=r"Input/output error: '.*a\.txt'"):  # the system itself does not name it
        files.write_text(tmp_path / "a.txt", "here")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_folder_is_continued_by_the_same_job_only(tmp_path):
    for job, kept in (("one", []), ("one", ["a.txt"]), ("two", [])):
        with pytest.raises(RuntimeError), files.whole_folder(tmp_path / "folder", job) as partial:
            assert sorted(path.name for path in partial.iterdir() if path.name != files.JOB) == kept
            files.write_text(partial / "a.txt", job)
            raise RuntimeError
    assert not (tmp_path / "folder").exists()


def test_a_folder_is_filled_by_one_process_at_a_time(tmp_path):
    with (
        files.whole_folder(tmp_path / "folder"),
        pytest.raises(BadInput, match="expected no other process at work on this folder"),
        files.whole_folder(tmp_path / "folder"),
    ):
        pass


def test_files_below_a_folder_are_found_once_through_links_and_hidden_ones_are_skipped(tmp_path):
    for name in ("a/x.nwb", "a/.x.nwb", "a/._x.nwb", ".git/annex/y.nwb", "b.nwb.partial/z.nwb", "elsewhere/w.nwb"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    (tmp_path / "in" / "elsewhere").rename(tmp_path / "elsewhere")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    found = [path.relative_to(tmp_path / "in").as_posix() for path in files.below(tmp_path / "in")]
    assert sorted(found) == ["a/x.nwb", "link/w.nwb"]
