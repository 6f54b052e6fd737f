"""Fetch the recordings of makin from Zenodo 3854034: dataset.toml says which version and files."""

from neuralpile.acquire import download  # not found? run: . .venv/bin/activate

if __name__ == "__main__":
    download.main(__file__)
