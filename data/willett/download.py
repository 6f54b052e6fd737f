"""Fetch the recordings of willett from Dryad 10.5061/dryad.x69p8czpq: dataset.toml says which version and files."""

from neuralpile.acquire import download  # not found? run: . .venv/bin/activate

if __name__ == "__main__":
    download.main(__file__)
