"""Tables as text, as programs and spreadsheets write them: any usual separator, encoding and decimal sign."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from neuralpile.errors import BadInput

HEAD = 1 << 16  # bytes that are looked at
SEPARATORS = (",", ";", "\t")
NUMBER = re.compile(r"\s*[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?\s*")
WHOLE = r"^[-+]?\d+$"
CLOCK = r"\d+:\d\d"
# Numbers as spreadsheets write them, with "," or "." between thousands or in front of decimals. "0,123" has decimals.
GROUPED = r"^[-+]?((\d+|[1-9]\d{{0,2}}({0}\d{{3}})+)({1}\d*)?|{1}\d+)([eE][-+]?\d+)?$"
ENGLISH, CONTINENTAL = GROUPED.format(",", r"\."), GROUPED.format(r"\.", ",")
UNKNOWN = "\ufffd"  # what decoders write for bytes that are not text
KIND = "a whole table (CSV or Parquet)"
EXCLUDE = "export it again, or name it in exclude of dataset.toml"
SECONDS = "write seconds since the start of the recording as plain numbers"


@dataclass(frozen=True)
class Form:
    """How a table is written.

    Attributes:
        names: of the columns, in order.
        separator: of the cells of a line.
        encoding: as Python names it.
        lines: number of lines up to the first of the data.
    """

    names: tuple[str, ...]
    separator: str
    encoding: str
    lines: int


def form(path: Path) -> Form:
    """How a table is written, from its first lines. Comments (`#`) above the names of the columns are skipped.

    Raises:
        BadInput: it is empty, or its first line has numbers in place of names.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    encoding = _encoding(head)
    lines = re.split(r"\r\n|\r|\n", head.decode(encoding, errors="replace").removeprefix("\ufeff"))
    first = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith(("#", "sep="))), None)
    if first is None:
        found = "an empty file" if not head.strip(b"\0 \r\n") else "only comments"
        raise BadInput(path, KIND, found, EXCLUDE)
    separator = _separator(lines[first])
    cells = _cells(lines[first], separator)
    numbers = [NUMBER.fullmatch(cell) is not None for cell in cells]
    names = next((_named(line) for line in reversed(lines[:first]) if line.startswith("#")), [])
    if any(numbers) and len(names) == len(cells):  # numpy.savetxt makes a comment of the names
        return Form(tuple(names), separator, encoding, first)
    if all(numbers):
        found = f"the numbers {', '.join(cells)[:60]}"
        raise BadInput(path, "the names of the columns in the first line", found, "add a line with the names")
    return Form(tuple(cells), separator, encoding, first + 1)


def _encoding(head: bytes) -> str:
    """UTF-16 and UTF-8 by their marks or their bytes; any other encoding is taken for Latin-1."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head[:4]:
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    try:
        head[: HEAD - 4].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # not a character that is cut at the end
            return "latin-1"
    return "utf-8"


def _separator(line: str) -> str:
    """The separator that makes the most cells; spaces where there is no other."""
    most = max(SEPARATORS, key=lambda separator: len(_cells(line, separator)))
    return most if most in line else " "


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]


def _named(comment: str) -> list[str]:
    """The names in a comment."""
    names = comment.lstrip("# ")
    return _cells(names, _separator(names))


def read(path: Path, known: Form, unit: str, time: str) -> pa.Table:
    """The column of units, as numbers or text, and that of times, as numbers.

    Parameters:
        path: of the table.
        known: how it is written.
        unit, time: names of columns, each of which is there once.

    Raises:
        BadInput: lines differ in their number of cells, or a time is not a number that can be read in one way only.
    """
    table = _read(path, known, {}, unit, time)
    if pa.types.is_string(table[unit].type):  # as arrow ignores blanks around numbers
        plain = pc.utf8_trim_whitespace(table[unit])
        table = table.set_column(0, unit, pc.if_else(pc.equal(plain, ""), None, plain))
    if pa.types.is_integer(table[time].type) or pa.types.is_floating(table[time].type):
        return table
    if pa.types.is_null(table[time].type):
        return table.set_column(1, time, table[time].cast(pa.float64()))
    texts = _read(path, known, {time: pa.string()}, unit, time)[time].combine_chunks()
    return table.set_column(1, time, numbers(texts, f"{path}, {time}", time))


def _read(path: Path, known: Form, types: dict[str, pa.DataType], *columns: str) -> pa.Table:
    try:
        with path.open("rb") as file:  # pyarrow opens no path that is not UTF-8
            return arrow_csv.read_csv(
                file,
                arrow_csv.ReadOptions(
                    column_names=list(known.names),
                    skip_rows=known.lines,
                    encoding=known.encoding.replace("utf-8", "utf8"),
                ),
                arrow_csv.ParseOptions(delimiter=known.separator),
                arrow_csv.ConvertOptions(include_columns=columns, column_types=types, strings_can_be_null=True),
            )
    except pa.ArrowInvalid as error:
        if str(error) == "Empty CSV file":
            return pa.table({name: pa.nulls(0) for name in columns})
        ragged = re.search(r"Expected (\d+) columns, got (\d+): (.*)", str(error), re.DOTALL)
        if not ragged:
            raise
        found = f"{ragged[2]} in the line {ragged[3][:60]!r}"
        raise BadInput(path, f"{KIND}: {ragged[1]} cells in every line", found, "correct this line") from None


def numbers(texts: pa.StringArray, where: str, name: str) -> pa.DoubleArray:
    """Texts as numbers: with decimal commas, or with commas or points between thousands, where only one is possible.

    Parameters:
        texts: the text of each cell; null stays null.
        where: the file and the column, for the error.
        name: of their column.

    Raises:
        BadInput: a text is not a number, or its comma can mean thousands or decimals.

    Example:
        >>> numbers(pa.array(["0,5", "1.204,25"]), "a.csv", "time").tolist()
        [0.5, 1204.25]
        >>> numbers(pa.array(["1,204", "950"]), "a.csv", "time")
        Traceback (most recent call last):
        neuralpile.errors.BadInput: a.csv: expected ... found '1,204', which is 1.204 or 1204; write 1.204 or 1204
    """
    plain = pc.utf8_trim_whitespace(texts)
    fits = {pattern: pc.match_substring_regex(plain, pattern) for pattern in (ENGLISH, CONTINENTAL)}
    fit_all = [pattern for pattern, fitting in fits.items() if pc.all(fitting).as_py() is not False]
    with_comma = pc.index(pc.match_substring(plain, ","), True).as_py()
    if fit_all and with_comma < 0:  # plain numbers, such as 1.204
        fit_all = [ENGLISH]
    if len(fit_all) == 1:
        thousands, decimal = (",", ".") if fit_all == [ENGLISH] else (".", ",")
        without = pc.replace_substring(plain, thousands, "")
        return pc.cast(pc.replace_substring(without, decimal, "."), pa.float64())
    if fit_all:
        text = plain[with_comma].as_py()
        either = f"{text.replace(',', '.')} or {text.replace(',', '')}"
        raise BadInput(where, "numbers that can be read in one way", f"{text!r}, which is {either}", f"write {either}")
    one = max(fits.values(), key=lambda fitting: pc.index(fitting, False).as_py())
    wrong = pc.index(one, False).as_py()
    text, place = plain[wrong].as_py(), f"line {wrong + 1:,} of the data"
    if re.match(CLOCK, text) or re.match(r"\d{4}-\d\d-\d\d", text):
        raise BadInput(where, "seconds as numbers", f"the clock time {text!r} in {place}", SECONDS)
    if text.casefold() == name.casefold():
        raise BadInput(where, "numbers", f"the names of the columns again, in {place}", "remove this line")
    raise BadInput(where, "numbers", f"{text[:40]!r} in {place}", "correct or remove this line, or name another column")


def check_names(names: pa.Array, where: str) -> list[str]:
    """Refuse names of units that are damaged: what cannot be printed, and one name among whole numbers.

    A digit that was damaged would make a unit of its own. Names that occur more often (`noise`) are units.

    Parameters:
        names: (spikes,), text: the unit of each spike.
        where: the file and the column, for the error.

    Returns:
        A note if there are both whole numbers and names.

    Raises:
        BadInput: a name is damaged.

    Example:
        >>> check_names(pa.array(["1", "2", "2", "noise", "noise"]), "a.csv, unit")
        ["units are whole numbers and names, each a unit: 'noise' first in line 4 of the data"]
        >>> check_names(pa.array(["1", "2", "3O"]), "a.csv, unit")
        Traceback (most recent call last):
        neuralpile.errors.BadInput: a.csv, unit: expected whole numbers, ... found '3O' in line 3 of ...
    """
    found = pc.value_counts(names)
    different, spikes = found.field("values"), found.field("counts")
    for name in different.to_pylist():
        if not name.isprintable() or UNKNOWN in name:
            raise BadInput(where, "text that can be printed", _first(names, name), "correct or remove this line")
    is_name = pc.invert(pc.match_substring_regex(different, WHOLE))
    named, n_named = different.filter(is_name), spikes.filter(is_name)
    if not 0 < len(named) < len(different):
        return []
    once = named.filter(pc.equal(n_named, 1))
    if len(once) and pc.sum(n_named).as_py() < len(names) / 2:
        expected = "whole numbers, or names that occur more than once"
        raise BadInput(where, expected, _first(names, once[0].as_py()), "correct or remove this line")
    return [f"units are whole numbers and names, each a unit: {_first(names, named[0].as_py(), 'first in')}"]


def _first(texts: pa.Array, text: str, there: str = "in") -> str:
    """A text and its first line."""
    return f"{text[:40]!r} {there} line {pc.index(texts, text).as_py() + 1:,} of the data"
