"""How a view of the feature store is made of its fields, and what of a log is known at a moment."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from features.featureset import FeatureSet
from features.field import FLOAT32, FLOAT64, STRING, Field
from features.stored_views import EVENT_TIMESTAMP
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID

WEIGHT = "weight"
SCALARS = {FLOAT32: pl.Float32, FLOAT64: pl.Float64, STRING: pl.String}


def before(interactions: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The interactions strictly before `as_of`."""
    return interactions.filter(pl.col(TIMESTAMP) < as_of)


def item_view(items: pl.DataFrame, as_of: datetime, features: FeatureSet) -> pl.DataFrame:
    """The view of items, from one row an item with features.item_fields."""
    return finish(items, ITEM_ID, as_of, features.item_fields)


def user_view(users: pl.DataFrame, as_of: datetime, features: FeatureSet) -> pl.DataFrame:
    """The view of users, from one row a user with features.user_fields."""
    return finish(users, USER_ID, as_of, features.user_fields)


def finish(frame: pl.DataFrame, key: str, as_of: datetime, fields: Sequence[Field]) -> pl.DataFrame:
    """The columns of the view in the types of the online store, so that both stores serve equal bits."""
    # Lists already have theirs.
    scalars = {field.name: SCALARS[field.kind] for field in fields if field.kind in SCALARS}
    return (
        frame.select(
            key, pl.lit(as_of).dt.cast_time_unit("us").alias(EVENT_TIMESTAMP), *(field.name for field in fields)
        ).cast(scalars)  # type: ignore[arg-type]
    )
