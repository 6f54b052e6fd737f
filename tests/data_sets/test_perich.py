"""perich: the warning in the files of monkey C."""

from helpers.nwb_miniatures import (
    WARNING,
    WRITERS,
)


def test_perich_warning_is_passed_on(here, raw):
    """The description of some of monkey C's sessions warns; a user must come to know of it."""
    WRITERS["perich"](raw)
    _, said = here("perich")
    assert said.count(WARNING) == 1
