"""What was shown since the snapshot in the online store, and what followed, counted into the items.

An impression counts as soon as it lies before the moment of a request, which is just after the latest event. One since
the snapshot is answered by events since the snapshot; an event that answers an older one counts from the next snapshot
on. So what is counted depends on the places in the log and on the moment alone, never on the order of arrival.

Reads  the event log
"""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime
from math import inf
from typing import Final, NamedTuple

from features.featureset import FeatureSet
from features.fields import CHOSEN_DAYS, EXPOSURE_DAYS, chosen_of, windowed
from recsys.state import SECONDS_A_DAY
from serving.live_items import LiveItems
from serving.recent_log import LoggedImpression, RecentLog, is_recent

SHOWN: Final = {windowed("shown", days): days * SECONDS_A_DAY for days in EXPOSURE_DAYS}
"""Column → how long its window is, in seconds."""

Columns = tuple[str, ...]


class Answer(NamedTuple):
    """An interaction with an item that names the impression which it answers."""

    request_id: str
    item_id: str
    event_type: str


class LiveExposure:
    """Counts into the exposure of the items. Not thread-safe."""

    def __init__(
        self, log: RecentLog, items: LiveItems, features: FeatureSet, as_of: datetime, written_at: datetime
    ) -> None:
        """`as_of` and `written_at` of the snapshot."""
        self._log, self._items = log, items
        self._as_of, self._written_at = as_of, written_at
        self._chosen = {name: (windowed(chosen_of(name), CHOSEN_DAYS),) for name in features.types}
        self.position = 0
        """The place in the log of the last impression that is counted."""
        self._seen = -1
        """The place up to which impressions were looked at; -1 before the first look."""
        self._now = -inf
        """Those seen and before it are counted."""
        self._waiting_from, self._first_waiting = inf, 0
        """The earliest moment, and the first place, of those seen that are not."""
        self._answers: dict[str, set[Answer]] = {}
        """By the impression."""
        self._unplaced: list[Answer] = []
        """Those of which it was not yet asked whether their impression is counted."""
        self._elsewhere: dict[str, Counter[str]] = {}
        """By column what is to be counted of items that the catalogue does not have."""

    def follow(self, answers: Iterable[Answer], now: float) -> bool:
        """Count these, each known or not, and every impression before `now`; returns whether anything changed.

        Raises sqlite3.Error; then nothing is counted yet, and will be the next time.
        """
        for answer in answers:
            known = self._answers.setdefault(answer.request_id, set())
            if answer not in known:
                known.add(answer)
                self._unplaced.append(answer)
        counts: dict[Columns, Counter[str]] = {}
        for answer in self._unplaced:
            shown = self._log.shown_by(answer.request_id)
            if shown is not None and self._is_counted(shown):
                self._count_choices(counts, shown, [answer])
        counted, seen = self.position, self._seen
        if seen < 0:
            # A log is long, and most of it is in the snapshot.
            seen = self._log.shown_before(min(self._as_of, self._written_at))
        waiting_from, first_waiting = self._waiting_from, self._first_waiting
        # Most often none of those that wait is due, and none need be read again.
        is_due = now > waiting_from
        if is_due:
            waiting_from = inf
        for shown in self._log.shown_after(first_waiting - 1 if is_due else seen):
            seen = max(seen, shown.place)
            if not self._is_recent(shown) or self._is_counted(shown):
                continue
            if shown.at >= now:
                first_waiting = shown.place if waiting_from == inf else first_waiting
                waiting_from = min(waiting_from, shown.at)
                continue
            counted = max(counted, shown.place)
            counts.setdefault(self._windows(shown.at), Counter()).update(shown.items)
            self._count_choices(counts, shown, self._answers.get(shown.request_id, ()))
        # From here on nothing is read that could fail.
        self.position, self._seen, self._now = counted, seen, now
        self._waiting_from, self._first_waiting = waiting_from, first_waiting
        self._unplaced.clear()
        for columns, of_items in counts.items():
            for column in columns:
                self._add(column, of_items)
        return bool(counts)

    def place(self, items: Iterable[str]) -> None:
        """Count what was seen of these items while the catalogue did not have them."""
        index = self._items.catalogue.index
        known = [item for item in items if item in index]
        for column, elsewhere in self._elsewhere.items():
            self._add(column, Counter({item: elsewhere.pop(item) for item in known if item in elsewhere}))

    def _is_recent(self, shown: LoggedImpression) -> bool:
        return is_recent(shown.at, shown.at, self._as_of, self._written_at)

    def _is_counted(self, shown: LoggedImpression) -> bool:
        return shown.place <= self._seen and shown.at < self._now and self._is_recent(shown)

    def _windows(self, at: float) -> Columns:
        """The columns in whose windows this moment is."""
        return tuple(name for name, seconds in SHOWN.items() if at >= self._as_of.timestamp() - seconds)

    def _count_choices(
        self, counts: dict[Columns, Counter[str]], shown: LoggedImpression, answers: Collection[Answer]
    ) -> None:
        if not answers or windowed("shown", CHOSEN_DAYS) not in self._windows(shown.at):
            return
        items = shown.items
        for answer in answers:
            if answer.item_id in items:
                counts.setdefault(self._chosen[answer.event_type], Counter())[answer.item_id] += 1

    def _add(self, column: str, of_items: Counter[str]) -> None:
        index = self._items.catalogue.index
        self._items.add_exposure(column, {index[item]: n for item, n in of_items.items() if item in index})
        if unknown := {item: n for item, n in of_items.items() if item not in index}:
            self._elsewhere.setdefault(column, Counter()).update(unknown)
