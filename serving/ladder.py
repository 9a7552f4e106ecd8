"""The rungs by which candidates are ordered, from the best to the surest, within the time of a request.

    interest → the interest of an earlier request → behaviour alone → the merge of the channels, or popularity

Without interest its features are NaN, which the ranker takes as none: on Online Retail (250 users of the last two
weeks, NDCG@10) that is 0.365 where the whole is 0.374, the merge 0.341 and popularity 0.129; with the interest of half
of the candidates it would be 0.329.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.recommender import NO_ITEMS, Prepared, Ranker, Unscored
from recsys.interest import Vectors
from recsys.retrieval.merge import CandidateSet, best
from recsys.state import Floats, Mask, Positions, UserState
from serving.ahead import Ahead
from serving.asked import Asked
from serving.begun import Interest
from serving.guarded_channels import GuardedChannels
from serving.live import Live
from serving.stage import Stage
from serving.timings import Timings
from serving.trust import Trust
from serving.user_interest import UserInterest, known

FINISHING_S: Final = 0.0003
"""At least so long takes what cannot be left out: the places by the rules, and the items of the answer."""

FOR_OTHERS: Final = 0.5
"""Of its time a request leaves so much to those that are scored with it: they become answers one after the other."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Scored:
    """Candidates with scores, float64 (n,).

    matrix  their features, float32 (n, n_features); None where there was no time for them
    by      what the scores are: the interest, the ranker's, users of the last weeks, or places in the merge
    """

    positions: Positions
    scores: Floats
    matrix: Matrix | None
    by: str


BY_INTEREST: Final = "interest"
BY_RANKER: Final = "ranker"
BY_POPULARITY: Final = "popularity"
BY_PLACE: Final = "place"


class Ladder:
    """Of one engine."""

    def __init__(
        self,
        live: Live,
        interest: UserInterest,
        ranker: Ranker,
        channels: GuardedChannels,
        *,
        interest_column: int,
        trust: Trust,
    ) -> None:
        """interest_column  of the feature matrix"""
        self._live, self._interest, self._ranker, self._channels = live, interest, ranker, channels
        self._interest_column = interest_column
        self._retrieval = Stage("retrieval", trust=trust)
        self._ranking = Stage("ranker", trust=trust)
        self._of_candidates = Stage("ranker", trust=trust)
        """The ranker of a rank request: with the features, which recommend has from the retrieval."""
        self.finishing: Final = Timings()

    # Of given candidates

    def keep_for(self, candidates: int) -> float:
        """The seconds to keep for all that comes after a user is known, the interest left out."""
        return known(self._of_candidates.estimate(candidates)) + self._finish(candidates)

    @property
    def scores_together(self) -> bool:
        """Whether the interest of requests that arrive together is computed together."""
        return self._interest.batches is not None

    def at_once(self, asked: Asked, candidates: int) -> int:
        """How many such requests may be under way together, so that the last one of a batch is in time as well."""
        most, left = self._interest.most, asked.course.left()
        if left is None:
            return most
        return max(1, min(most, int(FOR_OTHERS * left / self.keep_for(candidates))))

    async def interest_together(self, asked: Asked, user: UserState, positions: Positions) -> Interest:
        """What `rank` otherwise asks for by itself."""
        n = len(positions)
        keep = self.keep_for(n)
        query = self._interest.encoded(asked, candidates=n, keep=keep)
        return await self._interest.together(asked, user, positions, query, keep=keep)

    def rank(self, asked: Asked, user: UserState, positions: Positions, interest: Interest | None = None) -> Scored:
        """The scores of candidates, which are in the order given; `interest`: if it is there already."""
        course, n, recommender = asked.course, len(positions), self._live.recommender
        begun = recommender.begin(user, positions)
        ahead = Ahead(self._of_candidates, lambda: begun.blocks, size=n, within=course.left(self._finish(n)))
        if interest is None:
            keep = self.keep_for(n)
            query = self._interest.encoded(asked, candidates=n, keep=keep)
            interest = self._interest.of(asked, user, positions, query, keep=keep, meanwhile=ahead)
        signals, query = interest

        def score() -> tuple[Matrix, Floats | None]:
            matrix = recommender.assembled(begun, signals)
            return matrix, self._predict(matrix) if query is None and len(user.history) else None

        found = course.attempt(self._of_candidates, score, size=n, keep=self._finish(n), spent=ahead.seconds)
        popularity = recommender.items.popularity[positions]
        if found is None:
            return Scored(positions, popularity, None, BY_POPULARITY)
        matrix, scores = found
        if query is not None:
            # The ranker never saw a query in training; the interest blends query and history.
            return Scored(positions, self._interest_of(matrix), matrix, BY_INTEREST)
        if scores is not None:
            return Scored(positions, scores, matrix, BY_RANKER)
        # What the ranker never saw in training: a user without a history.
        return Scored(positions, popularity, matrix, BY_POPULARITY)

    # Out of the whole catalogue

    def keep_for_retrieval(self) -> float:
        """As keep_for, of candidates that are still to be found."""
        n = self._live.recommender.limit
        return known(self._retrieval.estimate()) + known(self._ranking.estimate(n)) + self._finish(n)

    def recommend(
        self, asked: Asked, user: UserState, excluded: Mask, also: Positions = NO_ITEMS
    ) -> tuple[CandidateSet, Scored]:
        """The best candidates but the excluded, bool (n_items,), with their scores.

        also  items that are candidates in any case
        """
        n = len(self._live.recommender.items)
        query = self._interest.encoded(asked, candidates=n, keep=self.keep_for_retrieval())
        self._channels.course = asked.course
        query, prepared = self._prepared(asked, user, excluded, also, query)
        items = self._live.recommender.items
        if prepared is None:
            popular = best(np.where(excluded, -np.inf, items.popularity), self._live.recommender.limit)
            found = CandidateSet(popular, np.ones((len(popular), 1), dtype=np.bool_), ("popular",)).with_items(also)
            return found, Scored(found.positions, items.popularity[found.positions], None, BY_POPULARITY)
        found, matrix = prepared.candidates, prepared.matrix
        if query is not None:
            return found, Scored(found.positions, self._interest_of(matrix), matrix, BY_INTEREST)
        scores = None
        if len(user.history):
            scores = asked.course.attempt(
                self._ranking, lambda: self._predict(matrix), size=len(found), keep=self._finish(len(found))
            )
        if scores is not None:
            return found, Scored(found.positions, scores, matrix, BY_RANKER)
        # The merge takes its channels in turn; a score that falls with the rank keeps its order.
        places = 1.0 / np.arange(1, len(found) + 1)
        return found, Scored(found.positions, places, matrix, BY_PLACE)

    def _prepared(
        self, asked: Asked, user: UserState, excluded: Mask, also: Positions, query: Vectors | None
    ) -> tuple[Vectors | None, Prepared | None]:
        """The candidates with their features, and the query, if they are answers to it."""
        recommender, course = self._live.recommender, asked.course
        if asked.channels is not None:
            named = {name: one for name, one in recommender.channels if name in asked.channels}
            recommender = replace(recommender, channels=replace(recommender.channels, named=named))
        after = known(self._ranking.estimate(recommender.limit)) + self._finish(recommender.limit)
        keep = after + known(self._retrieval.estimate())
        before = recommender.from_history(user)
        ahead = Ahead(self._retrieval, before.compute, within=course.left(after))
        prepared: Prepared | None
        if recommender.text is not None and recommender.text.nearest is not None:
            # By an index, interest and retrieval are one.
            unscored = Unscored(query)
            prepared = course.attempt(
                self._interest.stage, lambda: recommender.prepare(user, excluded, unscored, also=also), keep=keep
            )
            if prepared is not None:
                return query, prepared
            signals = query = None
        else:
            signals, query = self._interest.of(asked, user, None, query, keep=keep, meanwhile=ahead)
        prepared = course.attempt(
            self._retrieval,
            lambda: recommender.prepare(user, excluded, signals, also=also, before=before),
            keep=after,
            spent=ahead.seconds,
        )
        return query, prepared

    # Parts of both

    def _predict(self, matrix: Matrix) -> Floats:
        """The ranker's scores. More threads than one cost more than they bring on a few hundred rows."""
        return np.asarray(self._ranker.predict(matrix, num_threads=1), dtype=np.float64)

    def _interest_of(self, matrix: Matrix) -> Floats:
        """The interest by text: it knows of queries more than the ranker, which learned from few or none."""
        return matrix[:, self._interest_column].astype(np.float64)

    def _finish(self, candidates: int) -> float:
        return max(FINISHING_S, self.finishing.estimate(candidates))
