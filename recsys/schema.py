"""The tables of the engine and the names of their columns, spelled here and nowhere else.

items         item_id, title, and optionally description, category, brand, price, published_at, updated_at; any other
              column is an attribute. An item may have several rows that differ in updated_at: versions of its text.
interactions  user_id, item_id, event_type, timestamp, optionally event_id, request_id, value, query (the text
              that the user had typed)
impressions   request_id, user_id, timestamp, items (in the order shown), optionally propensities (how probable it
              was that each stands at its place, whatever the others do), surface, bundle, query
users         user_id and attributes

Timestamps are UTC with microseconds; a timestamp without a zone is read as UTC. Ids are opaque strings.
"""

from typing import Final

import polars as pl

ITEM_ID: Final = "item_id"
USER_ID: Final = "user_id"
EVENT_ID: Final = "event_id"
EVENT_TYPE: Final = "event_type"
TIMESTAMP: Final = "timestamp"
REQUEST_ID: Final = "request_id"
VALUE: Final = "value"
QUERY: Final = "query"
ITEMS: Final = "items"
"""Of an impression, in the order shown."""
PROPENSITIES: Final = "propensities"
"""Of an impression, for each item how probable it was that it stands at its place, given the request and nothing else:
the sum over all lists that have it there. In (0, 1]; over all items that could stand at a place it sums to 1."""

EXPERIMENT: Final = "experiment"
VARIANT: Final = "variant"
"""Of an impression: the experiment that it is a part of, and whose list it is; none where two variants are mixed."""

TEAMS: Final = "teams"
"""Of an impression that mixes the lists of two variants: for each item the one that put it there."""

SURFACE: Final = "surface"
"""Of an impression: where it was shown."""

TITLE: Final = "title"
CATEGORY: Final = "category"
PRICE: Final = "price"
PUBLISHED_AT: Final = "published_at"
UPDATED_AT: Final = "updated_at"
DELETED: Final = "deleted"

UTC_MICROSECONDS: Final = pl.Datetime("us", "UTC")

REQUIRED: Final[dict[str, dict[str, pl.DataType]]] = {
    "items": {ITEM_ID: pl.String(), TITLE: pl.String()},
    "interactions": {
        USER_ID: pl.String(),
        ITEM_ID: pl.String(),
        EVENT_TYPE: pl.String(),
        TIMESTAMP: UTC_MICROSECONDS,
    },
    "impressions": {
        REQUEST_ID: pl.String(),
        USER_ID: pl.String(),
        TIMESTAMP: UTC_MICROSECONDS,
        ITEMS: pl.List(pl.String()),
    },
    "users": {USER_ID: pl.String()},
}

OPTIONAL: Final[dict[str, dict[str, pl.DataType]]] = {
    "items": {
        "description": pl.String(),
        CATEGORY: pl.String(),
        "brand": pl.String(),
        PRICE: pl.Float64(),
        PUBLISHED_AT: UTC_MICROSECONDS,
        UPDATED_AT: UTC_MICROSECONDS,
    },
    "interactions": {EVENT_ID: pl.String(), REQUEST_ID: pl.String(), VALUE: pl.Float64(), QUERY: pl.String()},
    "impressions": {
        PROPENSITIES: pl.List(pl.Float64()),
        SURFACE: pl.String(),
        "bundle": pl.String(),
        QUERY: pl.String(),
    },
    "users": {},
}

TABLES: Final = tuple(REQUIRED)


def columns_of(table: str) -> dict[str, pl.DataType]:
    """Every column of a table that has a meaning to the engine, with its type; attributes are not among them."""
    return REQUIRED[table] | OPTIONAL[table]
