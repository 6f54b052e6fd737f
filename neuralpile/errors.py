"""The errors that users see: one line that says where, what was expected, what was found and what to do."""

import re


def printable(text: object) -> str:
    """Escape what a terminal would interpret: names in files and archives can hold control codes.

    Parameters:
        text: a name, or a message that contains names.

    Returns:
        The text with control characters, other line ends, marks that turn the direction of writing, and bytes that are
        not UTF-8 as escapes such as `\\x1b`.

    Example:
        >>> print(printable("a\\x1b[2Jb é.nwb"))
        a\\x1b[2Jb é.nwb
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))


def of_json(error: Exception) -> str:
    """What is found in place of the JSON that was expected, from what the decoder says.

    Example:
        >>> of_json(ValueError("Expected `int`, got `str` - at `$.bins`"))
        '`str` in place of `int` - at `$.bins`'
    """
    if isinstance(error, UnicodeDecodeError):
        return "bytes that are not UTF-8"
    if isinstance(error, RecursionError):
        return "lists in lists without end"
    text = re.sub(r"^Expected (.*), got (`[^`]*`)", r"\2 in place of \1", str(error))
    text = re.sub("^Expected ", "no ", text)
    return text[:1].lower() + text[1:]


class BadInput(Exception):
    """Something a user gave (a recording, a name, an option) is not what it must be."""

    def __init__(self, where: object, expected: str, found: str, do: str) -> None:
        self.where, self.expected, self.found, self.do = where, expected, found, do
        super().__init__(
            where, expected, found, do
        )  # the arguments, so that the error can be pickled between processes

    def __str__(self) -> str:
        text = f"{self.where}: expected {self.expected}, found {self.found}; {self.do}"
        return printable(" ".join(text.split()))  # one line, whatever a library's message contains


class DiskFull(BadInput):
    """There is no room to write a file. Nothing else can be written either."""


class Mismatch(Exception):
    """A value is not what it must be. Raised where the file and the remedy are not known; callers add them.

    Example:
        >>> try:
        ...     raise Mismatch("at most 256 units", "300")
        ... except Mismatch as error:
        ...     print(error.at("a.nwb", "raise --token_count_limit"))
        a.nwb: expected at most 256 units, found 300; raise --token_count_limit
    """

    def __init__(self, expected: str, found: str) -> None:
        self.expected, self.found = expected, found
        super().__init__(expected, found)

    def at(self, where: object, do: str) -> BadInput:
        """The error for users: where it is, and what to do about it."""
        return BadInput(where, self.expected, self.found, do)
