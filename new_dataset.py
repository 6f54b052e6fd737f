"""Make a data set of your own recordings: write its folder, build one session and report what looks wrong.

The folder holds dataset.toml, preprocess.py and README.md. Build all sessions with its preprocess.py.
"""

import argparse
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from neuralpile import catalog, cli, files
from neuralpile.errors import BadInput, Mismatch, printable

if TYPE_CHECKING:
    from neuralpile.recordings.detect import Layout

FORMATS = ("nwb", "phy", "table", "pynapple", "neo", "matlab")
EXAMPLE = "python new_dataset.py my-lab --from phy --data_dir /data/sorted --species 'Mus musculus'"
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,60}", re.IGNORECASE)
QUALITY = (
    "The recordings label their units. Units of every label are counted, noise too. `--min_quality mua` or "
    "`--min_quality good` leaves out those with a lower label."
)
TOML = "dataset.toml"
LINE = 100  # characters of a line in what is written


def main() -> int:
    """Parse the command line, write the folder, build one session, print what looks wrong."""
    given = _arguments()
    folder = given.data_root.resolve() / given.name
    _check_name(given.name, folder)
    data_dir = given.data_dir.resolve()
    try:
        str(data_dir).encode()
    except UnicodeEncodeError:  # dataset.toml holds the path, in UTF-8
        raise BadInput(data_dir, "a path in UTF-8", "other bytes", "rename the folder") from None
    layout = _layout(given, data_dir)
    for note in layout.notes:
        print(printable(f"note: {note}"), file=sys.stderr)
    species = [given.species] if given.species else [*layout.species]
    if not set(layout.species) <= set(species):
        print(printable(f"note: the files state the species {', '.join(layout.species)}"), file=sys.stderr)
    texts = {
        TOML: _toml(given, folder, data_dir, layout, species),
        "preprocess.py": _script(given.name, layout),
        "README.md": _readme(given.name, folder, layout),
    }
    _check_folder(folder, texts)
    with _written(folder, texts, catalog.BUILD / given.name):
        print(f"wrote {catalog.from_root(folder)}: {', '.join(texts)}", flush=True)
        script = folder / "preprocess.py"
        shown = str(catalog.from_root(script))
        one = glob.escape(printable(layout.sample.relative_to(data_dir).as_posix()))
        command = [sys.executable, str(script), "--sessions", one, "--max_files", "1"]
        path = os.pathsep.join(filter(None, [str(catalog.ROOT), os.environ.get("PYTHONPATH")]))
        if subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=False).returncode:
            found = "one that cannot be built, as the line above says"
            raise BadInput(layout.sample, "a session", found, "correct this; the new folder is removed")
    from neuralpile.figures import checks  # after the build: these import matplotlib and datasets
    from neuralpile.open import open_data_set

    flags = checks.check(open_data_set(str(catalog.BUILD / given.name))).flags
    print("\n".join(f"looks wrong: {flag}" for flag in flags) or "nothing looks wrong in this session")
    if not species:
        print(f"to fill in: species in {catalog.from_root(folder / 'dataset.toml')}")
    if given.name not in catalog.names():
        where = shlex.quote(str(folder.parent))
        print(f"so that the other scripts find it: export NEURALPILE_DATA={where}")
    print(f"build all sessions: {shlex.join(['python', shown, '--jobs', '2'])}")
    return 0


def _check_name(name: str, folder: Path) -> None:
    """Raise BadInput if a data set cannot have this name."""
    if not NAME.fullmatch(name):
        raise BadInput("the name", "letters, digits, '-', '_' and '.'", repr(name), "choose another")
    if name == catalog.PILE:
        raise BadInput("the name", "a new name", f"{name}, the merged corpus", "choose another")
    remove = "choose another, or remove the folder"
    if name in catalog.names():
        there = catalog.load(name)
        published = there.folder.parent == catalog.DATA and there.tokens
        do = "choose another" if published else remove
        raise BadInput(there.folder, "a new name", "a data set of this name", do)
    if (folder / TOML).exists():
        raise BadInput(folder, "a new name", "a data set of this name", remove)
    if (catalog.BUILD / name).exists():
        raise BadInput(catalog.BUILD / name, "a new name", "rows of another data set", remove)


def _check_folder(folder: Path, texts: Mapping[str, str]) -> None:
    """Raise BadInput if a file is there that a killed run of the same command did not write."""
    for name, text in texts.items():
        path = folder / name
        if path.exists() and not (path.is_file() and path.read_bytes() == text.encode()):
            do = "choose another, or remove the file"
            raise BadInput(path, "a new name", "a file of another data set", do)


@contextmanager
def _written(folder: Path, texts: Mapping[str, str], build: Path) -> Iterator[None]:
    """Files of a folder, which stay if the block ends well; else they are removed, with the rows in `build`."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in reversed(texts.items()):  # dataset.toml last: it makes the folder a data set
            files.write_text(folder / name, text)
        yield
    except BaseException:  # an interrupt, too
        for name in texts:
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        shutil.rmtree(build, ignore_errors=True)
        for path in made:
            with suppress(OSError):  # it holds something else
                path.rmdir()
        raise


def _arguments() -> argparse.Namespace:
    parser = cli.parser(__doc__ or "", EXAMPLE)
    parser.add_argument("name", help="name of the new data set, and of its folder")
    parser.add_argument("--from", dest="format", required=True, choices=FORMATS, help="format of the recordings")
    parser.add_argument("--data_dir", required=True, type=Path, help="folder of the recordings, read and never changed")
    root = Path(os.environ.get("NEURALPILE_DATA", catalog.DATA)).expanduser()
    parser.add_argument("--data_root", type=Path, default=root, help="folder in which the new folder is made")
    parser.add_argument("--species", help="such as 'Macaca mulatta'; by default as the files state it")
    parser.add_argument(
        "--subject", default="", help="who was recorded, in all recordings; else as each file states it"
    )
    parser.add_argument("--unit", help="table: column that names each spike's unit; by default a usual name")
    parser.add_argument("--time", help="table: column of times; by default a usual name")
    parser.add_argument("--variable", help="matlab: cell array of spike times, such as spikes.times")
    per = "table, matlab: unit of the times: s, ms, us, or seconds as a number; by default as in time_ms, else s"
    parser.add_argument("--seconds_per", metavar="UNIT", help=per)
    given = parser.parse_args()
    uses = {"table": ("unit", "time", "seconds_per"), "matlab": ("variable", "seconds_per")}.get(given.format, ())
    unused = [name for name in ("unit", "time", "variable", "seconds_per") if getattr(given, name) and name not in uses]
    if unused:
        parser.error(f"--{unused[0]} has no meaning with --from {given.format}")
    from neuralpile.spikes import trains  # imports numpy, for which --help need not wait

    try:
        trains.seconds_per(_number(given.seconds_per or "s"))
    except Mismatch as error:
        parser.error(f"--seconds_per: expected {error.expected}, found {given.seconds_per!r}")
    return given


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _layout(given: argparse.Namespace, data_dir: Path) -> "Layout":
    """What the folder of recordings holds."""
    from neuralpile.recordings import detect  # imports h5py and pyarrow, for which --help need not wait

    if given.format == "table":
        return detect.find_table(data_dir, given.unit, given.time, given.seconds_per)
    if given.format == "matlab":
        return detect.find_matlab(data_dir, given.variable, given.seconds_per or "s")
    find = {"nwb": detect.find_nwb, "phy": detect.find_phy, "pynapple": detect.find_pynapple, "neo": detect.find_neo}
    return find[given.format](data_dir)


def _toml(given: argparse.Namespace, folder: Path, data_dir: Path, layout: "Layout", species: Sequence[str]) -> str:
    """The text of dataset.toml. A JSON string is a TOML string."""

    def quoted(*texts: str) -> str:
        return ", ".join(json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f") for text in texts)

    lines = [
        "# Fields that can be added: docs/dataset-toml.md",
        "[source]",
        'archive = "local"',
        f"data_dir = {quoted(str(data_dir.relative_to(folder) if data_dir.is_relative_to(folder) else data_dir))}",
        f"include = [{quoted(*layout.include)}]",
        "",
        "[recording]",
        f"species = [{quoted(*(species or ['unknown']))}]{'' if species else '  # fill in'}",
    ]
    if given.subject:
        lines.append(f"subject = {quoted(given.subject)}")
    lines += [
        '# area = ""  # fill in if all recordings are of one area: it stands for those that state none',
        '# signal = "sorted units"  # fill in: docs/dataset-toml.md lists the choices',
        "",
        "[licence]",
        '# licence = "CC-BY-4.0"  # fill in: without it, merge_datasets.py --exclude_restricted leaves the rows out',
    ]
    return "\n".join(lines) + "\n"


def _script(name: str, layout: "Layout") -> str:
    """The text of preprocess.py."""
    imports = ["from neuralpile import build", f"from neuralpile.recordings import {layout.module}"]
    if "partial(" in layout.read:
        imports[:0] = ["from functools import partial", ""]
    arguments = [
        "__file__",
        layout.read,
        *([f"offers={list(layout.offers)!r}".replace("'", '"')] if layout.offers else []),
        *([f"qualities={layout.qualities}"] if layout.qualities else []),
    ]
    call = f"    build.main({', '.join(arguments)})"
    if len(call) > LINE:
        call = "    build.main(\n" + "".join(f"        {argument},\n" for argument in arguments) + "    )"
    setup = f"\n{layout.setup}" if layout.setup else ""
    header = f'"""Spike counts of {name}."""\n\n' + "\n".join(imports) + "\n"
    return f'{header}{setup}\nif __name__ == "__main__":\n{call}\n'


def _readme(name: str, folder: Path, layout: "Layout") -> str:
    """The text of README.md."""
    which = " or ".join(f"`{pattern}`" for pattern in layout.include)
    one = f"folder with a file {which}" if layout.include[0] == layout.sample.name else f"file {which}"
    script = catalog.from_root(folder / "preprocess.py")
    paragraphs = (
        f"# {name}",
        f"Each {one} below `data_dir`, which `dataset.toml` names, is a session. Its subject is the one that the file "
        "states or the path names.",
        f"    {shlex.join(['python', str(script), '--jobs', '2'])}",
        *([QUALITY] if layout.qualities else []),
        "The spikes of each unit are counted in bins of 20 ms, which start at 0 s of the recording's clock. In "
        "neuralpile, `docs/your-own-data.md` says how a subject is found and what can be changed, and "
        "`docs/dataset-toml.md` lists the fields of `dataset.toml`.",
    )
    wrapped = (text if text[0] in "# " else textwrap.fill(text, LINE) for text in paragraphs)
    return "\n\n".join(wrapped) + "\n"


if __name__ == "__main__":
    cli.run(main)
