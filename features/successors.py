"""Which items are chosen next by those who had which: the choices of past windows regressed on the histories before.

Where features.regression asks what goes together in one history, here time runs: with X the users' histories at the
start of each past window, decayed by age, and Y what they chose in it, the weights are W = (Xᵀ D X + λ I)⁻¹ Xᵀ D Y, a
ridge regression of all items at once. D counts a window less the longer ago it was, and a user less the longer the
history. An item may foretell itself: it is chosen again.

Two regressions, one after the other: the first counts all windows much alike and learns what always follows what; the
second counts the latest most and learns, of what the first leaves unexplained, what holds now: ΔW = (Xᵀ D X + λ I)⁻¹
Xᵀ D (Y − X W), as in gradient boosting (Friedman, "Greedy function approximation: a gradient boosting machine", 2001).
"""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from features.chosen import chosen_matrix
from features.regression import largest, most_chosen
from recsys.catalogue import Catalogue
from recsys.retrieval.from_history import HALF_LIFE_DAYS
from recsys.schema import TIMESTAMP, USER_ID

WINDOWS = 12
WINDOW_DAYS = 14
WINDOW_DECAYS = (0.95, 0.5)
"""What a window counts against the one after it, in each regression."""

LENGTH_DAMPING = 0.5
"""A user with h items in the history counts h to the minus so much."""

PENALTY = 100.0
"""λ, of each."""


def successors(interactions: pl.DataFrame, catalogue: Catalogue, as_of: datetime) -> sp.csr_array:
    """float32 (n_items, n_items), from interactions before `as_of`: what a row's item says of what comes next."""
    size = len(catalogue)
    ends = [as_of - timedelta(days=WINDOW_DAYS * back) for back in range(WINDOWS)]
    windows = [_window(interactions, catalogue, end) for end in ends]
    found = [(*window, back) for back, window in enumerate(windows) if window is not None]
    if not found:
        return sp.csr_array((size, size), dtype=np.float32)
    had, chosen = (sp.vstack([window[which] for window in found], format="csr") for which in (0, 1))
    ago = np.concatenate([np.full(window[0].shape[0], window[2]) for window in found])
    of_length = np.maximum(np.diff(had.indptr), 1) ** -LENGTH_DAMPING
    # What is new was chosen, but is in no history yet.
    rows, columns = (most_chosen(np.asarray(matrix.sum(axis=0)).ravel()) for matrix in (had, chosen))
    if len(rows) == 0 or len(columns) == 0:
        return sp.csr_array((size, size), dtype=np.float32)
    had, chosen = had[:, rows], chosen[:, columns]
    first, *others = (decay**ago * of_length for decay in WINDOW_DECAYS)
    weights = _unexplained(had, chosen, first, None)
    for counts in others:
        weights += _unexplained(had, chosen, counts, weights)
    kept = sp.coo_array(largest(weights))
    return sp.csr_array((kept.data.astype(np.float32), (rows[kept.row], columns[kept.col])), shape=(size, size))


def _unexplained(
    had: sp.csr_array, chosen: sp.csr_array, counts: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """What a regression adds to the weights, float64 (n_had, n_chosen), None for none; `counts` (n_histories,) of each
    history."""
    weighted = sp.csr_array(had.multiply(counts[:, None])).T
    # In double precision: another order of the items then changes no bit of the weights, which are kept in single.
    gram, cross = ((weighted @ matrix).toarray() for matrix in (had, chosen))
    if weights is not None:
        # Xᵀ D (Y − X W) without Y − X W, which has a row for every history of every window.
        cross -= gram @ weights
    gram[np.diag_indices_from(gram)] += PENALTY
    factor = scipy.linalg.cho_factor(gram, overwrite_a=True, check_finite=False)
    found: NDArray[np.float64] = scipy.linalg.cho_solve(factor, cross, overwrite_b=True, check_finite=False)
    return found


def _window(
    interactions: pl.DataFrame, catalogue: Catalogue, end: datetime
) -> tuple[sp.csr_array, sp.csr_array] | None:
    """Histories at the start of the window and what was chosen in it, of those who have both: (n_users, n_items) each;
    None where nobody has."""
    start = end - timedelta(days=WINDOW_DAYS)
    before = interactions.filter(pl.col(TIMESTAMP) < start)
    inside = interactions.filter((pl.col(TIMESTAMP) >= start) & (pl.col(TIMESTAMP) < end))
    inside = inside.join(before.select(USER_ID).unique(), on=USER_ID, how="semi")
    if inside.is_empty():
        return None
    before = before.join(inside.select(USER_ID).unique(), on=USER_ID, how="semi")
    had = chosen_matrix(before, catalogue, start, pl.lit(1.0), half_life_days=HALF_LIFE_DAYS)
    chosen = chosen_matrix(inside, catalogue, end, pl.lit(1.0), half_life_days=np.inf)
    # The last users may have nothing that is in the catalogue.
    n_users = max(had.shape[0], chosen.shape[0])
    for matrix in (had, chosen):
        matrix.resize((n_users, len(catalogue)))
    return had, chosen
