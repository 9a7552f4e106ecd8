"""Which items foretell which: each is predicted from all others that a user chose, by linear regression at once.

Where co-occurrence counts a pair by itself, a regression knows what else the user chose: of two items that are nearly
always chosen together, one that says no more than the other gets no weight, and what speaks against an item a negative
one. Steck, "Embarrassingly shallow autoencoders for sparse data", 2019 (EASE): with G = Xᵀ X + λ I the weights are
W = I − G⁻¹ diag(1 / diag(G⁻¹)). X holds a user's interest in each item, 1 when chosen just now, decayed by age.
"""

from datetime import datetime

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import lapack

from features.chosen import chosen_matrix
from recsys.catalogue import Catalogue
from recsys.retrieval.from_history import HALF_LIFE_DAYS

PENALTY = 150.0
"""λ."""

MAX_ITEMS = 5_000
"""Those chosen most take part: the inverse of a dense matrix over all of them grows with the cube of their number."""

WEIGHTS_KEPT = 400
"""The largest of each item, by their absolute value."""


def regression(interactions: pl.DataFrame, catalogue: Catalogue, as_of: datetime) -> sp.csr_array:
    """float32 (n_items, n_items), diagonal zero, from interactions before `as_of`: what a row's item says of others."""
    chosen = chosen_matrix(interactions, catalogue, as_of, pl.lit(1.0), half_life_days=HALF_LIFE_DAYS)
    popularity = np.asarray(chosen.sum(axis=0)).ravel()
    among = most_chosen(popularity)
    weights = sp.coo_array(largest(ease(chosen[:, among], PENALTY)))
    found = (weights.data.astype(np.float32), (among[weights.row], among[weights.col]))
    return sp.csr_array(found, shape=(len(catalogue), len(catalogue)))


def ease(chosen: sp.csr_array, penalty: float) -> NDArray[np.float64]:
    """The weights, float64 (n_items, n_items), diagonal zero, of a matrix (n_users, n_items)."""
    if chosen.shape[1] == 0:
        return np.zeros((0, 0))
    gram = (chosen.T @ chosen).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += penalty
    # Symmetric and positive definite: half the work of a general inverse. Both fill the upper half alone.
    factor, _ = lapack.dpotrf(gram, overwrite_a=True)
    inverse, _ = lapack.dpotri(factor, overwrite_c=True)
    inverse = np.triu(inverse) + np.triu(inverse, 1).T
    weights: NDArray[np.float64] = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


def most_chosen(popularity: NDArray[np.float64]) -> NDArray[np.int64]:
    """The items that take part, int64 (at most MAX_ITEMS,) in order, by a popularity that is at least 0."""
    among = np.sort(np.argsort(-popularity, kind="stable")[:MAX_ITEMS])
    return among[popularity[among] > 0]


def largest(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """With nought in place of all but the largest of each row."""
    if weights.shape[1] <= WEIGHTS_KEPT:
        return weights
    size = np.abs(weights)
    least = np.partition(size, -WEIGHTS_KEPT, axis=1)[:, -WEIGHTS_KEPT]
    return np.where(size >= least[:, None], weights, 0.0)
