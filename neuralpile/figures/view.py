"""What is drawn of a row: the choices that the command line offers, without the libraries that draw."""

from dataclasses import dataclass

SORTS = ("none", "rate", "similarity", "area")
FORMATS = ("jpg", "png", "svg", "pdf")
WINDOW = 10.0  # seconds that a raster shows by default: bins of 20 ms have a pixel each then


@dataclass(frozen=True)
class View:
    """What is drawn of a row, and as what kind of file.

    Attributes:
        start: seconds from the beginning of the row; None for a window in its middle.
        seconds: length of the window, inf for the whole row; None for `WINDOW`, or for the whole row where the width
            of bins is not known.
        sort: order of the units, one of `SORTS`.
        format: one of `FORMATS`.
    """

    start: float | None = None
    seconds: float | None = None
    sort: str = "none"
    format: str = "jpg"
