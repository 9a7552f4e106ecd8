"""Items that appeared in the last four weeks, the most chosen first."""

import numpy as np

from recsys.retrieval.query import Query
from recsys.state import Floats

FRESH_SECONDS = 28 * 86_400.0


def fresh(query: Query) -> Floats:
    age = query.items.now - query.items.column("first_at")
    return np.where(age <= FRESH_SECONDS, query.items.popularity, -np.inf)
