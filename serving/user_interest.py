"""The upper rungs of the ladder: interest by text, then that of an earlier request of the user, then none."""

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from recsys.interest import InterestScorer, Vectors
from recsys.itemtext import normalised
from recsys.state import Positions, UserState
from serving.asked import Asked
from serving.begun import Interest
from serving.interest_batches import InterestBatches
from serving.last_interest import LastInterest
from serving.live import Live
from serving.stage import LeftOut, Stage

CACHED_INTEREST = "cached_interest"
"""What an answer says beside the reason why the interest was left out: how old the one is that it goes by."""


class UserInterest:
    """Of one engine."""

    def __init__(self, live: Live, scorer: InterestScorer, *, most: int = 1, wait_s: float = 0.0) -> None:
        """most, wait_s  requests that are scored together, and the seconds that one waits for others"""
        self._live = live
        self.most: Final = most
        self._last = LastInterest()
        self._query = Stage("text_query", may_hang=True)
        self.stage = Stage("text_interest", may_hang=True)
        self.batches: Final = InterestBatches(scorer, self.stage, most=most, wait_s=wait_s) if most > 1 else None
        """What scores requests together; None: each is scored by itself."""

    def encoded(self, asked: Asked, *, candidates: int, keep: float) -> Vectors | None:
        """The unit vector of the query: float32 (d,); None when it is blank, or says nothing to the text model.

        candidates  whose interest is computed next
        keep        the seconds that all behind that needs
        """
        text = normalised(asked.query or "")
        if not text:
            return None
        encoder = self._live.text.encoder
        keep += known(self.stage.estimate(candidates))
        vectors = asked.course.attempt(self._query, lambda: encoder.encode([text]), size=len(text), keep=keep)
        return vectors[0] if vectors is not None and vectors[0].any() else None

    def of(
        self,
        asked: Asked,
        user: UserState,
        positions: Positions | None,
        query: Vectors | None,
        *,
        keep: float,
        meanwhile: Callable[[], None] | None = None,
    ) -> Interest:
        """The interest in candidates, or in the whole catalogue.

        keep       the seconds that what follows needs
        meanwhile  what this thread can do while the text model has one of its own
        """
        recommender = self._live.recommender
        size = len(recommender.items) if positions is None else len(positions)
        signals = asked.course.attempt(
            self.stage,
            lambda: recommender.signals(user, positions, query),
            size=size,
            keep=keep,
            meanwhile=meanwhile,
        )
        if not isinstance(signals, np.ndarray):
            return Interest(self._of_before(asked, positions), None)
        return self._kept(asked, user, positions, signals, query)

    async def together(
        self, asked: Asked, user: UserState, positions: Positions, query: Vectors | None, *, keep: float
    ) -> Interest:
        """The same of candidates, scored together with those of other requests; where `batches` are."""
        assert self.batches is not None
        # What happens to items and users meanwhile is known to the next request.
        recommender = self._live.recommender
        try:
            found = await self.batches.score(
                recommender.question(user, positions, query), within=asked.course.left(keep)
            )
        except LeftOut as left_out:
            asked.course.go_without(self.stage.name, left_out.reason)
            return Interest(self._of_before(asked, positions), None)
        return self._kept(asked, user, positions, recommender.signals_of(found, positions), query)

    def _kept(
        self, asked: Asked, user: UserState, positions: Positions | None, signals: Vectors, query: Vectors | None
    ) -> Interest:
        """For when it cannot be computed in time; of a query they are no interest of the user."""
        if asked.user_id is not None and len(user.history) and not asked.query:
            self._last.put(asked.user_id, positions, signals)
        return Interest(signals, query)

    def _of_before(self, asked: Asked, positions: Positions | None) -> Vectors | None:
        if asked.user_id is None:
            return None
        found = self._last.of(asked.user_id, positions, len(self._live.recommender.items))
        if found is None:
            return None
        signals, age = found
        asked.course.go_without(CACHED_INTEREST, f"{age:.0f} s old")
        return signals


def known(estimate: float) -> float:
    """The seconds of a stage as Course.left wants them."""
    return estimate or math.inf
