"""The request path: retrieve, features, interest, rank, from a bundle, the online feature store and items of the log.

The moment of every request is that of the snapshot in the online store, so that a request sees just what training saw.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl

from features.assembler import feature_names
from features.recommender import Recommender, TextSide, UntrainedRanker, by_score
from features.rows import unknown_user
from features.store import BehaviourStore
from features.topics import Topics
from recsys.bundle import Bundle, champion, open_bundle
from recsys.bundle_files import CATALOGUE_FILE, RANKER_FILE, SCORER_FILE, VECTORS_FILE
from recsys.catalogue import Catalogue
from recsys.config import Precision
from recsys.embedding import embed
from recsys.encoder import bundle_encoder, bundle_text
from recsys.errors import BundleError, FeatureStoreError
from recsys.interest import InterestScorer, Vectors
from recsys.itemtext import normalised
from recsys.schema import TITLE, UPDATED_AT
from recsys.state import Floats, UserState
from recsys.text_neighbours import TextNeighbours
from recsys.workspace import Workspace
from serving.item_table import latest_items
from serving.item_types import ItemChange, ItemVersion
from serving.live_items import LiveItems
from serving.types import RankedItem, RankedList

OF_REQUEST = ("candidates",)
"""Provenance of an item that the request itself proposed."""

USER_FEATURES = "user_features"
"""What an answer goes without while the online store does not answer: users are then as if never seen."""

logger = logging.getLogger(__name__)


class BundleEngine:
    """Orders items with the models of a bundle. Not thread-safe."""

    def __init__(
        self, bundle: Bundle, store: BehaviourStore, *, candidates: int, precision: Precision = "auto"
    ) -> None:
        """Raises BundleError when the bundle was trained on other features, FeatureStoreError when there are none."""
        manifest = bundle.manifest
        self.bundle_id = manifest.bundle_id
        self._encoder = bundle_encoder(bundle, precision)
        self._text = bundle_text(bundle, self._encoder)
        # Copy on write: processes share what no item has changed.
        vectors = np.load(bundle.path / VECTORS_FILE, mmap_mode="c")
        self._scorer = InterestScorer(bundle.path / SCORER_FILE, vectors, history_items=manifest.text["history_items"])
        features = feature_names(self._scorer.signals)
        if tuple(manifest.features) != features:
            different = sorted(set(manifest.features) ^ set(features)) or "their order"
            raise BundleError(
                f"{bundle.path}: the ranker's features are not those of this version, they differ in {different}; "
                "train again, or promote a bundle of this version"
            )
        self._interest_column = features.index("text_interest")
        catalogue = Catalogue.load(pl.read_parquet(bundle.path / CATALOGUE_FILE))
        self._store = store
        ranker = bundle.path / RANKER_FILE
        self._ranker = lgb.Booster(model_file=ranker) if ranker.exists() else UntrainedRanker(features)
        state = store.online_items(catalogue)
        topics = Topics.of(TextNeighbours.load(bundle.path), state)
        self._items = LiveItems(catalogue, state, vectors, topics)
        self._catalogue = self._items.catalogue
        self._recommender = Recommender(state, TextSide(self._scorer, topics), candidates)
        self._followed: dict[str, int] = {}
        self._store_answers = True

    def rank(
        self, user_id: str, candidates: Sequence[str], *, limit: int | None, query: str | None = None
    ) -> RankedList:
        """The known candidates in the order of the user's interest.

        An unknown user with a query gets the best answers to it, and one without the most popular first.
        """
        index = self._catalogue.index
        unknown = [item for item in candidates if item not in self._items]
        positions = np.array([index[item] for item in candidates if item in self._items], dtype=np.int64)
        if len(positions) == 0:
            return RankedList([], unknown, [])
        user, degraded = self._user(user_id)
        asked = self._encode_query(query)
        signals = self._recommender.signals(user, positions, asked)
        matrix = self._recommender.assemble(user, positions, signals)
        if asked is not None:
            # The ranker never saw a query in training; the interest blends query and history.
            scores = self._interest(matrix)
        elif len(user.history):
            scores = self._score(matrix)
        else:
            # What the ranker never saw in training: a user without a history.
            scores = self._recommender.items.popularity[positions]
        order = by_score(scores)[:limit]
        return RankedList([self._item(positions[at], scores[at], OF_REQUEST) for at in order], unknown, degraded)

    def recommend(
        self, user_id: str, *, limit: int, exclude: Sequence[str], exclude_seen: bool, query: str | None = None
    ) -> RankedList:
        """The best of the catalogue; for an unknown user the best answers to the query, or popular and fresh items."""
        user, degraded = self._user(user_id)
        excluded = self._recommender.seen(user) if exclude_seen else self._recommender.nothing()
        excluded |= self._items.gone
        excluded[[self._catalogue.index[item] for item in exclude if item in self._catalogue.index]] = True
        asked = self._encode_query(query)
        prepared = self._recommender.prepare(user, excluded, self._recommender.signals(user, query=asked))
        found = prepared.candidates
        if asked is not None:
            scores = self._interest(prepared.matrix)
        elif len(user.history):
            scores = self._score(prepared.matrix)
        else:
            # The merge takes popular and fresh items in turn; a score that falls with the rank keeps its order.
            scores = 1.0 / np.arange(1, len(found) + 1)
        order = by_score(scores)[:limit]
        items = [self._item(found.positions[at], scores[at], found.provenance(at)) for at in order]
        return RankedList(items, [], degraded)

    def has_item(self, item_id: str) -> bool:
        """Whether the item can be ranked and recommended."""
        return item_id in self._items

    def encode_items(self, items: Sequence[ItemVersion]) -> Vectors:
        """The unit vector of each item's text: float32 (n, d). Thread-safe, unlike all else."""
        return self._encoder.encode([self._text.of_item(item.columns or {}) for item in items])

    def apply_items(self, changes: Sequence[ItemChange]) -> None:
        """Follow these from the next request on, but for one that is older than the last one of its item."""
        for sequence, item, vector in changes:
            if sequence < self._followed.get(item.item_id, 0):
                continue
            self._followed[item.item_id] = sequence
            if vector is None:
                self._items.remove(item.item_id)
            else:
                self._items.put(item.item_id, item.title, vector)
        self._scorer.vectors = self._items.vectors
        text = TextSide(self._scorer, self._items.topics)
        self._recommender = replace(self._recommender, items=self._items.state, text=text)

    def replay(self, logged: Iterable[tuple[int, ItemVersion]], cache_path: Path) -> None:
        """Follow what an event log has of items, but for those that the bundle has in that form or a later one.

        Vectors come from the cache of `recsys embed` where it has them.
        """
        changed = [(sequence, item) for sequence, item in logged if self._differs(item)]
        kept = [item for _, item in changed if item.columns is not None]
        vectors = iter(embed([self._text.of_item(item.columns or {}) for item in kept], self._encoder, cache_path)[0])
        self.apply_items(
            [ItemChange(sequence, item, None if item.columns is None else next(vectors)) for sequence, item in changed]
        )

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
        try:
            user = self._store.online_user(user_id, self._catalogue)
        except FeatureStoreError as error:
            # Once, not at each request, and nothing of who asked.
            if self._store_answers:
                logger.warning("%s; until then users are ranked for as if never seen", error)
            self._store_answers = False
            return unknown_user(self._catalogue), [USER_FEATURES]
        if not self._store_answers:
            logger.warning("the online store answers again")
        self._store_answers = True
        return user, []

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

    def _item(self, position: int, score: float, channels: tuple[str, ...]) -> RankedItem:
        return RankedItem(self._catalogue.item_ids[position], float(score), channels, self._items.title(position))


def load_engine(workspace: Workspace) -> BundleEngine:
    """The engine of the project's champion, every file of it checked.

    Raises BundleError or FeatureStoreError, which say what to do.
    """
    path: Path = champion(workspace.bundles)
    store = BehaviourStore.of(workspace)
    config = workspace.config
    engine = BundleEngine(
        open_bundle(path), store, candidates=config.retrieval.candidates, precision=config.text.precision
    )
    if workspace.events.exists():
        engine.replay(latest_items(workspace.events), workspace.embeddings)
    return engine
