"""Which items are alike by their texts: for each item its nearest neighbours among the item vectors."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.interest import Vectors

NEIGHBOURS = 100
SHARPNESS = 15.0
ROWS_AT_ONCE = 1024  # bounds the memory of the product on a large catalogue


def text_neighbours(vectors: Vectors) -> sp.csr_array:
    """float32 (n_items, n_items): at most NEIGHBOURS a row, diagonal zero, each row's weights sum to 1.

    vectors  float32 (n_items, d), unit length

    Weights are exp(SHARPNESS * cosine): of near neighbours the nearest count, of far ones all alike.
    """
    size = len(vectors)
    nearest = min(NEIGHBOURS, size - 1)
    if nearest < 1:
        return sp.csr_array((size, size), dtype=np.float32)
    weights: list[NDArray[np.float32]] = []
    columns: list[NDArray[np.int64]] = []
    for start in range(0, size, ROWS_AT_ONCE):
        cosine = vectors[start : start + ROWS_AT_ONCE] @ vectors.T
        rows = np.arange(len(cosine))
        cosine[rows, start + rows] = -np.inf
        near = np.sort(np.argpartition(-cosine, nearest - 1, axis=1)[:, :nearest], axis=1)
        weight = np.exp(SHARPNESS * (np.take_along_axis(cosine, near, axis=1) - cosine.max(axis=1, keepdims=True)))
        weights.append((weight / weight.sum(axis=1, keepdims=True)).astype(np.float32))
        columns.append(near)
    pointers = np.arange(size + 1) * nearest
    return sp.csr_array((np.concatenate(weights).ravel(), np.concatenate(columns).ravel(), pointers), (size, size))
