"""Spike counts of willett (Willett et al. 2023): 256 channels of participant T12, areas 6v and 44, attempted speech.

The files hold threshold crossings in bins of 20 ms; those at -3.5 RMS (`tx1`), the loosest of four thresholds, are
taken as they are. The blocks of a file follow one another without what was between them.
"""

from pathlib import Path

from neuralpile import build  # not found? run: . .venv/bin/activate
from neuralpile.errors import BadInput, Mismatch
from neuralpile.recordings import matlab
from neuralpile.spikes import binning
from neuralpile.spikes.session import Options, Session

N_CHANNELS = 256
UNITS = {"area": ["6v"] * 128 + ["44"] * 128}  # two arrays each (README of the Dryad record)


def read(path: Path, options: Options) -> Session:
    """Take the counts as they are, at most 255, the largest that the published column holds.

    The subject is T12; the published rows have the folder's name as subject.
    """
    tx1 = matlab.read_variables(path, ["tx1"]).get("tx1")
    if tx1 is None:
        raise BadInput(path, "a variable tx1", "none", "check that this is a session's file")
    try:
        fine = binning.whole_numbers(tx1)
        if tx1.shape[1:] != (N_CHANNELS,):
            raise Mismatch(f"bins × {N_CHANNELS} channels", f"{tx1.dtype} of shape {tx1.shape}")
        binned = binning.rebin(fine, options.own_bins)
    except Mismatch as error:
        raise error.at(f"{path}, tx1", "check that this is a session's file") from None
    subject = path.parent.name if options.as_published else "T12"
    return Session(subject, path.stem, binned.counts, binned.notes(), units=UNITS)


if __name__ == "__main__":
    build.main(__file__, read)
