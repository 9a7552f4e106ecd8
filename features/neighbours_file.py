"""The neighbours of items in a file, with the ids of the items of their rows, and who they are popular with."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from features.popularity_by import of_arrays, to_arrays
from recsys.catalogue import Catalogue
from recsys.errors import FeatureStoreError
from recsys.mapped_npz import read_npz, write_npz
from recsys.state import Neighbours, PopularityBy

PARTS = ("data", "indices", "indptr")


def write_neighbours(path: Path, found: Neighbours, by: pl.DataFrame, catalogue: Catalogue) -> None:
    """In the order of the catalogue, `by` as features.popularity_by makes it. The file is there whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".tmp.npz")
    arrays: dict[str, Any] = {"item_ids": np.array(catalogue.item_ids, dtype=np.str_)}
    for kind, matrix in zip(Neighbours._fields, found, strict=True):
        # As SciPy wants the indices, or it makes copies of them whenever the file is read.
        kept = sp.get_index_dtype(maxval=max(matrix.nnz, *matrix.shape))
        arrays[f"{kind}_data"] = matrix.data
        arrays |= {f"{kind}_{part}": getattr(matrix, part).astype(kept) for part in ("indices", "indptr")}
    write_npz(partial, arrays | to_arrays(by, catalogue))
    partial.replace(path)


def read_neighbours(path: Path, catalogue: Catalogue) -> Neighbours:
    """In the order of the catalogue, which may have gained and lost items since; mapped into memory, if it has not.

    Raises FeatureStoreError when the file is not there.
    """
    if not path.exists():
        raise FeatureStoreError(f"{path}: no such snapshot of the features; run `recsys train` to compute it")
    saved = read_npz(path)
    ids: list[str] = saved["item_ids"].tolist()
    matrices = [
        sp.csr_array(tuple(saved[f"{kind}_{part}"] for part in PARTS), shape=(len(ids), len(ids)))
        for kind in Neighbours._fields
    ]
    if ids == catalogue.item_ids:
        return Neighbours(*matrices)
    # As SciPy would have it for a matrix of this size.
    kept = sp.get_index_dtype(maxval=max(len(catalogue), *(matrix.nnz for matrix in matrices)))
    position = np.array([catalogue.index.get(item, -1) for item in ids], dtype=kept)
    return Neighbours(*(_moved(matrix, position, len(catalogue)) for matrix in matrices))


def read_popularity_by(path: Path, catalogue: Catalogue) -> dict[str, PopularityBy]:
    """By the attributes of users that the catalogue knows of; the file is there."""
    saved = read_npz(path)
    return of_arrays(saved, saved["item_ids"].tolist(), catalogue)


def _moved(matrix: sp.csr_array, position: np.ndarray, size: int) -> sp.csr_array:
    """With each item at its position, (n,), -1 for one that is left out."""
    found = matrix.tocoo()
    row, column = position[found.row], position[found.col]
    known = (row >= 0) & (column >= 0)
    return sp.csr_array((found.data[known], (row[known], column[known])), shape=(size, size))
