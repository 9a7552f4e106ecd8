"""How many users of each value of an attribute chose each item lately: what is popular in a country.

Distinct users of the 28 days before a moment, by every categorical attribute of users that recsys.toml names. They are
kept in the file of the neighbours, and are like those of the snapshot until the next one.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.featureset import FeatureSet
from recsys.attributes import stored
from recsys.catalogue import Catalogue
from recsys.schema import ITEM_ID, TIMESTAMP, USER_ID
from recsys.state import PopularityBy

DAYS: Final = 28
ATTRIBUTE, VALUE, USERS = "attribute", "value", "users"

Arrays = Mapping[str, NDArray[np.generic]]


def popularity_by(
    interactions: pl.DataFrame, users: pl.DataFrame | None, as_of: datetime, features: FeatureSet
) -> pl.DataFrame:
    """One row an attribute, a value of it and an item that its users chose: attribute, value, item_id, users.

    users  the table with their attributes, None: there is none
    """
    kinds = features.project.user_attributes
    names = [name for name, kind in kinds if kind == "categorical" and users is not None and name in users.columns]
    if users is None or not names:
        return pl.DataFrame(schema={ATTRIBUTE: pl.String, VALUE: pl.String, ITEM_ID: pl.String, USERS: pl.Float64})
    is_recent = (pl.col(TIMESTAMP) < as_of) & (pl.col(TIMESTAMP) >= as_of - timedelta(days=DAYS))
    recent = interactions.filter(is_recent).select(USER_ID, ITEM_ID).unique()
    parts = []
    for name in names:
        values = users.select(USER_ID, stored(users[name], "categorical").alias(VALUE)).drop_nulls()
        of_users = recent.join(values, on=USER_ID).group_by(VALUE, ITEM_ID).agg(pl.len().cast(pl.Float64).alias(USERS))
        parts.append(of_users.select(pl.lit(name).alias(ATTRIBUTE), VALUE, ITEM_ID, USERS))
    return pl.concat(parts).sort(ATTRIBUTE, VALUE, ITEM_ID)


def to_arrays(found: pl.DataFrame, catalogue: Catalogue) -> dict[str, NDArray[np.generic]]:
    """Arrays for a file: names once each, and by row which of them; items by their position in the catalogue."""
    found = found.filter(pl.col(ITEM_ID).is_in(catalogue.item_ids))
    arrays: dict[str, NDArray[np.generic]] = {
        "by_items": found[ITEM_ID].replace_strict(catalogue.index, return_dtype=pl.Int64).to_numpy(),
        "by_users": found[USERS].to_numpy(),
    }
    for column in (ATTRIBUTE, VALUE):
        names, rows = np.unique(found[column].to_numpy().astype(np.str_), return_inverse=True)
        arrays |= {f"by_{column}_names": names, f"by_{column}": rows}
    return arrays


def of_arrays(saved: Arrays, item_ids: list[str], catalogue: Catalogue) -> dict[str, PopularityBy]:
    """By attribute, with items and values at their places in the catalogue; those that it does not have are left out.

    item_ids  those of the catalogue that the arrays were made with
    """
    if catalogue.of_users is None or "by_users" not in saved:
        return {}
    position = np.array([catalogue.index.get(item, -1) for item in item_ids], dtype=np.int64)
    items, attributes = position[saved["by_items"]], saved["by_attribute_names"].tolist()
    found = {}
    for place, name in enumerate(catalogue.of_users.kinds):
        if name in attributes:
            codes = catalogue.of_users.codes.get(name, {})
            values = np.array([codes.get(value, -1) for value in saved["by_value_names"].tolist()], dtype=np.int64)
            values = values[saved["by_value"]]
            of_it = (saved["by_attribute"] == attributes.index(name)) & (values >= 0) & (items >= 0)
            found[name] = PopularityBy.of(place, values[of_it], items[of_it], saved["by_users"][of_it], len(codes))
    return found
