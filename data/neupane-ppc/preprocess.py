"""Spike counts of neupane-ppc (Neupane et al.): Kilosort units, macaque PPC, mental navigation."""

from pathlib import Path

from neuralpile import build
from neuralpile.recordings import nwb
from neuralpile.spikes.session import Options, Session

QUALITY = nwb.Quality("KSLabel", ("mua", "good"))


def read(path: Path, options: Options) -> Session:
    """Spike times of the units table; units of any quality unless the user asks for more."""
    return nwb.count_units(path, options, QUALITY)


if __name__ == "__main__":
    build.main(__file__, read, qualities=QUALITY.levels)
