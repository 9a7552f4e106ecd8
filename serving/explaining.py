"""Why the items of an answer are in their places, whichever way they were scored."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from features.explain import Explained, Explainer, Scene
from features.recommender import Ranker
from recsys.state import UserState
from serving.asked import Asked
from serving.ladder import BY_INTEREST, BY_PLACE, BY_RANKER, Scored
from serving.live import Live
from serving.stage import Stage
from serving.trust import Trust
from serving.types import RankedItem, Reason

EXPLAINED_ITEMS: Final = 50
"""At most so many of an answer: each costs some milliseconds."""


class Explaining:
    """Of one engine."""

    def __init__(self, live: Live, explainer: Explainer, ranker: Ranker, trust: Trust) -> None:
        self._live, self._explainer, self._ranker = live, explainer, ranker
        self._stage = Stage("explanations", trust=trust)

    def explained(
        self, asked: Asked, items: list[RankedItem], user: UserState, scored: Scored, rows: Sequence[int]
    ) -> list[RankedItem]:
        """The same items, the first with reasons, unless there is no time; `rows` of the candidates are theirs."""
        if scored.matrix is None:
            asked.course.go_without(self._stage.name, "features")
            return items
        live = self._live
        first = np.array(rows[:EXPLAINED_ITEMS], dtype=np.int64)
        scene = Scene(
            user,
            live.recommender.items,
            live.items.vectors,
            live.items.title,
            scored.positions,
            scored.matrix,
            first,
        )
        reasons = asked.course.attempt(self._stage, lambda: self._reasons(scene, scored), size=len(first))
        if reasons is None:
            return items
        ids = live.catalogue.item_ids
        found = [
            msgspec.structs.replace(item, reasons=[Reason.of(one, ids) for one in own])
            for item, own in zip(items, reasons, strict=False)
        ]
        return [*found, *items[len(found) :]]

    def _reasons(self, scene: Scene, scored: Scored) -> list[list[Explained]]:
        if scored.by == BY_INTEREST:
            return self._explainer.of_interest(scene, scored.scores)
        if scored.by == BY_RANKER:
            return self._explainer.of_ranker(scene, self._ranker)
        if scored.by == BY_PLACE:
            return self._explainer.of_place(scene, scored.scores)
        return self._explainer.of_popularity(scene, scored.scores)
