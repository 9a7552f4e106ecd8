"""What one user may add to the tables in a day: whatever sends a million events is no person, and teaches nobody.

The first events of a day (UTC) count, the others are left out; servers that follow the event log do the same.
"""

import polars as pl

from recsys.schema import TIMESTAMP, USER_ID

CAPPED = ("interactions", "impressions")
MICROSECONDS_A_DAY = 86_400_000_000


def within_cap(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """Of each user and day the first `most` rows; `rows` are in the order of time."""
    keys = [USER_ID, pl.col(TIMESTAMP).dt.date().alias("day")]
    many = rows.group_by(keys).len().filter(pl.col("len") > most)
    if many.is_empty():
        return rows
    return rows.filter(pl.int_range(pl.len()).over(keys) < most)


def reason(most: int) -> str:
    """How the import counts what it left out."""
    return f"beyond {most:,} of one user in a day"
