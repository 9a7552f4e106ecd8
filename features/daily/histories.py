"""The view of histories out of pairs and events: what users chose and what they did last, the latest first.

history_*  lists of equal length, an entry for each item, at most MAX_HISTORY_ITEMS
recent_*   lists of equal length, an entry for each interaction, at most RECENT_EVENTS of the last RECENT_DAYS

Of several at one time the one logged last comes first.
"""

from datetime import datetime

import numpy as np
import polars as pl
import pyarrow as pa

from features import history
from features.daily.events import AT, RANK
from features.daily.keys import ITEM_KEY, USER_KEY
from features.daily.order import starts_of
from features.fields import HISTORY_FIELDS
from features.views import finish
from recsys.schema import USER_ID, VALUE

MICROSECONDS = 1e6


def histories(
    users: pl.DataFrame, pairs: pl.DataFrame, events: pl.DataFrame, ids: pl.Series, types: list[str], as_of: datetime
) -> pl.DataFrame:
    """The view.

    users   user_key, user_id, in the order of the keys
    pairs   of Partials, in the order of latest_first, with the place of the item in `ids` for item_key
    events  those that may be among the last of each user, likewise
    """
    names = pl.Series(types, dtype=pl.String)
    kept = _first(pairs, history.MAX_HISTORY_ITEMS)
    entries = kept.select(
        USER_KEY,
        ids.gather(kept[ITEM_KEY]).alias("history_items"),
        history_occasions=pl.col("occasions").cast(pl.Float64),
        history_first_at=pl.col("first_at") / MICROSECONDS,
        history_last_at=pl.col("last_at") / MICROSECONDS,
        history_types=names.gather(kept[RANK]),
        history_values=VALUE,
    )
    last = _first(events, history.RECENT_EVENTS)
    recent = last.select(
        USER_KEY,
        ids.gather(last[ITEM_KEY]).alias("recent_items"),
        recent_types=names.gather(last[RANK]),
        recent_at=pl.col(AT) / MICROSECONDS,
    )
    view = users.with_columns(*_lists(entries, users), *_lists(recent, users))
    return finish(view, USER_ID, as_of, HISTORY_FIELDS)


def _first(rows: pl.DataFrame, count: int) -> pl.DataFrame:
    """The first rows of each user."""
    starts = starts_of(rows)
    lengths = np.diff(starts, append=len(rows))
    # Most often none has too many, and looking for them takes as long as cutting.
    if len(rows) == 0 or lengths.max() <= count:
        return rows
    return rows.filter(np.arange(len(rows)) - np.repeat(starts, lengths) < count)


def _lists(rows: pl.DataFrame, users: pl.DataFrame) -> list[pl.Series]:
    """Each column in lists, one a user, with no value moved: both are in the order of the keys."""
    bounds = np.append(np.searchsorted(rows[USER_KEY].to_numpy(), users[USER_KEY].to_numpy()), len(rows))
    newest = pl.CompatLevel.newest()
    return [
        pl.Series(column.name, pa.LargeListArray.from_arrays(bounds, column.rechunk().to_arrow(compat_level=newest)))
        for column in rows.drop(USER_KEY)
    ]
