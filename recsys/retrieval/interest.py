"""Nearest by text to the interests of the user: with popularity, and without it, which finds new items too."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.query import Query
from recsys.state import Floats

# Found on the validation window of Online Retail: how much a unit of interest weighs against one of log popularity.
INTEREST_WEIGHT = 16.0


def popular_interest(interest: NDArray[Any], users: Floats) -> Floats:
    """Interest and log popularity together: float64 (n,) of the interest in items and the users of each, both (n,)."""
    found: Floats = INTEREST_WEIGHT * interest.astype(np.float64) + np.log1p(users)
    return found


def interest(query: Query) -> Floats:
    found = query.interest
    return query.nothing() if found is None else found


def interest_popular(query: Query) -> Floats:
    found = query.interest
    return query.nothing() if found is None else popular_interest(found, query.items.popularity)
