"""Which items the same users chose: for each item its strongest neighbours, with decay over time.

W = Xᵀ D X, where X holds a user's interest in each item, the weight of the strongest interaction decayed by age, and D
divides by the size of the user's history, so that one who bought everything says little about any pair; each pair is
then divided by (pop_i · pop_j) ** damping, which is the cosine for 0.5. Linden, Smith and York, "Amazon.com
recommendations: item-to-item collaborative filtering", 2003.
"""

from datetime import datetime

import numpy as np
import polars as pl
import scipy.sparse as sp

from features.chosen import chosen_matrix
from features.views import WEIGHT
from recsys.catalogue import Catalogue

NEIGHBOURS = 200
HALF_LIFE_DAYS = 180.0
DAMPING = 0.35
ROWS_AT_ONCE = 2048  # bounds the memory of the product on a large catalogue


def cooccurrence(
    interactions: pl.DataFrame,
    catalogue: Catalogue,
    as_of: datetime,
    *,
    damping: float = DAMPING,
    half_life_days: float = HALF_LIFE_DAYS,
) -> sp.csr_array:
    """float32 (n_items, n_items), at most NEIGHBOURS a row, diagonal zero, from interactions before `as_of`."""
    strongest = pl.col(WEIGHT).max()
    chosen = chosen_matrix(interactions, catalogue, as_of, strongest, half_life_days=half_life_days).astype(np.float32)
    size = np.maximum(np.diff(chosen.indptr), 1).astype(np.float32)
    popularity = np.maximum(np.asarray(chosen.sum(axis=0)).ravel(), 1.0) ** -damping
    weighted = sp.csr_array(chosen.multiply((1 / size)[:, None]))
    by_item = sp.csr_array(chosen.T)
    blocks = []
    for start in range(0, len(catalogue), ROWS_AT_ONCE):
        product = (by_item[start : start + ROWS_AT_ONCE] @ weighted).tocsr()
        product = sp.csr_array(product.multiply(popularity[start : start + ROWS_AT_ONCE, None]).multiply(popularity))
        blocks.append(_strongest(product, start))
    return sp.csr_array(sp.vstack(blocks, format="csr", dtype=np.float32))


def _strongest(rows: sp.csr_array, first: int) -> sp.csr_array:
    """The NEIGHBOURS largest entries of each row but its own item's; `first` is the item of row 0."""
    indptr, indices, values = [0], [], []
    for at, (start, stop) in enumerate(zip(rows.indptr[:-1], rows.indptr[1:], strict=True)):
        columns, weights = rows.indices[start:stop], rows.data[start:stop]
        other = columns != first + at
        columns, weights = columns[other], weights[other]
        if len(columns) > NEIGHBOURS:
            keep = np.argpartition(-weights, NEIGHBOURS)[:NEIGHBOURS]
            columns, weights = columns[keep], weights[keep]
        order = np.argsort(columns)
        indices.append(columns[order])
        values.append(weights[order])
        indptr.append(indptr[-1] + len(order))
    return sp.csr_array((np.concatenate(values), np.concatenate(indices), indptr), shape=rows.shape)
