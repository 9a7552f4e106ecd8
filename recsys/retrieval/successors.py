"""What is chosen next by those who had what the user had; an item may follow itself."""

import numpy as np

from recsys.retrieval.query import Query
from recsys.state import Floats


def successors(query: Query) -> Floats:
    scores = query.from_history.successors
    return np.where(scores > 0, scores, -np.inf)
