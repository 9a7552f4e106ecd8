"""The neighbours of items in a file, with the ids of the items of their rows."""

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from recsys.catalogue import Catalogue
from recsys.errors import FeatureStoreError


def write_neighbours(path: Path, found: sp.csr_array, catalogue: Catalogue) -> None:
    """float32 (n_items, n_items), in the order of the catalogue. The file is there whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".tmp.npz")
    ids = np.array(catalogue.item_ids, dtype=np.str_)
    np.savez(partial, data=found.data, indices=found.indices, indptr=found.indptr, item_ids=ids)
    partial.replace(path)


def read_neighbours(path: Path, catalogue: Catalogue) -> sp.csr_array:
    """In the order of the catalogue, which may have gained and lost items since.

    Raises FeatureStoreError when the file is not there.
    """
    if not path.exists():
        raise FeatureStoreError(f"{path}: no such snapshot of the features; run `recsys train` to compute it")
    with np.load(path) as saved:
        ids: list[str] = saved["item_ids"].tolist()
        parts = (saved["data"], saved["indices"], saved["indptr"])
    found = sp.csr_array(parts, shape=(len(ids), len(ids))).tocoo()
    size = len(catalogue)
    position = np.array([catalogue.index.get(item, -1) for item in ids], dtype=np.int64)
    row, column = position[found.row], position[found.col]
    known = (row >= 0) & (column >= 0)
    return sp.csr_array((found.data[known], (row[known], column[known])), shape=(size, size))
