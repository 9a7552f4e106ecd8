"""Tables whose drift can be worked by hand: days are counted from DAY_0, as in tests.training.project."""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from recsys.config import Drift
from recsys.drift import Span
from recsys.schema import columns_of
from tests.training.project import at
from training.drift.periods import Periods

SETTINGS = Drift()


def periods(first: float, since: float, until: float, latest: float, last: float) -> Periods:
    """A log from `first` to `last`, the reference, and from when the latest days are."""
    return Periods(at(first), Span(at(since), at(until)), Span(at(latest), at(last) + timedelta(microseconds=1)))


def interactions(rows: Sequence[tuple[str, str, str, float, float | None]]) -> pl.DataFrame:
    """Of (user, item, event type, day, value) rows."""
    columns = {
        "user_id": [row[0] for row in rows],
        "item_id": [row[1] for row in rows],
        "event_type": [row[2] for row in rows],
        "timestamp": [at(row[3]) for row in rows],
        "value": [row[4] for row in rows],
        "request_id": [None] * len(rows),
    }
    return pl.DataFrame(columns, schema_overrides=columns_of("interactions"))
