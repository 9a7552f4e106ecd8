"""Retrieve, assemble, score: the one path from a user to a ranked list, for evaluation and for serving."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from features.assembler import Assembly
from features.featureset import FeatureSet
from features.standing import STANDING_FEATURES, sample_of, standing
from features.topics import Topics
from recsys.config import EXACT_UP_TO_ITEMS
from recsys.interest import SIGNALS, InterestScorer, Vectors
from recsys.interest_inputs import Question
from recsys.retrieval import DEFAULT_CHANNELS, CandidateSet, Channels, Query, retrieve
from recsys.retrieval.from_history import FromHistory
from recsys.retrieval.interest import popular_interest
from recsys.retrieval.merge import lists_of, merge
from recsys.retrieval.nearest import NearestItems
from recsys.state import Floats, ItemState, Mask, Positions, UserState
from recsys.text_neighbours import TextNeighbours

NO_ITEMS: Final[Positions] = np.empty(0, dtype=np.int64)

NEAR: Final = 3
"""Items that the index is asked for, in catalogues where there is one, for each candidate: it orders them roughly."""


class Ranker(Protocol):
    """A score for each row of a feature matrix; features.lightgbm_model has one.

    With pred_contrib what each feature adds to it: (n, n_features + 1), in the last column what every row starts with.
    """

    def predict(self, data: NDArray[np.float32], **options: Any) -> Any: ...


class UntrainedRanker:
    """Where there was nothing to learn to rank from: interest by text and log popularity, as a channel retrieves."""

    def __init__(self, features: Sequence[str]) -> None:
        """`features`: the names of the columns of the matrix."""
        self._interest = features.index("text_interest") if "text_interest" in features else None
        self._users = features.index("item_users_28d")

    def predict(self, data: NDArray[np.float32], **options: Any) -> Floats:
        """float64 (n,) of a matrix (n, n_features), or with pred_contrib (n, n_features + 1).

        Further options are for other rankers.
        """
        users: Floats = np.nan_to_num(data[:, self._users].astype(np.float64))
        nobody, no_interest = np.zeros(len(data)), np.zeros(len(data))
        interest = no_interest if self._interest is None else data[:, self._interest]
        if not options.get("pred_contrib"):
            return popular_interest(interest, users)
        found = np.zeros((len(data), data.shape[1] + 1))
        found[:, self._users] = popular_interest(no_interest, users)
        if self._interest is not None:
            found[:, self._interest] = popular_interest(interest, nobody)
        return found


@dataclass(frozen=True)
class Prepared:
    """A user's candidates and their features, float32 (n_candidates, n_features)."""

    candidates: CandidateSet
    matrix: NDArray[np.float32]


@dataclass(frozen=True)
class TextSide:
    """What a text model knows of users and of items.

    nearest  finds items by interest where there are too many to score all of them; None: all are
    """

    scorer: InterestScorer
    topics: Topics
    nearest: NearestItems | None = None

    @classmethod
    def of(cls, scorer: InterestScorer, items: ItemState, *, exact_up_to: int = EXACT_UP_TO_ITEMS) -> "TextSide":
        """Over the items of a moment, with neighbours and, above `exact_up_to` items, an index made anew."""
        nearest = NearestItems.of(scorer.vectors) if len(items) > exact_up_to else None
        return cls(scorer, Topics.of(TextNeighbours.of(scorer.vectors), items), nearest)


@dataclass(frozen=True)
class Unscored:
    """The signals of a catalogue that is too large to score whole: those of a few items are computed as they are found.

    query  float32 (d,), the unit vector of what the user asks for, or None
    """

    query: Vectors | None


@dataclass(frozen=True)
class Recommender:
    """The items of a moment, and the text model; without it there are neither text channels nor text features.

    features  the columns of the matrix
    limit     candidates of all channels together
    channels  that bring them
    """

    features: FeatureSet
    items: ItemState
    text: TextSide | None
    limit: int
    channels: Channels = DEFAULT_CHANNELS

    @overload
    def signals(
        self, user: UserState, candidates: Positions, query: Vectors | None = None
    ) -> Vectors | None: ...  # fmt: skip

    @overload
    def signals(
        self, user: UserState, candidates: None = None, query: Vectors | None = None
    ) -> Vectors | Unscored | None: ...

    def signals(
        self, user: UserState, candidates: Positions | None = None, query: Vectors | None = None
    ) -> Vectors | Unscored | None:
        """Interest by text in the candidates, or in the catalogue, if it is small enough; None without a text model.

        query  float32 (d,), the unit vector of what the user asks for

        float32 (n, signals + 2): the scorer's signals and, behind them, the standing; all zeros where there is neither
        a history nor a query.
        """
        if self.text is None:
            return None
        if candidates is None and self.text.nearest is not None:
            return Unscored(query)
        if candidates is None:
            return self.signals_of(self.text.scorer.score(user, self.items.now, None, query), None)
        return self.signals_of(self.text.scorer.score(*self.question(user, candidates, query)), candidates)

    def question(self, user: UserState, candidates: Positions, query: Vectors | None = None) -> Question:
        """What the scorer is asked for the signals of candidates: of them, and of the sample that they stand among."""
        wanted = np.concatenate([candidates, sample_of(len(self.items))])
        return Question(user, self.items.now, wanted, query)

    def signals_of(self, found: Vectors, candidates: Positions | None) -> Vectors:
        """What `signals` says, from the answer of the scorer: to a `question`, or, None, of the whole catalogue."""
        sample, users = sample_of(len(self.items)), self.items.popularity
        of_sample = found[sample] if candidates is None else found[len(candidates) :]
        if candidates is not None:
            found = found[: len(candidates)]
        if not of_sample.any():
            return np.zeros((len(found), found.shape[1] + len(STANDING_FEATURES)), dtype=np.float32)
        interest = SIGNALS.index("text_interest")
        own = users if candidates is None else users[candidates]
        return np.column_stack([found, standing(found[:, interest], own, of_sample[:, interest], users[sample])])

    def prepare(
        self,
        user: UserState,
        exclude: Mask,
        signals: Vectors | Unscored | None,
        *,
        also: Positions = NO_ITEMS,
        before: FromHistory | None = None,
    ) -> Prepared:
        """The user's best candidates but the excluded, bool (n_items,); `signals` over the whole catalogue.

        signals  None where there is a text model: what it says is not known now; no channel goes by it, and its
                 features are NaN
        also     items that are candidates in any case, in whatever way they were found
        before   what was computed of the history before
        """
        found, of_found, from_history = self._retrieve(user, exclude, signals, before)
        more = also[~np.isin(also, found.positions)]
        if len(more):
            found = found.with_items(more)
            if of_found is not None and signals is not None:
                if isinstance(signals, Unscored):
                    of_more = self._signals_of(user, more, signals.query)
                else:
                    of_more = signals[more]
                of_found = np.concatenate([of_found, of_more])
        return Prepared(found, self.assemble(user, found.positions, of_found, from_history))

    def candidates(self, user: UserState, exclude: Mask, signals: Vectors | Unscored | None) -> CandidateSet:
        """Those that `prepare` gives the features of."""
        return self._retrieve(user, exclude, signals)[0]

    def _retrieve(
        self, user: UserState, exclude: Mask, signals: Vectors | Unscored | None, before: FromHistory | None = None
    ) -> tuple[CandidateSet, Vectors | None, FromHistory]:
        """The candidates, their signals, and what was computed on the way."""
        if isinstance(signals, Unscored):
            return self._retrieve_near(user, exclude, signals.query)
        query = Query(user, self.items, signals, exclude, alike=self._alike, before=before)
        found = retrieve(query, limit=self.limit, channels=self.channels)
        return found, None if signals is None else signals[found.positions], query.from_history

    def _retrieve_near(
        self, user: UserState, exclude: Mask, asked: Vectors | None
    ) -> tuple[CandidateSet, Vectors, FromHistory]:
        """The same by an index: the text channels order what it and the other channels bring."""
        # Or else nothing is Unscored.
        assert self.text is not None
        assert self.text.nearest is not None
        interest = self.text.scorer.soft_maximum(user, self.items.now, asked)
        scored = np.empty(0, dtype=np.int64)
        if interest is not None:
            scored = self.text.nearest.near(interest, limit=NEAR * self.limit, exclude=exclude)
        signals = self._signals_of(user, scored, asked)
        by_text, others = self.channels.by_text()
        query = Query(user, self.items, signals, exclude, scored, self._alike)
        lists = lists_of(query, limit=self.limit, channels=others)
        brought = np.setdiff1d(np.concatenate([scored[:0], *lists.values()]), scored)
        scored = np.concatenate([scored, brought])
        signals = np.concatenate([signals, self._signals_of(user, brought, asked)])
        of_text = Query(user, self.items, signals, exclude, scored, self._alike, query.from_history)
        lists |= lists_of(of_text, limit=self.limit, channels=by_text)
        found = merge({name: lists[name] for name in self.channels.names}, limit=self.limit)
        order = np.argsort(scored)
        rows = order[np.searchsorted(scored, found.positions, sorter=order)]
        return found, signals[rows], query.from_history

    def from_history(self, user: UserState) -> FromHistory:
        """What `prepare` computes of the user's history, for it to be computed before."""
        return FromHistory(user, self.items, self._alike)

    @property
    def _alike(self) -> TextNeighbours | None:
        return None if self.text is None else self.text.topics.neighbours

    def _signals_of(self, user: UserState, candidates: Positions, query: Vectors | None) -> Vectors:
        found = self.signals(user, candidates, query)
        assert found is not None
        return found

    def assemble(
        self,
        user: UserState,
        candidates: Positions,
        signals: Vectors | None,
        from_history: FromHistory | None = None,
    ) -> NDArray[np.float32]:
        """The feature matrix of candidates; `from_history` is what was computed before.

        signals  theirs; None where there is a text model: not known, and NaN in the matrix
        """
        return self.assembled(self.begin(user, candidates, from_history), signals)

    def begin(self, user: UserState, candidates: Positions, from_history: FromHistory | None = None) -> Assembly:
        """What `assemble` gives, on its way."""
        topics = None if self.text is None else self.text.topics
        return Assembly(self.features, user, self.items, candidates, topics, from_history or self.from_history(user))

    def assembled(self, begun: Assembly, signals: Vectors | None) -> NDArray[np.float32]:
        """What has begun, with the signals of its candidates, as `assemble` takes them."""
        if signals is None and self.text is not None:
            width = len(self.text.scorer.signals) + len(STANDING_FEATURES)
            signals = np.full((len(begun.candidates), width), np.nan, dtype=np.float32)
        return begun.matrix(signals)

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
