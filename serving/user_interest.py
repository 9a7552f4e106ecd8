"""The upper rungs of the ladder: interest by text, then that of an earlier request of the user, then none."""

import math

import numpy as np

from recsys.interest import Vectors
from recsys.itemtext import normalised
from recsys.state import Positions, UserState
from serving.asked import Asked
from serving.last_interest import LastInterest
from serving.live import Live
from serving.stage import Stage

CACHED_INTEREST = "cached_interest"
"""What an answer says beside the reason why the interest was left out: how old the one is that it goes by."""


class UserInterest:
    """Of one engine."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._last = LastInterest()
        self._query = Stage("text_query", may_hang=True)
        self.stage = Stage("text_interest", may_hang=True)

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
        self, asked: Asked, user: UserState, positions: Positions | None, query: Vectors | None, *, keep: float
    ) -> tuple[Vectors | None, Vectors | None]:
        """The signals of candidates, or of the whole catalogue, and the query, if they are about it.

        keep  the seconds that what follows needs
        """
        recommender = self._live.recommender
        size = len(recommender.items) if positions is None else len(positions)
        signals = asked.course.attempt(
            self.stage, lambda: recommender.signals(user, positions, query), size=size, keep=keep
        )
        if not isinstance(signals, np.ndarray):
            return self._of_before(asked, positions), None
        # Of a query they are no interest of the user.
        if asked.user_id is not None and len(user.history) and not asked.query:
            self._last.put(asked.user_id, positions, signals)
        return signals, query

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
