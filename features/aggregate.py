"""What is known of items and users strictly before a moment, computed from interactions with Polars.

Every function takes the interactions (with a `weight` each) and `as_of`, and uses none at or after it. A window of
some days is [windows_from - days, as_of). `windows_from` is `as_of` unless given: who counts on from an earlier
snapshot, as a server does, has windows that began with that.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl
from feast import Field
from feast.types import Array

from features.definitions import EVENT_TIMESTAMP
from features.featureset import FeatureSet
from features.fields import SPEND_DAYS, WINDOWS_DAYS, count_of, windowed
from recsys.schema import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, VALUE

WEIGHT = "weight"


def before(interactions: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The interactions strictly before `as_of`."""
    return interactions.filter(pl.col(TIMESTAMP) < as_of)


def item_behaviour(
    interactions: pl.DataFrame, as_of: datetime, features: FeatureSet, *, windows_from: datetime | None = None
) -> pl.DataFrame:
    """One row an item with interactions before `as_of`: item_id, event_timestamp and features.item_fields."""
    known = before(interactions, as_of)
    begun = windows_from or as_of
    occasions = pl.struct(USER_ID, TIMESTAMP)
    users = known.group_by(ITEM_ID, USER_ID).agg(returned=pl.col(TIMESTAMP).n_unique() > 1)
    repeats = users.group_by(ITEM_ID).agg(pl.col("returned").sum())
    return (
        known.group_by(ITEM_ID)
        .agg(
            *_distinct("users", pl.col(USER_ID), begun),
            *_counts(features, begun),
            occasions_28d=_in_last(28, begun, occasions).n_unique(),
            weight_28d=_in_last(28, begun, pl.col(WEIGHT)).sum(),
            value_sum=pl.col(VALUE).sum(),
            value_count=pl.col(VALUE).count(),
            first_at=seconds(pl.col(TIMESTAMP).min()),
            last_at=seconds(pl.col(TIMESTAMP).max()),
        )
        .join(repeats, on=ITEM_ID)
        .pipe(item_view, as_of, features)
        .sort(ITEM_ID)
    )


def user_behaviour(
    interactions: pl.DataFrame, as_of: datetime, features: FeatureSet, *, windows_from: datetime | None = None
) -> pl.DataFrame:
    """One row a user with interactions before `as_of`: user_id, event_timestamp and features.user_fields."""
    known = before(interactions, as_of)
    begun = windows_from or as_of
    times = known.group_by(USER_ID).agg(
        *_distinct("occasions", pl.col(TIMESTAMP), begun),
        *_counts(features, begun),
        *(_in_last(days, begun, pl.col(VALUE)).sum().alias(windowed("value_sum", days)) for days in SPEND_DAYS),
        distinct_items=pl.col(ITEM_ID).n_unique(),
        pairs=pl.struct(TIMESTAMP, ITEM_ID).n_unique(),
        value_sum=pl.col(VALUE).sum(),
        value_count=pl.col(VALUE).count(),
        value_sum_squares=(pl.col(VALUE) ** 2).sum(),
        first_at=seconds(pl.col(TIMESTAMP).min()),
        last_at=seconds(pl.col(TIMESTAMP).max()),
    )
    return user_view(times, as_of, features).sort(USER_ID)


def item_view(items: pl.DataFrame, as_of: datetime, features: FeatureSet) -> pl.DataFrame:
    """The view of items, from one row an item with features.item_fields."""
    return finish(items, ITEM_ID, as_of, features.item_fields)


def user_view(users: pl.DataFrame, as_of: datetime, features: FeatureSet) -> pl.DataFrame:
    """The view of users, from one row a user with features.user_fields."""
    return finish(users, USER_ID, as_of, features.user_fields)


def finish(frame: pl.DataFrame, key: str, as_of: datetime, fields: Sequence[Field]) -> pl.DataFrame:
    """The columns of the view in the types of the online store, so that both stores serve equal bits."""
    # Feast names its types as Polars does; lists already have theirs.
    scalars = {field.name: getattr(pl, str(field.dtype)) for field in fields if not isinstance(field.dtype, Array)}
    return (
        frame.select(
            key, pl.lit(as_of).dt.cast_time_unit("us").alias(EVENT_TIMESTAMP), *(field.name for field in fields)
        ).cast(scalars)  # type: ignore[arg-type]
    )


def seconds(time: pl.Expr) -> pl.Expr:
    """Seconds since the epoch."""
    return time.dt.epoch("us") / 1e6


def _distinct(stem: str, values: pl.Expr, begun: datetime) -> list[pl.Expr]:
    """Distinct values over each of the windows, and ever."""
    windows = [_in_last(days, begun, values).n_unique().alias(windowed(stem, days)) for days in WINDOWS_DAYS]
    return [*windows, values.n_unique().alias(stem)]


def _counts(features: FeatureSet, begun: datetime) -> list[pl.Expr]:
    """Interactions of each type over each of the windows, and ever."""
    found = []
    for name in features.types:
        is_type = pl.col(EVENT_TYPE) == name
        found.append(is_type.sum().alias(count_of(name)))
        for days in WINDOWS_DAYS:
            inside = pl.col(TIMESTAMP) >= begun - timedelta(days=days)
            found.append((is_type & inside).sum().alias(windowed(count_of(name), days)))
    return found


def _in_last(days: int, begun: datetime, values: pl.Expr) -> pl.Expr:
    return values.filter(pl.col(TIMESTAMP) >= begun - timedelta(days=days))
