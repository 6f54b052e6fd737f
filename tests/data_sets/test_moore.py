"""moore: one long session, cut into rows."""

import numpy as np
from helpers.nwb_miniatures import WRITERS, counted

from neuralpile.corpus import rows
from neuralpile.spikes import session


def test_the_session_is_cut_as_published(here, raw):
    """81 units and 378,319 bins: three rows of 94,580 bins, and one of 94,579. A miniature is cut without a loss."""
    whole = np.zeros((81, 378_319), np.uint8)
    for as_published in (False, True):
        lengths = [segment.shape[1] for segment in rows.segments(whole, session.TOKEN_COUNT_LIMIT, as_published)]
        assert lengths == [94_580, 94_580, 94_580, 94_579]
    (trains,) = WRITERS["moore"](raw).values()
    built, _ = here("moore", "--token_count_limit", "500")
    assert [row.segment_id for row in built] == [f"segment_{i}" for i in range(len(built))]
    assert len(built) > 1
    assert max(row.counts.size for row in built) <= 500
    assert (np.concatenate([row.counts for row in built], axis=1) == counted(trains).clip(max=255)).all()
