"""Sums over the windows that end at a moment.

The log before it is cut where a window begins, so that each interaction lies in one segment and is read once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from features.daily.aggregates import DailyAggregates
from features.daily.keys import KEY_OF, sums_by_key
from features.daily.partials import OCCASIONS, Partials
from features.fields import SPEND_DAYS, WEIGHT_DAYS, WINDOWS_DAYS, count_of, windowed
from recsys.schema import ITEM_ID, USER_ID

Segments = Mapping[int | None, Partials]
"""By the days of the shortest window that a segment is in; None: it is in none."""
VALUES = ("value_sum", "value_count")


def segments(aggregates: DailyAggregates, as_of: datetime, windows_from: datetime) -> Segments:
    """Together all interactions before `as_of`; the windows are the days before `windows_from`, and what came since."""
    found: dict[int | None, Partials] = {}
    until = as_of
    for days in WINDOWS_DAYS:
        since = windows_from - timedelta(days=days)
        found[days] = aggregates.between(since, until)
        until = since
    found[None] = aggregates.between(None, until)
    return found


def user_sums(segments: Segments, types: Sequence[str]) -> pl.DataFrame:
    """One row a user: user_key, user_id, and of what user_view needs that which adds up."""
    stems = dict.fromkeys([OCCASIONS, *map(count_of, types)], WINDOWS_DAYS)
    users = {days: part.users for days, part in segments.items()}
    return _summed(users, USER_ID, {**stems, "value_sum": SPEND_DAYS}, (*VALUES, "value_sum_squares"))


def item_sums(segments: Segments, weights: Mapping[str, float]) -> pl.DataFrame:
    """One row an item: item_key, item_id, and of what item_view needs that which adds up."""
    stems = {**dict.fromkeys(map(count_of, weights), WINDOWS_DAYS), OCCASIONS: (WEIGHT_DAYS,)}
    sums = _summed({days: part.items for days, part in segments.items()}, ITEM_ID, stems, VALUES)
    # Interactions have their weights in 32 bits.
    weight = pl.sum_horizontal(
        pl.col(windowed(count_of(name), WEIGHT_DAYS)) * float(np.float32(value)) for name, value in weights.items()
    )
    return sums.with_columns(weight.alias(windowed("weight", WEIGHT_DAYS)))


def _summed(
    tables: Mapping[int | None, pl.LazyFrame], name: str, stems: Mapping[str, Sequence[int]], others: Sequence[str]
) -> pl.DataFrame:
    """A row a key: its id, the stems over these windows, and the stems and others over all time.

    tables  of the segments, by the days of the shortest window that each is in
    """
    columns = [*dict.fromkeys([*stems, *others])]
    parts = []
    for shortest, rows in tables.items():
        inside = {
            windowed(stem, days): pl.col(stem)
            for stem, windows in stems.items()
            for days in windows
            if shortest is not None and days >= shortest
        }
        # Summed before most columns stand for several windows.
        found = sums_by_key(rows.select(KEY_OF[name], name, *columns).collect(), name)
        parts.append(found.with_columns(**inside))
    return sums_by_key(pl.concat(parts, how="diagonal").fill_null(0), name)
