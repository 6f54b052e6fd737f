"""Messages are one printable line."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralpile.errors import BadInput, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sub-A_é日.nwb", "sub-A_é日.nwb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b2J", "\\x9b2J"),  # the control code of eight bits that begins a sequence
        ("a\rb\nc", "a\\rb\\nc"),
        ("gpj.\u202enwb", "gpj.\\u202enwb"),  # writes what follows from right to left
        ("\udcff.mat", "\\udcff.mat"),  # a byte of a file name that is not UTF-8
    ],
)
def test_control_characters_are_shown_as_escapes(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters(), max_size=20))
def test_a_message_is_one_line_of_printable_characters(text):
    for message in (printable(text), str(BadInput(text, text, text, text))):
        assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in message)
        message.encode()  # nothing that a terminal in UTF-8 refuses
