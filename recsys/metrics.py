"""How good ranked lists are: recall and NDCG for each user, and their mean with a bootstrap interval.

Works on item positions (row numbers of the catalogue), one ranked list and one set of relevant items a user:

    summarise(per_user_metrics(top, relevant))  →  {"recall@10": 0.215, "recall@10_ci": [0.199, 0.231], …}
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

RECALL_AT: Final = (10, 20, 100)
NDCG_AT: Final = 10
METRICS: Final = (*(f"recall@{k}" for k in RECALL_AT), f"ndcg@{NDCG_AT}")

NO_ITEM: Final = -1
"""Fills the end of a row of `top` whose list is shorter than the others."""

DRAWS_AT_ONCE: Final = 4_000_000  # bounds the memory of a bootstrap over many users to some 64 MB

Floats = NDArray[np.float64]
Positions = NDArray[np.integer[Any]]


def per_user_metrics(top: Positions | Sequence[Positions], relevant: Sequence[Set[int]]) -> dict[str, Floats]:
    """Every metric of METRICS for every user: float64 (n_users,), each in [0, 1].

    top       for each user the positions of the recommended items, best first; a matrix is filled up with NO_ITEM.
              A list shorter than k counts as if no hit followed.
    relevant  for each user the positions of the items to find.

    recall@k = hits in the top k / all relevant items, also when these are more than k.
    ndcg@k = DCG / DCG of the ideal list of min(k, relevant) hits, where a hit at rank r (from 1) gains 1 / log2(r + 1):
    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002, with gains 0 and 1.

    Raises ValueError when a user has no relevant items (leave the user out: there is nothing to measure) or when an
    item stands twice in one list.
    """
    if len(top) != len(relevant):
        raise ValueError(f"top has {len(top)} users and relevant {len(relevant)}; expected the same users in both")
    counts = np.array([len(items) for items in relevant], dtype=np.int64)
    if np.any(counts == 0):
        users = np.flatnonzero(counts == 0)[:5].tolist()
        raise ValueError(f"the users in rows {users} have no relevant items; leave them out before measuring")
    hits = find_hits(as_matrix(top), relevant)
    metrics = {f"recall@{k}": hits[:, :k].sum(axis=1) / counts for k in RECALL_AT}
    discounts = 1.0 / np.log2(np.arange(NDCG_AT) + 2)
    ideal = np.cumsum(discounts)[np.minimum(counts, NDCG_AT) - 1]
    metrics[f"ndcg@{NDCG_AT}"] = hits[:, :NDCG_AT] @ discounts / ideal
    return metrics


def as_matrix(top: Positions | Sequence[Positions]) -> Positions:
    """The first max(RECALL_AT) positions of each list: int64 (n_users, max(RECALL_AT)), filled up with NO_ITEM."""
    matrix = np.full((len(top), max(RECALL_AT)), NO_ITEM, dtype=np.int64)
    for row, ranked in zip(matrix, top, strict=True):
        length = min(len(ranked), len(row))
        row[:length] = ranked[:length]
    in_order = np.sort(matrix, axis=1)
    twice = (in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] != NO_ITEM)
    if twice.any():
        user, column = np.argwhere(twice)[0]
        raise ValueError(f"the list of the user in row {user} holds item {in_order[user, column]} twice; rank it once")
    return matrix


def find_hits(top: Positions, relevant: Sequence[Set[int]]) -> NDArray[np.bool_]:
    """Whether each recommended item is relevant to its user: bool, the shape of `top`."""
    counts = [len(items) for items in relevant]
    positions = np.fromiter((item for items in relevant for item in items), dtype=np.int64, count=sum(counts))
    width = max(int(top.max(initial=NO_ITEM)), int(positions.max(initial=NO_ITEM))) + 1
    # One number for each (user, item), so that one sorted search answers for all users.
    wanted = np.repeat(np.arange(len(relevant)), counts) * width + positions
    shown = np.arange(len(relevant))[:, None] * width + top
    found: NDArray[np.bool_] = np.isin(shown, wanted) & (top != NO_ITEM)
    return found


def mean_with_interval(values: Floats, *, resamples: int = 1000, seed: int = 0) -> tuple[float, float, float]:
    """Mean over users and its 95 % percentile bootstrap interval: (mean, low, high).

    Users are drawn with replacement `resamples` times. For two models on the same users give the differences: the
    interval is then the paired one. Raises ValueError when there are no values.
    """
    if len(values) == 0:
        raise ValueError("no values: the mean over no users does not exist")
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, DRAWS_AT_ONCE // len(values))
    for start in range(0, resamples, step):
        part = means[start : start + step]
        part[:] = values[generator.integers(len(values), size=(len(part), len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def summarise(per_user: Mapping[str, Floats]) -> dict[str, float | list[float]]:
    """The mean of each metric and beside it, under METRIC_ci, its interval [low, high], as plain floats for JSON."""
    summary: dict[str, float | list[float]] = {}
    for metric, values in per_user.items():
        mean, low, high = mean_with_interval(values)
        summary[metric] = mean
        summary[f"{metric}_ci"] = [low, high]
    return summary
