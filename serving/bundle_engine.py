"""The engine of a bundle: what the server asks of it, and who answers."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.explain import Explainer
from features.featureset import FeatureSet
from features.trees import open_ranker
from recsys.bundle import Bundle
from recsys.bundle_files import BATCH_SCORER_FILE, SCORER_FILE
from recsys.catalogue import Catalogue
from recsys.config import BatchRequests, Precision
from recsys.interest import InterestScorer, Vectors
from recsys.retrieval import DEFAULT_CHANNELS, Channels
from recsys.state import ItemState, UserState
from serving.answering import Answering
from serving.asked import Asked
from serving.course import Course
from serving.explaining import Explaining
from serving.fitting import fitting_names
from serving.guarded_channels import GuardedChannels
from serving.interest_batches import most_together
from serving.item_lists import ItemLists
from serving.item_types import ItemChange, ItemVersion
from serving.ladder import Ladder
from serving.live import Live
from serving.live_behaviour import Snapshot
from serving.live_text import item_vectors
from serving.protocol import Freshness
from serving.rules import Rules, Surfaces
from serving.trust import Trust
from serving.types import RankedList
from serving.user_interest import UserInterest

CATCH_UP_MS: Final = 50.0
"""What an acknowledged event may wait until answers follow it; if it takes longer, the next request tries again."""


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
        most_a_day: int | None = None,
        batch_requests: BatchRequests = 1,
        batch_wait_ms: float = 0.0,
        packed_in: Path | None = None,
    ) -> None:
        """`features` of the project; `events`: the event log; `weights` of the interaction types.

        logged_features_share  of the answers, with which their features are given
        most_a_day             events of one user since the snapshot that count; None: all
        batch_requests         most requests to rank that are scored together; auto: several on a GPU, else one
        batch_wait_ms          how long one waits for others
        packed_in              the folder of what processes share of the text model; None: nothing

        Raises BundleError when the bundle was trained on other features, FeatureStoreError when there are none.
        """
        manifest = bundle.manifest
        self.bundle_id = manifest.bundle_id
        history_items = manifest.text["history_items"]
        together = most_together(bundle.path, batch_requests)
        scorer = InterestScorer(
            bundle.path / SCORER_FILE,
            item_vectors(bundle),
            history_items=history_items,
            batch=bundle.path / BATCH_SCORER_FILE if together > 1 else None,
        )
        names = fitting_names(bundle, features, scorer.signals)
        guarded = GuardedChannels(channels)
        self.channels: Final = channels.names
        self.live: Final = Live(
            bundle,
            store,
            scorer,
            features=features,
            events=events,
            weights=weights,
            candidates=candidates,
            channels=guarded.channels,
            precision=precision,
            most_a_day=most_a_day,
            packed_in=packed_in,
        )
        ranker = open_ranker(bundle.path, names)
        self._interest = UserInterest(self.live, scorer, most=together, wait_s=batch_wait_ms / 1000)
        trust, interest_column = Trust(), names.index("text_interest")
        self._ladder = Ladder(self.live, self._interest, ranker, guarded, interest_column=interest_column, trust=trust)
        explaining = Explaining(self.live, Explainer(features, scorer.signals), ranker, trust)
        self._answering = Answering(self.live, self._ladder, explaining, logged_share=logged_features_share)
        self._lists = ItemLists(self.live, trust)

    def rank(self, asked: Asked, candidates: Sequence[str]) -> RankedList:
        """The candidates, which are distinct, in the order of the user's interest. Raises ExpressionError."""
        return self._answering.rank(asked, candidates)

    @property
    def scores_together(self) -> bool:
        """Whether `with_interest` is of use: there are batches."""
        return self._answering.scores_together

    async def with_interest(self, asked: Asked, candidates: Sequence[str]) -> Asked:
        """What `rank` takes, with the interest of the user scored beside that of others. Raises ExpressionError."""
        return await self._answering.with_interest(asked, candidates)

    def recommend(self, asked: Asked, *, exclude: Sequence[str] = (), exclude_seen: bool = False) -> RankedList:
        """The best of the catalogue. Raises ExpressionError."""
        return self._answering.recommend(asked, exclude=exclude, exclude_seen=exclude_seen)

    def explain(self, asked: Asked, items: Sequence[str]) -> RankedList:
        """The places of items among all that the user could be recommended, with reasons. Raises ExpressionError."""
        return self._answering.explain(asked, items)

    def similar(self, asked: Asked, item_id: str, *, exclude: Sequence[str] = ()) -> RankedList:
        """Items like one that `has_item` has. Raises ExpressionError."""
        return self._answering.listed(asked, self._lists.similar(asked, item_id, exclude))

    def trending(self, asked: Asked, *, exclude: Sequence[str] = ()) -> RankedList:
        """What more users than before choose just now. Raises ExpressionError."""
        return self._answering.listed(asked, self._lists.trending(asked, exclude))

    def make_rules(self, surfaces: Surfaces) -> Rules:
        """The rules of all surfaces over the items of the bundle; any thread. Raises ConfigError."""
        return Rules(self.catalogue.table, surfaces)

    def use_rules(self, rules: Rules) -> None:
        """Follow these from the next request on, over all items that there are now."""
        self.live.use_rules(rules)

    @property
    def catalogue(self) -> Catalogue:
        """That of the bundle, with the items that were added since; its table is that of the bundle."""
        return self.live.catalogue

    def has_item(self, item_id: str) -> bool:
        """Whether the item can be ranked and recommended."""
        return item_id in self.live.items

    def encode_items(self, items: Sequence[ItemVersion]) -> Vectors:
        """The unit vector of each item's text: float32 (n, d). Thread-safe, unlike all else."""
        return self.live.text.vectors(items)

    def apply_items(self, changes: Sequence[ItemChange]) -> None:
        """Follow these from the next request on, but for one that is older than the last one of its item."""
        self.live.apply_items(changes)

    def new_items(self) -> list[ItemChange]:
        """The changes of items in the log that were not followed yet, encoded. Changes nothing; any thread."""
        return self.live.new_items()

    def catch_up(self) -> list[str]:
        """See every event that was acknowledged until now; returns what the answers have to do without, if anything."""
        course = Course(CATCH_UP_MS)
        self.live.catch_up(course)
        return course.degraded

    def freshness(self) -> Freshness:
        """How new is what answers are made of."""
        return self.live.freshness()

    def replay(self, logged: Iterable[tuple[int, ItemVersion]], cache_path: Path) -> None:
        """Follow what an event log has of items (serving.live)."""
        self.live.replay(logged, cache_path)

    def move_to(self, state: ItemState) -> None:
        """Answer as of the moment of `state`, over all items that this engine has."""
        self.live.move_to(state)

    def features_of(self, user: UserState, candidates: Sequence[str], query: str | None) -> NDArray[np.float32]:
        """The matrix of these candidates for a user: float32 (n_candidates, n_features)."""
        positions = np.array([self.catalogue.index[item] for item in candidates], dtype=np.int64)
        asked = self._interest.encoded(Asked(query=query), candidates=len(positions), keep=0.0)
        recommender = self.live.recommender
        return recommender.assemble(user, positions, recommender.signals(user, positions, asked))
