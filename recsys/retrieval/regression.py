"""What all that the user chose says of an item at once: the sum over the history, decayed."""

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.query import Query
from recsys.state import SECONDS_A_DAY, Floats, ItemState, UserState

HALF_LIFE_DAYS = 180.0
"""Of the interest in an item that was chosen, both where the weights are learned and here."""


def regression_scores(user: UserState, items: ItemState) -> Floats:
    """Of every item: float64 (n_items,), 0 where nothing speaks for or against it."""
    left = 0.5 ** ((items.now - user.last_at) / SECONDS_A_DAY / HALF_LIFE_DAYS)
    rows = items.neighbours.regression[user.history]
    of_rows: NDArray[np.float64] = np.repeat(left, np.diff(rows.indptr))
    return np.bincount(rows.indices, of_rows * rows.data, len(items)).astype(np.float64, copy=False)


def regression(query: Query) -> Floats:
    scores = regression_scores(query.user, query.items)
    scores[scores <= 0] = -np.inf
    return scores
