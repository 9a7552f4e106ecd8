"""The views of features.aggregate and features.history at a moment, out of the partials of days: the same rows, in the
order of no key. That of features.affinity is not among them: it depends on what items were at that moment.

Writes  OUT/VIEW/NUMBER.parquet
"""

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from features.aggregate import item_view, seconds, user_view
from features.daily.aggregates import DailyAggregates
from features.daily.partials import RANK, Partials, merged_pairs
from features.definitions import HISTORY_VIEW, ITEM_VIEW, USER_VIEW
from features.fields import SPEND_DAYS, WEIGHT_DAYS, WINDOWS_DAYS, count_of, windowed
from features.history import RECENT_DAYS, history_view
from recsys.schema import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID


def snapshot(aggregates: DailyAggregates, as_of: datetime, out: Path) -> dict[str, pl.LazyFrame]:
    """Write the three views from interactions before `as_of` into a folder that takes the place of `out`; scan them.

    Whole days that are missing are computed. Only some users are in memory at a time.
    """
    aggregates.update(as_of)
    known = aggregates.between(None, as_of)
    windows = {days: aggregates.between(as_of - timedelta(days=days), as_of) for days in WINDOWS_DAYS}
    new = out.with_name(f"{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    chosen = []
    for number, (first, last) in enumerate(known.ranges()):
        part = known.of_buckets(first, last)
        pairs = merged_pairs(part.pairs).collect(engine="streaming")
        parts = {days: window.of_buckets(first, last) for days, window in windows.items()}
        users = _users(part, parts, pairs, aggregates.types)
        _write(user_view(users, as_of, aggregates.features), new / USER_VIEW, number)
        recent = parts[RECENT_DAYS].recent.collect(engine="streaming")
        _write(_history(pairs, recent, aggregates.types, as_of), new / HISTORY_VIEW, number)
        chosen.append(_chosen(pairs, as_of))
    items = _items(known, windows, chosen, aggregates.weights)
    _write(item_view(items, as_of, aggregates.features), new / ITEM_VIEW, 0)
    shutil.rmtree(out, ignore_errors=True)
    new.rename(out)
    return {view: pl.scan_parquet(out / view / "*.parquet") for view in (ITEM_VIEW, USER_VIEW, HISTORY_VIEW)}


def _users(known: Partials, windows: Mapping[int, Partials], pairs: pl.DataFrame, types: Sequence[str]) -> pl.DataFrame:
    """What user_view needs."""
    sums = [known.users.select(pl.exclude("bucket"))]
    for days, window in windows.items():
        stems = ["occasions", *map(count_of, types), *(["value_sum"] if days in SPEND_DAYS else [])]
        sums.append(window.users.select(USER_ID, *(pl.col(stem).alias(windowed(stem, days)) for stem in stems)))
    items = (
        pairs.lazy()
        .group_by(USER_ID)
        .agg(
            distinct_items=pl.len(),
            pairs=pl.col("occasions").sum(),
            first_at=seconds(pl.col("first_at").min()),
            last_at=seconds(pl.col("last_at").max()),
        )
    )
    return (
        pl.concat(sums, how="diagonal")
        .group_by(USER_ID)
        .agg(pl.all().sum())
        .join(items, on=USER_ID)
        .collect(engine="streaming")
    )


def _history(pairs: pl.DataFrame, recent: pl.DataFrame, types: list[str], as_of: datetime) -> pl.DataFrame:
    """The view, from pairs and the interactions that may be among the last of each user."""
    names = pl.col(RANK).replace_strict(dict(enumerate(types)), return_dtype=pl.String)
    entries = pairs.select(
        USER_ID,
        ITEM_ID,
        "logged",
        history_occasions=pl.col("occasions").cast(pl.Float64),
        history_first_at=seconds(pl.col("first_at")),
        history_last_at=seconds(pl.col("last_at")),
        history_types=names,
    )
    events = recent.select(USER_ID, ITEM_ID, names.alias(EVENT_TYPE), TIMESTAMP, "logged")
    return history_view(entries, events, as_of)


def _chosen(pairs: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """How many of these users chose each item, lately and again, and when."""
    chosen = (
        pairs.lazy()
        .group_by(ITEM_ID)
        .agg(
            *(
                (pl.col("last_at") >= as_of - timedelta(days=days)).sum().cast(pl.Int64).alias(windowed("users", days))
                for days in WINDOWS_DAYS
            ),
            users=pl.len().cast(pl.Int64),
            returned=(pl.col("occasions") > 1).sum().cast(pl.Int64),
            first_at=pl.col("first_at").min(),
            last_at=pl.col("last_at").max(),
        )
    )
    return chosen.collect(engine="streaming")


def _items(
    known: Partials, windows: Mapping[int, Partials], chosen: list[pl.DataFrame], weights: Mapping[str, float]
) -> pl.DataFrame:
    """What item_view needs."""
    # Interactions have their weights in 32 bits.
    weight = pl.sum_horizontal(pl.col(count_of(name)) * float(np.float32(value)) for name, value in weights.items())
    counts = [count_of(name) for name in weights]
    sums = [known.items.select(ITEM_ID, "value_sum", "value_count", *counts)]
    for days, window in windows.items():
        sums.append(window.items.select(ITEM_ID, *(pl.col(stem).alias(windowed(stem, days)) for stem in counts)))
    month = windows[WEIGHT_DAYS].items
    sums.append(
        month.select(
            ITEM_ID,
            pl.col("occasions").alias(windowed("occasions", WEIGHT_DAYS)),
            weight.alias(windowed("weight", WEIGHT_DAYS)),
        )
    )
    users = (
        pl.concat(chosen)
        .lazy()
        .group_by(ITEM_ID)
        .agg(
            pl.exclude("first_at", "last_at").sum(), seconds(pl.col("first_at").min()), seconds(pl.col("last_at").max())
        )
    )
    return (
        pl.concat(sums, how="diagonal")
        .group_by(ITEM_ID)
        .agg(pl.all().sum())
        .join(users, on=ITEM_ID)
        .collect(engine="streaming")
    )


def _write(view: pl.DataFrame, folder: Path, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    view.write_parquet(folder / f"{number:04}.parquet", compression="lz4")
