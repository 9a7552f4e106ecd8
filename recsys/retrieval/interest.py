"""Nearest by text to the interests of the user: with popularity, and without it, which finds new items too."""

import numpy as np

from recsys.retrieval.query import Query
from recsys.state import Floats

# Found on the validation window of Online Retail: how much a unit of interest weighs against one of log popularity.
INTEREST_WEIGHT = 16.0


def interest(query: Query) -> Floats:
    found = query.interest
    return query.nothing() if found is None else found


def interest_popular(query: Query) -> Floats:
    found = query.interest
    return query.nothing() if found is None else INTEREST_WEIGHT * found + np.log1p(query.items.popularity)
