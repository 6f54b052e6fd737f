"""One repository on the Hugging Face Hub: what it is, and a commit that replaces its data files.

`HfApi.create_commit` uploads what the Hub lacks and commits all files at once. This module adds the rest: it
retries, deletes older data files in the same commit, finds a commit whose answer was lost in the history, and compares
the result with what was sent. A repository therefore always holds the old state or the complete new one.
"""

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id

from neuralpile.errors import BadInput
from neuralpile.http_client import TemporaryFailure, plain
from neuralpile.hub import client

T = TypeVar("T")

DATA = "data/"  # the folder of the data files in a repository
CONFLICTS = {409, 412}  # another commit came first


@dataclass(frozen=True)
class Target:
    """Where on the Hub a data set goes.

    Attributes:
        name: someone/name of the repository.
        private: whether it must be private; a new one becomes private.
        revision: the branch; it is created if it does not exist.
        create_pr: whether to open a pull request instead of a commit to the branch.
    """

    name: str
    private: bool = False
    revision: str = "main"
    create_pr: bool = False


@dataclass(frozen=True)
class File:
    """A file as the Hub lists it: its size in bytes, and SHA-256 of a large file or git's SHA-1 of any other."""

    size: int
    checksum: str


class Repository:
    """A dataset repository that can be written.

    Creating the object checks write access and changes nothing.

    Raises:
        BadInput: the name is no repository name, there is no token, or the token may not write there.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._api = HfApi()
        if not _is_name(target.name):
            raise BadInput("--hf_repo_name", "a name like someone/name", repr(target.name), "correct the name")
        self._me = self._check_access()

    def _check_access(self) -> str:
        """The user's name. Raises BadInput as the class does."""
        name, private = self.target.name, self.target.private
        me = self._call(lambda: _identity(self._api.whoami()))
        if me.role == "read":
            raise BadInput(name, client.WRITABLE, "a token that may only read", client.CHECK[client.WRITABLE])
        try:
            about = self._call(lambda: self._api.dataset_info(name), RepositoryNotFoundError)
        except RepositoryNotFoundError:
            if name.partition("/")[0] not in {me.name, *me.organizations}:
                owners = ", ".join(sorted({me.name, *me.organizations}))
                found = f"a token of {client.safe(owners) or 'another'}"
                raise BadInput(name, client.WRITABLE, found, client.CHECK[client.WRITABLE]) from None
            return me.name
        if private and not about.private:
            do = "make it private on its page (Settings), or leave out --private"
            raise BadInput(name, "a private repository", "a public one", do)
        if not self.target.create_pr:
            self._call(lambda: self._api.auth_check(name, repo_type="dataset", write=True))
        return me.name

    def create(self) -> None:
        """Create the repository and the branch if they do not exist."""
        name, private, branch = self.target.name, self.target.private or None, self.target.revision
        self._call(lambda: self._api.create_repo(name, repo_type="dataset", private=private, exist_ok=True))
        if branch != "main":
            self._call(lambda: self._api.create_branch(name, repo_type="dataset", branch=branch, exist_ok=True))

    def commit(self, files: Mapping[str, Path | bytes], message: str) -> str:
        """Upload files and commit them, and delete all other Parquet files under `data/`, in one commit.

        Makes no commit if the repository holds just these files already.

        Parameters:
            files: paths in the repository, and for each a local path or the content.
            message: of the commit.

        Returns:
            The address of the repository's page, or of the pull request.
        """
        # Each file is hashed once, however often the commit is retried.
        infos = {path: CommitOperationAdd(path, content).upload_info for path, content in files.items()}
        wanted = {
            path: {File(info.size, info.sha256.hex()), _as_git_lists(files[path])} for path, info in infos.items()
        }
        parents: list[str] = []  # of our commits whose answer was lost

        def outdated(revision: str) -> tuple[list[str], list[str]]:
            """The files of a revision to add or replace, and those to delete."""
            there = self._files(revision)
            new = [path for path, possible in wanted.items() if there.get(path) not in possible]
            old = [path for path in there if path.startswith(DATA) and path.endswith(".parquet") and path not in wanted]
            return new, old

        def attempt() -> str:
            head = self._api.dataset_info(self.target.name, revision=self.target.revision).sha or ""
            new, old = outdated(head)
            if not new and not old:
                return self._page()
            if (page := self._committed_before(parents, lambda revision: not any(outdated(revision)))) is not None:
                return page
            additions = [CommitOperationAdd(path, files[path]) for path in new]
            for addition in additions:
                addition.upload_info = infos[addition.path_in_repo]
            parents.append(head)
            try:
                self._upload(additions)
                made = self._api.create_commit(
                    self.target.name,
                    [*additions, *(CommitOperationDelete(path) for path in old)],
                    commit_message=message,
                    repo_type="dataset",
                    revision=self.target.revision,
                    create_pr=self.target.create_pr,
                    parent_commit=head,
                )
            except HfHubHTTPError as error:
                if error.response.status_code in CONFLICTS:
                    parents.remove(head)
                    raise TemporaryFailure("another commit came first") from None
                raise
            if any(outdated(made.oid)):
                found = "others, or parts of them"
                raise BadInput(self.target.name, "the files that were sent", found, "push again")
            return plain(made.pr_url) if made.pr_url else self._page()

        return self._call(attempt)

    def _upload(self, additions: list[CommitOperationAdd]) -> None:
        """Upload large files ahead of their commit. Raises BadInput: the commit would lack one of the files."""
        self._api.preupload_lfs_files(
            self.target.name,
            additions,
            repo_type="dataset",
            revision=self.target.revision,
            create_pr=self.target.create_pr,
            free_memory=False,
        )
        # huggingface_hub leaves out, without an error, what the repository's .gitignore matches
        if ignored := [addition.path_in_repo for addition in additions if addition._should_ignore]:
            expected, do = "a repository that takes all files", "change .gitignore there, and push again"
            raise BadInput(self.target.name, expected, f"a .gitignore that matches {ignored[0]}", do)

    def _committed_before(self, parents: list[str], complete: Callable[[str], bool]) -> str | None:
        """The page of a complete state that is not at the head: in an open pull request of ours, or overtaken since."""
        name = self.target.name
        if self.target.create_pr:
            requests = self._api.get_repo_discussions(
                name, repo_type="dataset", author=self._me, discussion_type="pull_request", discussion_status="open"
            )
            return next((request.url for request in requests if complete(f"refs/pr/{request.num}")), None)
        if not parents:
            return None
        history = self._api.list_repo_commits(name, repo_type="dataset", revision=self.target.revision)
        since = takewhile(lambda commit: commit.commit_id != parents[0], history)
        return self._page() if any(complete(commit.commit_id) for commit in since) else None

    def _files(self, revision: str) -> dict[str, File]:
        """All files of a revision, by path."""
        name = self.target.name
        entries = self._api.list_repo_tree(name, repo_type="dataset", recursive=True, revision=revision)
        return {
            entry.path: File(entry.size, entry.lfs.sha256 if entry.lfs else entry.blob_id)
            for entry in entries
            if isinstance(entry, RepoFile)
        }

    def _page(self) -> str:
        branch = "" if self.target.revision == "main" else f"/tree/{self.target.revision}"
        return f"{plain(self._api.endpoint)}/datasets/{self.target.name}{branch}"

    def _call(self, attempt: Callable[[], T], *expected: type[Exception]) -> T:
        return client.call(self.target.name, attempt, client.WRITABLE, expected)


def _is_name(text: str) -> bool:
    """Whether this can be the name of a repository with its owner."""
    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    return text.count("/") == 1


@dataclass(frozen=True)
class _Identity:
    """Who a token belongs to."""

    name: str
    role: str | None  # "read" and "write"; finer kinds of tokens have others
    organizations: set[str]


def _identity(who: Mapping[str, Any]) -> _Identity:
    """Who a token belongs to, of the Hub's answer to `whoami`."""
    token = who.get("auth", {}).get("accessToken", {})
    return _Identity(str(who["name"]), token.get("role"), {str(each["name"]) for each in who.get("orgs", [])})


def _as_git_lists(content: Path | bytes) -> File:
    """How the Hub lists this content if it does not keep it as a large file, which is for the Hub to decide."""
    with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        return File(size, hashlib.file_digest(file, lambda: hashlib.sha1(b"blob %d\0" % size)).hexdigest())
