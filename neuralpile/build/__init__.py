"""The loop behind every `preprocess.py`: recordings in, a data set of rows and a report out.

Imports `corpus`, `spikes`, `recordings` and `acquire`; `hub`, `figures` and the scripts may import it.
"""

from neuralpile.build.preprocess import main

__all__ = ["main"]
