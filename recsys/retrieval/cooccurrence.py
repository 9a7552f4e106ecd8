"""What the users who chose the items of the history chose besides."""

import numpy as np

from recsys.retrieval.query import Query
from recsys.state import Floats


def cooccurrence(query: Query) -> Floats:
    if len(query.user.history) == 0:
        return query.nothing()
    scores = np.asarray(query.from_history.neighbours.sum(axis=0), dtype=np.float64).ravel()
    scores[scores <= 0] = -np.inf
    return scores
