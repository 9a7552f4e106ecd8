"""Items like a given one: by its text, by who chose both, and by what having chosen it foretells; merged like channels.

An item that was added a moment ago has its text alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from recsys.interest import Vectors
from recsys.retrieval.merge import CandidateSet, best, merge
from recsys.state import Floats, ItemState, Mask


@dataclass(frozen=True)
class ItemQuery:
    """A request for items like the one at a position.

    vectors  float32 (n_items, d), of unit length or, where there is no text, zeros
    exclude  bool (n_items,): items that may not be retrieved; the given one never is
    """

    item: int
    items: ItemState
    vectors: Vectors
    exclude: Mask


def text(query: ItemQuery) -> Floats:
    """The cosine of the texts."""
    return _above_nought((query.vectors @ query.vectors[query.item]).astype(np.float64))


def cooccurrence(query: ItemQuery) -> Floats:
    """The same users chose them."""
    return _row(query.items.neighbours.users, query.item)


def regression(query: ItemQuery) -> Floats:
    """Who chose the one will choose the other, whatever else they chose."""
    return _row(query.items.neighbours.regression, query.item)


SIMILAR: Final[dict[str, Callable[[ItemQuery], Floats]]] = {
    "text": text,
    "cooccurrence": cooccurrence,
    "regression": regression,
}
"""In the order in which equal ranks are merged."""


def retrieve_similar(query: ItemQuery, *, limit: int) -> CandidateSet:
    """At most `limit` items, the most similar first, with what each is similar by."""
    exclude = query.exclude.copy()
    exclude[query.item] = True
    lists = {name: best(np.where(exclude, -np.inf, of(query)), limit) for name, of in SIMILAR.items()}
    return merge(lists, limit=limit)


def _row(matrix: sp.csr_array, item: int) -> Floats:
    scores = np.full(matrix.shape[1], -np.inf)
    first, last = matrix.indptr[item : item + 2]
    scores[matrix.indices[first:last]] = matrix.data[first:last]
    return _above_nought(scores)


def _above_nought(scores: Floats) -> Floats:
    return np.where(scores > 0, scores, -np.inf)
