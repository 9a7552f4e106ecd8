"""One user's interest in any vector, item or not: what scorer.onnx says of items, in a form that an index can use.

The soft maximum of the cosine over the history, blended with a query where there is one (training.user_tower). Of a
million places this is all that is asked; the other signals are for the few that are found.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.state import Floats

Array = NDArray[np.float32]

TINY = 1e-30
"""Keeps the logarithm finite."""


@dataclass(frozen=True)
class SoftMaximum:
    """A user at a moment.

    directions   float32 (h + 1, d), unit length: of the history's items and, last, of the query, if there is one
    weights      float32 (h, labels): how much each item of the history counts; a column sums to 1, or to 0 without one
    temperature  how sharp the soft maximum is
    label_share  float32 (labels,), sums to 1
    query_share  float32 (labels,): how much the query counts beside the history, in [0, 1]
    """

    directions: Array
    weights: Array
    temperature: float
    label_share: Array
    query_share: Array

    @classmethod
    def of(
        cls,
        tower: Mapping[str, Any],
        vectors: Array,
        query: Array | None,
        *,
        kinds: NDArray[np.int64],
        age_days: Floats,
        occasions: Floats,
    ) -> "SoftMaximum":
        """By the parameters of a user tower, as scorer.onnx has them in its metadata.

        vectors    float32 (h, d), of the items of the history; beside each, (h,):
        kinds      the place of the interaction type in the tower
        age_days   since the last interaction with it
        occasions  how often it was chosen
        query      float32 (d,), or None
        """
        age = np.maximum(age_days, 0) / tower["age_unit_days"]
        weights = (
            np.array(tower["kind_weight"])[:, kinds]
            - np.outer(tower["age_power"], np.log1p(age))
            + np.outer(tower["occasions_power"], np.log(np.maximum(occasions, 1)))
        )
        weights = np.exp(weights - weights.max(axis=1, initial=-np.inf, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        slope = np.array(tower["query_gate_slope"]) * np.log1p(len(kinds))
        share = 1 / (1 + np.exp(-(np.array(tower["query_gate"]) + slope)))
        if query is None:
            share[:] = 0
        elif len(kinds) == 0:
            share[:] = 1
        asked = np.zeros(vectors.shape[1]) if query is None else query
        return cls(
            np.vstack([vectors, asked]).astype(np.float32),
            weights.T.astype(np.float32),
            float(tower["temperature"]),
            np.array(tower["label_share"], dtype=np.float32),
            share.astype(np.float32),
        )

    def turned(self, rotation: Array) -> "SoftMaximum":
        """The same in the coordinates of a rotation, float32 (d, e)."""
        return replace(self, directions=self.directions @ rotation)

    def of_vectors(self, vectors: Array) -> Array:
        """The interest in each, a cosine: float32 (n,) of (n, d)."""
        return self.of_products(vectors @ self.directions.T)

    def of_products(self, products: Array) -> Array:
        """The same of their products with the directions, float32 (n, h + 1), which is written over."""
        asked = products[:, -1:].copy()
        products *= self.temperature
        near = np.exp(products[:, :-1], out=products[:, :-1]) @ self.weights
        soft = np.log(np.maximum(near, TINY)) / self.temperature
        found: Array = ((1 - self.query_share) * soft + self.query_share * asked) @ self.label_share
        return found
