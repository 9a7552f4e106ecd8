"""Heavy-tailed interactions, made and written a day at a time, so that a long log is never in memory.

The visitors and items of a day are drawn from power laws over all of them: the chance of the one at place k falls as
k ** -exponent, so that few are chosen often and most hardly ever. Places are scattered over the ids. A visitor has
EVENTS_A_VISIT interactions on average, at times uniform over the day to the millisecond; every tenth interaction is at
the moment, and by the user, of the one before, as in a basket. A tenth has no value. The same seed gives the same days.
"""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from features.daily.log import DailyLog, midnight

START = date(2024, 1, 1)
WEIGHTS = {"purchase": 1.0, "cart": 0.3, "view": 0.1}
TYPE_SHARES = (0.05, 0.15, 0.8)
USERS, USER_EXPONENT = 5_000_000, 0.7
ITEMS, ITEM_EXPONENT = 500_000, 0.9
EVENTS_A_VISIT = 4
MILLISECONDS_A_DAY = 86_400_000
PRIME = 7_368_787  # larger than either number, so that a product with it visits each place once


def write_days(log: DailyLog, *, days: int, events_a_day: int, seed: int = 0) -> datetime:
    """Fill a log from START on; returns the moment after its last day."""
    for number in range(days):
        log.write(day_events(START + timedelta(days=number), events_a_day, seed))
    return midnight(START + timedelta(days=days))


def day_events(day: date, events: int, seed: int) -> pl.DataFrame:
    """The interactions of one day: user_id, item_id, event_type, timestamp, value."""
    random = np.random.default_rng([seed, day.toordinal()])
    visitors = _places(random, USERS, USER_EXPONENT, events // EVENTS_A_VISIT + 1)
    users = visitors[random.integers(0, len(visitors), events)]
    times = np.sort(random.integers(0, MILLISECONDS_A_DAY, events))
    follows = np.flatnonzero(random.random(events - 1) < 0.1) + 1
    users[follows], times[follows] = users[follows - 1], times[follows - 1]
    values = np.round(random.lognormal(2, 1, events), 2)
    return pl.DataFrame(
        {
            "user_id": users,
            "item_id": _places(random, ITEMS, ITEM_EXPONENT, events),
            "event_type": pl.Series(random.choice(len(WEIGHTS), events, p=TYPE_SHARES), dtype=pl.UInt8),
            "timestamp": times * 1000 + int(midnight(day).timestamp()) * 1_000_000,
            "value": pl.Series(values).set(pl.Series(random.random(events) < 0.1), None),
        }
    ).with_columns(
        pl.format("user-{}", "user_id").alias("user_id"),
        pl.format("item-{}", "item_id").alias("item_id"),
        pl.col("event_type").replace_strict(dict(enumerate(WEIGHTS)), return_dtype=pl.String),
        pl.col("timestamp").cast(pl.Datetime("us", UTC.tzname(None))),
    )


def _places(random: np.random.Generator, number: int, exponent: float, events: int) -> np.ndarray:
    """int64 (events,) in [0, number), by the inverse of the power law's distribution."""
    rest = 1 - exponent
    places = ((number**rest - 1) * random.random(events) + 1) ** (1 / rest) - 1
    return np.minimum(places.astype(np.int64), number - 1) * PRIME % number
