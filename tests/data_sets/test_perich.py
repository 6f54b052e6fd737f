"""perich: the warning in the files of monkey C."""

from helpers.nwb_miniatures import WARNING, WRITERS


def test_the_warning_of_a_file_is_printed(here, raw):
    """The description of some of monkey C's sessions warns; a user must come to know of it."""
    WRITERS["perich"](raw)
    _, said = here("perich")
    assert said.count(WARNING) == 1
