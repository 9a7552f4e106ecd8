"""How much each user cares for each category, strictly before a moment: interest that halves every month.

`windows_from` is that of features.aggregate: the weights are those of that moment, and of later interactions larger, so
that who counts on from a snapshot has nothing to weigh anew. Only their proportions say anything.
"""

from datetime import datetime

import polars as pl

from features.aggregate import WEIGHT, before, finish
from features.fields import AFFINITY_FIELDS
from recsys.catalogue import Catalogue
from recsys.schema import CATEGORY, ITEM_ID, TIMESTAMP, USER_ID

HALF_LIFE_DAYS = 30.0
# Bounds the row of a robot; nobody cares for so many.
MAX_CATEGORIES = 100


def user_affinity(
    interactions: pl.DataFrame, catalogue: Catalogue, as_of: datetime, *, windows_from: datetime | None = None
) -> pl.DataFrame:
    """One row a user who chose an item with a category: user_id, event_timestamp and fields.AFFINITY_FIELDS.

    Lists of equal length, the categories by name, of which the MAX_CATEGORIES with the largest weights are kept.
    """
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
    lists = (
        weights.filter(pl.col(WEIGHT).rank("ordinal", descending=True).over(USER_ID) <= MAX_CATEGORIES)
        .sort(CATEGORY)
        .group_by(USER_ID, maintain_order=True)
        .agg(affinity_categories=pl.col(CATEGORY), affinity_weights=pl.col(WEIGHT))
    )
    return finish(lists, USER_ID, as_of, AFFINITY_FIELDS).sort(USER_ID)
