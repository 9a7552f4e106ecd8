from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.features.families.cases import ITEMS, TEA, row_of


@pytest.mark.parametrize(
    ("moment", "hour", "weekday"),
    [
        (datetime(2024, 1, 1, tzinfo=UTC), 0, 0),  # a Monday
        (datetime(2024, 1, 6, 18, 30, tzinfo=UTC), 18.5, 5),
        (datetime(2024, 1, 7, 23, 45, tzinfo=UTC), 23.75, 6),
        (datetime(1970, 1, 1, 12, tzinfo=UTC), 12, 3),
    ],
)
def test_a_request_is_of_an_hour_and_of_a_weekday(moment, hour, weekday):
    found = row_of(TEA, items=replace(ITEMS, now=moment.timestamp()))
    assert (found["hour"], found["weekday"]) == (hour, weekday)
