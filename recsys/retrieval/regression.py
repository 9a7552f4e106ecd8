"""What all that the user chose says of an item at once: the sum over the history, decayed."""

import numpy as np

from recsys.retrieval.query import Query
from recsys.state import Floats


def regression(query: Query) -> Floats:
    scores = query.from_history.regression
    return np.where(scores > 0, scores, -np.inf)
