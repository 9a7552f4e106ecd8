"""The partials of the interactions of a day, or of a part of one."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from features.daily.keys import ITEM_KEY, USER_KEY, id_of_key, one_id_a_key, two_ids
from features.daily.partials import AT, RANK, Partials, repeated
from features.fields import count_of
from features.history import LOGGED
from recsys.schema import ITEM_ID, USER_ID, VALUE

OCCASIONS = "occasions"


def partials(events: pl.DataFrame, types: Sequence[str]) -> Partials:
    """What interactions say.

    events  user_id, user_key, item_id, item_key, rank (of its type), at, value, logged (their place in the log)
    types   in the order of their rank
    """
    if not events[AT].is_sorted():
        events = events.sort(AT)
    events = events.sort(USER_KEY, maintain_order=True)
    events = events.with_columns(_occasions(events))
    value = pl.col(VALUE).fill_null(0.0)
    summed = events.select(
        ITEM_KEY,
        pl.col(OCCASIONS).cast(pl.Int64),
        value.alias("value_sum"),
        pl.col(VALUE).is_not_null().cast(pl.Int64).alias("value_count"),
        (value**2).alias("value_sum_squares"),
        *((pl.col(RANK) == rank).cast(pl.Int64).alias(count_of(name)) for rank, name in enumerate(types)),
    )
    items = _items(events, summed)
    users = _users(events, summed)
    kept = events.select(USER_KEY, ITEM_KEY, OCCASIONS, AT, LOGGED, RANK)
    return Partials(items.lazy(), users.lazy(), no_pairs(), kept.lazy())


def no_pairs() -> pl.LazyFrame:
    """Only sums of days have pairs."""
    times = dict.fromkeys([OCCASIONS, "first_at", "last_at", LOGGED], pl.Int64())
    return pl.LazyFrame(schema={USER_KEY: pl.UInt64(), ITEM_KEY: pl.UInt64(), **times, RANK: pl.UInt8()})


def _occasions(events: pl.DataFrame) -> pl.Series:
    """1 for the first interaction of a user with an item at a moment, 0 for others then."""
    several = repeated(events, USER_KEY, ITEM_KEY, AT)
    first = events.filter(several).select(pl.struct(USER_KEY, ITEM_KEY, AT).is_first_distinct()).to_series()
    found = np.ones(len(events), dtype=np.uint8)
    found[several.to_numpy()] = first
    return pl.Series(OCCASIONS, found)


def _items(events: pl.DataFrame, summed: pl.DataFrame) -> pl.DataFrame:
    """One row an item: item_key, item_id and the sums."""
    found = (
        summed.with_columns(events[ITEM_ID])
        .lazy()
        .group_by(ITEM_KEY)
        .agg(*id_of_key(ITEM_ID), pl.exclude(ITEM_KEY, ITEM_ID).sum())
        .collect(engine="streaming")
    )
    return one_id_a_key(found, ITEM_ID)


def _users(events: pl.DataFrame, summed: pl.DataFrame) -> pl.DataFrame:
    """One row a user: user_key, user_id and the sums; events are in the order of the keys and of time."""
    same = pl.col(USER_KEY) == pl.col(USER_KEY).shift()
    changes = events.select(
        user=~same.fill_null(False),
        moment=~(same & (pl.col(AT) == pl.col(AT).shift())).fill_null(False),
        other=(same & (pl.col(USER_ID) != pl.col(USER_ID).shift())).fill_null(False),
    )
    if changes["other"].any():
        raise two_ids(events.filter(changes["other"])[USER_ID][0], USER_ID)
    starts = np.flatnonzero(changes["user"].to_numpy())
    sums = summed.select(pl.exclude(ITEM_KEY)).with_columns(changes["moment"].cast(pl.Int64).alias(OCCASIONS))
    ids = events.select(USER_KEY, USER_ID)[starts]
    # numpy refuses to sum no rows.
    added = [np.add.reduceat(column.to_numpy(), starts) if len(starts) else [] for column in sums]
    return ids.with_columns(
        pl.Series(column.name, values, column.dtype) for column, values in zip(sums, added, strict=True)
    )
