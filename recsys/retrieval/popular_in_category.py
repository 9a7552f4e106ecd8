"""What is popular in the categories that the user cares for, each by its share of the user's affinity.

The chance of an item is that of its category for the user times that of the item in its category, as in Brown et al.,
"Class-based n-gram models of natural language", 1992. Users of the last four weeks count.
"""

import numpy as np

from recsys.retrieval.query import Query
from recsys.state import Floats


def popular_in_category(query: Query) -> Floats:
    scores, of_items, affinity = query.nothing(), query.items.categories, query.user.affinity
    known = affinity.categories >= 0
    if of_items is None or not known.any():
        return scores
    n_categories = 1 + max(of_items.max(initial=-1), affinity.categories.max())
    cares = np.bincount(affinity.categories[known], affinity.weights[known], n_categories)
    popularity = query.items.popularity
    found = np.flatnonzero((of_items >= 0) & (popularity > 0))
    category = of_items[found]
    users = np.bincount(category, popularity[found], n_categories)
    chance = cares[category] / cares.sum() * popularity[found] / users[category]
    scores[found] = np.where(chance > 0, chance, -np.inf)
    return scores
