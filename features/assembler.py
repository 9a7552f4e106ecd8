"""The one feature matrix: item, user and crosses of both, the same code for training and for serving.

A row is a candidate, a column a feature of FeatureSet.names in that order; what is not known is NaN. What the columns
are, and how each is computed, stands in features.families.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.families import FAMILIES
from features.families.family import Request
from features.featureset import FeatureSet
from features.topics import Topics
from recsys.interest import Vectors
from recsys.retrieval.from_history import FromHistory
from recsys.state import ItemState, Positions, UserState

Block = NDArray[np.floating]
"""Some columns of the candidates, (n_candidates, n), or of what all share, (n,)."""


@dataclass(frozen=True)
class Assembly:
    """A matrix on its way: `blocks`, all but the text model's signals, can be computed while these are still awaited.

    candidates    int64 (n_candidates,)
    topics        None: behaviour alone
    from_history  of the same user and items
    """

    features: FeatureSet
    user: UserState
    items: ItemState
    candidates: Positions
    topics: Topics | None
    from_history: FromHistory

    @cached_property
    def blocks(self) -> tuple[list[Block], Block | None]:
        """What stands before the signals, and what stands behind them."""
        request = Request(
            self.features.project,
            self.user,
            self.features.user_columns,
            self.items,
            self.candidates,
            self.from_history,
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            found: list[Block] = [family.values(request) for family in FAMILIES]
        if self.topics is None:
            return found, None
        cooccurrence, successors = request.cooccurrence[0], self.from_history.successors
        of_topics = self.topics.features(self.user, self.items.now, cooccurrence, successors, self.candidates)
        return found, np.stack(of_topics, axis=1)

    def matrix(self, signals: Vectors | None) -> NDArray[np.float32]:
        """float32 (n_candidates, n_features) in the order of features.names; None: behaviour alone."""
        blocks, of_topics = self.blocks
        if signals is not None and of_topics is not None:
            blocks = [*blocks, signals, of_topics]
        matrix = np.empty((len(self.candidates), sum(block.shape[-1] for block in blocks)), dtype=np.float32)
        at = 0
        for block in blocks:
            matrix[:, at : (at := at + block.shape[-1])] = block
        return matrix
