"""athalye: bins of two widths."""

from helpers.nwb_miniatures import WRITERS


def test_bins_of_monkey_g_last_a_sixtieth_of_a_second_and_the_report_says_so(here, raw):
    """Monkey G's bins last 1/60 s, and the report says so; bins of 50 ms are the same for both."""
    sessions = WRITERS["athalye"](raw)
    data_g, data_j = sessions.values()
    built, said = here("athalye")
    assert [row.counts.shape[1] for row in built] == [123, 30]
    assert said.count("bins of 1/60 s, not of 0.02 s") == 1
    built, said = here("athalye", "--bin_size", "0.05")
    assert (built[0].counts == data_g.reshape(41, 3, -1).sum(axis=1).T).all()
    assert (built[1].counts == data_j[:120].reshape(12, 10, -1).sum(axis=1).T.clip(max=255)).all()
    assert "not of" not in said
