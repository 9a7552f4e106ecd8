"""What is like, by its text, what is chosen next by those who had what the user had.

What few have chosen yet has hardly any successors of its own to be found among; its likes have.
"""

import numpy as np

from recsys.retrieval.query import Query
from recsys.state import Floats

# Found on windows before the validation window of Online Retail: the item's own share of its score.
OWN = 0.35


def successors_by_text(query: Query) -> Floats:
    scores, of_history = query.nothing(), query.from_history.successors
    # The smoothing gives every item a little, and so would order them all for a user without a history.
    if query.alike is None or not of_history.any():
        return scores
    where = slice(None) if query.scored is None else query.scored
    of_likes = query.from_history.successors_of_likes(query.scored)
    found = OWN * of_history[where] + (1 - OWN) * of_likes
    scores[where] = np.where(found > 0, found, -np.inf)
    return scores
