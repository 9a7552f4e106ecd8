from datetime import timedelta

import pytest

from recsys.config import Drift
from recsys.drift import Span
from recsys.errors import DataError
from tests.training.drift.tables import interactions
from tests.training.project import at
from training.drift.periods import Periods, within

INSTANT = timedelta(microseconds=1)


def test_the_reference_is_what_the_champion_learned_from_last():
    found = Periods.of(Drift(days=7, reference_days=28), at(0), at(100), at(60))
    assert found == Periods(at(0), Span(at(32), at(60)), Span(at(93), at(100) + INSTANT))


@pytest.mark.parametrize("trained_until", [None, at(100) + INSTANT])
def test_without_a_champion_or_with_one_that_saw_all_it_ends_where_the_latest_days_begin(trained_until):
    assert Periods.of(Drift(), at(80), at(100), trained_until).reference == Span(at(80), at(93))


def test_a_log_of_fewer_days_than_are_compared_says_so():
    with pytest.raises(DataError, match="nothing is older than the latest 7 days"):
        Periods.of(Drift(), at(95), at(100), None)


def test_a_row_is_within_a_span_from_its_begin_on_and_before_its_end():
    rows = interactions([("u", "a", "view", day, None) for day in (1, 2, 3)])
    assert within(rows, Span(at(1), at(3)))["timestamp"].to_list() == [at(1), at(2)]
