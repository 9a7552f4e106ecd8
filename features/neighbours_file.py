"""The neighbours of items in a file, with the ids of the items of their rows."""

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from recsys.catalogue import Catalogue
from recsys.errors import FeatureStoreError
from recsys.state import Neighbours

PARTS = ("data", "indices", "indptr")


def write_neighbours(path: Path, found: Neighbours, catalogue: Catalogue) -> None:
    """In the order of the catalogue. The file is there whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".tmp.npz")
    arrays = {
        f"{kind}_{part}": getattr(matrix, part)
        for kind, matrix in zip(Neighbours._fields, found, strict=True)
        for part in PARTS
    }
    np.savez(partial, item_ids=np.array(catalogue.item_ids, dtype=np.str_), **arrays)
    partial.replace(path)


def read_neighbours(path: Path, catalogue: Catalogue) -> Neighbours:
    """In the order of the catalogue, which may have gained and lost items since.

    Raises FeatureStoreError when the file is not there.
    """
    if not path.exists():
        raise FeatureStoreError(f"{path}: no such snapshot of the features; run `recsys train` to compute it")
    with np.load(path) as saved:
        ids: list[str] = saved["item_ids"].tolist()
        matrices = [
            sp.csr_array(tuple(saved[f"{kind}_{part}"] for part in PARTS), shape=(len(ids), len(ids)))
            for kind in Neighbours._fields
        ]
    if ids == catalogue.item_ids:
        return Neighbours(*matrices)
    position = np.array([catalogue.index.get(item, -1) for item in ids], dtype=np.int64)
    return Neighbours(*(_moved(matrix, position, len(catalogue)) for matrix in matrices))


def _moved(matrix: sp.csr_array, position: np.ndarray, size: int) -> sp.csr_array:
    """With each item at its position, int64 (n,), -1 for one that is left out."""
    found = matrix.tocoo()
    row, column = position[found.row], position[found.col]
    known = (row >= 0) & (column >= 0)
    return sp.csr_array((found.data[known], (row[known], column[known])), shape=(size, size))
