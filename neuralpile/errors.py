"""The one kind of error that users see: a line that says where, what was expected, what was found and what to do."""


class BadInput(Exception):
    """Something a user gave (a recording, a name, an option) is not what it must be."""

    def __init__(self, where: object, expected: str, found: str, do: str) -> None:
        self.where, self.expected, self.found, self.do = where, expected, found, do
        super().__init__(where, expected, found, do)  # the arguments: so that it passes between processes

    def __str__(self) -> str:
        text = f"{self.where}: expected {self.expected}, found {self.found}; {self.do}"
        return " ".join(text.split())  # one line, whatever a library's message holds
