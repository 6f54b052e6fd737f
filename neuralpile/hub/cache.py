"""A repository of the Hugging Face Hub on this machine: downloaded once, then mapped into memory."""

from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import HfApi, snapshot_download

from neuralpile.corpus import tables
from neuralpile.corpus.arrow import MANIFEST, parse_manifest
from neuralpile.corpus.store import LocalRows, arrow_file
from neuralpile.hub import client


class _Downloaded(LocalRows):
    """Rows of a repository, whose folder has the tables; the manifest is at its root."""

    def manifest(self) -> dict[str, Any] | None:
        """What it was made of; None if it has no readable `manifest.json`."""
        assert self.folder is not None
        path = self.folder.parent / MANIFEST
        return parse_manifest(path.read_bytes()) if path.is_file() else None


def downloaded(name: str) -> LocalRows:
    """The rows of a repository as Arrow files in the Hub's cache on this machine.

    The first call downloads the Parquet files and writes them as Arrow files, one byte a token, with progress bars; a
    download that was interrupted goes on where it was. Later calls find them there.

    Parameters:
        name: someone/name of the repository.

    Raises:
        BadInput: there is no such repository, it cannot be reached, or it has no rows of spike counts.
    """
    datasets.config.USE_PARQUET_EXPORT = False  # a service beside the Hub that is not needed here
    commit = client.call(name, lambda: HfApi().dataset_info(name).sha)
    found = client.call(name, lambda: datasets.load_dataset(name, revision=commit))
    patterns = [MANIFEST, *(f"data/{file}" for file in (tables.SESSIONS_FILE, tables.UNITS_FILE))]
    beside = client.call(
        name, lambda: snapshot_download(name, repo_type="dataset", revision=commit, allow_patterns=patterns)
    )
    files = {
        str(split): [arrow_file(Path(file["filename"])) for file in rows.cache_files] for split, rows in found.items()
    }
    return _Downloaded(name, files, f"{commit}", Path(beside) / "data")
