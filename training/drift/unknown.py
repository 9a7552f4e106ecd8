"""How many of the users and of the items of a day were never seen before it.

Where it is far more than when the champion learned, the engine knows less of whom it ranks for, or of what it ranks.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Final

import polars as pl

from recsys.config import Drift
from recsys.drift import Day, Figure, Kind, Span
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID
from training.drift.periods import Periods
from training.drift.stability import moved_share

DAY: Final = "day"


def unknown_by_day(interactions: pl.DataFrame) -> list[Day]:
    """Each day of the log on which anything happened, in order."""
    dated = interactions.with_columns(pl.col(TIMESTAMP).dt.date().alias(DAY))
    counts = [_counts(dated, key) for key in (USER_ID, ITEM_ID)]
    joined = counts[0].join(counts[1], on=DAY).sort(DAY)
    return [Day(*row) for row in joined.iter_rows()]


def _counts(dated: pl.DataFrame, key: str) -> pl.DataFrame:
    """By day how many different ones, and how many of these for the first time."""
    first = pl.col(DAY) == pl.col(DAY).min().over(key)
    seen = dated.select(DAY, key).unique().with_columns(first=first)
    return seen.group_by(DAY).agg(pl.len().alias(key), pl.col("first").sum().alias(f"new_{key}"))


def unknown_figures(settings: Drift, days: list[Day], periods: Periods) -> list[Figure] | str:
    """Of users and of items; or why not: in a log that has just begun everybody is new."""
    known_from = periods.first + timedelta(days=settings.reference_days)
    reference = Span(max(periods.reference.since, known_from), periods.reference.until)
    if reference.since >= reference.until:
        return (
            f"the log begins on {periods.first:%Y-%m-%d}, less than {settings.reference_days} days before the end of "
            "the reference, when everybody was new"
        )
    found = []
    kinds: tuple[Kind, Kind] = ("unknown_users", "unknown_items")
    for kind, whole in zip(kinds, ("users", "items"), strict=True):
        then, now = (_summed(days, span, kind, whole) for span in (reference, periods.latest))
        found.append(moved_share(settings, kind, kind, then, now))
    return found


def _summed(days: list[Day], span: Span, part: str, whole: str) -> tuple[int, int]:
    """Over the days that begin in a time."""
    inside = [one for one in days if span.since <= datetime.combine(one.day, time(), UTC) < span.until]
    return sum(getattr(one, part) for one in inside), sum(getattr(one, whole) for one in inside)
