"""What a user's history says of every item: computed when it is first asked for, and then kept for the request.

Channels retrieve by it, and the ranker's features hold it again for the candidates.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.state import SECONDS_A_DAY, Floats, ItemState, UserState

HALF_LIFE_DAYS = 180.0
"""Of the interest in an item that was chosen, both where the regression's weights are learned and here."""


def interest_left(user: UserState, now: float) -> Floats:
    """What is left at `now`, seconds since the epoch, of the interest in each item of the history: float64 (h,)."""
    left: Floats = 0.5 ** ((now - user.last_at) / SECONDS_A_DAY / HALF_LIFE_DAYS)
    return left


@dataclass(frozen=True)
class FromHistory:
    """Of one user and the items of a moment. Nobody may write into what is kept here."""

    user: UserState
    items: ItemState

    @cached_property
    def neighbours(self) -> sp.csr_array:
        """How strongly each item of the history goes with the others: float32 (h, n_items)."""
        return self.items.neighbours.users[self.user.history]

    @cached_property
    def regression(self) -> Floats:
        """What all that the user chose says of each item, decayed: float64 (n_items,), 0 where nothing speaks for or
        against it."""
        return self._sum(self.items.neighbours.regression)

    @cached_property
    def successors(self) -> Floats:
        """What it says of each item's being chosen next: likewise."""
        return self._sum(self.items.neighbours.successors)

    def _sum(self, weights: sp.csr_array) -> Floats:
        rows = weights[self.user.history]
        of_rows: NDArray[np.float64] = np.repeat(interest_left(self.user, self.items.now), np.diff(rows.indptr))
        scores = np.bincount(rows.indices, of_rows * rows.data, len(self.items)).astype(np.float64, copy=False)
        scores.setflags(write=False)
        return scores
