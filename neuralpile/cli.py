"""What the command lines of the scripts share: types of options, help texts, and errors as one line."""

import argparse
import errno
import io
import math
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import SupportsIndex

from neuralpile import environment, interrupt
from neuralpile.errors import BadInput, printable
from neuralpile.files import FULL

# By which reorder_units.py orders units; here and not in `corpus.ordered`, because --help must not wait for Arrow
MEASURES = ("similarity", "rate", "area")

# What glibc, Python and C++ say where a process cannot have more memory
NO_MEMORY = ("failed to map segment", "cannot allocate memory", "can't start new thread", "bad_alloc")


def parser(description: str, example: str) -> argparse.ArgumentParser:
    """A parser whose help shows an example and the default of every option."""
    text = "example:\n  " + example.replace("%", "%%")  # argparse expands "%"
    wrapped = "\n".join(textwrap.fill(line, 120) for line in description.splitlines())
    return argparse.ArgumentParser(description=wrapped, epilog=text, formatter_class=_Help)


class _Help(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the line breaks of the description, shows a default if there is one, and names values alike everywhere."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False or action.default in ("", []):
            return action.help
        return super()._get_help_string(action)

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        known = {positive_int: "N", seed: "N", token_limit: "N", positive_float: "S", n_bytes: "SIZE", Path: "FOLDER"}
        kind = action.type
        return known.get(kind, "") or super()._get_default_metavar_for_optional(action)


def positive_float(text: str) -> float:
    """An argument that must be a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return value


def positive_int(text: str) -> int:
    """An argument that must be a whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return value


def seed(text: str) -> int:
    """An argument that must be a whole number of at least 0."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, found {text!r}")
    return value


def token_limit(text: str) -> int:
    """An argument that must be a number of tokens that fits into a row: Arrow's lists count with 32 bits."""
    value = positive_int(text)
    if value >= 2**31:
        raise argparse.ArgumentTypeError(f"expected a whole number below {2**31:_}, found {text!r}")
    return value


def fraction(text: str) -> float:
    """An argument that must be above 0 and below 1."""
    value = positive_float(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, found {text!r}")
    return value


def n_bytes(text: str) -> int:
    """An argument that is a number of bytes, with or without a unit: 2GB, 500MB, 1e9."""
    found = re.fullmatch(r"([\d.e]+) ?(k|M|G|T)?i?B?", text.strip(), re.IGNORECASE)
    try:
        value = int(float(found[1]) * 1000 ** " kMGT".lower().index((found[2] or " ").lower())) if found else 0
    except (ValueError, OverflowError):
        value = 0
    if value < 1_000_000:
        raise argparse.ArgumentTypeError(f"expected at least 1MB, like 2GB, found {text!r}")
    return value


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def cores() -> int:
    """Number of processors that this process can use: on a cluster, those of the job."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add `--sessions` and `--max_files`, which choose among session files."""
    parser.add_argument("--sessions", metavar="GLOB", help="only files whose path or name matches: '*2016*'")
    parser.add_argument("--max_files", type=positive_int, metavar="N", help="only the first N files")


def add_reference(parser: argparse._ActionsContainer, default: str) -> None:
    """Add `--repo_name`, which names a data set."""
    text = "the data set: a local build, a Hub repository (someone/name) or a folder"
    parser.add_argument("--repo_name", metavar="REF", default=default, help=text)


def add_where(parser: argparse._ActionsContainer) -> None:
    """Add `--where`, which chooses among sessions that are built."""
    text = (
        "only sessions that this SQL expression over the table of sessions selects: \"area = 'M1' and n_units >= 64\""
    )
    parser.add_argument("--where", metavar="EXPRESSION", help=text)


def add_order(parser: argparse._ActionsContainer) -> None:
    """Add `--order`, which names an order of units."""
    names = ", ".join(MEASURES)
    text = f"units in the order that reorder_units.py made: {names}, or the folder of its result"
    parser.add_argument("--order", metavar="ORDER", help=text)


def choose(paths: Sequence[str], sessions: str | None = None, most: int | None = None) -> list[str]:
    """The first `most` of the paths that match `sessions`, whole or by their names. Raises BadInput: none does."""
    chosen = [p for p in paths if sessions is None or fnmatch(p, sessions) or fnmatch(PurePosixPath(p).name, sessions)]
    if not chosen:
        raise BadInput(
            "--sessions", f"a pattern like {paths[0]}", sessions or "", "choose from the paths of the session files"
        )
    return chosen[:most]


def add_resources(parser: argparse.ArgumentParser, in_parallel: str, work: str) -> None:
    """Add --memory, --jobs and --scheduler to a script that works on blocks of rows.

    Parameters:
        parser: of the script.
        in_parallel: what --jobs are.
        work: what is done on a cluster, a verb.
    """
    parser.add_argument(
        "--memory",
        type=n_bytes,
        help="memory to use at most: 2GB, 500MB (default: a quarter of the machine's)",
    )
    parser.add_argument("--jobs", type=positive_int, default=cores(), help=in_parallel)
    parser.add_argument("--scheduler", metavar="ADDRESS", help=f"{work} on this Dask cluster: tcp://host:8786")


def need(package: str, extra: str, where: object) -> None:
    """Check that a package of an optional extra of pyproject.toml is installed.

    Raises:
        BadInput: it is not.

    Example:
        >>> need("no_such_package", "bench", "benchmarks/stream.py")
        Traceback (most recent call last):
        neuralpile.errors.BadInput: benchmarks/stream.py: expected the package no_such_package, found none; run: ...
    """
    if find_spec(package) is None:
        raise BadInput(where, f"the package {package}", "none", f"run: pip install -e '.[{extra}]'")


def plural(n: SupportsIndex, noun: str, several: str = "") -> str:
    """A number with its noun, for messages.

    Example:
        >>> plural(1, "unit"), plural(2_000, "unit"), plural(0, "patch", "patches")
        ('1 unit', '2,000 units', '0 patches')
    """
    number = int(n)
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"


def percent(part: float, whole: float = 1.0) -> str:
    """A share as a percentage, for messages: three digits of it, or of what is missing to 100%.

    It is 0% or 100% only if it is exactly that.

    Example:
        >>> percent(1, 3), percent(0.8), percent(0.00000123), percent(999_999, 1_000_000), percent(5, 5)
        ('33.3%', '80%', '0.000123%', '99.9999%', '100%')
    """
    if part in (0, whole):
        return f"{100 * bool(part)}%"
    edge = 100 * min(part, whole - part) / whole
    text = f"{100 * part / whole:.{max(0, 2 - math.floor(math.log10(edge)))}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"


def _in_words(error: OSError) -> BadInput:
    """The line about an error of the system that nothing closer to it has named."""
    found = os.strerror(error.errno) if error.errno else str(error) or "an error of the system"
    if error.errno in FULL:
        return BadInput(error.filename or "standard output", "room to write it", found, FULL[error.errno])
    if error.errno == errno.EMFILE:
        return BadInput(error.filename or "a file", "to open it", found, "raise the limit on open files (ulimit -n)")
    do = "check the path, its permissions and the disk"
    return BadInput(error.filename or "a file or a connection", "to use it", found, do)


def lacks_memory(error: BaseException | None) -> BaseException | None:
    """The error, or the one that led to it, that comes of too little memory; None if none does.

    Libraries that cannot be loaded, or cannot start a thread, state this in their message alone. llvmlite hides that of
    the loader behind its own.
    """
    if error is None:
        return None
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in NO_MEMORY):
        return error
    return lacks_memory(error.__cause__ or (None if error.__suppress_context__ else error.__context__))


def _limit() -> str:
    """What to do about too little memory, where the process has a limit."""
    limit = environment.address_space()
    return "" if math.isinf(limit) else f"; raise the limit on address space (ulimit -v), now {limit / 1e9:.1f} GB"


def run(main: Callable[[], int]) -> None:
    """Run a script's main function and exit with its status.

    Errors are one line on stderr: bad input, a full disk or too little memory exit with status 2, an interrupt (Ctrl-C)
    with 130. Characters that the output's encoding does not have are written as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        interrupt.raise_again()
        status = main()
        sys.stdout.flush()
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except BrokenPipeError:  # the reader of our output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except (MemoryError, OSError, ImportError, RuntimeError) as error:
        if (cause := lacks_memory(error)) is not None:
            print(f"error: not enough memory: {printable(' '.join(str(cause).split()))}{_limit()}", file=sys.stderr)
        elif isinstance(error, OSError):
            print(f"error: {_in_words(error)}", file=sys.stderr)
        else:
            raise
        status = 2
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the process at once, without a traceback
        print("\ninterrupted; run the same command again", file=sys.stderr)
        status = 130
    sys.exit(status)
