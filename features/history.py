"""What users chose and what they did last, strictly before a moment: lists that hold the latest first.

`windows_from` is that of features.aggregate.
"""

from datetime import datetime, timedelta

import polars as pl

from features.aggregate import WEIGHT, before, finish, seconds
from features.fields import HISTORY_FIELDS
from recsys.schema import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID

# Long enough for every user of a shop; bounds the row of a robot.
MAX_HISTORY_ITEMS = 1000
RECENT_EVENTS = 50
# What is older says nothing of the session, and a long log need not be searched for it.
RECENT_DAYS = 28
LOGGED = "logged"


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
        logged=pl.col(LOGGED).max(),
    )
    begun = recent_from(windows_from or as_of)
    recent = known.filter(pl.col(TIMESTAMP) >= begun).select(USER_ID, ITEM_ID, EVENT_TYPE, TIMESTAMP, LOGGED)
    return history_view(pairs, recent, as_of).sort(USER_ID)


def history_view(pairs: pl.DataFrame, recent: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The view of histories.

    pairs   user_id, item_id, logged and the entries of both in the lists
    recent  user_id, item_id, event_type, timestamp, logged: the interactions since recent_from, or the last of them
    """
    # Groups keep the order of their rows.
    latest_first = pairs.sort("history_last_at", LOGGED, descending=True).rename({ITEM_ID: "history_items"})
    lists = latest_first.group_by(USER_ID).agg(pl.exclude(USER_ID, LOGGED))
    # Most often none is too long, and cutting takes as long as making them.
    if lists.select((pl.col("history_items").list.len() > MAX_HISTORY_ITEMS).any()).item():
        lists = lists.with_columns(pl.exclude(USER_ID).list.head(MAX_HISTORY_ITEMS))
    last = (
        recent.sort(TIMESTAMP, LOGGED, descending=True)
        .group_by(USER_ID)
        .agg(
            recent_items=pl.col(ITEM_ID).head(RECENT_EVENTS),
            recent_types=pl.col(EVENT_TYPE).head(RECENT_EVENTS),
            recent_at=seconds(pl.col(TIMESTAMP)).head(RECENT_EVENTS),
        )
    )
    none = pl.col("recent_items", "recent_types", "recent_at").fill_null([])
    return finish(lists.join(last, on=USER_ID, how="left").with_columns(none), USER_ID, as_of, HISTORY_FIELDS)


def recent_from(begun: datetime) -> datetime:
    """From when on interactions are recent, for windows that end at `begun` or began with a snapshot then."""
    return begun - timedelta(days=RECENT_DAYS)
