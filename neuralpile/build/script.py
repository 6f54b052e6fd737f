"""What a `preprocess.py` states about its data set: the arguments of `build.main`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralpile.spikes.session import Options, Session

# Makes a Session of a Recording; of a Path, in the scripts of archives whose files cannot be read in place.
Read = Callable[[Any, Options], Session]


@dataclass(frozen=True)
class Script:
    """What the `preprocess.py` of a data set states about its recordings: the arguments of `build.main`."""

    path: Path
    read: Read
    offers: Sequence[str] = ()
    qualities: Sequence[str] = ()
