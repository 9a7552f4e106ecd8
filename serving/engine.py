"""The request path: retrieve, features, interest, rank, from a bundle and the online feature store.

The moment of every request is that of the snapshot in the online store, so that a request sees just what training saw.
"""

from collections.abc import Sequence
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl

from features.assembler import FEATURES, assemble
from features.recommender import Recommender, by_score
from features.store import BehaviourStore
from recsys.bundle import Bundle, champion, open_bundle
from recsys.bundle_files import CATALOGUE_FILE, RANKER_FILE, SCORER_FILE, VECTORS_FILE
from recsys.catalogue import Catalogue
from recsys.errors import BundleError
from recsys.interest import InterestScorer
from recsys.schema import TITLE
from recsys.state import Floats, Positions, UserState
from recsys.workspace import Workspace
from serving.types import RankedItem, RankedList

OF_REQUEST = ("candidates",)
"""Provenance of an item that the request itself proposed."""


class BundleEngine:
    """Orders items with the models of a bundle. Not thread-safe."""

    def __init__(self, bundle: Bundle, store: BehaviourStore, *, candidates: int) -> None:
        """Raises BundleError when the bundle was trained on other features, FeatureStoreError when there are none."""
        self.bundle_id = bundle.manifest.bundle_id
        if tuple(bundle.manifest.features) != FEATURES:
            different = sorted(set(bundle.manifest.features) ^ set(FEATURES)) or "their order"
            raise BundleError(
                f"{bundle.path}: the ranker's features are not those of this version, they differ in {different}; "
                "train again, or promote a bundle of this version"
            )
        self._catalogue = Catalogue.load(pl.read_parquet(bundle.path / CATALOGUE_FILE))
        self._titles = self._catalogue.table[TITLE].to_list()
        self._store = store
        vectors = np.load(bundle.path / VECTORS_FILE, mmap_mode="r")
        scorer = InterestScorer(bundle.path / SCORER_FILE, vectors, history_items=bundle.manifest.text["history_items"])
        self._booster = lgb.Booster(model_file=bundle.path / RANKER_FILE)
        self._recommender = Recommender(store.online_items(self._catalogue), scorer, candidates)

    def rank(self, user_id: str, candidates: Sequence[str], *, limit: int | None) -> RankedList:
        """The known candidates in the order of the user's interest; for an unknown user the most popular first."""
        index = self._catalogue.index
        unknown = [item for item in candidates if item not in index]
        positions = np.array([index[item] for item in candidates if item in index], dtype=np.int64)
        if len(positions) == 0:
            return RankedList([], unknown, [])
        user = self._store.online_user(user_id, self._catalogue)
        signals = self._recommender.signals(user, positions)
        scores = self._score(user, positions, assemble(user, self._recommender.items, positions, signals))
        order = by_score(scores)[:limit]
        return RankedList([self._item(positions[at], scores[at], OF_REQUEST) for at in order], unknown, [])

    def recommend(self, user_id: str, *, limit: int, exclude: Sequence[str], exclude_seen: bool) -> RankedList:
        """The best of the catalogue; for an unknown user popular and fresh items."""
        user = self._store.online_user(user_id, self._catalogue)
        excluded = self._recommender.seen(user) if exclude_seen else self._recommender.nothing()
        excluded[[self._catalogue.index[item] for item in exclude if item in self._catalogue.index]] = True
        prepared = self._recommender.prepare(user, excluded, self._recommender.signals(user))
        found = prepared.candidates
        if len(user.history):
            scores = self._score(user, found.positions, prepared.matrix)
        else:
            # The merge takes popular and fresh items in turn; a score that falls with the rank keeps its order.
            scores = 1.0 / np.arange(1, len(found) + 1)
        order = by_score(scores)[:limit]
        return RankedList([self._item(found.positions[at], scores[at], found.provenance(at)) for at in order], [], [])

    def _score(self, user: UserState, positions: Positions, matrix: np.ndarray) -> Floats:
        """The ranker's scores; without a history, which the ranker never saw in training, the popularity."""
        if len(user.history) == 0:
            return self._recommender.items.popularity[positions]
        # More threads than one cost more than they bring on a few hundred rows.
        return np.asarray(self._booster.predict(matrix, num_threads=1), dtype=np.float64)

    def _item(self, position: int, score: float, channels: tuple[str, ...]) -> RankedItem:
        return RankedItem(self._catalogue.item_ids[position], float(score), channels, self._titles[position] or "")


def load_engine(workspace: Workspace) -> BundleEngine:
    """The engine of the project's champion, every file of it checked.

    Raises BundleError or FeatureStoreError, which say what to do.
    """
    path: Path = champion(workspace.bundles)
    store = BehaviourStore(workspace.features)
    return BundleEngine(open_bundle(path), store, candidates=workspace.config.retrieval.candidates)
