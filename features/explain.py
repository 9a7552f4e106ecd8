"""Why items stand where they do: the score of each, taken apart into named reasons that add up to it.

`of_ranker` groups what each feature adds (Lundberg et al., "From local explanations to global understanding with
explainable AI for trees", 2020; LightGBM computes it). A score that is not the ranker's has a single reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.anchors import NONE, most_similar, most_together
from features.claims import Facts, claim
from features.featureset import FeatureSet
from features.reasons import BASE, NEW, PLACE, POPULAR, QUERY, SIMILAR, TOGETHER, Reason, reasons_of, verb_of
from features.recommender import Ranker
from recsys.interest import Vectors
from recsys.state import Floats, ItemState, Positions, UserState

USERS_28D: Final = "item_users_28d"


class Explained(NamedTuple):
    """A reason of one item.

    text          in words, to the user
    contribution  its part of the score, of either sign
    item          position of the item of the history that the text names, if it names one
    """

    reason: str
    text: str
    contribution: float
    item: int | None = None


@dataclass(frozen=True)
class Scene:
    """What was ordered for whom; `rows` of it are explained.

    vectors    float32 (n_items, d), unit length
    title_of   the title of an item by its position
    positions  int64 (n_candidates,), and of them the matrix, float32 (n_candidates, n_features)
    rows       int64 (n,)
    """

    user: UserState
    items: ItemState
    vectors: Vectors
    title_of: Callable[[int], str]
    positions: Positions
    matrix: NDArray[np.float32]
    rows: Positions

    @cached_property
    def similar(self) -> Positions:
        """Of each row the place in the history of the item most like it, NONE where there is none."""
        return most_similar(self.user, self.vectors, self.positions[self.rows])

    @cached_property
    def together(self) -> Positions:
        """Of each row the place in the history of the item that it goes with most."""
        return most_together(self.user, self.items, self.positions[self.rows])

    def named(self, place: int) -> str | None:
        """An item of the history in words."""
        if place == NONE:
            return None
        return f"{self.title_of(int(self.user.history[place]))}, which you {verb_of(self.user.types[place])}"

    def did(self, position: int) -> str:
        """What the user did with an item, if it is of the history."""
        (places,) = np.nonzero(self.user.history == position)
        return verb_of(self.user.types[places[0]]) if len(places) else verb_of("")


class Explainer:
    """Explains orders over the features of a project."""

    def __init__(self, features: FeatureSet, signals: Sequence[str]) -> None:
        """`signals` of the text model; none without one."""
        self._names = features.names(signals)
        self._columns = {name: at for at, name in enumerate(self._names)}
        self._reasons = reasons_of(features, signals)

    def of_ranker(self, scene: Scene, ranker: Ranker) -> list[list[Explained]]:
        """Of a ranker's scores: the weightiest reason first, and last what every item starts with."""
        if len(scene.rows) == 0:
            return []
        found = ranker.predict(scene.matrix[scene.rows], pred_contrib=True, num_threads=1)
        return [self._grouped(scene, nth, own) for nth, own in enumerate(np.asarray(found, dtype=np.float64))]

    def of_interest(self, scene: Scene, scores: Floats) -> list[list[Explained]]:
        """Of scores that are the interest by text, where there is a query: float64 (n_candidates,)."""
        about = QUERY.about + " and to what you chose" * (len(scene.user.history) > 0)
        found = []
        for nth, row in enumerate(scene.rows):
            text = claim(QUERY, self._facts(scene, nth), "text_query") or about
            found.append([Explained(QUERY.name, text, float(scores[row]))])
        return found

    def of_popularity(self, scene: Scene, scores: Floats) -> list[list[Explained]]:
        """Of scores that are the users of the last four weeks, for a user without a history."""
        found = []
        for nth, row in enumerate(scene.rows):
            text = claim(POPULAR, self._facts(scene, nth), USERS_28D) or POPULAR.about
            found.append([Explained(POPULAR.name, text, float(scores[row]))])
        return found

    def of_place(self, scene: Scene, scores: Floats) -> list[list[Explained]]:
        """Of scores that fall with the place in the merge of what is popular and what is new, for such a user."""
        found = []
        for nth, row in enumerate(scene.rows):
            facts = self._facts(scene, nth)
            claims = [claim(POPULAR, facts, USERS_28D), claim(NEW, facts, "item_age_days")]
            text = " and ".join(said for said in claims if said) or PLACE.about
            found.append([Explained(PLACE.name, text, float(scores[row]))])
        return found

    def _grouped(self, scene: Scene, nth: int, contributions: Floats) -> list[Explained]:
        """Of one row: contributions of every feature and, last, of the base, float64 (n_features + 1,)."""
        totals: dict[Reason, float] = {}
        strongest: dict[Reason, int] = {}
        for at in np.flatnonzero(contributions[:-1]).tolist():
            reason = self._reasons[at]
            totals[reason] = totals.get(reason, 0.0) + float(contributions[at])
            if contributions[at] > contributions[strongest.setdefault(reason, at)]:
                strongest[reason] = at
        facts = self._facts(scene, nth)
        found = []
        for reason in sorted(totals, key=lambda reason: -abs(totals[reason])):
            said = claim(reason, facts, self._names[strongest[reason]]) if totals[reason] > 0 else None
            item = self._item(scene, nth, reason) if said else None
            found.append(Explained(reason.name, said or reason.about, totals[reason], item))
        return [*found, Explained(BASE.name, BASE.about, float(contributions[-1]))]

    def _facts(self, scene: Scene, nth: int) -> Facts:
        row = int(scene.rows[nth])
        position = int(scene.positions[row])
        similar, together = (scene.named(int(places[nth])) for places in (scene.similar, scene.together))
        return Facts(self._columns, scene.matrix, row, scene.items, position, scene.did(position), similar, together)

    def _item(self, scene: Scene, nth: int, reason: Reason) -> int | None:
        """The item of the history that a claim names."""
        places = {SIMILAR: scene.similar, TOGETHER: scene.together}.get(reason)
        return None if places is None else int(scene.user.history[places[nth]])
