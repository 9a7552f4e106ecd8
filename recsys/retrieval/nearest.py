"""Nearest by interest in a catalogue that is too large to look at whole: cells of items that lie close together.

An inverted file of faiss: k-means puts each item into one of some thousand cells, and holds the items of a cell side by
side, in the SKETCH coordinates that vary most. A user is many query vectors and the interest no distance, so that faiss
cannot search for it: the interest in the centres says which cells are worth a look, the interest in the sketches of
their items which items. benchmarks/retrieval.py has the recall and the time, beside indices that search for each item
of a history.

Reads and writes nearest.faiss   mapped into memory, so that processes share it
"""

import sys
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from recsys.interest import Vectors
from recsys.soft_maximum import SoftMaximum
from recsys.state import Mask, Positions

# faiss is imported where it is used: servers of small catalogues have no need of its memory.

Index = Any
"""A faiss.IndexPreTransform, a rotation before a faiss.IndexIVFFlat. The stubs of faiss know less of them."""

SKETCH: Final = 192
"""Coordinates of a sketch: half of those of the packaged encoder hold 96 % of its square length."""

CELLS_A_ROOT: Final = 4
"""Cells are so many times the square root of the number of items: 4,000 of a million."""

TRAINED_A_CELL: Final = 40
ROUNDS: Final = 6
"""Items a cell that k-means learns from, and how often it goes over them: more find no better cells."""

LOOKED_AT: Final = 28_000
"""Items whose sketches are looked at. More find more, and take longer."""

ROWS_AT_ONCE: Final = 50_000


class NearestItems:
    """An index of all items, and the few that were added or changed since it was made. Not thread-safe."""

    def __init__(self, index: Index, looked_at: int = LOOKED_AT) -> None:
        """Use `of` or `load`."""
        import faiss

        self._index = index
        self._looked_at = looked_at
        rotation: Any = faiss.downcast_VectorTransform(index.chain.at(0))
        turned = faiss.vector_to_array(rotation.A).reshape(rotation.d_out, rotation.d_in)
        self._rotation = np.ascontiguousarray(turned.T)
        cells: Any = faiss.downcast_index(index.index)
        centres = cells.quantizer.reconstruct_n(0, cells.nlist)
        # What k-means makes lies inside of the ball, where the interest is lower than in the items around it.
        self._centres = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        self._sketches, self._items = zip(*(_cell(cells, at) for at in range(cells.nlist)), strict=True)
        self._sizes = np.array([len(items) for items in self._items])
        self._changed: dict[int, Vectors] = {}
        self._changed_rows: Vectors | None = None

    @classmethod
    def of(cls, vectors: Vectors, *, looked_at: int = LOOKED_AT) -> Self:
        """Of unit vectors, float32 (n_items, d), n_items ≥ 1; the same vectors give the same index."""
        import faiss

        count, dimension = vectors.shape
        n_cells = int(np.clip(CELLS_A_ROOT * np.sqrt(count), 1, count))
        random = np.random.default_rng(0)
        sample = vectors[np.sort(random.choice(count, min(count, n_cells * TRAINED_A_CELL), replace=False))]
        _, axes = np.linalg.eigh(sample.T @ sample)
        kept = np.ascontiguousarray(axes[:, ::-1][:, : min(SKETCH, dimension)].T, dtype=np.float32)
        rotation = faiss.LinearTransform(dimension, len(kept), False)
        faiss.copy_array_to_vector(kept.ravel(), rotation.A)
        rotation.is_trained = True
        quantizer = faiss.IndexFlatL2(len(kept))
        cells = faiss.IndexIVFFlat(quantizer, len(kept), n_cells)
        cells.cp.niter, cells.cp.min_points_per_centroid = ROUNDS, 1
        index: Index = faiss.IndexPreTransform(rotation, cells)
        index.train(sample)
        for start in range(0, count, ROWS_AT_ONCE):
            index.add(np.ascontiguousarray(vectors[start : start + ROWS_AT_ONCE]))
        return cls(index, looked_at)

    @classmethod
    def load(cls, path: Path) -> Self:
        """That of a bundle."""
        import faiss

        # faiss maps no files on Windows.
        index: Index = faiss.read_index(str(path), 0 if sys.platform == "win32" else faiss.IO_FLAG_MMAP)
        return cls(index)

    def save(self, path: Path) -> None:
        import faiss

        faiss.write_index(self._index, str(path))

    def put(self, position: int, vector: Vectors) -> None:
        """An item was added or changed: from now on it is looked at in every search. `vector` float32 (d,)."""
        self._changed[position] = vector @ self._rotation
        self._changed_rows = None

    def near(self, interest: SoftMaximum, *, limit: int, exclude: Mask) -> Positions:
        """About `limit` items of high interest, in no order, none of which is excluded, bool (n_items,).

        Fewer only where fewer are left. The last few of them are of little worth: ask for more than are needed.
        """
        interest = interest.turned(self._rotation)
        order = np.argsort(-interest.of_vectors(self._centres))
        reach = np.cumsum(self._sizes[order])
        looked_at = self._looked_at
        while True:
            cells = order[: np.searchsorted(reach, looked_at) + 1].tolist()
            items = np.concatenate([*(self._items[cell] for cell in cells), np.fromiter(self._changed, np.int64)])
            allowed = ~exclude[items]
            if np.count_nonzero(allowed) >= limit or len(cells) == len(order):
                break
            looked_at *= 4
        scores = np.where(allowed, self._interest(interest, cells, len(items)), -np.inf)
        best = np.argpartition(-scores, limit)[:limit] if len(scores) > limit else np.arange(len(scores))
        # An item that was changed stands in its cell as well.
        return np.unique(items[best[allowed[best]]])

    def _interest(self, interest: SoftMaximum, cells: list[int], count: int) -> Vectors:
        """Of the items of these cells and, behind them, the changed ones: float32 (count,)."""
        products = np.empty((count, len(interest.directions)), dtype=np.float32)
        directions = np.ascontiguousarray(interest.directions.T)
        at = 0
        for cell in cells:
            np.matmul(self._sketches[cell], directions, out=products[at : (at := at + self._sizes[cell])])
        if self._changed:
            if self._changed_rows is None:
                self._changed_rows = np.stack(list(self._changed.values()))
            np.matmul(self._changed_rows, directions, out=products[at:])
        return interest.of_products(products)


def _cell(cells: Any, at: int) -> tuple[Vectors, Positions]:
    """The sketches float32 (n, SKETCH) and the positions int64 (n,) of a cell, where they lie."""
    import faiss

    lists, size = cells.invlists, cells.invlists.list_size(at)
    if size == 0:
        return np.empty((0, cells.d), dtype=np.float32), np.empty(0, dtype=np.int64)
    sketches = faiss.rev_swig_ptr(lists.get_codes(at), size * cells.code_size).view(np.float32)
    return sketches.reshape(size, cells.d), faiss.rev_swig_ptr(lists.get_ids(at), size)
