"""The attributes of each user, as the users table has them: they have no versions, and are the same at every moment."""

from datetime import datetime

import polars as pl

from features.featureset import FeatureSet
from features.views import finish
from recsys.attributes import stored
from recsys.schema import USER_ID, columns_of


def user_attributes(users: pl.DataFrame | None, as_of: datetime, features: FeatureSet) -> pl.DataFrame:
    """One row a user of the table (None: there is none): user_id, event_timestamp and features.attribute_fields."""
    if users is None:
        users = pl.DataFrame(schema=columns_of("users"))
    kept = [
        stored(users[name], kind).alias(column) if name in users.columns else pl.lit(None).alias(column)
        for (name, kind), column in zip(features.project.user_attributes, features.attribute_columns, strict=True)
    ]
    return finish(users.select(USER_ID).with_columns(kept), USER_ID, as_of, features.attribute_fields).sort(USER_ID)
