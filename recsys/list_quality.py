"""What lists are like, whether or not they find anything: how much of the catalogue they show, how rare and how
different their items are.

Works on `top`, the positions of the recommended items of each user, best first: int64 (n_users, depth), filled up with
NO_ITEM, as recsys.metrics.as_matrix makes it.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recsys.bootstrap import Floats
from recsys.metrics import NO_ITEM, Positions

ROWS_AT_ONCE: Final = 1_000  # bounds the memory of the vectors of the lists


def coverage(top: Positions, *, k: int, rankable: int) -> float:
    """The share of the `rankable` items that stand in the top k of any user.

    It has no interval over users: fewer distinct users show fewer items, so that resamples all lie below it.
    """
    shown = np.unique(top[:, :k])
    return float((shown != NO_ITEM).sum() / rankable)


def self_information(users: NDArray[np.integer[Any]] | Floats, *, of: int) -> Floats:
    """How rare each item is, in bits: log2((1 + all users) / (1 + users who had it)), float64 (n_items,).

    users  how many distinct users had each item before the cut, (n_items,)
    of     how many users there were

    Self-information by popularity, as of Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender
    systems", 2010; one user more on both sides gives an item that nobody had a value.
    """
    information: Floats = np.log2((1.0 + of) / (1.0 + np.asarray(users, dtype=np.float64)))
    return information


def novelty(top: Positions, information: Floats, *, k: int) -> Floats:
    """Mean self_information of the items in the top k: float64 (n_users,), bits; NaN for an empty list."""
    first = top[:, :k]
    is_item = first != NO_ITEM
    total = np.where(is_item, information[first], 0.0).sum(axis=1)
    return _where(is_item.sum(axis=1) > 0, total, is_item.sum(axis=1))


def diversity(top: Positions, vectors: NDArray[np.floating[Any]], *, k: int) -> Floats:
    """1 - mean cosine between two items in the top k: float64 (n_users,); NaN for a list of fewer than two items.

    vectors  (n_items, d), unit vectors of the items' texts, or zero for an item without text: it is like no other

    Intra-list diversity of Ziegler et al., "Improving recommendation lists through topic diversification", 2005.
    """
    found = np.empty(len(top))
    for start in range(0, len(top), ROWS_AT_ONCE):
        first = top[start : start + ROWS_AT_ONCE, :k]
        is_item = first != NO_ITEM
        own = vectors[first] * is_item[:, :, None]
        # The sum over all ordered pairs is the square of the sum, less each item with itself.
        square_of_sum = np.square(own.sum(axis=1, dtype=np.float64)).sum(axis=1)
        with_itself = np.square(own, dtype=np.float64).sum(axis=(1, 2))
        n = is_item.sum(axis=1)
        cosine = _where(n > 1, square_of_sum - with_itself, n * (n - 1))
        found[start : start + ROWS_AT_ONCE] = 1.0 - cosine
    return found


def _where(known: NDArray[np.bool_], sums: Floats, counts: NDArray[np.integer[Any]]) -> Floats:
    """sums / counts where `known`, else NaN."""
    found: Floats = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=known)
    return found
