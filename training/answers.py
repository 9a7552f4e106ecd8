"""Which interactions answer which impressions.

An interaction answers the impression that its request_id names; one without answers every impression of the same user
that showed the item within a day before.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from recsys.catalogue import Catalogue
from recsys.schema import EVENT_TYPE, ITEM_ID, ITEMS, REQUEST_ID, TIMESTAMP, USER_ID
from recsys.state import Mask

AT: Final = "at"
"""The row of an impression in its table."""

POSITION: Final = "position"
"""Of an item in the catalogue."""

PLACE: Final = "place"
"""Of an item in its impression, 0 = shown first."""

DAY: Final = pl.duration(days=1)


def shown_items(
    impressions: pl.DataFrame, catalogue: Catalogue, *, most: int | None = None, without: Mask | None = None
) -> pl.DataFrame:
    """A row for each item that was shown: the columns of impressions, AT, ITEM_ID, POSITION and PLACE.

    most     items of an impression that are looked at, from the top; None: all
    without  bool (n_items,): items that are left out, as are those that the catalogue does not have

    An item that an impression shows twice has the first place.
    """
    position = pl.col(ITEM_ID).replace_strict(catalogue.index, default=None, return_dtype=pl.Int64)
    items = pl.col(ITEMS) if most is None else pl.col(ITEMS).list.head(most)
    shown = (
        impressions.with_row_index(AT)
        .with_columns(**{ITEM_ID: items, PLACE: pl.int_ranges(items.list.len())})
        .explode(ITEM_ID, PLACE)
        .with_columns(**{POSITION: position})
        .drop_nulls(POSITION)
    )
    if without is not None:
        shown = shown.filter(~pl.Series(without)[shown[POSITION].to_numpy()])
    return shown.unique([AT, ITEM_ID], keep="first", maintain_order=True)


def answers(shown: pl.DataFrame, interactions: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """What was chosen of what was shown, in an order that means nothing: AT, POSITION and EVENT_TYPE, each once.

    shown   as shown_items gives it
    labels  the interaction types that count
    """
    given = interactions.filter(pl.col(EVENT_TYPE).is_in(labels))
    if REQUEST_ID not in given.columns:
        given = given.with_columns(pl.lit(None, pl.String).alias(REQUEST_ID))
    given = given.select(REQUEST_ID, USER_ID, ITEM_ID, TIMESTAMP, EVENT_TYPE)
    named = shown.join(given.drop_nulls(REQUEST_ID), on=[REQUEST_ID, ITEM_ID])
    following = shown.join(given.filter(pl.col(REQUEST_ID).is_null()), on=[USER_ID, ITEM_ID], suffix="_answer").filter(
        pl.col(f"{TIMESTAMP}_answer").is_between(pl.col(TIMESTAMP), pl.col(TIMESTAMP) + DAY)
    )
    return pl.concat([rows.select(AT, POSITION, EVENT_TYPE) for rows in (named, following)]).unique()
