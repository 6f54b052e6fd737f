"""Fetch the recordings of dmfc-rsg from DANDI 000130: dataset.toml says which version and files."""

from neuralpile.acquire import download

if __name__ == "__main__":
    download.main(__file__)
