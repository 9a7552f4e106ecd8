"""The partials of the interactions of a day, or of a part of one."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from features.daily.events import AT, LOGGED, RANK
from features.daily.keys import ITEM_KEY, USER_KEY, sums_by_key, two_ids
from features.daily.order import by_user, starts_of
from features.daily.partials import OCCASIONS, Partials, no_pairs, repeated
from features.fields import count_of
from recsys.schema import ITEM_ID, USER_ID, VALUE


def partials(events: pl.DataFrame, types: Sequence[str]) -> Partials:
    """What interactions say.

    events  user_id, user_key, item_id, item_key, rank (of its type), at, value, logged (their place in the log)
    types   in the order of their rank
    """
    if not events[AT].is_sorted():
        events = events.sort(AT, maintain_order=True)
    events = events.with_columns(_occasions(events))
    sums = _summable(types)
    items = sums_by_key(events.select(ITEM_KEY, ITEM_ID, pl.col(OCCASIONS).cast(pl.Int64), **sums), ITEM_ID)
    ordered = by_user(events.drop(ITEM_ID))
    kept = ordered.select(USER_KEY, ITEM_KEY, OCCASIONS, pl.col(VALUE).fill_null(0.0), AT, LOGGED, RANK)
    return Partials(items.lazy(), _users(ordered, sums).lazy(), no_pairs(), kept.lazy())


def _occasions(events: pl.DataFrame) -> pl.Series:
    """1 for the first interaction of a user with an item at a moment, 0 for others then."""
    several = repeated(events, USER_KEY, ITEM_KEY, AT)
    first = events.filter(several).select(pl.struct(USER_KEY, ITEM_KEY, AT).is_first_distinct()).to_series()
    found = np.ones(len(events), dtype=np.uint8)
    found[several.to_numpy()] = first
    return pl.Series(OCCASIONS, found)


def _summable(types: Sequence[str]) -> dict[str, pl.Expr]:
    value = pl.col(VALUE).fill_null(0.0)
    return {
        "value_sum": value,
        "value_count": pl.col(VALUE).is_not_null().cast(pl.Int64),
        "value_sum_squares": value**2,
        **{count_of(name): (pl.col(RANK) == rank).cast(pl.Int64) for rank, name in enumerate(types)},
    }


def _users(events: pl.DataFrame, sums: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """One row a user: user_key, user_id and the sums; events are in the order of the keys and of time."""
    starts = starts_of(events)
    moments = pl.any_horizontal(pl.col(name) != pl.col(name).shift() for name in (USER_KEY, AT)).fill_null(True)
    summed = events.select(moments.cast(pl.Int64).alias(OCCASIONS), **sums)
    # numpy refuses to sum no rows.
    added = [np.add.reduceat(of.to_numpy(), starts) if len(starts) else of.to_numpy() for of in summed]
    other = (pl.col(USER_KEY) == pl.col(USER_KEY).shift()) & (pl.col(USER_ID) != pl.col(USER_ID).shift())
    if len(several := events.filter(other)):
        raise two_ids(several[USER_ID][0], USER_ID)
    ids = events.select(USER_KEY, USER_ID)[starts]
    columns = [pl.Series(of.name, values, of.dtype) for of, values in zip(summed, added, strict=True)]
    return ids.with_columns(columns)
