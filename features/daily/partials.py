"""What a stretch of the log says of items, of users and of pairs of both: tables that add up over stretches.

An occasion is a timestamp, so that no occasion lies in two days, nor on both sides of any moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import polars as pl

from features.fields import count_of
from features.history import LOGGED, RECENT_EVENTS
from recsys.schema import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, VALUE

BUCKETS = 1024
PAIRS_AT_ONCE = 4_000_000  # bounds the memory of a merge
BUCKET = "bucket"
RANK = "rank"


@dataclass(frozen=True)
class Partials:
    """Four tables, not yet read; a key may have several rows until they are merged.

    items  item_id, occasions, value_sum, value_count, value_sum_squares, count_TYPE for each type
    users  user_id, the same, bucket
    pairs  user_id, item_id, occasions, first_at, last_at, logged (the last in the log, by its place in it),
           rank (of its type of the highest weight), bucket
    recent user_id, item_id, rank (of its type), timestamp, logged, bucket: the last RECENT_EVENTS of each user and day;
           those of a sum of days are not kept
    """

    items: pl.LazyFrame
    users: pl.LazyFrame
    pairs: pl.LazyFrame
    recent: pl.LazyFrame

    def of_buckets(self, first: int, last: int) -> "Partials":
        """Of the users in the buckets from `first` to before `last` alone; the items are those of all users."""
        among = pl.col(BUCKET).is_between(first, last, closed="left")
        return Partials(self.items, self.users.filter(among), self.pairs.filter(among), self.recent.filter(among))

    def ranges(self) -> list[tuple[int, int]]:
        """Ranges of buckets, together all, with about PAIRS_AT_ONCE rows of pairs each."""
        pairs = self.pairs.select(pl.len()).collect().item()
        step = max(1, BUCKETS // max(1, ceil(pairs / PAIRS_AT_ONCE)))
        return [(first, min(first + step, BUCKETS)) for first in range(0, BUCKETS, step)]


def merged_pairs(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """One row a user and item; the buckets are gone."""
    return pairs.group_by(USER_ID, ITEM_ID).agg(
        pl.col("occasions").sum(), pl.col("first_at").min(), pl.col("last_at", LOGGED).max(), pl.col(RANK).min()
    )


def together(parts: Sequence[Partials]) -> Partials:
    """The rows of all parts, not merged."""
    tables = zip(*((part.items, part.users, part.pairs, part.recent) for part in parts), strict=True)
    return Partials(*map(pl.concat, tables))


def partials(events: pl.DataFrame, types: Sequence[str]) -> Partials:
    """What interactions say, with their place in the log in `logged`; `types` in the order of their rank."""
    ranks = {name: rank for rank, name in enumerate(types)}
    events = events.with_columns(pl.col(EVENT_TYPE).replace_strict(ranks, return_dtype=pl.UInt8).alias(RANK))
    sums = [
        pl.col(VALUE).sum().alias("value_sum"),
        pl.col(VALUE).count().cast(pl.Int64).alias("value_count"),
        (pl.col(VALUE) ** 2).sum().alias("value_sum_squares"),
        *((pl.col(RANK) == rank).sum().cast(pl.Int64).alias(count_of(name)) for name, rank in ranks.items()),
    ]
    rows = events.lazy()
    pairs = (
        rows.group_by(USER_ID, ITEM_ID)
        .agg(
            occasions=pl.col(TIMESTAMP).n_unique(),
            first_at=pl.col(TIMESTAMP).min(),
            last_at=pl.col(TIMESTAMP).max(),
            logged=pl.col(LOGGED).max(),
            rank=pl.col(RANK).min(),
        )
        .collect(engine="streaming")
    )
    # One occasion of two users is two of the item.
    occasions = pairs.lazy().group_by(ITEM_ID).agg(pl.col("occasions").cast(pl.Int64).sum())
    items = occasions.join(rows.group_by(ITEM_ID).agg(sums), on=ITEM_ID)
    users = rows.group_by(USER_ID).agg(pl.col(TIMESTAMP).n_unique().cast(pl.Int64).alias("occasions"), *sums)
    found_items, found_users = pl.collect_all([items, users], engine="streaming")
    latest_first = events.select(USER_ID, ITEM_ID, RANK, TIMESTAMP, LOGGED).sort(TIMESTAMP, LOGGED, descending=True)
    recent = latest_first.filter(pl.int_range(pl.len()).over(USER_ID) < RECENT_EVENTS)
    return Partials(found_items.lazy(), bucketed(found_users).lazy(), bucketed(pairs).lazy(), bucketed(recent).lazy())


def bucketed(frame: pl.DataFrame) -> pl.DataFrame:
    """In the order of the buckets of the users, so that a file can be read a few buckets at a time."""
    return frame.with_columns((pl.col(USER_ID).hash() % BUCKETS).cast(pl.UInt16).alias(BUCKET)).sort(BUCKET)


def bucketing() -> str:
    """Differs when this Polars puts users into other buckets than the one that wrote a file."""
    return str(pl.Series(["recsys"]).hash()[0])
