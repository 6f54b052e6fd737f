"""The library behind neuralpile's scripts: public primate spiking recordings to one corpus for machine learning."""

import sys
from pathlib import Path
from types import TracebackType

__version__ = "0.2.0"


def _report_interrupt(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Report an interrupt while a script is still importing as one line; `cli.run` reports later ones."""
    if issubclass(kind, KeyboardInterrupt):
        print("\ninterrupted; run the same command again", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


# Only in the project's scripts: in a user's own program an interrupt is the program's business.
_main = getattr(sys.modules.get("__main__"), "__file__", None)
if _main and Path(_main).resolve().is_relative_to(Path(__file__).resolve().parent.parent):
    sys.excepthook = _report_interrupt
