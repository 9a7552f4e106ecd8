"""The view of histories out of pairs and events: that of features.history, for rows that are sorted already."""

from datetime import datetime

import numpy as np
import polars as pl

from features import history
from features.aggregate import finish
from features.daily.keys import ITEM_KEY, USER_KEY
from features.daily.partials import AT, RANK
from features.fields import HISTORY_FIELDS
from features.history import LOGGED
from recsys.schema import USER_ID
from recsys.state import Positions

MICROSECONDS = 1e6
RECENT = ("recent_items", "recent_types", "recent_at")


def latest_first(rows: pl.DataFrame, at: str) -> pl.DataFrame:
    """Of each user together, the latest first; of several at one time the one logged last."""
    return rows.sort(USER_KEY, at, LOGGED, descending=[False, True, True])


def starts_of(rows: pl.DataFrame) -> Positions:
    """Where each user begins, in rows that have those of a user together."""
    keys = rows[USER_KEY].to_numpy()
    return np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])


def histories(
    users: pl.DataFrame, pairs: pl.DataFrame, events: pl.DataFrame, ids: pl.Series, types: list[str], as_of: datetime
) -> pl.DataFrame:
    """The view.

    users   user_key, user_id
    pairs   of Partials, in the order of latest_first, with the place of the item in `ids` for item_key
    events  those that may be among the last of each user, likewise
    """
    kept = _first(pairs, history.MAX_HISTORY_ITEMS)
    entries = kept.select(
        USER_KEY,
        ids.gather(kept[ITEM_KEY]).alias("history_items"),
        history_occasions=pl.col("occasions").cast(pl.Float64),
        history_first_at=pl.col("first_at") / MICROSECONDS,
        history_last_at=pl.col("last_at") / MICROSECONDS,
        history_types=_names(types),
    )
    last = _first(events, history.RECENT_EVENTS)
    recent = last.select(
        USER_KEY,
        ids.gather(last[ITEM_KEY]).alias("recent_items"),
        recent_types=_names(types),
        recent_at=pl.col(AT) / MICROSECONDS,
    )
    view = users.join(_lists(entries), on=USER_KEY).join(_lists(recent), on=USER_KEY, how="left")
    return finish(view.with_columns(pl.col(RECENT).fill_null([])), USER_ID, as_of, HISTORY_FIELDS)


def _first(rows: pl.DataFrame, count: int) -> pl.DataFrame:
    """The first rows of each user."""
    starts = starts_of(rows)
    lengths = np.diff(starts, append=len(rows))
    # Most often none has too many, and looking for them takes as long as cutting.
    if len(rows) == 0 or lengths.max() <= count:
        return rows
    return rows.filter(np.arange(len(rows)) - np.repeat(starts, lengths) < count)


def _lists(rows: pl.DataFrame) -> pl.DataFrame:
    # Groups of sorted keys are slices, of which lists are made without moving a value.
    return rows.with_columns(pl.col(USER_KEY).set_sorted()).group_by(USER_KEY, maintain_order=True).agg(pl.all())


def _names(types: list[str]) -> pl.Expr:
    return pl.col(RANK).replace_strict(dict(enumerate(types)), return_dtype=pl.String)
