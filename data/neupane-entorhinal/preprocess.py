"""Spike counts of neupane-entorhinal (Neupane et al. 2024): units of macaque entorhinal cortex, mental navigation."""

from pathlib import Path

from neuralpile import build
from neuralpile.recordings import nwb
from neuralpile.spikes.session import Options, Session

QUALITY = nwb.Quality("quality", ("noise", "mua", "good"))


def read(path: Path, options: Options) -> Session:
    """Spike times of the units table; units of any quality unless the user asks for more."""
    return nwb.count_units(path, options, QUALITY)


if __name__ == "__main__":
    build.main(__file__, read, qualities=QUALITY.levels)
