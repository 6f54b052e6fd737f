"""Fetch the recordings of willett from Dryad 10.5061/dryad.x69p8czpq: dataset.toml says which version and files."""

from neuralpile.acquire import download

if __name__ == "__main__":
    download.main(__file__)
