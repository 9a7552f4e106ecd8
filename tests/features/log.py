"""A log of interactions, and the items in it, made of the rows that a test is about."""

from datetime import UTC, datetime, timedelta

import polars as pl

from features.featureset import FeatureSet
from recsys.catalogue import Catalogue

START = datetime(2024, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECONDS_A_DAY = 86_400.0

WEIGHTS = {"purchase": 1.0, "view": 0.2}
FEATURES = FeatureSet.of(WEIGHTS)
"""Interactions of other types may be in the log as well, and are counted nowhere by their type."""

SCHEMA = {
    "user_id": pl.String,
    "item_id": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "value": pl.Float64,
    "weight": pl.Float32,
    "event_type": pl.String,
}


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def seconds(number: float) -> float:
    """A day in seconds since the epoch."""
    return day(number).timestamp()


def log(*rows: tuple) -> pl.DataFrame:
    """Interactions in the order given: user, item, day or time, and optionally value (none), weight (1), type."""
    full = [(*row, *(None, 1.0, "purchase")[len(row) - 3 :]) for row in rows]
    times = [(user, item, at if isinstance(at, datetime) else day(at), *rest) for user, item, at, *rest in full]
    return pl.DataFrame(times, schema=SCHEMA, orient="row")


def shown(*rows: tuple[str, float | datetime, str]) -> pl.DataFrame:
    """Impressions: request, day or time, items of which each id is one letter."""
    full = [(request, at if isinstance(at, datetime) else day(at), list(items)) for request, at, items in rows]
    schema = {"request_id": pl.String, "timestamp": pl.Datetime("us", "UTC"), "items": pl.List(pl.String)}
    return pl.DataFrame(full, schema=schema, orient="row")


def catalogue_of(item_ids: str) -> Catalogue:
    """The items of which each id is one letter."""
    return Catalogue.load(pl.DataFrame({"item_id": list(item_ids), "title": list(item_ids)}))
