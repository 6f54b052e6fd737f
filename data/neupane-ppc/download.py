"""Fetch the recordings of neupane-ppc from DANDI 001275: dataset.toml says which version and files."""

from neuralpile.acquire import download  # not found? run: . .venv/bin/activate

if __name__ == "__main__":
    download.main(__file__)
