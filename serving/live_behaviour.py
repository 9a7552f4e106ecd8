"""What users did since the snapshot in the online store: the next request sees every acknowledged event.

Reads the event log from where it stopped last, whoever wrote there, and computes what it means anew from the snapshot
and from all events since. So late, repeated and disordered events leave what ordered ones leave, and a process that
starts again finds the same.
"""

import bisect
import time
from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Final, Protocol

from features.featureset import FeatureSet
from features.recent import Past, RecentEvent, Row, Since, by_item, user_row_after
from features.recent_items import Additions, item_additions, row_after
from features.rows import user_state
from recsys.catalogue import Catalogue
from recsys.state import Floats, ItemState, UserState
from serving.item_table import LAST_SEQUENCE
from serving.live_exposure import Answer, LiveExposure
from serving.live_items import LiveItems
from serving.recent_log import RecentLog, UserDay, day_of, is_recent

A_MICROSECOND: Final = 1e-6
RETRY_S: Final = 1.0
"""How long a store that failed is left alone."""

USERS_KEPT: Final = 10_000
"""Users whose state is kept until they do something: most ask for several answers in a row."""


class Snapshot(Protocol):
    """The online store."""

    def online_as_of(self) -> datetime:
        """The moment of the snapshot in it."""
        ...

    def online_written_at(self) -> datetime:
        """When that was put into it."""
        ...

    def online_items(self, catalogue: Catalogue) -> ItemState:
        """Every item as known then."""
        ...

    def online_rows(self, user_ids: Sequence[str]) -> list[Row]:
        """A row for each user. Raises FeatureStoreError."""
        ...


class LiveBehaviour:
    """The behaviour of users and towards items, up to the last event of the log. Not thread-safe."""

    def __init__(
        self,
        log: RecentLog,
        store: Snapshot,
        items: LiveItems,
        features: FeatureSet,
        weights: Mapping[str, float],
        most_a_day: int | None = None,
    ) -> None:
        """Raises FeatureStoreError when the store is empty.

        weights     of each interaction type
        most_a_day  events of one user since the snapshot that count, by the day (UTC) of each; None: all
        """
        self._log, self._store, self._items = log, store, items
        self._features = features
        self.as_of, self.written_at = store.online_as_of(), store.online_written_at()
        self._since = Since(self.as_of.timestamp(), weights, items.catalogue.category_of)
        self.position = 0
        """The place in the log up to which events were seen."""
        self.exposure = LiveExposure(log, items, features, self.as_of, self.written_at)
        self._most_a_day = inf if most_a_day is None else most_a_day
        self._of_day: Counter[UserDay] = Counter()
        """Events that came of it."""
        self._events: dict[str, list[RecentEvent]] = {}
        self._pairs: dict[tuple[str, str], list[RecentEvent]] = {}
        """The same events, by user and item."""
        self._users: OrderedDict[str, UserState] = OrderedDict()
        """Of the latest requests."""
        self._before: dict[str, Floats] = {}
        self._added: dict[str, Additions] = {}
        self._now = self._since.moment
        """The moment of a request: just after the latest event, and never before the snapshot."""
        self._retry_at = 0.0
        self.is_up_to_date = True
        """Whether the latest attempt to follow the log came to its end."""

    def catch_up(self, until: int = LAST_SEQUENCE) -> bool:
        """Follow the events and impressions that came since; returns whether there were any that count.

        Raises FeatureStoreError when the store does not answer; they are then followed the next time.
        """
        if time.monotonic() < self._retry_at:
            return False
        self.is_up_to_date = False
        new: dict[str, list[RecentEvent]] = {}
        answers: list[Answer] = []
        of_day: Counter[UserDay] = Counter()
        position = self.position
        for user, event, received_at, request_id in self._log.after(self.position, until):
            position = event.place
            recent = is_recent(event.at, received_at, self.as_of, self.written_at)
            if recent and event.event_type in self._since.weights:
                of_day[day := day_of(user, event)] += 1
                if self._of_day[day] + of_day[day] > self._most_a_day:
                    continue
                new.setdefault(user, []).append(event)
                if request_id is not None:
                    answers.append(Answer(request_id, event.item_id, event.event_type))
        if new:
            self._retry_at = time.monotonic() + RETRY_S
            rows = self._store.online_rows(list(new))
            self._retry_at = 0.0
            for (user, events), row in zip(new.items(), rows, strict=True):
                self._follow(user, events, row)
            latest = max(event.at for events in new.values() for event in events)
            self._now = max(self._now, latest + A_MICROSECOND)
            self.show({event.item_id for events in new.values() for event in events})
        self.position = position
        self._of_day.update(of_day)
        changed = self.exposure.follow(answers, self._now)
        self.is_up_to_date = True
        return bool(new) or changed

    def user(self, user_id: str, catalogue: Catalogue) -> UserState:
        """What is known of a user now; of one never seen, nothing. Raises FeatureStoreError."""
        known = self._users.get(user_id)
        if known is not None:
            self._users.move_to_end(user_id)
            return known
        [row] = self._store.online_rows([user_id])
        events = self._events.get(user_id)
        row = user_row_after(row, events, self._since) if events else row
        found = user_state(row, self._features, catalogue)
        self._users[user_id] = found
        if len(self._users) > USERS_KEPT:
            self._users.popitem(last=False)
        return found

    def _follow(self, user: str, events: list[RecentEvent], row: Row) -> None:
        """What the user's events add to the items, in place of what those known before added."""
        self._users.pop(user, None)
        known, past = self._events.setdefault(user, []), Past(row)
        for event in events:
            bisect.insort(known, event)
        for item, new in by_item(events).items():
            own = self._pairs.setdefault((user, item), [])
            before = item_additions(past, own, self._since, self._features.item_columns) if own else None
            for event in new:
                bisect.insort(own, event)
            self._add(item, before, item_additions(past, own, self._since, self._features.item_columns))

    def _add(self, item: str, before: Additions | None, after: Additions) -> None:
        """Count what one user adds to an item, in place of what was counted of that user before."""
        counts, first, last = after.counts, after.first_at, after.last_at
        if before is not None:
            counts = counts - before.counts
        total = self._added.get(item)
        if total is not None:
            counts = counts + total.counts
            first, last = min(first, total.first_at), max(last, total.last_at)
        self._added[item] = Additions(counts, first, last)

    def forget_users(self) -> None:
        """Read users anew: of items that were added their histories may name some."""
        self._users.clear()

    def show(self, items: Collection[str]) -> None:
        """Write what is known of these items into their rows, of those that the catalogue has now."""
        rows = {}
        for item in items:
            position, added = self._items.catalogue.index.get(item), self._added.get(item)
            if position is not None and added is not None:
                before = self._before.setdefault(item, self._items.state.behaviour[position].copy())
                rows[position] = row_after(before, added, self._features.item_columns)
        self._items.put_behaviour(self._now, rows)
        self.exposure.place(items)
