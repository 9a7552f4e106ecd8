"""How much each user cares for each category, strictly before a moment: interest that halves every month.

Interest is that of the moment at which the windows of a snapshot end, and of later interactions larger, so that who
counts on from it has nothing to weigh anew. Only their proportions say anything.
"""

from datetime import datetime

import polars as pl

from features.fields import AFFINITY_FIELDS
from features.views import WEIGHT, finish
from recsys.schema import CATEGORY, USER_ID

HALF_LIFE_DAYS = 30.0
# Bounds the row of a robot; nobody cares for so many.
MAX_CATEGORIES = 100


def affinity_view(weights: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """One row a user: user_id, event_timestamp and fields.AFFINITY_FIELDS.

    weights  user_id, category, weight, one row a pair

    Lists of equal length, the categories by name, of which the MAX_CATEGORIES with the largest weights are kept.
    """
    by_name = weights.sort(USER_ID, CATEGORY)
    kept = by_name.filter(pl.col(WEIGHT).rank("ordinal", descending=True).over(USER_ID) <= MAX_CATEGORIES)
    lists = kept.group_by(USER_ID, maintain_order=True).agg(
        affinity_categories=pl.col(CATEGORY), affinity_weights=pl.col(WEIGHT)
    )
    return finish(lists, USER_ID, as_of, AFFINITY_FIELDS)
