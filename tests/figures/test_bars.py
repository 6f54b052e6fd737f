"""Bars of the page: one logarithmic scale, on which everything that is there has a length."""

from hypothesis import given
from hypothesis import strategies as st

from neuralpile.figures import bars
from neuralpile.figures.bars import Tally

NUMBERS = st.integers(0, 10**12)
TALLIES = st.lists(st.builds(Tally, NUMBERS, NUMBERS, NUMBERS), max_size=8)


@given(TALLIES)
def test_every_bar_has_a_length_within_the_scale(tallies):
    on = bars.scale(tallies)
    made = bars.bars({str(i): tally for i, tally in enumerate(tallies)}, on)
    assert len(made) == len(tallies)
    by_name = {bar.name: bar for bar in made}
    for i, tally in enumerate(tallies):
        bar = by_name[str(i)]
        for length, n in ((bar.published, tally.published), (bar.at_most, tally.at_most), (bar.built, tally.built)):
            assert (length > 0) == (n > 0)
            assert length <= 100
    longest = [max(bar.at_most, bar.built) for bar in made]
    assert longest == sorted(longest, reverse=True)


def test_ten_times_as_much_is_one_step_more():
    on = bars.scale([Tally(7_000), Tally(built=300)])
    assert on.ends == ("100", "10 k")
    assert on.length(7_000) - on.length(700) == on.step == 50


def test_shares_are_said_only_where_they_are_certain():
    alone = bars.bars({"a": Tally(900), "b": Tally(100, built=60, units=1)}, bars.Scale(0, 3))
    assert [bar.text for bar in alone] == ["900 (90%)", "100 (10%), built 60, 1 unit"]
    shared = bars.bars({"a": Tally(900), "b": Tally(100, 50)}, bars.Scale(0, 3))
    assert [bar.text for bar in shared] == ["900", "≤ 150"]
