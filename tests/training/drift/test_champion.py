from datetime import timedelta

import pytest

from tests.training.drift.tables import periods
from tests.training.project import at
from training.drift.champion import moments_of

WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        # Six and eight whole weeks before day 93.
        (32, 60, [37, 51]),
        (45, 60, [51]),
        # Nothing whole weeks before fits: the last days of the reference.
        (54.5, 60, [54.5]),
        (65, 93, [72, 86]),
        (79, 93, [79, 86]),
    ],
)
def test_the_reference_is_looked_at_from_moments_whole_weeks_before_the_latest_days(since, until, expected):
    found = moments_of(periods(0, since, until, 93, 100), WEEK)
    assert found == [at(day) for day in expected]
