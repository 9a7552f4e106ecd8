import numpy as np

from recsys.exposure import Exposure


def exposure() -> Exposure:
    return Exposure.of(("shown", "chosen"), np.array([[3.0, 1.0], [np.nan, np.nan], [2.0, 0.0]]))


def test_an_item_that_nothing_is_known_of_was_not_shown():
    assert exposure().column("shown").tolist() == [3, 0, 2]
    assert exposure().column("chosen").tolist() == [1, 0, 0]


def test_totals_are_those_of_all_items():
    assert (exposure().total("shown"), exposure().total("chosen")) == (5, 1)


def test_more_is_counted_in_place_and_in_the_total():
    found = exposure()
    part = found.first(2)
    found.add("shown", {1: 4, 0: 1})
    found.add("chosen", {})
    assert found.counts.tolist() == [[4, 1], [4, 0], [2, 0]]
    assert found.totals.tolist() == [10, 1]
    assert part.counts.tolist() == [[4, 1], [4, 0]]
    assert part.total("shown") == 10
