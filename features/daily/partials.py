"""What a stretch of the log says of items, of users and of pairs of both: tables that add up over stretches.

An occasion is a timestamp, so that no occasion lies in two days, nor on both sides of any moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import ceil
from typing import Final

import polars as pl

from features.daily.events import AT, LOGGED, RANK
from features.daily.interest import interest
from features.daily.keys import ITEM_KEY, KEYS, USER_KEY
from features.daily.order import ROW
from features.daily.sums import added, places_in
from recsys.schema import VALUE

PAIRS_AT_ONCE = 4_000_000  # bounds the memory of a merge
OCCASIONS: Final = "occasions"
INTEREST: Final = "interest"
PAIR_SUMS: Final = {OCCASIONS: pl.Int64(), VALUE: pl.Float64(), INTEREST: pl.Float64()}
"""What adds up over the interactions of a pair; `_pairs_of` says what each of them adds."""


@dataclass(frozen=True)
class Partials:
    """Four tables, not yet read; a key may have several rows until they are merged. Times are Int64 microseconds.

    items  item_key, item_id, occasions, value_sum, value_count, value_sum_squares, count_TYPE for each type
    users  user_key, user_id, the same
    pairs  user_key, item_key, PAIR_SUMS, first_at, last_at, logged (the last in the log, by its place in it),
           rank (of its type of the highest weight): those of a sum of days
    events user_key, item_key, occasions (0 when an interaction before is of the same), value (0 where it has none), at,
           logged, rank (of its type): those of days

    Rows are in the order of their stretches in time. All but the items of a stretch are in the order of user_key, so
    that a file can be read a few users at a time; the pairs and the events of a user are in that of time.
    """

    items: pl.LazyFrame
    users: pl.LazyFrame
    pairs: pl.LazyFrame
    events: pl.LazyFrame

    def of_users(self, first: int, last: int) -> "Partials":
        """Of the users with a key from `first` to before `last` alone; the items are those of all users."""
        among = pl.col(USER_KEY).is_between(pl.lit(first, pl.UInt64), pl.lit(last - 1, pl.UInt64))
        return Partials(self.items, *(table.filter(among) for table in (self.users, self.pairs, self.events)))

    def ranges(self) -> list[tuple[int, int]]:
        """Ranges of keys of users, together all, with about PAIRS_AT_ONCE rows of pairs and events each."""
        rows = pl.collect_all([self.pairs.select(pl.len()), self.events.select(pl.len())])
        count = max(1, ceil(sum(found.item() for found in rows) / PAIRS_AT_ONCE))
        return [(KEYS * number // count, KEYS * (number + 1) // count) for number in range(count)]


def together(parts: Sequence[Partials]) -> Partials:
    """The rows of all parts, not merged."""
    return Partials(*(pl.concat([getattr(part, field.name) for part in parts]) for field in fields(Partials)))


def no_pairs() -> pl.LazyFrame:
    """Those of days: only sums of days have pairs."""
    keys, times = dict.fromkeys([USER_KEY, ITEM_KEY], pl.UInt64()), dict.fromkeys(["first_at", "last_at"], pl.Int64())
    return pl.LazyFrame(schema={**keys, **PAIR_SUMS, **times, LOGGED: pl.Int64(), RANK: pl.UInt8()})


def merged_pairs(found: Partials, weights: Mapping[str, float]) -> pl.DataFrame:
    """One row a user and item, from the pairs and the events, with `row`, as latest_first needs it.

    weights  of each type, in the order of their ranks
    """
    rows = pl.concat([found.pairs, _pairs_of(found.events, weights)]).collect().with_row_index(ROW)
    # Most pairs have one row, and grouping these would take longer than finding the others.
    is_several = repeated(rows, USER_KEY, ITEM_KEY)
    several = rows.filter(is_several)
    merged = several.group_by(USER_KEY, ITEM_KEY).agg(
        pl.col("first_at").min(),
        pl.col("last_at", LOGGED, ROW).max(),
        pl.col(RANK).min(),
    )
    places = places_in(merged, several, USER_KEY, ITEM_KEY)
    merged = merged.with_columns(added(several.select(*PAIR_SUMS), places, len(merged)))
    return pl.concat([rows.filter(~is_several), merged.select(rows.columns)])


def _pairs_of(events: pl.LazyFrame, weights: Mapping[str, float]) -> pl.LazyFrame:
    """A row an event."""
    sums = {OCCASIONS: pl.col(OCCASIONS).cast(pl.Int64), VALUE: pl.col(VALUE), INTEREST: interest(weights)}
    return events.select(
        USER_KEY,
        ITEM_KEY,
        **{name: sums[name] for name in PAIR_SUMS},
        first_at=AT,
        last_at=AT,
        logged=LOGGED,
        rank=RANK,
    )


def repeated(rows: pl.DataFrame, *names: str) -> pl.Series:
    """Which rows may have equals in these columns of 64-bit integers; of all others there is but one."""
    mixed = rows[names[0]]
    for name in names[1:]:
        # Odd, and as good as random: what is equal in one column differs in the whole.
        mixed = mixed * 0x9E3779B97F4A7C15 + rows[name].reinterpret(signed=False)
    ordered = mixed.sort()
    again = ordered.filter(ordered == ordered.shift()).unique()
    return mixed.is_in(again.implode()).alias("repeated")
