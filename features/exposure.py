"""How often each item was shown, strictly before a moment, and how often an interaction answered that.

An interaction answers the impression that its request_id names, if that showed the item; one without a request_id
answers none. An impression counts once for an item and a type, however often it was answered, and in the window that it
was shown in: of a hundred impressions no more than a hundred lead to a choice. Where in the list the item stood is not
taken into account.

`windows_from` is that of features.daily.snapshot.
"""

from datetime import datetime, timedelta

import polars as pl

from features.featureset import FeatureSet
from features.fields import CHOSEN_DAYS, EXPOSURE_DAYS, chosen_of, windowed
from features.views import before, finish
from recsys.schema import EVENT_TYPE, ITEM_ID, ITEMS, REQUEST_ID, TIMESTAMP, columns_of


def item_exposure(
    impressions: pl.DataFrame | None,
    interactions: pl.DataFrame,
    as_of: datetime,
    features: FeatureSet,
    *,
    windows_from: datetime | None = None,
) -> pl.DataFrame:
    """One row an item that was shown in the longest window: item_id, event_timestamp and features.exposure_fields.

    impressions  request_id (each once), timestamp, items; None: there are none
    """
    begun = windows_from or as_of
    since = begun - timedelta(days=max(EXPOSURE_DAYS))
    if impressions is None:
        impressions = pl.DataFrame(schema=columns_of("impressions"))
    shown = before(impressions, as_of).filter(pl.col(TIMESTAMP) >= since).select(REQUEST_ID, TIMESTAMP, ITEMS).lazy()
    chosen = {name: windowed(chosen_of(name), CHOSEN_DAYS) for name in features.types}
    counts = (
        shown.select(TIMESTAMP, pl.col(ITEMS).list.unique().alias(ITEM_ID))
        .explode(ITEM_ID)
        .group_by(ITEM_ID)
        .agg(_in_last(days, begun).sum().alias(windowed("shown", days)) for days in EXPOSURE_DAYS)
    )
    answered = (
        _answers(before(interactions, as_of))
        .join(shown, on=REQUEST_ID)
        .filter(pl.col(ITEMS).list.contains(pl.col(ITEM_ID)) & _in_last(CHOSEN_DAYS, begun))
        .group_by(ITEM_ID)
        .agg((pl.col(EVENT_TYPE) == name).sum().alias(column) for name, column in chosen.items())
    )
    rows = counts.join(answered, on=ITEM_ID, how="left").with_columns(pl.col(*chosen.values()).fill_null(0))
    # An impression is long: only some of them are taken apart at a time.
    return finish(rows.collect(engine="streaming"), ITEM_ID, as_of, features.exposure_fields).sort(ITEM_ID)


def _answers(interactions: pl.DataFrame) -> pl.LazyFrame:
    """Each once: request_id, item_id, event_type."""
    if REQUEST_ID not in interactions.columns:
        interactions = interactions.with_columns(pl.lit(None, pl.String).alias(REQUEST_ID))
    return interactions.lazy().select(REQUEST_ID, ITEM_ID, EVENT_TYPE).drop_nulls(REQUEST_ID).unique()


def _in_last(days: int, begun: datetime) -> pl.Expr:
    return pl.col(TIMESTAMP) >= begun - timedelta(days=days)
