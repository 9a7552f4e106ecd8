"""Which items are alike by their texts, and what is known of an item through those that are like it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.bundle_files import NEIGHBOUR_WEIGHTS_FILE, NEIGHBOURS_FILE
from recsys.interest import Vectors
from recsys.state import Floats, Positions

NEIGHBOURS = 50
SHARPNESS = 15.0
EVERYTHING = 0.02
"""Weight of the mean over all items beside the neighbours: an item like no other is expected to be like the average."""

ROWS_AT_ONCE = 1024  # bounds the memory of the product on a large catalogue


@dataclass(frozen=True)
class TextNeighbours:
    """For each item the nearest others by text, at most NEIGHBOURS, in no order.

    near    int32 (n_items, k), positions
    weight  float32 (n_items, k), exp(SHARPNESS * (cosine - 1)), in [0, 1]
    """

    near: NDArray[np.int32]
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: Vectors) -> "TextNeighbours":
        """From unit vectors, float32 (n_items, d)."""
        blocks = np.split(np.arange(len(vectors)), np.arange(ROWS_AT_ONCE, len(vectors), ROWS_AT_ONCE))
        parts = [cls.of_rows(vectors, rows) for rows in blocks]
        return cls(np.concatenate([part.near for part in parts]), np.concatenate([part.weight for part in parts]))

    @classmethod
    def load(cls, folder: Path) -> "TextNeighbours":
        """Those of a bundle, mapped so that processes share them; what is written to them stays in memory."""
        near, weight = (np.load(folder / name, mmap_mode="c") for name in (NEIGHBOURS_FILE, NEIGHBOUR_WEIGHTS_FILE))
        # As plain arrays: NumPy looks at each part that is taken of a mapped one.
        return cls(np.asarray(near), np.asarray(weight))

    def save(self, folder: Path) -> None:
        np.save(folder / NEIGHBOURS_FILE, self.near)
        np.save(folder / NEIGHBOUR_WEIGHTS_FILE, self.weight)

    @classmethod
    def of_rows(cls, vectors: Vectors, rows: Positions, count: int | None = None) -> "TextNeighbours":
        """The neighbours of some items among all; `count` of each, else as many as `of` gives."""
        cosine = vectors[rows] @ vectors.T
        cosine[np.arange(len(rows)), rows] = -np.inf
        count = min(NEIGHBOURS, len(vectors) - 1) if count is None else count
        near = np.argpartition(-cosine, max(count - 1, 0), axis=1)[:, :count]
        weight = np.exp(SHARPNESS * (np.take_along_axis(cosine, near, axis=1) - 1))
        return cls(near.astype(np.int32), weight.astype(np.float32))

    def smoothed(self, values: Floats, rows: Positions | None = None) -> Floats:
        """Mean over the neighbours of each item, or of `rows`; nearer ones count more.

        values  float64 (n_items,), or (n_items, k) for k of them at once; so is what comes back
        """
        near, weight = self.near, self.weight
        if rows is not None:
            near, weight = near.take(rows, axis=0), weight.take(rows, axis=0)
        weight = weight.astype(np.float64)
        # Each the faster way to the same: of single values, and of rows of them.
        if values.ndim == 1:
            total = np.einsum("ij,ij->i", weight, values[near])
        else:
            total = np.matmul(weight[:, None], values.take(near, axis=0))[:, 0]
        total += EVERYTHING / len(values) * np.einsum("i...->...", values)
        found: Floats = (total.T / (weight.sum(axis=1) + EVERYTHING)).T
        return found
