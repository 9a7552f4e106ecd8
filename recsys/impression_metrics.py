"""How well scores order the items that were shown together, of which some were chosen.

Works on rows, one for each shown item: its request, its score and whether it was chosen. The rows of a request need not
stand together. Requests of which everything or nothing was chosen say nothing of the order: they are left out of every
metric, and counted.

    summarise_requests(per_request_metrics(requests, scores, chosen))  →  {"auc": 0.66, "gauc": 0.68, …}
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.bootstrap import Floats, ratio_intervals
from recsys.metrics import USUAL, Cutoffs, Hits, deepest, metrics_of

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RequestMetrics:
    """Metrics of the requests of which some items were chosen and some were not.

    values     metric → float64 (n_requests,)
    shown      int64 (n_requests,), items of each request
    pooled     AUC over the rows of all these requests as if they were one
    one_class  requests that were left out
    """

    values: dict[str, Floats]
    shown: Ints
    pooled: float
    one_class: int


def per_request_metrics(
    requests: NDArray[Any] | Sequence[str], scores: Floats, chosen: Mask, at: Cutoffs = USUAL
) -> RequestMetrics:
    """The AUC of each request, and the metrics of cutoffs_of(at) within it.

    requests  (n_rows,), the request of each row: numbers or ids
    scores    float64 (n_rows,), higher is better
    chosen    bool (n_rows,)

    For AUC a tie counts half. For the others what was not chosen stands before what was chosen at the same score, so
    that no model gains by not telling them apart. They mean what they mean in recsys.metrics, with what was shown in
    place of the catalogue.

    Raises ValueError when a score is NaN or when the lengths differ.
    """
    if not len(requests) == len(scores) == len(chosen):
        raise ValueError(
            f"{len(requests)} requests, {len(scores)} scores and {len(chosen)} marks of what was chosen; "
            "expected as many of each, one for each shown item"
        )
    if np.isnan(scores).any():
        raise ValueError(f"row {int(np.isnan(scores).argmax())} has no score; leave it out, or give it one")
    groups = np.unique(np.asarray(requests), return_inverse=True)[1].astype(np.int64)
    shown, positives = np.bincount(groups), np.bincount(groups, chosen).astype(np.int64)
    two_classes = (positives > 0) & (positives < shown)
    keep = two_classes[groups]
    groups = np.unique(groups[keep], return_inverse=True)[1].astype(np.int64)
    scores, chosen = scores[keep], chosen[keep]
    values = {"auc": auc_of_groups(groups, scores, chosen)}
    values |= metrics_of(hits_of_groups(groups, scores, chosen, depth=deepest(at)), at)
    pooled = auc_of_groups(np.zeros_like(groups), scores, chosen)
    return RequestMetrics(
        values,
        shown[two_classes].astype(np.int64),
        float(pooled[0]) if len(pooled) else float("nan"),
        int((~two_classes).sum()),
    )


def auc_of_groups(groups: Ints, scores: Floats, chosen: Mask) -> Floats:
    """Of each group the chance that a chosen item scores above one that was not, a tie counted half: (n_groups,).

    groups  int64 (n_rows,) from 0 on without a gap; each has both a chosen item and another

    By the sum of ranks: Mann and Whitney, "On a test of whether one of two random variables is stochastically larger
    than the other", 1947.
    """
    if len(groups) == 0:
        return np.empty(0)
    order = np.lexsort((scores, groups))
    group, score, is_chosen = groups[order], scores[order], chosen[order]
    begins = np.r_[True, group[1:] != group[:-1]]
    begins_run = begins | np.r_[True, score[1:] != score[:-1]]
    firsts = np.flatnonzero(begins_run)
    lasts = np.r_[firsts[1:], len(score)] - 1
    run = np.cumsum(begins_run) - 1
    before = np.flatnonzero(begins)[group]
    rank = (firsts + lasts)[run] / 2 - before + 1
    positives = np.bincount(group, is_chosen)
    negatives = np.bincount(group, ~is_chosen)
    ranks = np.bincount(group, rank * is_chosen)
    found: Floats = (ranks - positives * (positives + 1) / 2) / (positives * negatives)
    return found


def hits_of_groups(groups: Ints, scores: Floats, chosen: Mask, *, depth: int) -> Hits:
    """What each group finds when it is ordered by score, at the same score what was not chosen first."""
    order = np.lexsort((chosen, -scores, groups))
    group, is_chosen = groups[order], chosen[order]
    begins = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if len(group) else np.empty(0, np.int64)
    rank = np.arange(len(group)) - begins[group]
    found = np.zeros((len(begins), depth), dtype=np.bool_)
    first = rank < depth
    found[group[first], rank[first]] = is_chosen[first]
    return Hits(found, np.bincount(group, is_chosen).astype(np.int64))


def summarise_requests(measured: RequestMetrics) -> dict[str, float | int | list[float]]:
    """The figures of a report, with 95 % intervals over requests under METRIC_ci.

    requests, one_class  how many requests are measured, and how many were left out
    auc          over the rows of all requests as if they were one; without an interval
    gauc         mean over requests, each weighted by the items that it shows: Zhou et al., "Deep interest network for
                 click-through rate prediction", 2018
    request_auc  mean over requests, each weighted alike: what MIND calls AUC
    and the means of the other metrics; mrr is of the first chosen item, where MIND's averages over all of them
    """
    summary: dict[str, float | int | list[float]] = {
        "requests": len(measured.shown),
        "one_class": measured.one_class,
    }
    if len(measured.shown) == 0:
        return summary
    summary["auc"] = measured.pooled
    alike = np.ones(len(measured.shown))
    columns = {"gauc": (measured.values["auc"], measured.shown.astype(np.float64))}
    columns |= {
        "request_auc" if metric == "auc" else metric: (values, alike) for metric, values in measured.values.items()
    }
    weights = np.column_stack([weight for _, weight in columns.values()])
    sums = np.column_stack([values * weight for values, weight in columns.values()])
    for metric, mean, low, high in zip(columns, *ratio_intervals(sums, weights), strict=True):
        summary[metric] = float(mean)
        summary[f"{metric}_ci"] = [float(low), float(high)]
    return summary
