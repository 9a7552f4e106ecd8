"""What answers are made of, followed from request to request: items, behaviour and rules, as the event log has them.

The moment of a request is that of the latest event, or of the snapshot in the online store when there was none since:
the clock is that of the log, so that a log replayed from the past is answered as it was then.
"""

import logging
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from features.featureset import FeatureSet
from features.recommender import Recommender, TextSide
from features.rows import unknown_user
from features.topics import Topics
from recsys.bundle import Bundle
from recsys.bundle_files import CATALOGUE_FILE, NEAREST_FILE
from recsys.catalogue import Catalogue
from recsys.config import Precision
from recsys.embedding import embed
from recsys.errors import DataError, FeatureStoreError
from recsys.interest import InterestScorer
from recsys.retrieval import Channels
from recsys.retrieval.nearest import NearestItems
from recsys.state import ItemState, UserState
from recsys.text_neighbours import TextNeighbours
from serving.course import Course
from serving.item_table import latest_items
from serving.item_types import ItemChange, ItemVersion
from serving.live_behaviour import LiveBehaviour, Snapshot
from serving.live_items import LiveItems
from serving.live_text import LiveText
from serving.live_users import LiveUsers
from serving.protocol import Freshness
from serving.recent_log import RecentLog
from serving.request_filters import RequestFilters
from serving.rules import Rules
from serving.stage import LeftOut
from serving.timed_store import USER_FEATURES, TimedStore
from serving.user_attributes import user_attributes_of
from serving.watching import note_user

RECENT_EVENTS = "recent_events"
"""What an answer goes without while what users did last cannot be followed."""

USER_ATTRIBUTES = "user_attributes"
"""What an answer goes without while those that were sent cannot be read."""

logger = logging.getLogger(__name__)


class Live:
    """Of one bundle. Not thread-safe, but for `text` and `new_items`."""

    def __init__(
        self,
        bundle: Bundle,
        store: Snapshot,
        scorer: InterestScorer,
        *,
        features: FeatureSet,
        events: Path,
        weights: Mapping[str, float],
        candidates: int,
        channels: Channels,
        precision: Precision,
        most_a_day: int | None,
        packed_in: Path | None,
    ) -> None:
        """`scorer` over the item vectors of the bundle. Raises BundleError or FeatureStoreError."""
        self.text: Final = LiveText(bundle, precision, packed_in)
        self._scorer = scorer
        catalogue = Catalogue.load(pl.read_parquet(bundle.path / CATALOGUE_FILE))
        catalogue = catalogue.with_attributes(dict(features.project.item_attributes))
        catalogue = replace(catalogue, of_users=user_attributes_of(bundle, dict(features.project.user_attributes)))
        state = store.online_items(catalogue)
        topics = Topics.of(TextNeighbours.load(bundle.path), state)
        self.items = LiveItems(catalogue, state, scorer.vectors, topics)
        self.catalogue = self.items.catalogue
        self._log, self._store = events, TimedStore(store)
        self.behaviour = LiveBehaviour(RecentLog(events), self._store, self.items, features, weights, most_a_day)
        index = bundle.path / NEAREST_FILE
        self._nearest = NearestItems.load(index) if index.exists() else None
        text = TextSide(scorer, topics, self._nearest)
        self.users = LiveUsers(events, catalogue.of_users)
        self.recommender = Recommender(features, state, text, candidates, channels)
        self.rules = Rules(self.catalogue.table, {})
        self.filters = RequestFilters(self.catalogue.table, self.items.changed)
        self._followed: dict[str, int] = {}
        self.items_place = 0
        """The place in the log up to which items were followed."""
        self._behind: str = "error"
        """Why recent events are not followed, when they are not."""

    def user(self, user_id: str | None, course: Course, *, keep: float = 0.0) -> UserState:
        """What is known of a user now; of nobody, or where the store says nothing in time, nothing.

        keep  the seconds that what follows needs
        """
        self.catch_up(course, keep=keep)
        if user_id is None:
            return self.nobody()
        self._store.course, self._store.keep = course, keep
        try:
            known = self.behaviour.user(user_id, self.catalogue)
        except LeftOut as left_out:
            course.go_without(USER_FEATURES, left_out.reason)
            return self.nobody()
        finally:
            self._store.course = None
        note_user(is_known=len(known.history) > 0)
        try:
            return self.users.with_attributes(user_id, known)
        except sqlite3.Error:
            course.go_without(USER_ATTRIBUTES, "error")
            return known

    def nobody(self) -> UserState:
        """A user never seen."""
        return unknown_user(self.recommender.features, self.catalogue)

    def catch_up(self, course: Course | None = None, *, keep: float = 0.0) -> None:
        """See every event that was acknowledged until now, within the time of a request, or as long as it takes."""
        self._store.course, self._store.keep = course, keep
        try:
            self.users.follow()
            if self.behaviour.catch_up():
                self.recommender = replace(self.recommender, items=self.items.state)
        except (FeatureStoreError, LeftOut, sqlite3.Error) as error:
            self._behind = error.reason if isinstance(error, LeftOut) else "error"
            logger.warning("recent events are not followed yet: %s", error)
        finally:
            self._store.course = None
        if course is not None and not self.behaviour.is_up_to_date:
            course.go_without(RECENT_EVENTS, self._behind)

    def use_rules(self, rules: Rules) -> None:
        """Follow these, over all items that there are now."""
        rules.follow(self.items.changed)
        self.rules = rules

    def apply_items(self, changes: Sequence[ItemChange]) -> None:
        """Follow these, but for one that is older than the last one of its item."""
        put: dict[int, dict[str, Any]] = {}
        for sequence, item, vector in changes:
            if sequence < self._followed.get(item.item_id, 0):
                continue
            self._followed[item.item_id] = sequence
            self.items_place = max(self.items_place, sequence)
            if vector is None:
                self.items.remove(item.item_id)
            else:
                self.items.put(item.item_id, item.title, vector, item.columns or {})
                position = self.catalogue.index[item.item_id]
                put[position] = self.items.changed[position]
                if self._nearest is not None:
                    self._nearest.put(position, vector)
        self.rules.follow(put)
        self.filters.follow(put)
        self.behaviour.forget_users()
        self.behaviour.show([item.item_id for _, item, vector in changes if vector is not None])
        self._scorer.vectors = self.items.vectors
        text = TextSide(self._scorer, self.items.topics, self._nearest)
        self.recommender = replace(self.recommender, items=self.items.state, text=text)

    def new_items(self) -> list[ItemChange]:
        """The changes of items in the log that were not followed yet, encoded. Changes nothing."""
        if not self._log.exists():
            return []
        found = list(latest_items(self._log, after=self.items_place))
        vectors = iter(self.text.vectors([item for _, item in found if item.columns is not None]))
        return [ItemChange(sequence, item, None if item.columns is None else next(vectors)) for sequence, item in found]

    def replay(self, logged: Iterable[tuple[int, ItemVersion]], cache_path: Path) -> None:
        """Follow what an event log has of items, but for those that the bundle has in that form or a later one.

        Vectors come from the cache of `recsys embed` where it has them; without it, as on a full disk, all are made.
        """
        everything = list(logged)
        self.items_place = max([self.items_place, *(sequence for sequence, _ in everything)])
        changed = [(sequence, item) for sequence, item in everything if self.text.differs(item, self.catalogue)]
        kept = [item for _, item in changed if item.columns is not None]
        try:
            found = embed(self.text.of(kept), self.text.encoder, cache_path).vectors
        except DataError as error:
            logger.warning("%s; items are encoded without it", error)
            found = self.text.vectors(kept)
        vectors = iter(found)
        self.apply_items(
            [ItemChange(sequence, item, None if item.columns is None else next(vectors)) for sequence, item in changed]
        )

    def freshness(self) -> Freshness:
        """How new is what answers are made of."""
        behaviour, latest = self.behaviour, self.items.state.now
        return Freshness(behaviour.as_of.timestamp(), behaviour.written_at.timestamp(), latest, behaviour.position)

    def move_to(self, state: ItemState) -> None:
        """Answer as of the moment of `state`, over all items that there are."""
        self.items.put_behaviour(state.now, dict(enumerate(state.behaviour)))
        self.items.put_exposure(state.exposure)
        self.recommender = replace(self.recommender, items=self.items.state)
