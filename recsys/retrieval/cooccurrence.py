"""What the users who chose the items of the history chose besides."""

import numpy as np

from recsys.retrieval.query import Query
from recsys.state import Floats


def cooccurrence(query: Query) -> Floats:
    if len(query.user.history) == 0:
        return query.nothing()
    scores = query.from_history.cooccurrence
    return np.where(scores > 0, scores, -np.inf)
