"""How good ranked lists are at finding what users chose: metrics of each user, and their mean with its interval.

Works on item positions (row numbers of the catalogue), one ranked list and one set of relevant items a user:

    summarise(per_user_metrics(top, relevant))  →  {"recall@10": 0.215, "recall@10_ci": [0.199, 0.231], …}

Each metric is the one of the same name in trec_eval, ranx and ir-measures, with gains 0 and 1. Needs numpy alone.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.bootstrap import Floats, intervals


class Cutoffs(Protocol):
    """At which k each metric is measured: recsys.config.Evaluation is one."""

    @property
    def recall_at(self) -> tuple[int, ...]: ...
    @property
    def ndcg_at(self) -> tuple[int, ...]: ...
    @property
    def mrr_at(self) -> tuple[int, ...]: ...
    @property
    def map_at(self) -> tuple[int, ...]: ...
    @property
    def hit_rate_at(self) -> tuple[int, ...]: ...


RECALL_AT: Final = (10, 20, 100)
NDCG_AT: Final = 10


@dataclass(frozen=True)
class UsualCutoffs:
    """What is measured unless something else is configured."""

    recall_at: tuple[int, ...] = RECALL_AT
    ndcg_at: tuple[int, ...] = (NDCG_AT,)
    mrr_at: tuple[int, ...] = (10,)
    map_at: tuple[int, ...] = (10,)
    hit_rate_at: tuple[int, ...] = (10,)


USUAL: Final = UsualCutoffs()

NO_ITEM: Final = -1
"""Fills the end of a row of `top` whose list is shorter than the others."""

Positions = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Hits:
    """What lists found.

    found     bool (n_users, depth): whether the item at each rank is relevant
    relevant  int64 (n_users,): how many items there were to find
    """

    found: NDArray[np.bool_]
    relevant: NDArray[np.int64]

    @classmethod
    def of(cls, top: Positions, relevant: Sequence[Set[int]]) -> "Hits":
        """Of lists as as_matrix makes them; raises as per_user_metrics."""
        if len(top) != len(relevant):
            raise ValueError(f"top has {len(top)} users and relevant {len(relevant)}; expected the same users in both")
        counts = np.array([len(items) for items in relevant], dtype=np.int64)
        if np.any(counts == 0):
            users = np.flatnonzero(counts == 0)[:5].tolist()
            raise ValueError(f"the users in rows {users} have no relevant items; leave them out before measuring")
        return cls(find_hits(top, relevant), counts)

    def recall(self, k: int) -> Floats:
        """Hits in the top k / all relevant items, also when these are more than k."""
        share: Floats = self.found[:, :k].sum(axis=1) / self.relevant
        return share

    def ndcg(self, k: int) -> Floats:
        """DCG / DCG of the ideal list of min(k, relevant) hits, where a hit at rank r (from 1) gains 1 / log2(r + 1).

        Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.
        """
        discounts = 1.0 / np.log2(np.arange(k) + 2)
        ideal = np.cumsum(discounts)[np.minimum(self.relevant, k) - 1]
        found = self.found[:, :k]
        # Two orders of the same sum may differ in the last bit, and no list is better than the ideal one.
        gained: Floats = np.minimum(1.0, found @ discounts[: found.shape[1]] / ideal)
        return gained

    def mrr(self, k: int) -> Floats:
        """1 / rank of the first hit, 0 where there is none in the top k."""
        found = self.found[:, :k]
        reciprocal: Floats = np.where(found.any(axis=1), 1.0 / (found.argmax(axis=1) + 1), 0.0)
        return reciprocal

    def map(self, k: int) -> Floats:
        """Average precision: Σ over the hits in the top k of the precision down to each / all relevant items.

        The denominator is that of recall, as in trec_eval, not min(k, relevant).
        """
        found = self.found[:, :k]
        precision = found.cumsum(axis=1) / np.arange(1, found.shape[1] + 1)
        average: Floats = (precision * found).sum(axis=1) / self.relevant
        return average

    def hit_rate(self, k: int) -> Floats:
        """1 where there is any hit in the top k, else 0."""
        found: Floats = np.asarray(self.found[:, :k].any(axis=1), dtype=np.float64)
        return found


METRIC_OF: Final[Mapping[str, Callable[[Hits, int], Floats]]] = {
    "recall": Hits.recall,
    "ndcg": Hits.ndcg,
    "mrr": Hits.mrr,
    "map": Hits.map,
    "hit_rate": Hits.hit_rate,
}


def cutoffs_of(at: Cutoffs) -> dict[str, tuple[str, int]]:
    """What the per-user metrics are called, in the order in which they are reported, and the metric and k of each."""
    configured = {
        "recall": at.recall_at,
        "ndcg": at.ndcg_at,
        "mrr": at.mrr_at,
        "map": at.map_at,
        "hit_rate": at.hit_rate_at,
    }
    return {f"{metric}@{k}": (metric, k) for metric, cutoffs in configured.items() for k in sorted(cutoffs)}


def deepest(at: Cutoffs) -> int:
    """How far down the lists these metrics look."""
    return max(k for _, k in cutoffs_of(at).values())


METRICS: Final = tuple(cutoffs_of(USUAL))


def per_user_metrics(
    top: Positions | Sequence[Positions], relevant: Sequence[Set[int]], at: Cutoffs = USUAL
) -> dict[str, Floats]:
    """Every metric of cutoffs_of(at) for every user: float64 (n_users,), each in [0, 1]; see Hits for definitions.

    top       for each user the positions of the recommended items, best first; a matrix is filled up with NO_ITEM.
              A list shorter than k counts as if no hit followed.
    relevant  for each user the positions of the items to find.

    Raises ValueError when a user has no relevant items (leave the user out: there is nothing to measure) or when an
    item stands twice in one list.
    """
    return metrics_of(Hits.of(as_matrix(top, depth=deepest(at)), relevant), at)


def metrics_of(hits: Hits, at: Cutoffs) -> dict[str, Floats]:
    """Every metric of cutoffs_of(at): float64 (n_users,) each."""
    return {name: METRIC_OF[metric](hits, k) for name, (metric, k) in cutoffs_of(at).items()}


def as_matrix(top: Positions | Sequence[Positions], *, depth: int) -> Positions:
    """The first `depth` positions of each list: int64 (n_users, depth), filled up with NO_ITEM."""
    matrix = np.full((len(top), depth), NO_ITEM, dtype=np.int64)
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


def summarise(per_user: Mapping[str, Floats]) -> dict[str, float | list[float]]:
    """The mean of each metric and beside it, under METRIC_ci, its interval [low, high], as plain floats for JSON.

    NaN where a user has no value; a metric that no user has is left out.
    """
    some = {metric: values for metric, values in per_user.items() if not np.isnan(values).all()}
    if not some:
        return {}
    summary: dict[str, float | list[float]] = {}
    for metric, mean, low, high in zip(some, *intervals(np.column_stack(list(some.values()))), strict=True):
        summary[metric] = float(mean)
        summary[f"{metric}_ci"] = [float(low), float(high)]
    return summary


def mean_with_interval(values: Floats) -> tuple[float, float, float]:
    """Mean over users and its 95 % percentile bootstrap interval: (mean, low, high). Raises as resampled_ratios."""
    mean, low, high = intervals(values[:, None])
    return float(mean[0]), float(low[0]), float(high[0])
