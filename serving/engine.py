"""The request path: retrieve, features, interest, rank, from a bundle, the online feature store and the event log.

The moment of a request is that of the latest event, or of the snapshot in the online store when there was none since:
the clock is that of the log, so that a log replayed from the past is answered as it was then.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.explain import Explained, Explainer, Scene
from features.featureset import FeatureSet
from features.fields import CHOSEN_DAYS, windowed
from features.recommender import Recommender, TextSide, by_score
from features.rows import unknown_user
from features.store import BehaviourStore
from features.topics import Topics
from features.trees import open_ranker
from recsys.bundle import Bundle, champion, open_bundle
from recsys.bundle_files import CATALOGUE_FILE, NEAREST_FILE, SCORER_FILE, VECTORS_FILE
from recsys.catalogue import Catalogue
from recsys.config import Precision
from recsys.embedding import embed
from recsys.encoder import bundle_encoder, bundle_text
from recsys.errors import BundleError, FeatureStoreError
from recsys.interest import InterestScorer, Vectors
from recsys.itemtext import normalised
from recsys.retrieval import DEFAULT_CHANNELS, Channels
from recsys.retrieval.nearest import NearestItems
from recsys.retrieval.similar import ItemQuery, retrieve_similar
from recsys.schema import TITLE, UPDATED_AT
from recsys.state import Floats, ItemState, Mask, Positions, UserState
from recsys.text_neighbours import TextNeighbours
from recsys.workspace import Workspace
from serving.guarded_channels import GuardedChannels, tell_other_channels
from serving.item_table import latest_items
from serving.item_types import ItemChange, ItemVersion
from serving.live_behaviour import LiveBehaviour, Snapshot
from serving.live_items import LiveItems
from serving.protocol import Freshness
from serving.recent_log import RecentLog
from serving.rules import DEFAULT_SURFACE, Rules, Surfaces
from serving.surface_rules import MAX_PER_CATEGORY, Shown, SurfaceRules
from serving.types import Filtered, RankedItem, RankedList, Reason, ServedFeatures
from serving.user_attributes import user_attributes_of

EXPLAINED_ITEMS = 50
"""At most so many of an answer: each costs some milliseconds."""

OfNobody = Callable[[Scene, Floats], list[list[Explained]]]

OF_REQUEST = ("candidates",)
"""Provenance of an item that the request itself proposed."""

OF_PINS = ("pins",)
"""Provenance of an item that no channel brought, but that has a place by the rules."""

SHOWN_4_WEEKS = windowed("shown", CHOSEN_DAYS)

RECENT_EVENTS = "recent_events"
"""What an answer goes without while what users did last cannot be followed."""

USER_FEATURES = "user_features"
"""What an answer goes without while the online store does not answer: users are then as if never seen."""

logger = logging.getLogger(__name__)


class BundleEngine:
    """Orders items with the models of a bundle. Not thread-safe."""

    def __init__(
        self,
        bundle: Bundle,
        store: Snapshot,
        *,
        features: FeatureSet,
        events: Path,
        weights: Mapping[str, float],
        candidates: int,
        channels: Channels = DEFAULT_CHANNELS,
        precision: Precision = "auto",
        logged_features_share: float = 0.0,
    ) -> None:
        """`features` of the project; `events`: the event log; `weights` of the interaction types.

        logged_features_share  of the answers, with which their features are given

        Raises BundleError when the bundle was trained on other features, FeatureStoreError when there are none.
        """
        manifest = bundle.manifest
        self.bundle_id = manifest.bundle_id
        self._encoder = bundle_encoder(bundle, precision)
        self._text = bundle_text(bundle, self._encoder)
        # Copy on write: processes share what no item has changed.
        vectors = np.load(bundle.path / VECTORS_FILE, mmap_mode="c")
        self._scorer = InterestScorer(bundle.path / SCORER_FILE, vectors, history_items=manifest.text["history_items"])
        names = features.names(self._scorer.signals)
        if tuple(manifest.features) != names:
            different = sorted(set(manifest.features) ^ set(names)) or "their order"
            raise BundleError(
                f"{bundle.path}: the ranker's features are not those of this version, they differ in {different}; "
                "train again, or promote a bundle of this version"
            )
        self._interest_column = names.index("text_interest")
        catalogue = Catalogue.load(pl.read_parquet(bundle.path / CATALOGUE_FILE))
        catalogue = catalogue.with_attributes(dict(features.project.item_attributes))
        catalogue = replace(catalogue, of_users=user_attributes_of(bundle, dict(features.project.user_attributes)))
        self._ranker = open_ranker(bundle.path, names)
        self._explainer = Explainer(features, self._scorer.signals)
        state = store.online_items(catalogue)
        topics = Topics.of(TextNeighbours.load(bundle.path), state)
        self._items = LiveItems(catalogue, state, vectors, topics)
        self._catalogue = self._items.catalogue
        self._log = events
        self._behaviour = LiveBehaviour(RecentLog(events), store, self._items, features, weights)
        self._channels = GuardedChannels(channels)
        index = bundle.path / NEAREST_FILE
        self._nearest = NearestItems.load(index) if index.exists() else None
        text = TextSide(self._scorer, topics, self._nearest)
        self._recommender = Recommender(features, state, text, candidates, self._channels.channels)
        self._rules = self.make_rules({})
        self._followed: dict[str, int] = {}
        self._items_place = 0
        self._logged_share, self._random = logged_features_share, np.random.default_rng()
        self._store_answers = True

    def rank(
        self,
        user_id: str,
        candidates: Sequence[str],
        *,
        limit: int | None,
        query: str | None = None,
        explain: bool = False,
        surface: str = DEFAULT_SURFACE,
        request_id: str = "",
    ) -> RankedList:
        """The known candidates in the order of the user's interest, then by the rules of the surface.

        An unknown user with a query gets the best answers to it, and one without the most popular first.
        """
        index = self._catalogue.index
        unknown = [item for item in candidates if item not in self._items]
        positions = np.array([index[item] for item in candidates if item in self._items], dtype=np.int64)
        if len(positions) == 0:
            return RankedList([], unknown, [])
        user, degraded = self._user(user_id)
        rules = self._rules.of(surface)
        filtered: list[Filtered] = []
        if rules is not None:
            positions, filtered = self._allowed(positions, rules.hidden(user, self._items.state.now))
            if len(positions) == 0:
                return RankedList([], unknown, degraded, filtered=filtered)
        asked = self._encode_query(query)
        matrix = self._features(user, positions, asked)
        if asked is not None:
            # The ranker never saw a query in training; the interest blends query and history.
            scores = self._interest(matrix)
        elif len(user.history):
            scores = self._score(matrix)
        else:
            # What the ranker never saw in training: a user without a history.
            scores = self._recommender.items.popularity[positions]
        limit = len(positions) if limit is None else limit
        pins = {} if rules is None else rules.pins(index, at=time.time())
        shown = self._arranged(positions, scores, rules, pins, limit, request_id)
        filtered += [Filtered(self._id(positions[row]), MAX_PER_CATEGORY) for row in shown.arrangement.full]
        items = [self._item(positions[at], scores[at], OF_REQUEST, shown.rules_of(at)) for at in shown.rows]
        if explain:
            scene = self._scene(user, positions, matrix, shown.rows)
            items = self._explained(items, scene, scores, asked, self._explainer.of_popularity)
        to_log = self._to_log(positions, matrix)
        return RankedList(items, unknown, degraded, to_log, filtered, shown.propensities)

    def recommend(
        self,
        user_id: str,
        *,
        limit: int,
        exclude: Sequence[str],
        exclude_seen: bool,
        query: str | None = None,
        explain: bool = False,
        surface: str = DEFAULT_SURFACE,
        request_id: str = "",
    ) -> RankedList:
        """The best of the catalogue; for an unknown user the best answers to the query, or popular and fresh items.

        Then by the rules of the surface.
        """
        user, degraded = self._user(user_id)
        excluded = self._recommender.seen(user) if exclude_seen else self._recommender.nothing()
        excluded |= self._items.gone
        excluded[[self._catalogue.index[item] for item in exclude if item in self._catalogue.index]] = True
        rules, pins = self._rules.of(surface), {}
        if rules is not None:
            for hidden in rules.hidden(user, self._items.state.now).values():
                excluded |= hidden
            found_pins = rules.pins(self._catalogue.index, at=time.time())
            pins = {item: place for item, place in found_pins.items() if place < limit and not excluded[item]}
        asked = self._encode_query(query)
        signals = self._recommender.signals(user, query=asked)
        prepared = self._recommender.prepare(user, excluded, signals, also=np.array(list(pins), dtype=np.int64))
        degraded += self._channels.failed()
        found = prepared.candidates
        if asked is not None:
            scores = self._interest(prepared.matrix)
        elif len(user.history):
            scores = self._score(prepared.matrix)
        else:
            # The merge takes popular and fresh items in turn; a score that falls with the rank keeps its order.
            scores = 1.0 / np.arange(1, len(found) + 1)
        shown = self._arranged(found.positions, scores, rules, pins, limit, request_id)
        items = [
            self._item(found.positions[at], scores[at], found.provenance(at) or OF_PINS, shown.rules_of(at))
            for at in shown.rows
        ]
        if explain:
            scene = self._scene(user, found.positions, prepared.matrix, shown.rows)
            items = self._explained(items, scene, scores, asked, self._explainer.of_place)
        to_log = self._to_log(found.positions, prepared.matrix)
        return RankedList(items, [], degraded, to_log, propensities=shown.propensities)

    def make_rules(self, surfaces: Surfaces) -> Rules:
        """The rules of all surfaces over the items of the bundle; any thread. Raises ConfigError."""
        return Rules(self._catalogue.table, surfaces)

    def use_rules(self, rules: Rules) -> None:
        """Follow these from the next request on, over all items that there are now."""
        rules.follow(self._items.changed)
        self._rules = rules

    def similar(self, item_id: str, *, limit: int, surface: str = DEFAULT_SURFACE, request_id: str = "") -> RankedList:
        """Items like a given one, which `has_item` has; none that was taken out or is hidden by a rule is among them.

        By the rules of the surface but for its pins: what is pinned is not like the item.
        """
        degraded = self.catch_up()
        position = self._catalogue.index[item_id]
        rules, excluded = self._rules.of(surface), self._items.gone.copy()
        if rules is not None:
            nobody = unknown_user(self._recommender.features, self._catalogue)
            for hidden in rules.hidden(nobody, self._items.state.now).values():
                excluded |= hidden
        query = ItemQuery(position, self._items.state, self._items.vectors, excluded)
        # Lists longer than the answer: what several of them agree on comes first.
        found = retrieve_similar(query, limit=max(limit, self._recommender.limit))
        scores = 1.0 / np.arange(1, len(found) + 1)
        shown = self._arranged(found.positions, scores, rules, {}, limit, request_id)
        items = [
            self._item(found.positions[at], scores[at], found.provenance(at), shown.rules_of(at)) for at in shown.rows
        ]
        return RankedList(items, [], degraded, propensities=shown.propensities)

    @property
    def catalogue(self) -> Catalogue:
        """That of the bundle, with the items that were added since; its table is that of the bundle."""
        return self._catalogue

    def has_item(self, item_id: str) -> bool:
        """Whether the item can be ranked and recommended."""
        return item_id in self._items

    def encode_items(self, items: Sequence[ItemVersion]) -> Vectors:
        """The unit vector of each item's text: float32 (n, d). Thread-safe, unlike all else."""
        return self._encoder.encode([self._text.of_item(item.columns or {}) for item in items])

    def apply_items(self, changes: Sequence[ItemChange]) -> None:
        """Follow these from the next request on, but for one that is older than the last one of its item."""
        put: dict[int, dict[str, Any]] = {}
        for sequence, item, vector in changes:
            if sequence < self._followed.get(item.item_id, 0):
                continue
            self._followed[item.item_id] = sequence
            self._items_place = max(self._items_place, sequence)
            if vector is None:
                self._items.remove(item.item_id)
            else:
                self._items.put(item.item_id, item.title, vector, item.columns or {})
                position = self._catalogue.index[item.item_id]
                put[position] = self._items.changed[position]
                if self._nearest is not None:
                    self._nearest.put(position, vector)
        self._rules.follow(put)
        self._behaviour.forget_users()
        self._behaviour.show([item.item_id for _, item, vector in changes if vector is not None])
        self._scorer.vectors = self._items.vectors
        text = TextSide(self._scorer, self._items.topics, self._nearest)
        self._recommender = replace(self._recommender, items=self._items.state, text=text)

    def catch_up(self) -> list[str]:
        """See every event that was acknowledged until now; returns what the answers have to do without, if anything."""
        try:
            if self._behaviour.catch_up():
                self._recommender = replace(self._recommender, items=self._items.state)
        except (FeatureStoreError, sqlite3.Error) as error:
            logger.warning("recent events are not followed yet: %s", error)
        return [] if self._behaviour.is_up_to_date else [RECENT_EVENTS]

    def freshness(self) -> Freshness:
        """How new is what answers are made of."""
        behaviour = self._behaviour
        latest = self._items.state.now
        return Freshness(behaviour.as_of.timestamp(), behaviour.written_at.timestamp(), latest, behaviour.position)

    def new_items(self) -> list[ItemChange]:
        """The changes of items in the log that were not followed yet, encoded. Changes nothing; any thread."""
        if not self._log.exists():
            return []
        found = list(latest_items(self._log, after=self._items_place))
        vectors = iter(self.encode_items([item for _, item in found if item.columns is not None]))
        return [ItemChange(sequence, item, None if item.columns is None else next(vectors)) for sequence, item in found]

    def replay(self, logged: Iterable[tuple[int, ItemVersion]], cache_path: Path) -> None:
        """Follow what an event log has of items, but for those that the bundle has in that form or a later one.

        Vectors come from the cache of `recsys embed` where it has them.
        """
        everything = list(logged)
        self._items_place = max([self._items_place, *(sequence for sequence, _ in everything)])
        changed = [(sequence, item) for sequence, item in everything if self._differs(item)]
        kept = [item for _, item in changed if item.columns is not None]
        vectors = iter(embed([self._text.of_item(item.columns or {}) for item in kept], self._encoder, cache_path)[0])
        self.apply_items(
            [ItemChange(sequence, item, None if item.columns is None else next(vectors)) for sequence, item in changed]
        )

    def move_to(self, state: ItemState) -> None:
        """Answer as of the moment of `state`, over all items that this engine has."""
        self._items.put_behaviour(state.now, dict(enumerate(state.behaviour)))
        self._items.put_exposure(state.exposure)
        self._recommender = replace(self._recommender, items=self._items.state)

    def features_of(self, user: UserState, candidates: Sequence[str], query: str | None) -> NDArray[np.float32]:
        """The matrix of these candidates for a user: float32 (n_candidates, n_features)."""
        positions = np.array([self._catalogue.index[item] for item in candidates], dtype=np.int64)
        return self._features(user, positions, self._encode_query(query))

    def _features(self, user: UserState, candidates: Positions, query: Vectors | None) -> NDArray[np.float32]:
        signals = self._recommender.signals(user, candidates, query)
        return self._recommender.assemble(user, candidates, signals)

    def _to_log(self, candidates: Positions, matrix: NDArray[np.float32]) -> ServedFeatures | None:
        """Of some answers all that their features depended on."""
        if self._logged_share == 0 or self._random.random() >= self._logged_share:
            return None
        behaviour, ids = self._behaviour, [self._catalogue.item_ids[item] for item in candidates.tolist()]
        places = behaviour.position, behaviour.exposure.position, self._items_place
        return ServedFeatures(behaviour.as_of, behaviour.written_at, *places, ids, matrix)

    def _differs(self, item: ItemVersion) -> bool:
        """Whether the bundle's catalogue has the item otherwise, and in no later version."""
        position = self._catalogue.index.get(item.item_id)
        if position is None:
            return item.columns is not None
        known = self._catalogue.table.row(position, named=True)
        known_at = known.get(UPDATED_AT)
        if known_at is not None and item.updated_at is not None and known_at >= item.updated_at:
            return False
        return item.columns is None or (item.title, self._text.of_item(item.columns)) != (
            known[TITLE],
            self._text.of_item(known),
        )

    def _user(self, user_id: str) -> tuple[UserState, list[str]]:
        """What the online store knows of a user, and what the answer has to do without."""
        degraded = self.catch_up()
        try:
            user = self._behaviour.user(user_id, self._catalogue)
        except FeatureStoreError as error:
            # Once, not at each request, and nothing of who asked.
            if self._store_answers:
                logger.warning("%s; until then users are ranked for as if never seen", error)
            self._store_answers = False
            return unknown_user(self._recommender.features, self._catalogue), [*degraded, USER_FEATURES]
        if not self._store_answers:
            logger.warning("the online store answers again")
        self._store_answers = True
        return user, degraded

    def _encode_query(self, query: str | None) -> Vectors | None:
        """The unit vector of a query: float32 (d,); None when it is blank, or says nothing to the text model."""
        text = normalised(query or "")
        vector = self._encoder.encode([text])[0] if text else None
        return vector if vector is not None and vector.any() else None

    def _score(self, matrix: np.ndarray) -> Floats:
        """The ranker's scores. More threads than one cost more than they bring on a few hundred rows."""
        return np.asarray(self._ranker.predict(matrix, num_threads=1), dtype=np.float64)

    def _interest(self, matrix: np.ndarray) -> Floats:
        """The interest by text: it knows of queries more than the ranker, which learned from few or none."""
        return matrix[:, self._interest_column].astype(np.float64)

    def _scene(self, user: UserState, positions: Positions, matrix: NDArray[np.float32], order: Sequence[int]) -> Scene:
        """What was ordered, of which the first EXPLAINED_ITEMS are explained."""
        items = self._items
        rows = np.array(order[:EXPLAINED_ITEMS], dtype=np.int64)
        return Scene(user, self._recommender.items, items.vectors, items.title, positions, matrix, rows)

    def _explained(
        self, items: list[RankedItem], scene: Scene, scores: Floats, asked: Vectors | None, of_nobody: OfNobody
    ) -> list[RankedItem]:
        """With reasons, whichever way the items were scored; `of_nobody` for a user without a history."""
        if asked is not None:
            reasons = self._explainer.of_interest(scene, scores)
        elif len(scene.user.history):
            reasons = self._explainer.of_ranker(scene, self._ranker)
        else:
            reasons = of_nobody(scene, scores)
        ids = self._catalogue.item_ids
        explained = [
            msgspec.structs.replace(item, reasons=[Reason.of(one, ids) for one in own])
            for item, own in zip(items, reasons, strict=False)
        ]
        return [*explained, *items[len(explained) :]]

    def _allowed(self, positions: Positions, hidden: Mapping[str, Mask]) -> tuple[Positions, list[Filtered]]:
        """The candidates that may be shown, and of each other one why not: the first reason that there is."""
        is_allowed = np.ones(len(positions), dtype=np.bool_)
        filtered: list[Filtered] = []
        for why, mask in hidden.items():
            is_hidden = is_allowed & mask[positions]
            filtered += [Filtered(self._id(position), why) for position in positions[is_hidden]]
            is_allowed &= ~is_hidden
        return positions[is_allowed], filtered

    def _arranged(
        self,
        positions: Positions,
        scores: Floats,
        rules: SurfaceRules | None,
        pins: Mapping[int, int],
        limit: int,
        request_id: str,
    ) -> Shown:
        """The candidates in their places, by the rules of a surface; where there are none by the score alone."""
        if rules is None:
            return Shown.by_score(by_score(scores)[:limit])
        exposure = self._recommender.items.exposure
        shown = np.zeros(len(positions)) if exposure is None else exposure.column(SHOWN_4_WEEKS)[positions]
        vectors = self._items.vectors[positions] if rules.reads_vectors else np.empty((len(positions), 0), np.float32)
        return rules.arrange(
            positions, scores, vectors=vectors, shown=shown, pins=pins, limit=limit, request_id=request_id
        )

    def _id(self, position: int) -> str:
        return self._catalogue.item_ids[position]

    def _item(self, position: int, score: float, channels: tuple[str, ...], rules: tuple[str, ...]) -> RankedItem:
        return RankedItem(self._id(position), float(score), channels, self._items.title(position), rules)


def newest(workspace: Workspace) -> tuple[str, str]:
    """What load_engine would load: the champion, and the filling of the online store.

    Raises BundleError or FeatureStoreError when there is none.
    """
    return champion(workspace.bundles).name, BehaviourStore.of(workspace).online_filling()


def load_engine(workspace: Workspace) -> BundleEngine:
    """The engine of the project's champion, every file of it checked.

    Raises BundleError, FeatureStoreError, ConfigError or ChannelError, which say what to do.
    """
    bundle = open_bundle(champion(workspace.bundles))
    store = BehaviourStore.of(workspace)
    config = workspace.config
    channels = Channels.of(config.retrieval)
    tell_other_channels(bundle.manifest, channels)
    engine = BundleEngine(
        bundle,
        store,
        features=store.features,
        events=workspace.events,
        weights={name: kind.weight for name, kind in config.interaction_types.items()},
        candidates=config.retrieval.candidates,
        channels=channels,
        precision=config.text.precision,
        logged_features_share=config.serving.logged_features_share,
    )
    if workspace.events.exists():
        engine.replay(latest_items(workspace.events), workspace.embeddings)
    engine.catch_up()
    return engine
