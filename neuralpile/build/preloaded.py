"""Imported by the fork server before it forks workers: what nearly all of them need, set up once for all."""

import sys
from importlib import import_module

from neuralpile import cli, environment

MODULES = ("build.session", "corpus.arrow", "recordings.nwb")


def _set_up() -> None:
    """Import what workers need; the first call of a compiled function sets up the compiler, which takes a second."""
    for name in MODULES:
        import_module(f"neuralpile.{name}")
    import numpy as np

    from neuralpile.spikes import binning

    binning.bin_spikes(np.zeros(1), np.ones(1, np.int64), 0.02)


environment.spare_address_space()
try:
    _set_up()
except (MemoryError, OSError, ImportError, RuntimeError) as error:
    if cli.lacks_memory(error) is None:
        raise
    sys.exit(1)  # without a traceback: the build's process says that memory may be limited
