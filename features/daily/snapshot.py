"""The views of features.aggregate and features.history at a moment, out of the partials of days: the same rows, in the
order of no key. That of features.affinity is not among them: it depends on what items were at that moment.

Writes  OUT/VIEW/NUMBER.parquet
"""

import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.aggregate import item_view, user_view
from features.daily.aggregates import DailyAggregates
from features.daily.choosers import Choosers
from features.daily.histories import MICROSECONDS, histories
from features.daily.keys import ITEM_KEY, USER_KEY
from features.daily.order import ROW, latest_first, starts_of
from features.daily.parallel import side_by_side
from features.daily.partials import AT, merged_pairs, together
from features.daily.places import Places
from features.daily.windows import item_sums, segments, user_sums
from features.definitions import HISTORY_VIEW, ITEM_VIEW, USER_VIEW
from features.history import RECENT_DAYS
from recsys.schema import ITEM_ID, USER_ID


def snapshot(aggregates: DailyAggregates, as_of: datetime, out: Path) -> dict[str, pl.LazyFrame]:
    """Write the three views from interactions before `as_of` into a folder that takes the place of `out`; scan them.

    Whole days that are missing are computed. Only some users are in memory at a time.
    """
    aggregates.update(as_of)
    known = aggregates.between(None, as_of)
    ages = segments(aggregates, as_of)
    recent = together([part for days, part in ages.items() if days is not None and days <= RECENT_DAYS][::-1])
    items = item_sums(ages, aggregates.weights)
    places = Places(items[ITEM_KEY])
    choosers = Choosers(len(items), as_of)
    new = out.with_name(f"{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)

    def write_users(number: int, first: int, last: int) -> None:
        pairs = latest_first(places.put(merged_pairs(known.of_users(first, last))), "last_at")
        sums = user_sums({days: part.of_users(first, last) for days, part in ages.items()}, aggregates.types)
        users = _of_pairs(pairs).join(sums, on=USER_KEY, how="left", maintain_order="left")
        _write(user_view(users, as_of, aggregates.features), new / USER_VIEW, number)
        events = recent.of_users(first, last).events.collect(engine="streaming").with_row_index(ROW)
        last_events = latest_first(places.put(events), AT)
        ids = users.select(USER_KEY, USER_ID)
        view = histories(ids, pairs, last_events, items[ITEM_ID], aggregates.types, as_of)
        _write(view, new / HISTORY_VIEW, number)
        choosers.add(pairs)

    side_by_side(lambda piece: write_users(*piece), [(number, *keys) for number, keys in enumerate(known.ranges())])
    _write(item_view(items.with_columns(**choosers.columns()), as_of, aggregates.features), new / ITEM_VIEW, 0)
    shutil.rmtree(out, ignore_errors=True)
    new.rename(out)
    return {view: pl.scan_parquet(out / view / "*.parquet") for view in (ITEM_VIEW, USER_VIEW, HISTORY_VIEW)}


def _of_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    """One row a user, from pairs in the order of latest_first."""
    starts = starts_of(pairs)
    lengths = np.diff(starts, append=len(pairs))
    occasions, first_at = pairs["occasions"].to_numpy(), pairs["first_at"].to_numpy()
    return pl.DataFrame(
        {
            USER_KEY: pairs[USER_KEY][starts],
            "distinct_items": lengths,
            # numpy refuses to sum no rows.
            "pairs": np.add.reduceat(occasions, starts) if len(starts) else occasions,
            "first_at": (np.minimum.reduceat(first_at, starts) if len(starts) else first_at) / MICROSECONDS,
            "last_at": pairs["last_at"].to_numpy()[starts] / MICROSECONDS,
        }
    )


def _write(view: pl.DataFrame, folder: Path, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    view.write_parquet(folder / f"{number:04}.parquet", compression="lz4")
