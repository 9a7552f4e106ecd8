"""What users did since a snapshot, added to the lists of their last interactions and of their categories."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features.affinity import HALF_LIFE_DAYS, MAX_CATEGORIES
from features.history import RECENT_DAYS, RECENT_EVENTS
from recsys.state import SECONDS_A_DAY

if TYPE_CHECKING:
    from features.recent import RecentEvent, Row, Since

AFFINITY: Final = ("affinity_categories", "affinity_weights")
RECENT: Final = ("recent_items", "recent_types", "recent_at")


def recent_after(row: "Row", events: "Sequence[RecentEvent]", since: "Since") -> dict[str, list[Any]]:
    """The last interactions: the latest first, of several at one time the one logged last."""
    known = [[] if row[name] is None else row[name] for name in RECENT]
    start = since.moment - RECENT_DAYS * SECONDS_A_DAY
    new = [(event.item_id, event.event_type, event.at) for event in reversed(events) if event.at >= start]
    # Sorting is stable, and what the row has was logged before.
    kept = sorted([*new, *zip(*known, strict=True)], key=lambda one: -one[2])[:RECENT_EVENTS]
    return {name: [one[at] for one in kept] for at, name in enumerate(RECENT)}


def affinity_after(row: "Row", events: "Sequence[RecentEvent]", since: "Since") -> dict[str, list[Any]]:
    """The interest in categories, as of the moment of the snapshot."""
    categories, weights = ([] if row[name] is None else row[name] for name in AFFINITY)
    found = dict(zip(categories, weights, strict=True))
    for event in events:
        if (category := since.categories.get(event.item_id)) is not None:
            age_days = (since.moment - event.at) / SECONDS_A_DAY
            weight = float(np.float32(since.weights[event.event_type])) * 0.5 ** (age_days / HALF_LIFE_DAYS)
            found[category] = found.get(category, 0.0) + weight
    kept = sorted(sorted(found, key=lambda name: -found[name])[:MAX_CATEGORIES])
    return dict(zip(AFFINITY, (kept, [found[name] for name in kept]), strict=True))
