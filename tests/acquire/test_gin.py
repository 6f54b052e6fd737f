"""GIN's listing is a git repository that anyone can have made: what is unpacked is bounded before memory is taken."""

import dataclasses
import hashlib
import zlib

import pytest
from dulwich.objects import Blob, Commit, Tree
from helpers.loopback_archives import LoopbackArchives

from neuralpile import catalog, http_client
from neuralpile.acquire import archives as archives_of
from neuralpile.acquire.archives import gin
from neuralpile.errors import BadInput, Mismatch

MAT = "monkeyF/THINGS_MUA_trials.mat"
COMMIT, TREE, BLOB, OFS_DELTA = 1, 2, 3, 6  # https://git-scm.com/docs/gitformat-pack


def sized(number, first_bits, kind=0):
    """A size as git writes it, in bytes of 7 bits with the lowest first; the first has fewer, beside a type."""
    out = [kind << 4 | number & (1 << first_bits) - 1]
    number >>= first_bits
    while number:
        out[-1] |= 0x80
        out.append(number & 0x7F)
        number >>= 7
    return bytes(out)


def packed(objects, count=None):
    """A pack of (type, size that is stated, bytes before the content, content)."""
    body = b"PACK" + (2).to_bytes(4, "big") + (len(objects) if count is None else count).to_bytes(4, "big")
    for kind, size, before, content in objects:
        body += sized(size, 4, kind) + before + zlib.compress(content)
    return body + hashlib.sha1(body).digest()


def committed(root):
    """A commit of a tree, as dulwich's object."""
    commit = Commit()
    commit.tree, commit.message = root.id, b"data"
    commit.author = commit.committer = b"someone <someone@example.org>"
    commit.author_time = commit.commit_time = commit.author_timezone = commit.commit_timezone = 0
    return commit


def pack_of(root, *others):
    """A pack of a commit of `root`, and its id."""
    commit = committed(root)
    objects = [
        (each.type_num, len(each.as_raw_string()), b"", each.as_raw_string()) for each in (commit, root, *others)
    ]
    return packed(objects), commit.id


def tree_of(*entries):
    tree = Tree()
    for name, mode, sha in entries:
        tree[name] = mode, sha
    return tree


def listed(monkeypatch, files, **faults):
    """The files that a stand-in lists of papale, or the error's line."""
    monkeypatch.setattr(http_client, "RETRY_SECONDS", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackArchives(files) as stand_in:
        for match, failure in faults.items():
            stand_in.fail(match, failure, float("inf"))
        monkeypatch.setattr(gin, "BASE", stand_in.url)
        try:
            return [file.path for file in archives_of.list_files(catalog.load("papale"))]
        except BadInput as error:
            assert str(error).isprintable()
            return str(error)


def test_what_a_pack_unpacks_to_is_bounded(monkeypatch):
    """2 MB of zeros in 2 kB, received through git."""
    monkeypatch.setattr(gin, "MOST_BYTES_TOGETHER", 1_000_000)
    files = {MAT: b"x" * 10, "zeros.txt": bytes(2_000_000)}
    assert "expected at most 1,000,000 bytes, unpacked, outside the annex, found more" in listed(monkeypatch, files)
    assert listed(monkeypatch, files | {"zeros.txt": bytes(900_000)}) == [MAT]


def test_a_size_that_is_stated_is_refused_before_it_is_unpacked():
    """A terabyte, in an object of nothing: a reader that unpacked it would find that it is damaged."""
    with pytest.raises(Mismatch, match="unpacked"):
        gin._check_size(packed([(BLOB, 10**12, b"", b"")]))
    with pytest.raises(Mismatch, match="files and folders"):
        gin._check_size(packed([], count=5_000_000))


def test_results_of_deltas_are_bounded(monkeypatch):
    """A delta of some bytes copies its base again and again."""
    base = bytes(range(256)) * 256  # 64 kB
    copies = 100
    delta = sized(len(base), 7) + sized(copies * len(base), 7) + b"\x80" * copies  # copy 64 kB from the start
    objects = [(BLOB, len(base), b"", base)]
    distance = len(packed(objects)) - 20 - 12  # from the delta back to its base
    back = bytes([(distance >> 7) - 1 | 0x80, distance & 0x7F])
    pack = packed([*objects, (OFS_DELTA, len(delta), back, delta)])
    gin._check_size(pack)
    monkeypatch.setattr(gin, "MOST_BYTES_TOGETHER", 1_000_000)
    with pytest.raises(Mismatch, match="at most 1,000,000 bytes, unpacked"):
        gin._check_size(pack)


@pytest.mark.parametrize("with_file", [True, False])
def test_a_few_trees_that_make_folders_without_end_are_bounded(monkeypatch, with_file):
    """40 trees, each twice in the next: 2^40 folders, with and without a file in them."""
    monkeypatch.setattr(gin, "MOST_OBJECTS", 1_000)
    blob = Blob.from_string(b"x")
    trees = [tree_of((b"a.mat", 0o100644, blob.id)) if with_file else Tree()]
    for _ in range(40):
        trees.append(tree_of((b"a", 0o040000, trees[-1].id), (b"b", 0o040000, trees[-1].id)))
    pack, commit = pack_of(trees[-1], blob, *trees[:-1])
    with pytest.raises(Mismatch, match="at most 1,000 files and folders"):
        list(gin._files_of(pack, commit))


def test_a_tree_of_great_depth_is_refused(monkeypatch):
    trees = [tree_of((b"a.mat", 0o100644, Blob.from_string(b"x").id))]
    for _ in range(600):
        trees.append(tree_of((b"a", 0o040000, trees[-1].id)))
    pack, commit = pack_of(trees[-1], *trees[:-1])
    with pytest.raises(Mismatch, match="paths of at most 1,024 bytes"):
        list(gin._files_of(pack, commit))


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ([b"..", b"THINGS_MUA_trials.mat"], "paths that stay in their folder"),
        ([b".git", b"THINGS_MUA_trials.mat"], "paths that stay in their folder"),
        ([b".GIT", b"THINGS_MUA_trials.mat"], "paths that stay in their folder"),
        ([b"a/../../THINGS_MUA_trials.mat"], "paths that stay in their folder"),
        ([b"/etc/THINGS_MUA_trials.mat"], "paths that stay in their folder"),
        ([b"", b"THINGS_MUA_trials.mat"], "paths that stay in their folder"),
        ([b"a", b"", b"THINGS_MUA_trials.mat"], "paths in their plain form"),
        ([b".", b"THINGS_MUA_trials.mat"], "paths in their plain form"),
        ([b"\xff", b"THINGS_MUA_trials.mat"], "paths in UTF-8"),
    ],
)
def test_names_in_trees_that_are_no_names_are_refused(monkeypatch, names, line):
    *folders, name = names
    trees = [tree_of((name, 0o100644, Blob.from_string(b"x").id))]
    for folder in reversed(folders):
        trees.append(tree_of((folder, 0o040000, trees[-1].id)))
    pack, commit = pack_of(trees[-1], Blob.from_string(b"x"), *trees[:-1])
    monkeypatch.setattr(gin, "_head", lambda _: list(gin._files_of(pack, commit)))
    with pytest.raises(BadInput, match=line) as error:
        archives_of.list_files(catalog.load("papale"))
    assert str(error.value).isprintable()


@pytest.mark.parametrize("answer", [(200, {"Content_Type": "text/plain"}, b"0" * 40 + b"\trefs/heads/master\n")])
def test_a_server_that_does_not_speak_git_is_not_asked_for_loose_objects(monkeypatch, answer):
    """dulwich would take such an answer for a repository of plain files, whose objects have no bound."""
    monkeypatch.setattr(http_client, "RETRY_SECONDS", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackArchives({MAT: b"x"}) as stand_in:
        stand_in.fail("GET", answer, float("inf"))
        monkeypatch.setattr(gin, "BASE", stand_in.url)
        with pytest.raises(BadInput, match="expected a listing, found an answer that is not of git; try again later"):
            archives_of.list_files(catalog.load("papale"))
        assert stand_in.asked() == 1


def test_a_branch_that_is_not_there_is_named(monkeypatch):
    other = dataclasses.replace(catalog.load("papale"), version="no-such-branch")
    monkeypatch.setattr(catalog, "load", lambda _: other)
    assert "expected a branch no-such-branch, found none" in listed(monkeypatch, {MAT: b"x"})


def test_branches_without_end_are_bounded(monkeypatch):
    monkeypatch.setattr(gin, "MOST_REFS", 100_000)
    lines = b"".join(b"0040%040x refs/heads/%07d\n" % (i, i) for i in range(1, 3_000))
    body = b"001e# service=git-upload-pack\n0000" + lines + b"0000"
    answer = (200, {"Content_Type": "application/x-git-upload-pack-advertisement"}, body)
    line = listed(monkeypatch, {MAT: b"x"}, GET=answer)
    assert "expected at most 100,000 bytes outside the annex, found more" in line
