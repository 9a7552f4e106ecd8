from datetime import date

import pytest

from recsys.config import Drift
from recsys.drift import Day
from tests.training.drift.tables import interactions, periods
from training.drift.unknown import unknown_by_day, unknown_figures


def test_by_day_users_and_items_are_counted_once_and_those_never_seen_before_apart():
    moments = [("ann", "a", 0.1), ("ann", "b", 0.2), ("ann", "a", 1), ("bob", "a", 1.5), ("bob", "a", 1.6)]
    rows = interactions([(user, item, "view", day, None) for user, item, day in moments])
    assert unknown_by_day(rows) == [Day(date(2024, 1, 1), 1, 1, 2, 2), Day(date(2024, 1, 2), 2, 1, 1, 0)]


def test_more_unknown_users_than_before_are_an_alert_and_items_as_before_are_not():
    # Ten of a hundred users are new each day, and from day 60 on forty.
    days = [Day(date.fromordinal(738886 + day), 100, 40 if day >= 60 else 10, 50, 1) for day in range(67)]
    users, items = unknown_figures(Drift(), days, periods(0, 32, 60, 59.5, 66.5))
    assert date.fromordinal(738886) == date(2024, 1, 1)
    assert (users.kind, users.before, users.now, users.level) == ("unknown_users", 0.1, 0.4, "alert")
    assert (items.kind, items.before, items.now, items.level) == ("unknown_items", 0.02, 0.02, "ok")


@pytest.mark.parametrize(("first", "measured"), [(5, True), (33, False)])
def test_the_beginning_of_a_log_where_everybody_is_new_is_not_compared_with(first, measured):
    days = [Day(date.fromordinal(738886 + day), 9, 0, 9, 0) for day in range(67)]
    found = unknown_figures(Drift(), days, periods(first, 32, 60, 59.5, 66.5))
    assert isinstance(found, str) != measured
    if not measured:
        assert "the log begins on 2024-02-03" in found
