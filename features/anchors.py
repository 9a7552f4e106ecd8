"""Which item of a user's history has most to do with an item, by its text and by what is chosen together."""

from typing import Final

import numpy as np

from recsys.interest import Vectors
from recsys.retrieval.from_history import interest_left
from recsys.state import ItemState, Positions, UserState

NONE: Final = -1


def most_similar(user: UserState, vectors: Vectors, candidates: Positions) -> Positions:
    """Of each candidate the place in the history of what is nearest by text; NONE where nothing is near but itself.

    vectors     float32 (n_items, d), unit length
    candidates  int64 (n_candidates,), and so is what comes back
    """
    cosine = vectors[user.history] @ vectors[candidates].T
    cosine[user.history[:, None] == candidates] = -np.inf
    return _highest(cosine)


def most_together(user: UserState, items: ItemState, candidates: Positions) -> Positions:
    """The same of what the item goes with: by the regression as of now, else by what the same users chose."""
    left = interest_left(user, items.now)
    by_regression = items.neighbours.regression[user.history][:, candidates].toarray() * left[:, None]
    by_users = items.neighbours.users[user.history][:, candidates].toarray()
    found = _highest(by_regression)
    return np.where(found == NONE, _highest(by_users), found)


def _highest(strength: np.ndarray) -> Positions:
    """The row of the highest value of each column, NONE where it is not above zero."""
    if len(strength) == 0:
        return np.full(strength.shape[1], NONE, dtype=np.int64)
    rows = strength.argmax(axis=0)
    return np.where(strength[rows, np.arange(strength.shape[1])] > 0, rows, NONE)
