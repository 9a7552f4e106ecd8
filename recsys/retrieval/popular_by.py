"""What is popular among the users who are like this one in an attribute, as in the same country.

Few users tell little: they count beside PRIOR_CHOICES that are spread as those of all users. This is the Dirichlet
prior of Zhai and Lafferty, "A study of smoothing methods for language models applied to information retrieval", 2004.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from recsys.retrieval.query import Query
from recsys.state import Floats

PRIOR_CHOICES: Final = 1000.0
"""Pairs of a user and an item."""


def popular_by(attribute: str) -> Callable[[Query], Floats]:
    """The channel of an attribute; it has nothing to say to users of whom the attribute is not known."""

    def popular_with_the_same(query: Query) -> Floats:
        scores, counts, own = query.nothing(), query.items.popularity_by.get(attribute), query.user.attributes
        if counts is None or own is None or np.isnan(own[counts.place]):
            return scores
        items, users = counts.of_value(int(own[counts.place]))
        popularity = query.items.popularity
        scores[items] = users + PRIOR_CHOICES * popularity[items] / max(popularity.sum(), 1.0)
        return scores

    return popular_with_the_same
