"""What is known of items and users strictly before a moment, written plainly over a whole log at once.

What features.daily computes from the partials of days must come to the same. Every function takes the interactions in
the order of time (with a `weight` each) and `as_of`, and uses none at or after it. A window of some days is
[windows_from - days, as_of). `windows_from` is `as_of` unless given: who counts on from an earlier snapshot, as a
server does, has windows that began with that.
"""

from datetime import datetime, timedelta

import polars as pl

from features import history
from features.affinity import HALF_LIFE_DAYS, affinity_view
from features.featureset import FeatureSet
from features.fields import HISTORY_FIELDS, NEW_USERS_DAYS, SPEND_DAYS, WINDOWS_DAYS, count_of, windowed
from features.views import WEIGHT, before, finish, item_view, user_view
from recsys.catalogue import Catalogue
from recsys.schema import CATEGORY, EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, VALUE

LOGGED = "logged"


def item_behaviour(
    interactions: pl.DataFrame, as_of: datetime, features: FeatureSet, *, windows_from: datetime | None = None
) -> pl.DataFrame:
    """One row an item with interactions before `as_of`: item_id, event_timestamp and features.item_fields."""
    known = before(interactions, as_of)
    begun = windows_from or as_of
    occasions = pl.struct(USER_ID, TIMESTAMP)
    users = known.group_by(ITEM_ID, USER_ID).agg(
        returned=pl.col(TIMESTAMP).n_unique() > 1, first=pl.col(TIMESTAMP).min()
    )
    new_since = {windowed("new_users", days): begun - timedelta(days=days) for days in NEW_USERS_DAYS}
    new_users = {name: (pl.col("first") >= since).sum() for name, since in new_since.items()}
    repeats = users.group_by(ITEM_ID).agg(pl.col("returned").sum(), **new_users)
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


def user_history(interactions: pl.DataFrame, as_of: datetime, *, windows_from: datetime | None = None) -> pl.DataFrame:
    """One row a user: user_id, event_timestamp and fields.HISTORY_FIELDS.

    history_*  lists of equal length, an entry for each item, at most MAX_HISTORY_ITEMS
    recent_*   lists of equal length, an entry for each interaction, at most RECENT_EVENTS of the last RECENT_DAYS

    Of several at one time the one logged last comes first.
    """
    known = before(interactions, as_of).with_row_index(LOGGED)
    pairs = known.group_by(USER_ID, ITEM_ID).agg(
        history_occasions=pl.col(TIMESTAMP).n_unique().cast(pl.Float64),
        history_first_at=seconds(pl.col(TIMESTAMP).min()),
        history_last_at=seconds(pl.col(TIMESTAMP).max()),
        # Of types with equal weights the first by name, so that the same log gives the same history.
        history_types=pl.col(EVENT_TYPE).sort_by([-pl.col(WEIGHT), pl.col(EVENT_TYPE)]).first(),
        history_values=pl.col(VALUE).sum(),
        logged=pl.col(LOGGED).max(),
    )
    begun = (windows_from or as_of) - timedelta(days=history.RECENT_DAYS)
    recent = known.filter(pl.col(TIMESTAMP) >= begun).select(USER_ID, ITEM_ID, EVENT_TYPE, TIMESTAMP, LOGGED)
    # Groups keep the order of their rows.
    latest_first = pairs.sort("history_last_at", LOGGED, descending=True).rename({ITEM_ID: "history_items"})
    lists = latest_first.group_by(USER_ID).agg(pl.exclude(USER_ID, LOGGED).head(history.MAX_HISTORY_ITEMS))
    last = (
        recent.sort(TIMESTAMP, LOGGED, descending=True)
        .group_by(USER_ID)
        .agg(
            recent_items=pl.col(ITEM_ID).head(history.RECENT_EVENTS),
            recent_types=pl.col(EVENT_TYPE).head(history.RECENT_EVENTS),
            recent_at=seconds(pl.col(TIMESTAMP)).head(history.RECENT_EVENTS),
        )
    )
    none = pl.col("recent_items", "recent_types", "recent_at").fill_null([])
    found = lists.join(last, on=USER_ID, how="left").with_columns(none)
    return finish(found, USER_ID, as_of, HISTORY_FIELDS).sort(USER_ID)


def user_affinity(
    interactions: pl.DataFrame, catalogue: Catalogue, as_of: datetime, *, windows_from: datetime | None = None
) -> pl.DataFrame:
    """One row a user who chose an item with a category: user_id, event_timestamp and fields.AFFINITY_FIELDS."""
    items = catalogue.at(as_of).table
    if CATEGORY not in items.columns:
        items = items.with_columns(pl.lit(None, dtype=pl.String).alias(CATEGORY))
    age_days = (pl.lit(windows_from or as_of) - pl.col(TIMESTAMP)).dt.total_microseconds() / 86_400e6
    weights = (
        before(interactions, as_of)
        .join(items.select(ITEM_ID, CATEGORY).drop_nulls(), on=ITEM_ID)
        .group_by(USER_ID, CATEGORY)
        .agg((pl.col(WEIGHT).cast(pl.Float64) * 0.5 ** (age_days / HALF_LIFE_DAYS)).sum())
    )
    return affinity_view(weights, as_of)


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
