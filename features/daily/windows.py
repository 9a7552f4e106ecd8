"""Sums over the windows that end at a moment.

The log before it is cut where a window begins, so that each interaction lies in one segment and is read once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from features.daily.aggregates import DailyAggregates
from features.daily.keys import KEY_OF, ids_by_key
from features.daily.partials import Partials
from features.fields import SPEND_DAYS, WEIGHT_DAYS, WINDOWS_DAYS, count_of, windowed
from recsys.schema import ITEM_ID, USER_ID

Segments = Mapping[int | None, Partials]
"""By the days of the shortest window that a segment is in; None: it is in none."""
VALUES = ("value_sum", "value_count")


def segments(aggregates: DailyAggregates, as_of: datetime) -> Segments:
    """Together all interactions before `as_of`."""
    found: dict[int | None, Partials] = {}
    until = as_of
    for days in WINDOWS_DAYS:
        since = as_of - timedelta(days=days)
        found[days] = aggregates.between(since, until)
        until = since
    found[None] = aggregates.between(None, until)
    return found


def user_sums(segments: Segments, types: Sequence[str]) -> pl.DataFrame:
    """One row a user: user_key, user_id, and of what user_view needs that which adds up."""
    stems = dict.fromkeys(["occasions", *map(count_of, types)], WINDOWS_DAYS)
    parts = [
        _in_windows(part.users, USER_ID, days, {**stems, "value_sum": SPEND_DAYS}, (*VALUES, "value_sum_squares"))
        for days, part in segments.items()
    ]
    return _together([part.users for part in segments.values()], parts, USER_ID)


def item_sums(segments: Segments, weights: Mapping[str, float]) -> pl.DataFrame:
    """One row an item: item_key, item_id, and of what item_view needs that which adds up."""
    stems = {**dict.fromkeys(map(count_of, weights), WINDOWS_DAYS), "occasions": (WEIGHT_DAYS,)}
    parts = [_in_windows(part.items, ITEM_ID, days, stems, VALUES) for days, part in segments.items()]
    sums = _together([part.items for part in segments.values()], parts, ITEM_ID)
    # Interactions have their weights in 32 bits.
    weight = pl.sum_horizontal(
        pl.col(windowed(count_of(name), WEIGHT_DAYS)) * float(np.float32(value)) for name, value in weights.items()
    )
    return sums.with_columns(weight.alias(windowed("weight", WEIGHT_DAYS)))


def _together(rows: Sequence[pl.LazyFrame], sums: Sequence[pl.LazyFrame], name: str) -> pl.DataFrame:
    key = KEY_OF[name]
    ids = ids_by_key(pl.concat(rows).select(key, name).collect(engine="streaming"), name)
    found = pl.concat(sums, how="diagonal").group_by(key).agg(pl.all().sum()).collect(engine="streaming")
    return ids.join(found, on=key)


def _in_windows(
    rows: pl.LazyFrame,
    name: str,
    shortest: int | None,
    stems: Mapping[str, Sequence[int]],
    others: Sequence[str],
) -> pl.LazyFrame:
    """Of a segment: a row a key with the stems over these windows, and the stems and others over all time."""
    inside = {
        windowed(stem, days): pl.col(stem)
        for stem, windows in stems.items()
        for days in windows
        if shortest is not None and days >= shortest
    }
    # Summed before most columns stand for several windows.
    key, columns = KEY_OF[name], [*dict.fromkeys([*stems, *others])]
    return rows.select(key, *columns).group_by(key).agg(pl.all().sum()).with_columns(**inside)
