"""A repository of the Hugging Face Hub on this machine: downloaded once, then mapped into memory."""

from pathlib import Path

import datasets
from huggingface_hub import HfApi, snapshot_download

from neuralpile.corpus import tables
from neuralpile.corpus.store import LocalRows, arrow_file
from neuralpile.hub import client


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
    patterns = [f"data/{file}" for file in (tables.SESSIONS_FILE, tables.UNITS_FILE)]
    beside = client.call(
        name, lambda: snapshot_download(name, repo_type="dataset", revision=commit, allow_patterns=patterns)
    )
    files = {
        str(split): [arrow_file(Path(file["filename"])) for file in rows.cache_files] for split, rows in found.items()
    }
    return LocalRows(name, files, f"{commit}", Path(beside) / "data")
