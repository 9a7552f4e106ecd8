from datetime import timedelta

import polars as pl
import pytest

from features.daily.choosers import microseconds
from features.daily.interest import EPOCH, as_of, interest


def counted(*rows: tuple[float, int]) -> list[float]:
    """Of events so many days after EPOCH, of types by their rank."""
    events = pl.DataFrame(
        {
            "at": [microseconds(EPOCH + timedelta(days=days)) for days, _ in rows],
            "rank": pl.Series([rank for _, rank in rows], dtype=pl.UInt8),
        }
    )
    return events.select(interest({"buy": 1.0, "view": 0.25})).to_series().to_list()


def test_interest_doubles_every_30_days_and_weighs_what_its_type_does():
    assert counted((0, 0), (30, 0), (60, 1), (-30, 0)) == [1, 2, 1, 0.5]


def test_as_of_a_moment_what_was_30_days_before_counts_half():
    [then] = counted((3000, 0))
    assert then * as_of(EPOCH + timedelta(days=3030)) == pytest.approx(0.5, rel=1e-12)
    assert then * as_of(EPOCH + timedelta(days=3000)) == pytest.approx(1, rel=1e-12)
