"""What users did since a snapshot, added to their rows of it: the same values whatever the order of arrival.

A row of the store knows everything before the moment of the snapshot. Windows are those of the snapshot and grow from
there, so that nothing has to be taken out again: a snapshot with `windows_from` computes the same from the log, with
interactions in the order of time, and those of one time in that of their arrival.
"""

import bisect
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

from features.fields import count_of
from features.history import MAX_HISTORY_ITEMS
from features.recent_lists import affinity_after, recent_after
from recsys.state import SECONDS_A_DAY

Row = Mapping[str, Any]
"""A user in the store, by the columns of the views of users; NaN or None for one never seen."""

FIRST, LAST = "first_at", "last_at"
HISTORY: Final = (
    "history_items",
    "history_occasions",
    "history_first_at",
    "history_last_at",
    "history_types",
    "history_values",
)
_WINDOWED: Final = re.compile(r"(.+)_(\d+)d")


class RecentEvent(NamedTuple):
    """An interaction since the snapshot. Events sort by time; those of one time as the log has them.

    at     seconds since the epoch
    place  its place in the log
    value  NaN where there is none
    """

    at: float
    place: int
    item_id: str
    event_type: str
    value: float


class Pair(NamedTuple):
    """A user and an item of the history: on how many occasions, from when to when, the type of the highest weight, and
    the sum of the values."""

    occasions: float
    first_at: float
    last_at: float
    event_type: str
    value: float


class Past:
    """The history of a row, by item. It may be long, and most of it is not looked at."""

    def __init__(self, row: Row) -> None:
        lists = [row[name] for name in HISTORY]
        self.lists = [[] if found is None else list(found) for found in lists]
        """Those of HISTORY."""
        self._place = {item: at for at, item in enumerate(self.lists[0])}

    def __contains__(self, item: str) -> bool:
        return item in self._place

    def pair(self, item: str) -> Pair | None:
        """What the history remembers of an item."""
        at = self._place.get(item)
        return None if at is None else Pair(*(found[at] for found in self.lists[1:]))

    def is_known(self, item: str, at: float) -> bool:
        """Whether the user had chosen the item on that occasion, as far as the history remembers."""
        pair = self.pair(item)
        return pair is not None and at in (pair.first_at, pair.last_at)

    def times(self) -> set[float]:
        """Occasions that the history remembers."""
        _, _, first, last, _, _ = self.lists
        return {*first, *last}

    def with_pairs(self, pairs: Mapping[str, tuple[Pair, int | None]]) -> list[list[Any]]:
        """The lists of HISTORY with these in place of what was: each with the place in the log of its last event.

        The latest item first, of several at one time the one logged last; at most MAX_HISTORY_ITEMS. An item whose last
        event is still that of the history has None for its place, and stays where it is.
        """
        lists = [list(found) for found in self.lists]
        moved: list[tuple[Pair, int, str]] = []
        for item, (pair, place) in pairs.items():
            if place is not None:
                moved.append((pair, place, item))
            else:
                for found, value in zip(lists[1:], pair, strict=True):
                    found[self._place[item]] = value
        for at in sorted((self._place[item] for *_, item in moved if item in self), reverse=True):
            for found in lists:
                del found[at]
        # What is not new is in order, and was logged before.
        negative = [-at for at in lists[3]]
        for pair, _, item in sorted(moved, key=lambda one: (one[0].last_at, one[1])):
            at = bisect.bisect_left(negative, -pair.last_at)
            negative.insert(at, -pair.last_at)
            for found, value in zip(lists, (item, *pair), strict=True):
                found.insert(at, value)
        return [found[:MAX_HISTORY_ITEMS] for found in lists]


class Since(NamedTuple):
    """The moment of a snapshot, in seconds since the epoch, the weight of each interaction type, items' categories."""

    moment: float
    weights: Mapping[str, float]
    categories: Mapping[str, str] = {}

    def start(self, name: str) -> tuple[str, float]:
        """What a column counts and from when on: ("occasions", 28 days before the moment) of occasions_28d."""
        stem, days = stem_and_days(name)
        return stem, -np.inf if days is None else self.moment - days * SECONDS_A_DAY

    def sums(self, events: Sequence[RecentEvent]) -> dict[str, list[tuple[float, float]]]:
        """For each column that adds up over events, whatever they are of: (time, what it adds) of each."""
        valued = [event for event in events if event.value == event.value]
        # Interactions have their weights in 32 bits.
        found = {
            "weight": [(event.at, float(np.float32(self.weights[event.event_type]))) for event in events],
            "value_sum": [(event.at, event.value) for event in valued],
            "value_count": [(event.at, 1.0) for event in valued],
            "value_sum_squares": [(event.at, event.value**2) for event in valued],
        }
        for name in self.weights:
            found[count_of(name)] = [(event.at, 1.0) for event in events if event.event_type == name]
        return found

    def heaviest(self, types: Collection[str]) -> str:
        """The type of the highest weight; of equal weights the first by name."""
        return min(types, key=lambda name: (-self.weights.get(name, 0.0), name))


def user_row_after(row: Row, events: Sequence[RecentEvent], since: Since) -> dict[str, Any]:
    """The row of a user after these events, at least one, sorted."""
    past = Past(row)
    occasions = {event.at for event in events} - past.times()
    visits = {(event.at, event.item_id) for event in events if not past.is_known(event.item_id, event.at)}
    new_items = {event.item_id for event in events if event.item_id not in past}
    adds = since.sums(events) | {
        "occasions": [(at, 1.0) for at in occasions],
        "pairs": [(at, 1.0) for at, _ in visits],
        "distinct_items": [(events[-1].at, 1.0)] * len(new_items),
    }
    found = dict(row)
    for name in row:
        stem, start = since.start(name)
        if stem in adds:
            found[name] = known(row[name]) + sum(value for at, value in adds[stem] if at >= start)
    first, last = (np.nan if row[name] is None else row[name] for name in (FIRST, LAST))
    found[FIRST] = float(np.fmin(first, events[0].at))
    found[LAST] = float(np.fmax(last, events[-1].at))
    return (
        found
        | _history_after(past, events, since)
        | recent_after(row, events, since)
        | affinity_after(row, events, since)
    )


def known(value: float | None) -> float:
    """A stored sum: nothing is nought."""
    return 0.0 if value is None or value != value else float(value)


def by_item(events: Iterable[RecentEvent]) -> dict[str, list[RecentEvent]]:
    """The events with each item, in their order."""
    found: dict[str, list[RecentEvent]] = {}
    for event in events:
        found.setdefault(event.item_id, []).append(event)
    return found


def _history_after(past: Past, events: Sequence[RecentEvent], since: Since) -> dict[str, list[Any]]:
    """The lists of the history."""
    touched: dict[str, tuple[Pair, int | None]] = {}
    for item, own in by_item(events).items():
        pair, times = past.pair(item), {event.at for event in own}
        new = sum(not past.is_known(item, at) for at in times)
        types = {event.event_type for event in own}
        value = sum(event.value for event in own if event.value == event.value)
        if pair is None:
            pair = Pair(new, min(times), max(times), since.heaviest(types), value)
        else:
            pair = Pair(
                pair.occasions + new,
                min(pair.first_at, *times),
                max(pair.last_at, *times),
                since.heaviest({*types, pair.event_type}),
                pair.value + value,
            )
        # A late event moves its item to no other place.
        touched[item] = pair, max((event.place for event in own if event.at == pair.last_at), default=None)
    return dict(zip(HISTORY, past.with_pairs(touched), strict=True))


@cache
def stem_and_days(name: str) -> tuple[str, int | None]:
    """("occasions", 28) of occasions_28d; None for what has no window."""
    found = _WINDOWED.fullmatch(name)
    return (name, None) if found is None else (found[1], int(found[2]))
