"""The view of affinities out of pairs: that of features.affinity, with what items were at the moment of a snapshot."""

from datetime import datetime

import polars as pl

from features.affinity import affinity_view
from features.daily.interest import as_of as scale_of
from features.daily.keys import ITEM_KEY, USER_KEY
from features.daily.partials import INTEREST
from features.daily.sums import added, places_in
from features.views import WEIGHT
from recsys.catalogue import Catalogue
from recsys.schema import CATEGORY, ITEM_ID


def categories_of(ids: pl.Series, catalogue: Catalogue, as_of: datetime) -> pl.Series:
    """The category of each item then; null where it has none or is not in the catalogue."""
    items = catalogue.at(as_of).table
    if CATEGORY not in items.columns:
        return pl.Series(CATEGORY, [None] * len(ids), dtype=pl.Enum([]))
    known = items.select(ITEM_ID, pl.col(CATEGORY).cast(pl.String))
    found = ids.to_frame(ITEM_ID).join(known, on=ITEM_ID, how="left", maintain_order="left", validate="m:1")[CATEGORY]
    return found.cast(pl.Enum(found.drop_nulls().unique().sort()))


def affinities(
    users: pl.DataFrame, pairs: pl.DataFrame, categories: pl.Series, as_of: datetime, windows_from: datetime
) -> pl.DataFrame:
    """The view.

    users       user_key, user_id, in the order of the keys
    pairs       of Partials, in the order of latest_first, with the place of the item in `categories` for item_key
    categories  Enum, null for none
    """
    chosen = pairs.select(USER_KEY, categories.gather(pairs[ITEM_KEY]), pl.col(INTEREST)).drop_nulls(CATEGORY)
    weights = chosen.select(USER_KEY, CATEGORY).unique()
    [sums] = added(chosen.select(INTEREST), places_in(weights, chosen, USER_KEY, CATEGORY), len(weights))
    scaled = weights.with_columns((sums * scale_of(windows_from)).alias(WEIGHT), pl.col(CATEGORY).cast(pl.String))
    return affinity_view(scaled.join(users, on=USER_KEY).drop(USER_KEY), as_of)
