"""Spike counts of kim (Namima et al. 2025): Neuropixels units, macaque V4, shapes and textures."""

from pathlib import Path

from neuralpile import build
from neuralpile.recordings import nwb
from neuralpile.spikes.session import Options, Session

QUALITY = nwb.Quality("is_sua", ("0", "1"))


def read(path: Path, options: Options) -> Session:
    """Spike times of the units table; units of any quality unless the user asks for more."""
    return nwb.count_units(path, options, QUALITY)


if __name__ == "__main__":
    build.main(__file__, read, qualities=QUALITY.levels)
