"""Scores of any scale as relevance from 0 to 1, so that a boost, a weight, an uncertainty mean the same everywhere."""

import numpy as np

from recsys.state import Floats, Mask


def relevance_of(scores: Floats, among: Mask) -> Floats:
    """float64 (n,): the highest score is 1, the lowest 0, and between them as far as the score is; all 1 when equal.

    among  bool (n,): whose highest and lowest these are; what lies outside is 1 or 0 as well
    """
    low, high = scores[among].min(initial=np.inf), scores[among].max(initial=-np.inf)
    if not high > low:
        return np.ones(len(scores))
    found: Floats = np.clip((scores - low) / (high - low), 0.0, 1.0)
    return found


def boost(relevance: Floats, where: Mask, *, factor: float, add: float) -> None:
    """Multiply, then add, where bool (n,) says so; in place."""
    relevance[where] = relevance[where] * factor + add
