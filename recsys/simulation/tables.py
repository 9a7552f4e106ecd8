"""Shown lists, clicks and purchases as tables of recsys.schema."""

from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from recsys.schema import (
    EVENT_ID,
    EVENT_TYPE,
    ITEM_ID,
    ITEMS,
    PRICE,
    REQUEST_ID,
    TIMESTAMP,
    USER_ID,
    UTC_MICROSECONDS,
    VALUE,
)
from recsys.simulation.items import SYNTHETIC
from recsys.simulation.settings import FIRST_DAY
from recsys.simulation.truth import Truth
from recsys.state import Floats, Mask, Positions

SURFACE: Final = "synthetic_home"
BUNDLE: Final = "synthetic_logging_policy"

CLICK, PURCHASE = "click", "purchase"
SECONDS_A_PLACE: Final = 4
"""Between one place of a list and the next."""

SECONDS_TO_BUY: Final = 180


def impressions_table(
    truth: Truth, first: int, users: Positions, at: Floats, shown: Positions, propensities: Floats
) -> pl.DataFrame:
    """One row a list; the lists are those of logs.Part."""
    length = shown.shape[1]
    seconds = at * timedelta(days=truth.settings.days).total_seconds()
    items = truth.items.table[ITEM_ID].gather(shown.ravel())
    number = pl.int_range(first, first + len(shown), eager=True)
    return pl.DataFrame(
        {
            REQUEST_ID: "request-" + number.cast(pl.String).str.zfill(9),
            USER_ID: truth.users.table[USER_ID].gather(users),
            TIMESTAMP: pl.Series((seconds * 1e6).astype(np.int64) + int(FIRST_DAY.timestamp() * 1e6)).cast(
                UTC_MICROSECONDS
            ),
            ITEMS: items.reshape((-1, length)).arr.to_list(),
            "propensities": pl.Series(propensities.ravel()).reshape((-1, length)).arr.to_list(),
        }
    ).with_columns(surface=pl.lit(SURFACE), bundle=pl.lit(BUNDLE), **{SYNTHETIC: pl.lit(True)})


def interactions_table(
    impressions: pl.DataFrame, truth: Truth, shown: Positions, clicked: Mask, bought: Mask
) -> pl.DataFrame:
    """One row a click or purchase, in the order of time."""
    parts = []
    for event_type, happened, delay in ((CLICK, clicked, 0), (PURCHASE, bought, SECONDS_TO_BUY)):
        row, place = np.nonzero(happened)
        lists = impressions.select(REQUEST_ID, USER_ID, TIMESTAMP)[row]
        items = truth.items.table.select(ITEM_ID, PRICE)[shown[row, place]]
        seconds = (place + 1) * SECONDS_A_PLACE + delay
        parts.append(
            lists.hstack(items).select(
                pl.concat_str(
                    pl.lit(f"{event_type}-"), pl.col(REQUEST_ID), pl.lit("-"), pl.Series(place + 1).cast(pl.String)
                ).alias(EVENT_ID),
                REQUEST_ID,
                USER_ID,
                ITEM_ID,
                pl.lit(event_type).alias(EVENT_TYPE),
                pl.col(TIMESTAMP) + pl.Series(seconds * 1_000_000).cast(pl.Duration("us")),
                (pl.col(PRICE) if event_type == PURCHASE else pl.lit(None, pl.Float64)).alias(VALUE),
                pl.lit(True).alias(SYNTHETIC),
            )
        )
    return pl.concat(parts).sort(TIMESTAMP, EVENT_ID)
