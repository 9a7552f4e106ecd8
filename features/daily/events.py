"""The interactions of a day as numbers: keys for ids, ranks for types, microseconds for times."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from features.daily.keys import KEY_OF, key
from features.daily.log import POSITION, DailyLog
from recsys.errors import DataError
from recsys.schema import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, UTC_MICROSECONDS, VALUE

AT = "at"
RANK = "rank"
LOGGED = "logged"
COLUMNS = {
    USER_ID: pl.String(),
    ITEM_ID: pl.String(),
    EVENT_TYPE: pl.String(),
    TIMESTAMP: UTC_MICROSECONDS,
    VALUE: pl.Float64(),
}
LOGGED_A_DAY = 1 << 32


def keyed_events(log: DailyLog, day: date, rows: pl.LazyFrame, types: Sequence[str]) -> pl.DataFrame:
    """Rows of a day of the log, as features.daily.day.partials needs them.

    types  in the order of their rank; raises DataError when an interaction is of another one
    """
    logged = pl.col(POSITION).cast(pl.Int64) + day.toordinal() * LOGGED_A_DAY
    typed = rows.with_columns(pl.col(name).cast(kind) for name, kind in COLUMNS.items())
    events = typed.select(
        *(column for name, of_key in KEY_OF.items() for column in (pl.col(name), key(name).alias(of_key))),
        pl.col(EVENT_TYPE).cast(pl.Enum(types), strict=False),
        pl.col(TIMESTAMP).cast(pl.Int64).alias(AT),
        VALUE,
        logged.alias(LOGGED),
    ).collect(engine="streaming")
    if events[EVENT_TYPE].null_count():
        unknown = sorted(set(typed.select(pl.col(EVENT_TYPE).unique()).collect().to_series()) - set(types))
        raise DataError(
            f"{log.path(day)}: found the types {unknown}, expected {sorted(types)}; add them to [interaction_types]"
        )
    return events.with_columns(pl.col(EVENT_TYPE).to_physical().cast(pl.UInt8).alias(RANK)).drop(EVENT_TYPE)


def no_events() -> pl.DataFrame:
    """Those of a time in which nothing happened."""
    keys = {column: pl.UInt64() if column in KEY_OF.values() else pl.String() for of in KEY_OF.items() for column in of}
    return pl.DataFrame(schema={**keys, AT: pl.Int64(), VALUE: pl.Float64(), LOGGED: pl.Int64(), RANK: pl.UInt8()})
