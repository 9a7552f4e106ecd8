"""Does a higher score mean that more is chosen: the candidates of all users in the order of their scores.

The ranker is trained to order (lambdarank): its scores are no probabilities, so they are compared by rank. From the
highest score of all down, how many of the candidates were then chosen?
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from recsys.bootstrap import ratio_intervals
from recsys.state import Floats, Positions

SHARES: Final = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Where the bins end, narrow at the top: few candidates are ever chosen, and these should be there."""


def calibration(
    candidates: Sequence[Positions], scores: Sequence[Floats], relevant: Sequence[frozenset[int]]
) -> list[dict[str, Any]]:
    """Bins of candidates from the highest scores on: see Bin in training.report_schema. An empty one is left out.

    candidates  for each user the positions of the candidates
    scores      beside each its score
    relevant    for each user what was then chosen
    """
    user = np.repeat(np.arange(len(candidates)), [len(items) for items in candidates])
    chosen = np.concatenate([np.isin(items, list(wanted)) for items, wanted in zip(candidates, relevant, strict=True)])
    score = np.concatenate(list(scores))
    order = np.argsort(-score, kind="stable")
    edges = [round(share * len(order)) for share in SHARES]
    bins = [(at, order[start:end]) for at, (start, end) in enumerate(pairwise(edges)) if end > start]
    if not bins:
        return []
    n = len(candidates)
    shown = np.column_stack([np.bincount(user[rows], minlength=n) for _, rows in bins])
    taken = np.column_stack([np.bincount(user[rows[chosen[rows]]], minlength=n) for _, rows in bins])
    rates = ratio_intervals(taken.astype(np.float64), shown.astype(np.float64))
    return [
        {
            "from": SHARES[at],
            "to": SHARES[at + 1],
            "candidates": len(rows),
            "scores": [float(score[rows].min()), float(score[rows].max())],
            "rate": float(rates.mean[column]),
            "rate_ci": [float(rates.low[column]), float(rates.high[column])],
        }
        for column, (at, rows) in enumerate(bins)
    ]
