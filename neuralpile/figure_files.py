"""Write figures to files, whole or not at all, and name these files."""

import warnings
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

from neuralpile.errors import BadInput
from neuralpile.files import whole_file

# A letter that the font lacks is drawn as a box. Python would print this warning with the code that caused it.
warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font", UserWarning)

# No file says when it was made, or by what: the same figure gives the same bytes.
OPTIONS: dict[str, dict[str, Any]] = {
    "jpeg": {"pil_kwargs": {"quality": 95, "subsampling": 0}},  # chroma subsampling smears single pixels
    "png": {"metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's suffix.

    Raises:
        BadInput: the file cannot be written.
    """
    kind = path.suffix[1:].replace("jpg", "jpeg")
    try:
        with whole_file(path) as partial, matplotlib.style.context(["default", {"svg.hashsalt": "neuralpile"}]):
            figure.savefig(partial, format=kind, **OPTIONS[kind])
    except OSError as error:
        raise BadInput(
            path, "a file that can be written", error.strerror or str(error), "give another --out_dir"
        ) from None


def name(data_set: str, end: str = "") -> str:
    """Return the name of a data set's file: the name of a Hub repository has a slash.

    Example:
        >>> name("someone/pile", "_summary.png")
        'someone--pile_summary.png'
    """
    return data_set.replace("/", "--") + end
