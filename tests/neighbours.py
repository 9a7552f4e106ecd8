"""Neighbours for tests that are about something else."""

import numpy as np
import scipy.sparse as sp

from recsys.state import Neighbours


def no_neighbours(n_items: int) -> Neighbours:
    """No item goes with any other."""
    return Neighbours(*(sp.csr_array((n_items, n_items), dtype=np.float32) for _ in Neighbours._fields))
