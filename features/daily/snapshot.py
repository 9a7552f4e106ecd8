"""The views of the feature store at a moment, out of the partials of days; their rows are in the order of no id.

Writes  OUT/VIEW/NUMBER.parquet
"""

import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.daily.affinities import affinities, categories_of
from features.daily.aggregates import DailyAggregates
from features.daily.choosers import Choosers
from features.daily.events import AT
from features.daily.histories import MICROSECONDS, histories
from features.daily.keys import ITEM_KEY, USER_KEY
from features.daily.order import ROW, latest_first, starts_of
from features.daily.parallel import side_by_side
from features.daily.partials import merged_pairs, together
from features.daily.places import Places
from features.daily.windows import item_sums, segments, user_sums
from features.history import RECENT_DAYS
from features.stored_views import AFFINITY_VIEW, HISTORY_VIEW, ITEM_VIEW, USER_VIEW
from features.views import item_view, user_view
from recsys.catalogue import Catalogue
from recsys.schema import ITEM_ID, USER_ID


def snapshot(
    aggregates: DailyAggregates,
    catalogue: Catalogue,
    as_of: datetime,
    out: Path,
    *,
    windows_from: datetime | None = None,
) -> None:
    """Write the views from interactions before `as_of` into a folder that takes the place of `out`.

    windows_from  the moment at which windows of days end, to which is added what came between it and `as_of`; the same
                  unless given. Who counts on from an earlier snapshot, as a server does, has windows that began with it

    Whole days that are missing are computed. Only some users are in memory at a time.
    """
    begun = windows_from or as_of
    aggregates.update(as_of)
    known = aggregates.between(None, as_of)
    ages = segments(aggregates, as_of, begun)
    recent = together([part for days, part in ages.items() if days is not None and days <= RECENT_DAYS][::-1])
    items = item_sums(ages, aggregates.weights)
    places = Places(items[ITEM_KEY])
    categories = categories_of(items[ITEM_ID], catalogue, as_of)
    choosers = Choosers(len(items), begun)
    new = out.with_name(f"{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)

    def write_users(number: int, first: int, last: int) -> None:
        merged = merged_pairs(known.of_users(first, last), aggregates.weights)
        pairs = latest_first(places.put(merged), "last_at")
        sums = user_sums({days: part.of_users(first, last) for days, part in ages.items()}, aggregates.types)
        users = _of_pairs(pairs).join(sums, on=USER_KEY, how="left", maintain_order="left")
        _write(user_view(users, as_of, aggregates.features), new / USER_VIEW, number)
        events = recent.of_users(first, last).events.collect().with_row_index(ROW)
        last_events = latest_first(places.put(events), AT)
        ids = users.select(USER_KEY, USER_ID)
        view = histories(ids, pairs, last_events, items[ITEM_ID], aggregates.types, as_of)
        _write(view, new / HISTORY_VIEW, number)
        _write(affinities(ids, pairs, categories, as_of, begun), new / AFFINITY_VIEW, number)
        choosers.add(pairs)

    side_by_side(lambda piece: write_users(*piece), [(number, *keys) for number, keys in enumerate(known.ranges())])
    _write(item_view(items.with_columns(**choosers.columns()), as_of, aggregates.features), new / ITEM_VIEW, 0)
    shutil.rmtree(out, ignore_errors=True)
    new.rename(out)


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
