"""Retrieve, assemble, score: the one path from a user to a ranked list, for evaluation and for serving."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.assembler import OfText, assemble
from features.topics import Topics
from recsys.interest import InterestScorer, Vectors
from recsys.retrieval import CandidateSet, Query, retrieve
from recsys.retrieval.interest import INTEREST_WEIGHT
from recsys.state import Floats, ItemState, Mask, Positions, UserState
from recsys.text_neighbours import TextNeighbours


class Ranker(Protocol):
    """A score for each row of a feature matrix; lightgbm.Booster is one."""

    def predict(self, data: NDArray[np.float32], **options: Any) -> Any: ...


class UntrainedRanker:
    """Where there was nothing to learn to rank from: interest by text and log popularity, as a channel retrieves."""

    def __init__(self, features: Sequence[str]) -> None:
        """`features`: the names of the columns of the matrix."""
        self._interest = features.index("text_interest") if "text_interest" in features else None
        self._users = features.index("item_users_28d")

    def predict(self, data: NDArray[np.float32], **options: Any) -> Floats:
        """float64 (n,) of a matrix (n, n_features); the options are for other rankers."""
        popularity: Floats = np.log1p(np.nan_to_num(data[:, self._users].astype(np.float64)))
        return popularity if self._interest is None else INTEREST_WEIGHT * data[:, self._interest] + popularity


@dataclass(frozen=True)
class Prepared:
    """A user's candidates and their features, float32 (n_candidates, n_features)."""

    candidates: CandidateSet
    matrix: NDArray[np.float32]


@dataclass(frozen=True)
class TextSide:
    """What a text model knows of users and of items."""

    scorer: InterestScorer
    topics: Topics

    @classmethod
    def of(cls, scorer: InterestScorer, items: ItemState) -> "TextSide":
        """Over the items of a moment, with the neighbours computed anew from the vectors of the scorer."""
        return cls(scorer, Topics.of(TextNeighbours.of(scorer.vectors), items))


@dataclass(frozen=True)
class Recommender:
    """The items of a moment, and the text model; without it there are neither text channels nor text features."""

    items: ItemState
    text: TextSide | None
    limit: int

    def signals(
        self, user: UserState, candidates: Positions | None = None, query: Vectors | None = None
    ) -> Vectors | None:
        """Interest by text in the candidates, or in the catalogue: float32 (n, signals); None without a text model.

        query  float32 (d,), the unit vector of what the user asks for
        """
        return None if self.text is None else self.text.scorer.score(user, self.items.now, candidates, query)

    def prepare(self, user: UserState, exclude: Mask, signals: Vectors | None) -> Prepared:
        """The user's best candidates but the excluded, bool (n_items,); `signals` over the whole catalogue."""
        query = Query(user, self.items, signals, exclude)
        candidates = retrieve(query, limit=self.limit)
        of_candidates = None if signals is None else signals[candidates.positions]
        return Prepared(candidates, self.assemble(user, candidates.positions, of_candidates))

    def assemble(self, user: UserState, candidates: Positions, signals: Vectors | None) -> NDArray[np.float32]:
        """The feature matrix of candidates; `signals` are theirs."""
        of_text = None if self.text is None or signals is None else OfText(signals, self.text.topics)
        return assemble(user, self.items, candidates, of_text)

    def seen(self, user: UserState) -> Mask:
        """The items of the user's history: bool (n_items,)."""
        mask = self.nothing()
        mask[user.history] = True
        return mask

    def nothing(self) -> Mask:
        """No item: bool (n_items,)."""
        return np.zeros(len(self.items), dtype=np.bool_)


def by_score(scores: Floats) -> Positions:
    """Rows from the highest score to the lowest; equal scores keep their order."""
    return np.argsort(-np.asarray(scores), kind="stable")
