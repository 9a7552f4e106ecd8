"""What users did since a snapshot, as additions to the rows of the items that they chose."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from features.recent import FIRST, LAST, Past, RecentEvent, Since, stem_and_days
from recsys.state import Floats


@dataclass(frozen=True)
class Additions:
    """What the events of one user add to one item.

    counts    float64 (n_columns,) in the order of the columns of items, 0 where nothing adds up
    first_at  of these events, seconds since the epoch; last_at likewise
    """

    counts: Floats
    first_at: float
    last_at: float


def item_additions(past: Past, events: Sequence[RecentEvent], since: Since, columns: Sequence[str]) -> Additions:
    """What these events of one user with one item, sorted, add to it; `past` is the user's in the snapshot."""
    item, first, last = events[0].item_id, events[0].at, events[-1].at
    pair = past.pair(item)
    last_before, before = (-np.inf, 0.0) if pair is None else (pair.last_at, pair.occasions)
    first_before = np.inf if pair is None else pair.first_at
    new = {event.at for event in events if not past.is_known(item, event.at)}
    adds = since.sums(events) | {
        "occasions": [(at, 1.0) for at in new],
        "returned": [(last, 1.0)] if before <= 1 < before + len(new) else [],
    }
    # Most often all of the events are in the window, and what they add up to is the same for every window.
    totals = {stem: sum(value for _, value in found) for stem, found in adds.items()}
    counts = [0.0] * len(columns)
    for at, (stem, start) in enumerate(_starts(since.moment, tuple(columns))):
        if stem == "users":
            # Once for each user with any of it in the window.
            counts[at] = float(last >= start and (pair is None or last_before < start))
        elif stem == "new_users":
            # An event that comes late may take a user out of a window.
            was_new = pair is not None and first_before >= start
            counts[at] = float(min(first, first_before) >= start) - was_new
        elif stem in adds:
            counts[at] = totals[stem] if first >= start else sum(value for time, value in adds[stem] if time >= start)
    return Additions(np.array(counts), first, last)


def row_after(row: Floats, added: Additions, columns: Sequence[str]) -> Floats:
    """The row of an item, float64 (n_columns,), after these events; NaN: nothing was known of it."""
    found = np.where(np.isnan(row) & [adds_up(name) for name in columns], 0.0, row) + added.counts
    first, last = columns.index(FIRST), columns.index(LAST)
    found[first] = np.fmin(row[first], added.first_at)
    found[last] = np.fmax(row[last], added.last_at)
    return found


@lru_cache(maxsize=8)
def _starts(moment: float, columns: tuple[str, ...]) -> list[tuple[str, float]]:
    """What each column counts, and from when on."""
    since = Since(moment, {})
    return [since.start(name) for name in columns]


@cache
def adds_up(name: str) -> bool:
    """Whether a column of items is a sum over events or users."""
    stem, _ = stem_and_days(name)
    sums = ("users", "new_users", "occasions", "returned", "weight", "value_sum", "value_count")
    return stem in sums or stem.startswith("count_")
